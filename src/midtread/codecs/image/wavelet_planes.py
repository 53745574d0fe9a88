"""Between pixels and the integers of the `wavelet` codec: colours, steps, and where in its interval a value lies."""

from __future__ import annotations

from typing import Any

import numpy as np

from midtread.codecs.image.wavelet_bands import Block
from midtread.kernels.twins import pick
from midtread.transforms.base import Transform
from midtread.transforms.colour import Planes, Rct, YCbCr, YCoCgR
from midtread.transforms.predict import Med
from midtread.transforms.wavelet import depth, reduced

STEP_UNIT = 2.0**-16  # of a step in a file, in 8-bit units
YCBCR, YCOCG_R, RCT = 0, 1, 2  # colour transforms, of red, green and blue only
_SURE = 0.955  # of a guess: of colours, contexts do more for the wavelet and for YCoCg-R; others must promise more
_SHIFT_UNIT = 2.0**-8  # of the shift of a reconstruction, in steps


def planes_of(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Shape [C, H, W] of the planes of a picture of `shape`."""
    return (shape[2] if len(shape) == 3 else 1, shape[0], shape[1])


def colours(shape: tuple[int, ...]) -> int:
    """How many planes of a picture of `shape` tell of each other: red, green and blue do, alpha does not, bands do."""
    channels = shape[2] if len(shape) == 3 else 1
    return 1 if channels <= 2 else 3 if channels <= 4 else channels


def _is_rgb(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[2] in (3, 4)


def _colour(shape: tuple[int, ...], colour: int) -> Transform:
    return (YCbCr(), YCoCgR(), Rct())[colour] if _is_rgb(shape) else Planes()


def colour_forward(x: np.ndarray, colour: int) -> np.ndarray:
    """Pixels [H, W] or [H, W, C] to planes [C, H, W], float32 for YCBCR, else integers."""
    planes = _colour(x.shape, colour).forward(x)
    if colour == YCBCR:
        planes = planes.astype(np.float32, copy=False)
    elif planes.dtype not in (np.int16, np.int32):
        planes = planes.astype(np.int16 if x.dtype == np.uint8 else np.int32)
    return planes.reshape(-1, *planes.shape[-2:])


def colour_inverse(planes: np.ndarray, shape: tuple[int, ...], dtype: np.dtype, colour: int) -> np.ndarray:
    """Undo `colour_forward`: pixels of `dtype`, clipped, of the planes' size and the rank and channels of `shape`."""
    if _is_rgb(shape):
        transform: Any = _colour(shape, colour)
        return np.ascontiguousarray(transform.inverse(planes, dtype))
    info = np.iinfo(dtype)
    x = np.clip(np.rint(planes) if colour == YCBCR else planes, info.min, info.max).astype(dtype)
    return np.ascontiguousarray(x[0] if len(shape) == 2 else np.moveaxis(x, 0, -1))


def steps(step: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Quantizer steps float32 [C] of the planes of a lossy picture: equal steps of squared error in the pixels."""
    width = step * STEP_UNIT * (257 if dtype == np.uint16 else 1)
    if len(shape) == 2:
        return np.array([width], np.float32)
    norms = [band.norm for band in _colour(shape, YCBCR).bands(shape)]
    return (width / np.array(norms)).astype(np.float32)


def low_band(z: np.ndarray, levels: int) -> np.ndarray:
    """The LL bands of planes [C, H, W], a view."""
    height, width = reduced(z.shape, depth(levels, z.shape))
    return z[:, :height, :width]


def to_fixed(z: np.ndarray, widths: np.ndarray, fraction: int) -> np.ndarray:
    """Planes in steps, int32, with `fraction` bits behind the point."""
    y = np.empty(z.shape, np.int32)
    kernel: Any = pick("wavelet_values", z.size)
    for plane, width in enumerate(widths):
        kernel.scale(z[plane].reshape(-1), y[plane].reshape(-1), np.float32(2**fraction / width))
    return y


def shifts_of(y: np.ndarray, q: np.ndarray, block: Block, fraction: int) -> np.ndarray:
    """For each plane, how much larger than its integer a size of 1, of 2, and of more is on average: int8 [C, 3]."""
    kernel: Any = pick("wavelet_values", q.size)
    sums = np.zeros((len(q), 3, 2), np.int64)
    for part in block.parts:
        kernel.measure(y, q, part.boxes[0], fraction, sums[part.plane])
    means = sums[..., 0] / np.maximum(sums[..., 1], 1) / (2**fraction * _SHIFT_UNIT)
    return np.clip(np.rint(means), -128, 127).astype(np.int8)


def to_floats(q: np.ndarray, z: np.ndarray, block: Block, shifts: np.ndarray, widths: np.ndarray) -> None:
    """The integers of a block to coefficients float32 in z; shifts int8 [C, 3] as `shifts_of` gave them."""
    kernel: Any = pick("wavelet_values", q.size)
    moves = shifts.astype(np.float32) * np.float32(_SHIFT_UNIT)
    for part in block.parts:
        kernel.restore(q, z, part.boxes[0], widths[part.plane], moves[part.plane])


def to_integers(q: np.ndarray, z: np.ndarray, block: Block, missing: int) -> None:
    """The integers of a block whose `missing` lowest bits are not known, in the middle of what they may be, to z."""
    for part in block.parts:
        plane, top, bottom, left, right = part.box
        known = q[plane, top:bottom, left:right]
        middle = (np.abs(known) << missing) + ((1 << missing) >> 1)
        z[plane, top:bottom, left:right] = np.sign(known) * middle


def guess_colour(x: np.ndarray) -> int:
    """The reversible colour transform that is likely to need fewer bits: RCT has to promise much."""
    if not _is_rgb(x.shape):
        return YCOCG_R
    part = x[_in_strips(x.shape[0], 64)]
    bits = [_guess_bits(Med().forward(colour_forward(part, colour))) for colour in (YCOCG_R, RCT)]
    return RCT if bits[1] < _SURE * bits[0] else YCOCG_R


def predicts_better(planes: np.ndarray, y: np.ndarray) -> bool:
    """Whether integer planes are likely to need fewer bits after prediction than y, after the wavelet."""
    sure = _SURE if len(planes) > 2 else 1
    return _guess_bits(Med().forward(planes[:, _in_strips(planes.shape[1], 32)])) < sure * _guess_bits(y[:, ::8])


def _in_strips(height: int, every: int) -> np.ndarray:
    """Eight rows of so many."""
    rows = np.arange(height)
    return rows[rows % every < 8]


def _guess_bits(y: np.ndarray) -> float:
    """About how many bits an integer needs: good enough to choose between two sets of them."""
    return float(np.log2(1 + np.abs(y).astype(np.float32)).mean())
