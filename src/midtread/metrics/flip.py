"""FLIP for pictures of standard dynamic range, written from its papers.

    linear RGB ──► opponent colours ──► contrast sensitivity ──► Lab ──► HyAB ──► colour difference C ──┐
                        └──► edges and points of the luminance ──► feature difference F ────────────────┴──► C^(1 - F)

Source: P. Andersson, J. Nilsson, T. Akenine-Moller, M. Oskarsson, K. Astrom, M. D. Fairchild, "FLIP: A Difference
Evaluator for Alternating Images", Proc. ACM Comput. Graph. Interact. Tech. 3(2), 2020. The filters are applied one
axis at a time, as FLIP 1.3 and later do ("separatedConvolutions" in the repository NVlabs/flip).
"""

from __future__ import annotations

import math

import numpy as np

from midtread.metrics import filters, pictures

PIXELS_PER_DEGREE = 0.7 * (3840 / 0.7) * math.pi / 180  # 0.7 m away from a display 3840 pixels and 0.7 m wide

# Exponents and breakpoints of the paper: q_c, p_c, p_t (colour), q_f (features), w (width of an edge in degrees).
_COLOUR_EXPONENT, _COLOUR_KNEE, _COLOUR_AT_KNEE = 0.7, 0.4, 0.95
_FEATURE_EXPONENT, _FEATURE_WIDTH = 0.5, 0.082

# Linear sRGB to CIE XYZ under D65, each row then divided by its sum: XYZ relative to white.
_RGB_TO_XYZ = np.array(
    [
        [10135552 / 24577794, 8788810 / 24577794, 4435075 / 24577794],
        [2613072 / 12288897, 8788810 / 12288897, 887015 / 12288897],
        [1425312 / 73733382, 8788810 / 73733382, 70074185 / 73733382],
    ]
)
_RGB_TO_RELATIVE = _RGB_TO_XYZ / _RGB_TO_XYZ.sum(1, keepdims=True)
# Y_y, C_x, C_z of the paper without the constant -16, which passes unchanged through filters of sum 1.
_RGB_TO_OPPONENT = np.array([[0.0, 116.0, 0.0], [500.0, -500.0, 0.0], [0.0, 200.0, -200.0]]) @ _RGB_TO_RELATIVE
_OPPONENT_TO_RGB = np.linalg.inv(_RGB_TO_OPPONENT)
# Contrast sensitivity per opponent channel: pairs (a, b) of a sqrt(pi / b) exp(-(pi d)^2 / b), d in degrees.
_SENSITIVITY = (((1.0, 0.0047),), ((1.0, 0.0053),), ((34.1, 0.04), (13.5, 0.025)))


def flip(x: np.ndarray, x_hat: np.ndarray) -> float:
    """Mean FLIP error in [0, 1]; 0 for equal pictures.

    Args:
        x: gray or sRGB picture of any size, see `pictures`; edges are repeated outside.
        x_hat: same shape and dtype.

    Raises:
        UsageError: not a picture.
    """
    pair = pictures.pair("flip", x, x_hat)
    linear, linear_hat = (pictures.srgb_to_linear(pictures.as_rgb(planes)) for planes in pair)
    colour = _colour_difference(_seen(linear), _seen(linear_hat))
    feature = _feature_difference(_features(linear), _features(linear_hat))
    return float(np.mean(np.power(colour, 1 - feature), dtype=np.float64))


def _seen(linear: np.ndarray) -> np.ndarray:
    """Linear RGB [3, H, W] -> what an observer sees at that distance, Hunt-adjusted Lab [3, H, W]."""
    opponent = np.tensordot(_RGB_TO_OPPONENT.astype(linear.dtype), linear, 1)
    windows = _sensitivity_windows()
    margin = len(windows[0][0]) // 2
    filtered = np.empty_like(opponent)
    for channel, plane in enumerate(opponent):
        wide = filters.extend(plane, margin, "edge")
        filtered[channel] = sum(filters.separable(wide, window, window, "valid") for window in windows[channel])
    return _hunt_lab(np.clip(np.tensordot(_OPPONENT_TO_RGB.astype(linear.dtype), filtered, 1), 0, 1))


def _sensitivity_windows() -> list[list[np.ndarray]]:
    """Per opponent channel, one-dimensional windows whose outer products add up to the filter of sum 1."""
    widest = max(b for gaussians in _SENSITIVITY for _, b in gaussians)
    radius = math.ceil(3 * math.sqrt(widest / (2 * math.pi**2)) * PIXELS_PER_DEGREE)
    degrees = np.arange(-radius, radius + 1) / PIXELS_PER_DEGREE
    result = []
    for gaussians in _SENSITIVITY:
        windows = [
            math.sqrt(a * math.sqrt(math.pi / b)) * np.exp(-((math.pi * degrees) ** 2) / b) for a, b in gaussians
        ]
        total = math.sqrt(sum(window.sum() ** 2 for window in windows))
        result.append([window / total for window in windows])
    return result


def _hunt_lab(linear: np.ndarray) -> np.ndarray:
    """Linear RGB [3, ...] -> L*, and a*, b* scaled by L* / 100 (the Hunt effect: dark colours look less colourful)."""
    relative = np.tensordot(_RGB_TO_RELATIVE.astype(linear.dtype), linear, 1)
    delta = 6 / 29
    root = np.where(relative > delta**3, np.cbrt(relative), relative * (1 / (3 * delta**2)) + 4 / 29)
    lightness = 116 * root[1] - 16
    hunt = 0.01 * lightness
    return np.stack([lightness, 500 * (root[0] - root[1]) * hunt, 200 * (root[1] - root[2]) * hunt])


def _hyab(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hybrid distance: city block in lightness, Euclidean in chroma. [3, ...] -> [...]."""
    difference = a - b
    distance: np.ndarray = np.abs(difference[0]) + np.hypot(difference[1], difference[2])
    return distance


def _colour_difference(lab: np.ndarray, lab_hat: np.ndarray) -> np.ndarray:
    """[H, W] in [0, 1]: most of the range for small differences, the rest for those beyond the knee."""
    green, blue = _hunt_lab(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])).T  # the two colours farthest apart
    largest = float(_hyab(green, blue)) ** _COLOUR_EXPONENT
    knee = _COLOUR_KNEE * largest
    difference = np.power(_hyab(lab, lab_hat), _COLOUR_EXPONENT)
    beyond = _COLOUR_AT_KNEE + (difference - knee) * ((1 - _COLOUR_AT_KNEE) / (largest - knee))
    return np.asarray(np.where(difference < knee, difference * (_COLOUR_AT_KNEE / knee), beyond))


def _features(linear: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Strength of edges and of points in the luminance, two arrays [H, W]."""
    sigma = 0.5 * _FEATURE_WIDTH * PIXELS_PER_DEGREE
    radius = math.ceil(3 * sigma)
    smooth = filters.gaussian(2 * radius + 1, sigma)
    offset = np.arange(-radius, radius + 1)
    slope = _balanced(-offset * smooth)
    bend = _balanced((offset**2 / sigma**2 - 1) * smooth)
    luminance = np.tensordot(_RGB_TO_RELATIVE[1].astype(linear.dtype), linear, 1)
    wide = filters.extend(luminance, radius, "edge")
    across = filters.along(wide, smooth, -1)
    edge = np.hypot(
        filters.along(filters.along(wide, slope, -1), smooth, -2),
        filters.along(across, slope, -2),
    )
    point = np.hypot(
        filters.along(filters.along(wide, bend, -1), smooth, -2),
        filters.along(across, bend, -2),
    )
    return edge, point


def _balanced(window: np.ndarray) -> np.ndarray:
    """Scale the positive taps to the sum 1 and the negative ones to -1, so that a flat area gives 0."""
    positive, negative = np.maximum(window, 0), np.maximum(-window, 0)
    return np.asarray(positive / positive.sum() - negative / negative.sum())


def _feature_difference(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    largest = np.maximum(np.abs(a[0] - b[0]), np.abs(a[1] - b[1]))
    return np.asarray(np.power(largest * (1 / math.sqrt(2)), _FEATURE_EXPONENT))
