"""Fidelity: PSNR and the largest error, for arrays of any shape; PSNR YUV 6:1:1, for pictures.

Errors are computed exactly for integers and in float64 for floats, block by block, so that a field of gigabytes needs
no second copy. A sample of a float array that is not finite (a masked NaN, an infinity) must be the same in the
reconstruction; it is then left out of the range and of the error. If it is not the same, that is an error of the
reconstruction that no decibel value expresses, and the metric raises UsageError.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from midtread.errors import UsageError
from midtread.metrics import pictures
from midtread.spec import Metric

_BLOCK = 2**18  # samples compared at a time: 2 MiB of float64 stay in the cache


def psnr_db(x: np.ndarray, x_hat: np.ndarray) -> float:
    """10 log10(peak^2 / MSE), one MSE over all samples of all channels.

    Args:
        x: integers or floats of any shape. The peak is the full scale of an integer type (255, 65535; int16: 65535)
            and max - min of `x` for floats ("range PSNR").
        x_hat: same shape and dtype.

    Returns:
        Decibels; inf for equal arrays.

    Raises:
        UsageError: empty, not numbers, non-finite samples that differ, or a damaged constant float array (range 0).
    """
    x, x_hat = _comparable("psnr_db", x, x_hat)
    peak = _peak(x)
    # Floats are scaled before squaring: their squares may leave the range of float64. Integers stay exact.
    scale = peak if x.dtype.kind == "f" and peak > 0 else 1.0
    with np.errstate(over="ignore"):
        total = sum(float(np.square(error / scale).sum()) for error in _errors(x, x_hat))
    if total == 0:
        return math.inf
    if peak == 0:
        raise UsageError(
            f"metric 'psnr_db' is undefined: the source is {x[0]} everywhere, its range is 0, and the reconstruction "
            "differs; use 'max_error'"
        )
    return 20 * math.log10(peak / scale) - 10 * math.log10(total / x.size)


def max_error(x: np.ndarray, x_hat: np.ndarray) -> float:
    """Largest |x - x_hat| in the units of the samples; arrays of any shape.

    Raises:
        UsageError: empty, not numbers, or non-finite samples that differ.
    """
    x, x_hat = _comparable("max_error", x, x_hat)
    with np.errstate(over="ignore"):
        return max(float(error.max()) for error in _errors(x, x_hat))


def psnr_yuv611_db(x: np.ndarray, x_hat: np.ndarray) -> float:
    """(6 PSNR_Y + PSNR_U + PSNR_V) / 8 of a picture, see the recipe of `PSNR_YUV611`.

    A plane without error has an infinite PSNR, which would drown the others. It is left out and its weight goes to
    the rest, so a gray picture measures the same as [H, W] and as [H, W, 3]. Equal pictures give inf.

    Source of the weights: J.-R. Ohm et al., "Comparison of the Coding Efficiency of Video Coding Standards", IEEE
    Trans. CSVT 22(12), 2012, sec. II-B. Source of the matrix: ITU-R BT.709-6, sec. 3.
    """
    planes, planes_hat = pictures.pair("psnr_yuv611_db", x, x_hat, dtype=np.float64)
    error = planes - planes_hat
    if len(error) == 1:
        weighted = [(6, error[0])]
    else:
        red, green, blue = error
        luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
        weighted = [(6, luma), (1, (blue - luma) / 1.8556), (1, (red - luma) / 1.5748)]
    values = [(weight, _unit_psnr_db(plane)) for weight, plane in weighted]
    finite = [(weight, value) for weight, value in values if value < math.inf]
    if not finite:
        return math.inf
    return sum(weight * value for weight, value in finite) / sum(weight for weight, _ in finite)


def _unit_psnr_db(error: np.ndarray) -> float:
    mse = float(np.square(error).mean())
    # 200 dB is below one 16-bit step in 2^29 samples: what is smaller is rounding of the matrix, not an error.
    return -10 * math.log10(mse) if mse > 1e-20 else math.inf


def _peak(x: np.ndarray) -> float:
    if x.dtype.kind in "iu":
        info = np.iinfo(x.dtype)
        return float(info.max) - float(info.min)
    with np.errstate(over="ignore"):
        peak = float(x.max()) - float(x.min())
    if not math.isfinite(peak):
        raise UsageError(f"metric 'psnr_db': the range of the source, {x.min():g} to {x.max():g}, overflows float64")
    return peak


def _comparable(name: str, x: np.ndarray, x_hat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The samples to compare, flat; without those that are not finite in both in the same way."""
    if x.dtype.kind not in "iuf" or x.dtype.itemsize > 8:
        raise UsageError(f"metric {name!r} takes integers or floats of at most 64 bits, got {x.dtype.name}")
    if x.size == 0:
        raise UsageError(f"metric {name!r} needs at least one sample, got shape {list(x.shape)}")
    flat, flat_hat = x.reshape(-1), x_hat.reshape(-1)
    if x.dtype.kind != "f":
        return flat, flat_hat
    finite = np.isfinite(flat)
    both = finite & np.isfinite(flat_hat)
    if both.all():
        return flat, flat_hat
    same = both | (flat == flat_hat) | (np.isnan(flat) & np.isnan(flat_hat))
    if not same.all():
        first = int(np.argmin(same))
        where = tuple(int(i) for i in np.unravel_index(first, x.shape))
        raise UsageError(
            f"metric {name!r} cannot compare sample {where}: {flat[first]} in the source, {flat_hat[first]} in the "
            f"reconstruction ({int((~same).sum())} such samples); non-finite samples have to be kept as they are"
        )
    if not both.any():
        raise UsageError(f"metric {name!r} found no finite sample in {list(x.shape)} {x.dtype.name}")
    return flat[both], flat_hat[both]


def _errors(x: np.ndarray, x_hat: np.ndarray) -> Iterator[np.ndarray]:
    """|x - x_hat|, float64, block by block."""
    for start in range(0, x.size, _BLOCK):
        a, b = x[start : start + _BLOCK], x_hat[start : start + _BLOCK]
        if x.dtype.kind == "f":
            yield np.abs(a.astype(np.float64) - b.astype(np.float64))
        else:  # larger - smaller is right modulo 2^bits even where the signed difference overflows
            difference = np.maximum(a, b) - np.minimum(a, b)
            yield difference.view(x.dtype.str.replace("i", "u")).astype(np.float64)


PSNR = Metric(
    name="psnr_db",
    label="PSNR (RGB)",
    better="higher",
    unit="dB",
    measure=psnr_db,
    recipe=(
        "10 log10(peak^2 / MSE), one MSE over all samples of all channels, alpha included; peak = full scale of "
        "integer types, max - min of the source for floats; samples that are not finite must agree and are left out"
    ),
)

PSNR_YUV611 = Metric(
    name="psnr_yuv611_db",
    label="PSNR (YUV 6:1:1)",
    better="higher",
    unit="dB",
    measure=psnr_yuv611_db,
    recipe=(
        "(6 PSNR_Y + PSNR_U + PSNR_V) / 8 in BT.709 full-range YCbCr 4:4:4, float64 without rounding, peak = white; "
        "planes without error are left out; gray: Y alone; alpha over mid-gray; floats in [0, 1]"
    ),
)

MAX_ERROR = Metric(
    name="max_error",
    label="maximum error",
    better="lower",
    unit="sample units",
    signal="any",
    measure=max_error,
    recipe=(
        "largest |x - x_hat| over all samples of all channels, alpha included, in the units of the samples; samples "
        "that are not finite must agree and are left out"
    ),
)
