"""Interpolation between the known points of a grid, and contexts from their symbols, in NumPy: the definition.

A level of a volume has the points with even coordinates, which are known, and seven kinds of others: those with an odd
coordinate along some of the axes. A kind is interpolated along each of its odd axes from a kind that has one odd axis
less, and the results are averaged. Kinds are arrays of their own: what is interpolated at i lies between i and i + 1.

    along an axis   i - 1    i   (?)   i + 1    i + 2
    cubic              -1    9           9        -1     / 16
    linear                   1           1               / 2      where one of the four is missing
    at the end      -1/2   3/2                                    where i + 1 is missing; the value at i without i - 1

Everything is computed in the type of the values, in the order written here, without fused operations.

Zhao et al., "Optimizing error-bounded lossy compression by dynamic spline interpolation", ICDE 2021; averaging
over axes: Liu et al., HPEZ, SIGMOD 2024. Contexts from the symbols at the points of interpolation are our own.
"""

from __future__ import annotations

import numpy as np

LARGEST = float(1 << 21)  # symbols stay below: float32 counts them exactly
FAR = 255  # magnitudes are kept in a byte
# Context of a sum of magnitudes: two for each octave.
CONTEXT_OF = ((np.arange(6 * FAR + 1) + 1).astype(np.float32).view(np.int32) >> 22).astype(np.uint8) - np.uint8(254)
CONTEXTS = int(CONTEXT_OF[-1]) + 1


def _along(near: np.ndarray, axis: int, count: int) -> np.ndarray:
    """Interpolate `count` points along an axis."""
    near = np.moveaxis(near, axis, -1)
    number, known = near.dtype.type, near.shape[-1]
    pairs = min(count, known - 1)
    out = np.empty((*near.shape[:-1], count), near.dtype)
    left, right = near[..., :pairs], near[..., 1 : pairs + 1]
    out[..., :pairs] = (left + right) * number(0.5)
    if pairs >= 2 and known > 3:
        inner = slice(1, min(pairs, known - 2))
        outer = near[..., : inner.stop - 1] + near[..., 3 : inner.stop + 2]
        out[..., inner] = (number(9) * (left + right)[..., inner] - outer) * number(0.0625)
    if count > pairs:
        last = near[..., pairs]
        out[..., pairs] = last if known < 2 else last * number(1.5) - near[..., pairs - 1] * number(0.5)
    return np.moveaxis(out, -1, axis)


def _beside(near: np.ndarray, axis: int, count: int) -> np.ndarray:
    """Sum of the two neighbours along an axis; twice the one where there is only one."""
    wide = np.moveaxis(near, axis, -1).astype(np.int64)
    right = np.concatenate([wide[..., 1:], wide[..., -1:]], axis=-1)[..., :count]
    return np.moveaxis(wide[..., :count] + right, -1, axis)


def predict(near_z: np.ndarray, near_y: np.ndarray, near_x: np.ndarray, odd: int, out: np.ndarray) -> None:
    """Interpolate one kind of points.

    Args:
        near_z: float32 or float64 [Z or Z + 1, Y, X], the kind with one odd axis less; only looked at where `odd` & 4.
        near_y: [Z, Y or Y + 1, X], the same for `odd` & 2.
        near_x: [Z, Y, X or X + 1], the same for `odd` & 1.
        odd: the odd axes of the kind.
        out: [Z, Y, X], filled.
    """
    axes = [axis for axis in range(3) if odd >> (2 - axis) & 1]
    with np.errstate(all="ignore"):
        parts = [_along((near_z, near_y, near_x)[axis], axis, out.shape[axis]) for axis in axes]
        total = sum(parts[1:], parts[0])
        out[:] = total if len(axes) == 1 else total * out.dtype.type(0.5 if len(axes) == 2 else 1 / 3)


def contexts(mag_z: np.ndarray, mag_y: np.ndarray, mag_x: np.ndarray, odd: int, first: int, out: np.ndarray) -> None:
    """Context of each symbol of one kind: CONTEXT_OF the sum of magnitudes beside it, from `first` on.

    Args:
        mag_z: uint8, magnitudes at the points that `predict` takes from `near_z`; the others likewise.
        mag_y: as `mag_z`.
        mag_x: as `mag_z`.
        odd: the odd axes of the kind.
        first: number of the first context.
        out: uint8 [Z, Y, X], filled.
    """
    total = np.zeros(out.shape, np.int64)
    for axis, near in enumerate((mag_z, mag_y, mag_x)):
        if odd >> (2 - axis) & 1:
            total += _beside(near, axis, out.shape[axis])
    out[:] = CONTEXT_OF[total] + np.uint8(first)


def quantize(x: np.ndarray, step: float, symbols: np.ndarray, x_hat: np.ndarray) -> None:
    """Symbols of the differences to the prediction, and what the decoder will make of them.

    Args:
        x: float [n], the values; NaN and what is too far off get the symbol 0.
        step: of the quantizer.
        symbols: int32 [n], filled.
        x_hat: float [n]; the prediction, replaced by the reconstruction.
    """
    number = x.dtype.type
    with np.errstate(all="ignore"):
        scaled = (x - x_hat) * number(1.0 / step)
        rounded = np.where(np.abs(scaled) < LARGEST, np.rint(scaled), number(0))
        symbols[:] = rounded.astype(np.int32)
        x_hat[:] = x_hat + rounded * number(step)


def restore(symbols: np.ndarray, step: float, x_hat: np.ndarray) -> None:
    """What `quantize` makes of x_hat, from the symbols."""
    number = x_hat.dtype.type
    with np.errstate(all="ignore"):
        x_hat[:] = x_hat + symbols.astype(x_hat.dtype) * number(step)


def magnitudes(symbols: np.ndarray, out: np.ndarray) -> None:
    """int32 [n] -> uint8 [n], at most FAR."""
    out[:] = np.minimum(np.abs(symbols.astype(np.int64)), FAR)


def split(volume: np.ndarray, z: int, y: int, even: np.ndarray, odd: np.ndarray) -> None:
    """Undo `weave`: take the points of two kinds that differ in x only out of a volume."""
    even[:] = volume[z::2, y::2, ::2]
    odd[:] = volume[z::2, y::2, 1::2]


def weave(even: np.ndarray, odd: np.ndarray, z: int, y: int, out: np.ndarray) -> None:
    """Put the points of two kinds that differ in x only into the rows (z, y), (z, y + 2) ... of a volume.

    Args:
        even: [Z, Y, X or X + 1], the points with even x.
        odd: [Z, Y, X].
        z: 0 or 1, the first plane.
        y: 0 or 1, the first row.
        out: the volume.
    """
    out[z::2, y::2, ::2] = even
    out[z::2, y::2, 1::2] = odd


def missed(x: np.ndarray, x_hat: np.ndarray, bound: float, found: np.ndarray) -> int:
    """Places where two float vectors [n] differ by more than `bound` in float64, or x is NaN -> their number."""
    with np.errstate(all="ignore"):
        places = np.flatnonzero(~(np.abs(x_hat.astype(np.float64) - x.astype(np.float64)) <= bound))
    found[: places.size] = places
    return int(places.size)
