"""Quantizing and Lorenzo differences of a box in NumPy: the definition that `field_lorenzo` repeats faster.

    x ──► q = round(x / step) ──► differences along the last `order` axes of the box, zigzag ──► uint32

    order 1     the box as one line of numbers, in C order
    order 2     as a picture whose rows are the rows of the box
    order 3     as the volume that it is

What lies before the first number, row or plane is 0. A value whose q does not reproduce it within the bound is an
exception: it takes the symbol to its left (0 at the start of a row) and is stored apart.

Lorenzo prediction: Ibarria et al., "Out-of-core compression and decompression of large n-dimensional scalar fields",
Eurographics 2003; quantizing first ("dual quantization"): Tian et al., cuSZ, PACT 2020.
"""

from __future__ import annotations

import numpy as np

LARGEST = float(1 << 30)  # symbols stay below, so that their differences wrap without harm


def _box(x: np.ndarray, start: int, strides: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """The box as a view [Z, Y, X] of the vector x."""
    size = x.itemsize
    steps = (int(strides[0]) * size, int(strides[1]) * size, size)
    return np.lib.stride_tricks.as_strided(x[start:], tuple(int(n) for n in shape), steps)


def forward(
    x: np.ndarray, start: int, strides: np.ndarray, shape: np.ndarray, order: int, step: float, bound: float,
    out: np.ndarray, found: np.ndarray,
) -> int:  # fmt: skip
    """Quantize a box and take differences.

    Args:
        x: float32 or float64 vector that holds the box.
        start: of the box in x.
        strides: int64 [2], from plane to plane and from row to row of the box, in values.
        shape: int64 [3] of the box.
        order: axes along which differences are taken, 1 to 3.
        step: of the quantizer, more than 0.
        bound: largest error allowed, in float64.
        out: uint32 [n] of the box, filled.
        found: int32 [n], filled with the places of exceptions in the box, ascending.

    Returns:
        How many exceptions there are.
    """
    with np.errstate(all="ignore"):
        values = _box(x, start, strides, shape).astype(np.float64)
        scaled = values * (1.0 / step)
        q = np.where(np.abs(scaled) < LARGEST, np.rint(scaled), 0.0).astype(np.int32)
        x_hat = (q.astype(np.float64) * step).astype(x.dtype).astype(np.float64)
        bad = ~(np.abs(x_hat - values) <= bound)
    places = np.flatnonzero(bad)
    found[: places.size] = places
    columns = np.where(bad, -1, np.arange(q.shape[-1]))
    good = np.maximum.accumulate(columns, axis=-1)  # the last good value at or before each
    q = np.where(good < 0, 0, np.take_along_axis(q, np.maximum(good, 0), axis=-1))
    d = q.reshape({1: (-1,), 2: (-1, q.shape[2]), 3: q.shape}[order])
    for axis in range(d.ndim):
        d = np.diff(d, axis=axis, prepend=np.int32(0))
    d = d.ravel()
    out[:] = (d << 1 ^ d >> 31).view(np.uint32)
    return int(places.size)


def inverse(
    residual: np.ndarray, start: int, strides: np.ndarray, shape: np.ndarray, order: int, step: float, out: np.ndarray
) -> None:
    """Undo `forward`: sums along the same axes, times `step` in float64, rounded to the type of `out`.

    Args:
        residual: uint32 [n] of the box; may be overwritten.
        start: of the box in `out`.
        strides: int64 [2] of the box in `out`.
        shape: int64 [3] of the box.
        order: as `forward` had it.
        step: as `forward` had it.
        out: float32 or float64 vector; the box in it is filled.
    """
    d = (residual >> np.uint32(1) ^ -(residual & np.uint32(1))).view(np.int32)
    full = tuple(int(n) for n in shape)
    q = d.reshape({1: (-1,), 2: (-1, full[2]), 3: full}[order])
    for axis in range(q.ndim):
        q = np.cumsum(q, axis=axis, dtype=np.int32)
    with np.errstate(over="ignore"):
        _box(out, start, strides, shape)[:] = q.reshape(full).astype(np.float64) * step
