"""Interpolation between the known points of a grid, compiled; `field_levels_slow` says what it does: the definition."""

from __future__ import annotations

from typing import Any

import numpy as np

from midtread.kernels.field_levels_slow import CONTEXT_OF, FAR, LARGEST
from midtread.kernels.jit import inlined, int32, jit, uint8, uint16, uint64


@inlined
def _cubic(before: Any, left: Any, right: Any, after: Any, number: Any) -> Any:
    return (number(9) * (left + right) - (before + after)) * number(0.0625)


@inlined
def _neighbours(i: Any, known: Any) -> Any:
    """Of the four points around i and i + 1: how many there are to the left, to the right."""
    return min(i + 1, 2), min(known - 1 - i, 2)


@jit
def _from_rows(
    before: np.ndarray, left: np.ndarray, right: np.ndarray, after: np.ndarray, there: tuple[int, int], add: bool,
    row: np.ndarray,
) -> None:  # fmt: skip
    """Interpolate a row between the rows `left` and `right`, those that are `there`."""
    number = row.dtype.type
    if there[0] == 2 and there[1] == 2:
        for k in range(row.size):
            value = _cubic(before[k], left[k], right[k], after[k], number)
            row[k] = row[k] + value if add else value
    elif there[1] > 0:
        for k in range(row.size):
            value = (left[k] + right[k]) * number(0.5)
            row[k] = row[k] + value if add else value
    elif there[0] == 2:
        for k in range(row.size):
            value = left[k] * number(1.5) - before[k] * number(0.5)
            row[k] = row[k] + value if add else value
    else:
        for k in range(row.size):
            row[k] = row[k] + left[k] if add else left[k]


@inlined
def _at_end(near: Any, k: Any, number: Any) -> Any:
    """Between k and k + 1 where one of the four points is missing."""
    if k + 1 < near.size:
        return (near[k] + near[k + 1]) * number(0.5)
    if k > 0:
        return near[k] * number(1.5) - near[k - 1] * number(0.5)
    return near[k]


@jit
def _within_row(near: np.ndarray, add: bool, row: np.ndarray) -> None:
    """Interpolate along a row."""
    number, count = near.dtype.type, row.size
    inner = max(min(count, near.size - 2) - 1, 0)
    if inner > 0:
        before, left, right, after, target = near[:inner], near[1:], near[2:], near[3:], row[1:]
        for k in range(inner):
            value = _cubic(before[k], left[k], right[k], after[k], number)
            target[k] = target[k] + value if add else value
    value = _at_end(near, 0, number)
    row[0] = row[0] + value if add else value
    for k in range(1 + inner, count):
        value = _at_end(near, k, number)
        row[k] = row[k] + value if add else value


@jit
def predict(near_z: np.ndarray, near_y: np.ndarray, near_x: np.ndarray, odd: int, out: np.ndarray) -> None:
    """Interpolate one kind of points; see `field_levels_slow.predict`."""
    count = (odd >> 2) + (odd >> 1 & 1) + (odd & 1)
    weight = out.dtype.type(0.5 if count == 2 else 1 / 3)
    last_z, last_y = near_z.shape[0] - 1, near_y.shape[1] - 1
    for z in range(out.shape[0]):
        for y in range(out.shape[1]):
            row = out[z, y]
            if odd & 4:
                a, b = near_z[max(z - 1, 0), y], near_z[z, y]
                c, d = near_z[min(z + 1, last_z), y], near_z[min(z + 2, last_z), y]
                _from_rows(a, b, c, d, _neighbours(z, last_z + 1), False, row)
            if odd & 2:
                a, b = near_y[z, max(y - 1, 0)], near_y[z, y]
                c, d = near_y[z, min(y + 1, last_y)], near_y[z, min(y + 2, last_y)]
                _from_rows(a, b, c, d, _neighbours(y, last_y + 1), (odd & 4) != 0, row)
            if odd & 1:
                _within_row(near_x[z, y], (odd & 6) != 0, row)
            if count > 1:
                for k in range(row.size):
                    row[k] = row[k] * weight


@jit
def contexts(mag_z: np.ndarray, mag_y: np.ndarray, mag_x: np.ndarray, odd: int, first: int, out: np.ndarray) -> None:
    """Context of each symbol of one kind; see `field_levels_slow.contexts`."""
    depth, height, width = out.shape
    total = np.zeros(width, np.uint16)
    for z in range(depth):
        for y in range(height):
            total[:] = uint16(0)
            if odd & 4:
                a, b = mag_z[z, y], mag_z[min(z + 1, mag_z.shape[0] - 1), y]
                for k in range(width):
                    total[k] += uint16(a[k]) + uint16(b[k])
            if odd & 2:
                a, b = mag_y[z, y], mag_y[z, min(y + 1, mag_y.shape[1] - 1)]
                for k in range(width):
                    total[k] += uint16(a[k]) + uint16(b[k])
            if odd & 1:
                a = mag_x[z, y]
                b = a[1:]
                for k in range(min(width, b.size)):
                    total[k] += uint16(a[k]) + uint16(b[k])
                if b.size < width:
                    total[width - 1] += uint16(2) * uint16(a[width - 1])
            row = out[z, y]
            for k in range(width):
                row[k] = uint8(CONTEXT_OF[total[k]] + uint8(first))


@jit
def quantize(x: np.ndarray, step: float, symbols: np.ndarray, x_hat: np.ndarray) -> None:
    """Symbols of the differences to the prediction; see `field_levels_slow.quantize`."""
    number = x.dtype.type
    inverse, width, largest = number(1.0 / step), number(step), number(LARGEST)
    nearest = number(12582912.0 if x.itemsize == 4 else 6755399441055744.0)  # 1.5 * 2**(bits of the mantissa)
    for i in range(x.size):
        scaled = (x[i] - x_hat[i]) * inverse
        rounded = (scaled + nearest) - nearest
        rounded = rounded if abs(scaled) < largest else number(0)
        symbols[i] = int32(rounded)
        x_hat[i] = x_hat[i] + rounded * width


@jit
def restore(symbols: np.ndarray, step: float, x_hat: np.ndarray) -> None:
    """What `quantize` makes of x_hat, from the symbols."""
    number = x_hat.dtype.type
    width = number(step)
    for i in range(symbols.size):
        x_hat[i] = x_hat[i] + number(symbols[i]) * width


@jit
def magnitudes(symbols: np.ndarray, out: np.ndarray) -> None:
    """int32 [n] -> uint8 [n], at most FAR."""
    for i in range(symbols.size):
        s = symbols[i]
        out[i] = uint8(min(max(s, int32(-s)), int32(FAR)) if s > int32(-(2**31)) else int32(FAR))


@jit
def split(volume: np.ndarray, z: int, y: int, even: np.ndarray, odd: np.ndarray) -> None:
    """Undo `weave`."""
    for i in range(even.shape[0]):
        for j in range(even.shape[1]):
            left, right, row = even[i, j], odd[i, j], volume[2 * i + z, 2 * j + y]
            for k in range(uint64(right.size)):
                left[k] = row[uint64(2) * k]
                right[k] = row[uint64(2) * k + uint64(1)]
            if left.size > right.size:
                left[right.size] = row[2 * right.size]


@jit
def weave(even: np.ndarray, odd: np.ndarray, z: int, y: int, out: np.ndarray) -> None:
    """Put the points of two kinds that differ in x only into a volume; see `field_levels_slow.weave`."""
    for i in range(even.shape[0]):
        for j in range(even.shape[1]):
            left, right, row = even[i, j], odd[i, j], out[2 * i + z, 2 * j + y]
            for k in range(uint64(right.size)):
                row[uint64(2) * k] = left[k]
                row[uint64(2) * k + uint64(1)] = right[k]
            if left.size > right.size:
                row[2 * right.size] = left[right.size]


@jit
def missed(x: np.ndarray, x_hat: np.ndarray, bound: float, found: np.ndarray) -> int:
    """Places where two float vectors differ by more than `bound`; see `field_levels_slow.missed`."""
    count, start = 0, 0
    while start < x.size:
        stop = min(start + 1024, x.size)
        a, b, bad = x[start:stop], x_hat[start:stop], int32(0)
        for i in range(a.size):
            bad += int32(0) if abs(np.float64(b[i]) - np.float64(a[i])) <= bound else int32(1)
        if bad:
            for i in range(a.size):
                if not abs(np.float64(b[i]) - np.float64(a[i])) <= bound:
                    found[count] = start + i
                    count += 1
        start = stop
    return count
