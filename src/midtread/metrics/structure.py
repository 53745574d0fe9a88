"""Structure: SSIM and MS-SSIM.

    planes ──► window means, variances, covariance ──► luminance x (contrast and structure) ──► mean over the valid area

Both use Wang's 11 x 11 Gaussian window, sigma 1.5, K1 = 0.01, K2 = 0.03, population variances (weights sum to 1), and
only the places where the window lies inside the picture.
"""

from __future__ import annotations

import numpy as np

from midtread.metrics import filters, pictures
from midtread.spec import Metric

TAPS = 11  # of the window, along each axis
WINDOW = filters.gaussian(TAPS, 1.5)
C1, C2 = 0.01**2, 0.03**2  # (K L)^2 with white L = 1
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang 2003, sec. 4
SMALLEST_MS = TAPS * 2 ** (len(SCALE_WEIGHTS) - 1)


def ssim(x: np.ndarray, x_hat: np.ndarray) -> float:
    """Mean structural similarity, 1 for equal pictures.

    Source: Wang, Bovik, Sheikh & Simoncelli, "Image Quality Assessment: From Error Visibility to Structural
    Similarity", IEEE Trans. Image Processing 13(4), 2004, eq. (13).

    Args:
        x: picture of at least 11 x 11 pixels, see `pictures`.
        x_hat: same shape and dtype.

    Raises:
        UsageError: not a picture, or smaller than the window.
    """
    planes, planes_hat = pictures.pair("ssim", x, x_hat, at_least=TAPS)
    return float(np.mean([_similarities(a, b)[0] for a, b in zip(planes, planes_hat, strict=True)]))


def ms_ssim(x: np.ndarray, x_hat: np.ndarray) -> float:
    """Multi-scale structural similarity over five scales, 1 for equal pictures.

    Between scales the picture is averaged 2 x 2; an odd last row or column is dropped. A negative contrast-structure
    mean (anti-correlated pictures) counts as 0, since its fractional power is not real.

    Source: Wang, Simoncelli & Bovik, "Multi-scale Structural Similarity for Image Quality Assessment", Asilomar 2003,
    eq. (7).

    Args:
        x: picture of at least 176 x 176 pixels (the window has to fit into the fifth scale), see `pictures`.
        x_hat: same shape and dtype.

    Raises:
        UsageError: not a picture, or too small.
    """
    planes, planes_hat = pictures.pair("ms_ssim", x, x_hat, at_least=SMALLEST_MS)
    return float(np.mean([_multiscale(a, b) for a, b in zip(planes, planes_hat, strict=True)]))


def _multiscale(x: np.ndarray, y: np.ndarray) -> float:
    """MS-SSIM of one plane [H, W]."""
    product = 1.0
    for weight in SCALE_WEIGHTS[:-1]:
        product *= max(_similarities(x, y)[1], 0.0) ** weight
        x, y = _halve(x), _halve(y)
    return float(product * max(_similarities(x, y)[0], 0.0) ** SCALE_WEIGHTS[-1])


def _halve(x: np.ndarray) -> np.ndarray:
    x = x[: x.shape[0] // 2 * 2, : x.shape[1] // 2 * 2]
    rows = x[0::2] + x[1::2]
    return np.asarray((rows[:, 0::2] + rows[:, 1::2]) * 0.25)


def _similarities(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Means of SSIM and of its contrast-structure factor over one plane [H, W]."""
    similarity, structure = similarity_maps(x, y)
    return float(np.mean(similarity, dtype=np.float64)), float(np.mean(structure, dtype=np.float64))


def similarity_maps(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """SSIM and its contrast-structure factor wherever the window lies inside the plane.

    Args:
        x: floating [H, W], white = 1, at least TAPS x TAPS.
        y: the same.

    Returns:
        Two arrays [H - TAPS + 1, W - TAPS + 1] of the same type.
    """
    # Variances do not change when both planes are shifted; around 0 their float32 rounding is four times smaller.
    x, y = x - np.float32(0.5), y - np.float32(0.5)
    moments = np.stack([x, y, x * x + y * y, x * y])
    mean_x, mean_y, power, product = filters.separable(moments, WINDOW, WINDOW, "valid")
    power -= mean_x * mean_x + mean_y * mean_y  # variance of x plus variance of y: SSIM needs only their sum
    product -= mean_x * mean_y
    structure = (2 * product + C2) / (power + C2)
    mean_x += 0.5
    mean_y += 0.5
    luminance = (2 * mean_x * mean_y + C1) / (mean_x * mean_x + mean_y * mean_y + C1)
    return luminance * structure, structure


SSIM = Metric(
    name="ssim",
    label="SSIM",
    better="higher",
    measure=ssim,
    recipe=(
        "Wang 2004: Gaussian window 11 x 11, sigma 1.5, K1 = 0.01, K2 = 0.03, white = 1; mean over the valid area of "
        "each of R, G, B, then over the channels; alpha over mid-gray; floats in [0, 1]; at least 11 x 11 pixels"
    ),
)

MS_SSIM = Metric(
    name="ms_ssim",
    label="MS-SSIM",
    better="higher",
    measure=ms_ssim,
    recipe=(
        "Wang 2003: five scales (weights 0.0448, 0.2856, 0.3001, 0.2363, 0.1333), 2 x 2 means in between, window and "
        "constants of SSIM, valid area; one value per R, G, B, then their mean, not in decibels; alpha over mid-gray; "
        "floats in [0, 1]; at least 176 x 176 pixels"
    ),
)
