"""Between pixels and the integers of the `wavelet` codec: colours, steps, and where in its interval a value lies."""

from __future__ import annotations

from typing import Any

import numpy as np

from midtread.codecs.image.wavelet_bands import Part
from midtread.kernels.twins import pick
from midtread.transforms.base import Transform
from midtread.transforms.colour import Planes, YCbCr, YCoCgR
from midtread.transforms.wavelet import depth, reduced

STEP_UNIT = 2.0**-16  # of a step in a file, in 8-bit units
_SHIFT_UNIT = 2.0**-8  # of the shift of a reconstruction, in steps


def colours(shape: tuple[int, ...]) -> int:
    """How many planes of a picture of `shape` tell of each other; alpha does not."""
    return 3 if len(shape) == 3 and shape[2] >= 3 else 1


def _colour(shape: tuple[int, ...], exact: bool) -> Transform:
    if colours(shape) == 1:
        return Planes()
    return YCoCgR() if exact else YCbCr()


def colour_forward(x: np.ndarray, *, exact: bool) -> np.ndarray:
    """Pixels [H, W] or [H, W, C] to planes [C, H, W], for the reversible or the float wavelet."""
    planes = _colour(x.shape, exact).forward(x)
    if exact and planes.dtype not in (np.int16, np.int32):
        planes = planes.astype(np.int16 if x.dtype == np.uint8 else np.int32)
    elif not exact:
        planes = planes.astype(np.float32, copy=False)
    return planes.reshape(-1, *planes.shape[-2:])


def colour_inverse(planes: np.ndarray, shape: tuple[int, ...], dtype: np.dtype, *, exact: bool) -> np.ndarray:
    """Undo `colour_forward`: pixels of `dtype`, clipped, of the planes' size and the rank and channels of `shape`."""
    if colours(shape) == 3:
        transform: Any = _colour(shape, exact)
        return np.ascontiguousarray(transform.inverse(planes, dtype))
    info = np.iinfo(dtype)
    x = np.clip(planes if exact else np.rint(planes), info.min, info.max).astype(dtype)
    return np.ascontiguousarray(x[0] if len(shape) == 2 else np.moveaxis(x, 0, -1))


def steps(step: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Quantizer steps float32 [C] of the planes of a lossy picture: equal steps of squared error in the pixels."""
    width = step * STEP_UNIT * (257 if dtype == np.uint16 else 1)
    if len(shape) == 2:
        return np.array([width], np.float32)
    norms = [band.norm for band in _colour(shape, exact=False).bands(shape)]
    return (width / np.array(norms)).astype(np.float32)


def low_band(z: np.ndarray, levels: int) -> np.ndarray:
    """The LL bands of planes [C, H, W], a view."""
    height, width = reduced(z.shape, depth(levels, z.shape))
    return z[:, :height, :width]


def to_fixed(z: np.ndarray, widths: np.ndarray, fraction: int) -> np.ndarray:
    """Planes in steps, int32, with `fraction` bits behind the point."""
    y = np.empty(z.shape, np.int32)
    kernel: Any = pick("wavelet_coder", z.size)
    for plane, width in enumerate(widths):
        kernel.scale(z[plane].reshape(-1), y[plane].reshape(-1), np.float32(2**fraction / width))
    return y


def shifts_of(y: np.ndarray, q: np.ndarray, parts: list[Part], fraction: int) -> bytes:
    """For each plane, how much larger than its integer a size of 1, of 2, and of more is on average: i8 [C, 3]."""
    kernel: Any = pick("wavelet_coder", q.size)
    sums = np.zeros((len(q), 3, 2), np.int64)
    for part in parts:
        kernel.measure(y, q, part.boxes[0], fraction, sums[part.plane])
    means = sums[..., 0] / np.maximum(sums[..., 1], 1) / (2**fraction * _SHIFT_UNIT)
    return np.clip(np.rint(means), -128, 127).astype(np.int8).tobytes()


def to_floats(q: np.ndarray, order: list[list[Part]], shifts: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Planes of integers to float32 coefficients; shifts [resolutions, C, 3] int8 as `shifts_of` gave them."""
    z = np.empty(q.shape, np.float32)
    kernel: Any = pick("wavelet_coder", q.size)
    moves = shifts.astype(np.float32) * np.float32(_SHIFT_UNIT)
    for index, parts in enumerate(order):
        for part in parts:
            kernel.restore(q, z, part.boxes[0], widths[part.plane], moves[index, part.plane])
    return z


def guess_bits(y: np.ndarray) -> float:
    """About how many bits integers need: good enough to choose between two sets of them."""
    sample = np.abs(y[:, :: max(y.shape[1] // 256, 1)]).astype(np.float32)
    return float(np.log2(1 + sample).sum())
