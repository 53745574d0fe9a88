"""Boxes of Lorenzo residuals on the GPU, from values to symbols ready for the entropy coder: a block takes a box.

`kernels.field_lorenzo_slow.forward` for boxes without exceptions and `kernels.field_tiles_slow` in one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from midtread.kernels.cuda.common import close, cuda, device, divided, kernel, reciprocal, symbol
from midtread.kernels.cuda.field_code import (
    CODED_AT,
    COST,
    COUNTED,
    COUNTED_AT,
    FOUND_SHIFT,
    GROUPS,
    MISSED,
    ORDER,
    TABLE,
    cheapest,
    mean_of,
    shift_for,
    sum_of,
)
from midtread.kernels.cuda.field_restore import DEPTH, HEIGHT, OUT_AT, SUMS, SYMBOLS_AT, THREADS, WIDTH, ranks
from midtread.kernels.field_counts_slow import BIT, CLASS_BITS
from midtread.kernels.field_tiles_slow import TILE
from midtread.kernels.jit import int32, int64, uint8


@device
def _at(x: np.ndarray, k: int, where: Any, inverse: float) -> int:
    """Symbol of value k of a box; 0 before its first."""
    if k < 0:
        return int64(0)
    start, pitch_z, pitch_y, height, width, by_height, by_width = where
    row = divided(k, by_width)
    z = divided(row, by_height)
    return int64(symbol(x[start + z * pitch_z + (row - z * height) * pitch_y + (k - row * width)], inverse))


@device
def _rowwise(x: np.ndarray, k: int, column: int, where: Any, inverse: float) -> int:
    """Difference along x; 0 before the first row."""
    return _at(x, k, where, inverse) - (_at(x, k - 1, where, inverse) if column else 0)


@device
def _residual(x: np.ndarray, k: int, order: int, where: Any, inverse: float) -> int:
    """Differences along `order` axes at value k of a box."""
    height, width = where[3], where[4]
    if order == 1:
        return int32(_at(x, k, where, inverse) - _at(x, k - 1, where, inverse))
    row = divided(k, where[6])
    column, z = k - row * width, divided(row, where[5])
    d = _rowwise(x, k, column, where, inverse)
    if order == 2:
        return int32(d - _rowwise(x, k - width, column, where, inverse) if row else d)
    if row - z * height:
        d -= _rowwise(x, k - width, column, where, inverse)
    if z:
        above = k - height * width
        d -= _rowwise(x, above, column, where, inverse)
        if row - z * height:
            d += _rowwise(x, above - width, column, where, inverse)
    return int32(d)


@device
def _classify(at: int, size: int, shift: int, costs: Any, symbols: np.ndarray, classes: np.ndarray,
              flags: np.ndarray) -> int:  # fmt: skip
    """Class of each tile, and 1 in `flags` where it is not 0; what this thread's cost."""
    limits, zero, more, cost = costs[1], costs[2], costs[3], int64(0)
    for tile in range(cuda.threadIdx.x, (size + TILE - 1) // TILE, cuda.blockDim.x):
        total = int64(0)
        for k in range(tile * TILE, min((tile + 1) * TILE, size)):
            total += abs(int64(symbols[at + k]) >> shift)
        low, high = int64(0), int64(limits.size)
        while low < high:
            middle = (low + high) // 2
            if limits[middle] <= total:
                low = middle + 1
            else:
                high = middle
        classes[at + tile], flags[at + tile] = uint8(low + 1 if total else 0), int32(1 if total else 0)
        cost += zero[low] + total * more[low] + CLASS_BITS * BIT if total else int64(BIT)
    return cost


@kernel
def difference(
    jobs: np.ndarray, steps: np.ndarray, bound: float, costs: Any, x: np.ndarray, pitch_z: int, pitch_y: int,
    symbols: np.ndarray, classes: np.ndarray, flags: np.ndarray, counts: np.ndarray, coded: np.ndarray,
    which: np.ndarray, ends: np.ndarray, results: np.ndarray,
) -> None:  # fmt: skip
    """Residuals, their tables and cost; a block takes a box whose ORDER is 1 to 3.

    Arguments as `field_code.interpolate` has them; classes: uint8, memory for n entries from SYMBOLS_AT on. TABLE of
    the results is that of the classes.
    """
    job, box = jobs[cuda.blockIdx.x], cuda.blockIdx.x
    totals = cuda.shared.array(THREADS, int64)
    sums = cuda.shared.array(SUMS, int32)
    table = cuda.shared.array(1, int64)
    if job[ORDER] == 0:
        return
    height, width, step, missed = job[HEIGHT], job[WIDTH], steps[box], int64(0)
    size, at, begin = job[DEPTH] * height * width, job[SYMBOLS_AT], job[CODED_AT]
    where = (job[OUT_AT], pitch_z, pitch_y, height, width, reciprocal(height), reciprocal(width))
    for k in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        row = divided(k, where[6])
        z = divided(row, where[5])
        value = x[job[OUT_AT] + z * pitch_z + (row - z * height) * pitch_y + (k - row * width)]
        missed += 0 if close(value, symbol(value, 1.0 / step), step, bound) else 1
        symbols[at + k] = _residual(x, k, job[ORDER], where, 1.0 / step)
    totals[cuda.threadIdx.x] = missed
    missed = sum_of(totals)
    shift = int64(shift_for(mean_of(symbols, at, size, totals)))
    totals[cuda.threadIdx.x] = _classify(at, size, shift, costs, symbols, classes, flags)
    cost, tiles = sum_of(totals), (size + TILE - 1) // TILE
    for i in range(cuda.threadIdx.x, COUNTED, cuda.blockDim.x):
        counts[job[COUNTED_AT] + i] = 0
    cuda.syncthreads()
    for tile in range(cuda.threadIdx.x, tiles, cuda.blockDim.x):
        entry = int64(classes[at + tile]) - (int64(classes[at + tile - 1]) if tile else 0)
        coded[begin + tile] = int32(entry)
        cuda.atomic.add(counts, job[COUNTED_AT] + abs(entry), 1)
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        table[0] = cheapest(counts, job[COUNTED_AT], costs[0], costs[1])[0]
    used = ranks(flags, at, tiles, sums)
    for tile in range(cuda.threadIdx.x, tiles, cuda.blockDim.x):
        which[begin + tile] = uint8(table[0])
    for k in range(cuda.threadIdx.x, tiles * TILE, cuda.blockDim.x):
        flag = int64(flags[at + k // TILE])
        if flag & 1:
            place = begin + tiles + (flag >> 1) * TILE + k % TILE
            coded[place] = int32(int64(symbols[at + k]) >> shift if k < size else 0)
            which[place] = uint8(2 * (int64(classes[at + k // TILE]) - 1))
    if cuda.threadIdx.x == 0:
        ends[box, 0], ends[box, 1] = tiles, tiles + used * TILE
        results[box, COST], results[box, FOUND_SHIFT] = cost + size * shift * BIT, shift
        results[box, MISSED], results[box, GROUPS], results[box, TABLE] = missed, 2, table[0]
