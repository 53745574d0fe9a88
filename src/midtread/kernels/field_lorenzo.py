"""Quantizing and Lorenzo differences of a box, compiled; `field_lorenzo_slow` says what it does, and is the definition.

Row by row: the running differences along x, y and z need one row and one plane of memory. Integer sums wrap.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from midtread.kernels.field_lorenzo_slow import LARGEST
from midtread.kernels.jit import inlined, int32, jit, uint32

_NEAREST = 6755399441055744.0  # 1.5 * 2**52: adding and subtracting it rounds to nearest, ties to even


@inlined
def _close(x: Any, value: Any, q: Any, step: Any, bound: Any) -> Any:
    """Whether the decoder's value of symbol q is as near as promised; never for NaN."""
    return abs(np.float64(x.dtype.type(q * step)) - np.float64(value)) <= bound


@jit
def _quantize_row(x: np.ndarray, step: float, inverse: float, bound: float, q: np.ndarray) -> int:
    """Symbols of a row; returns how many values break the bound."""
    bad = int32(0)
    for i in range(q.size):
        scaled = np.float64(x[i]) * inverse
        rounded = (scaled + _NEAREST) - _NEAREST
        rounded = rounded if abs(scaled) < LARGEST else np.float64(0.0)
        bad += int32(0) if _close(x, x[i], rounded, step, bound) else int32(1)
        q[i] = int32(rounded)
    return bad


@jit
def _mend_row(
    x: np.ndarray, step: float, bound: float, q: np.ndarray, first: int, found: np.ndarray, count: int
) -> int:  # fmt: skip
    """Note the values that break the bound, and give them the symbol to their left."""
    last = int32(0)
    for i in range(q.size):
        if _close(x, x[i], np.float64(q[i]), step, bound):
            last = q[i]
        else:
            found[count] = first + i
            count += 1
            q[i] = last
    return count


@inlined
def _zigzag(d: Any) -> Any:
    return uint32((d << int32(1)) ^ (d >> int32(31)))


@jit
def _difference_row(
    q: np.ndarray, left: int, order: int, across: np.ndarray, plane: np.ndarray, out: np.ndarray
) -> None:
    """Differences of one row; `across` and `plane` keep those along x of the row above, and along x, y of the plane."""
    here, before, last = q[1:], q[: q.size - 1], out[1:]
    if order == 1:
        out[0] = _zigzag(int32(q[0] - left))
        for i in range(here.size):
            last[i] = _zigzag(int32(here[i] - before[i]))
        return
    above = across[1:]
    if order == 2:
        out[0] = _zigzag(int32(q[0] - across[0]))
        across[0] = q[0]
        for i in range(here.size):
            a = int32(here[i] - before[i])
            last[i] = _zigzag(int32(a - above[i]))
            above[i] = a
        return
    a = q[0]
    b = int32(a - across[0])
    out[0] = _zigzag(int32(b - plane[0]))
    across[0], plane[0] = a, b
    behind = plane[1:]
    for i in range(here.size):
        a = int32(here[i] - before[i])
        b = int32(a - above[i])
        last[i] = _zigzag(int32(b - behind[i]))
        above[i], behind[i] = a, b


@jit
def forward(
    x: np.ndarray, start: int, strides: np.ndarray, shape: np.ndarray, order: int, step: float, bound: float,
    out: np.ndarray, found: np.ndarray,
) -> int:  # fmt: skip
    """Quantize a box and take differences; see `field_lorenzo_slow.forward`."""
    depth, height, width = shape[0], shape[1], shape[2]
    q, across = np.zeros(width, np.int32), np.zeros(width, np.int32)
    before = np.zeros((height if order == 3 else 1, width), np.int32)
    inverse, count, left = 1.0 / step, 0, int32(0)
    for z in range(depth):
        for y in range(height):
            at, first = start + z * strides[0] + y * strides[1], (z * height + y) * width
            row = x[at : at + width]
            if _quantize_row(row, step, inverse, bound, q):
                count = _mend_row(row, step, bound, q, first, found, count)
            if order == 3 and y == 0:
                across[:] = 0
            _difference_row(q, left, order, across, before[y if order == 3 else 0], out[first : first + width])
            left = q[width - 1]
    return count


@jit
def _sum_row(residual: np.ndarray, left: int, q: np.ndarray) -> None:
    """Sums along x of one row, from the number to its left on."""
    for i in range(q.size):
        d = residual[i]
        q[i] = int32((d >> uint32(1)) ^ (~(d & uint32(1)) + uint32(1)))
    total = left
    for i in range(q.size):
        total += q[i]
        q[i] = total


@jit
def _sum_above(q: np.ndarray, across: np.ndarray, step: float, out: np.ndarray) -> None:
    """Order 2: add the row above."""
    for i in range(q.size):
        value = int32(across[i] + q[i])
        across[i] = value
        out[i] = np.float64(value) * step


@jit
def _sum_behind(q: np.ndarray, across: np.ndarray, plane: np.ndarray, step: float, out: np.ndarray) -> None:
    """Order 3: `across` and `plane` keep sums along x, y and along x, y, z."""
    for i in range(q.size):
        a = int32(across[i] + q[i])
        value = int32(plane[i] + a)
        across[i], plane[i] = a, value
        out[i] = np.float64(value) * step


@jit
def inverse(
    residual: np.ndarray, start: int, strides: np.ndarray, shape: np.ndarray, order: int, step: float, out: np.ndarray
) -> None:
    """Undo `forward`; see `field_lorenzo_slow.inverse`."""
    depth, height, width = shape[0], shape[1], shape[2]
    q, across = np.zeros(width, np.int32), np.zeros(width, np.int32)
    before = np.zeros((height if order == 3 else 1, width), np.int32)
    for z in range(depth):
        for y in range(height):
            at, first = start + z * strides[0] + y * strides[1], (z * height + y) * width
            row = out[at : at + width]
            _sum_row(residual[first : first + width], q[width - 1] if order == 1 else int32(0), q)
            if order == 1:
                for i in range(width):
                    row[i] = np.float64(q[i]) * step
            elif order == 2:
                _sum_above(q, across, step, row)
            else:
                if y == 0:
                    across[:] = 0
                _sum_behind(q, across, before[y], step, row)
