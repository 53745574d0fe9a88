"""Quantizing, Lorenzo differences and bit planes on the GPU: `field_lorenzo.forward` and `field_planes.pack` in one.

    x ──► symbols ──► differences ──► planes of each tile in a slot ──► offsets by a sum over all tiles ──► one vector

A value that breaks the bound takes the symbol to its left, which a tile cannot know: it is counted, and where a box has
such values `mend` writes the symbols of the box down, row by row, and `pack` runs again and reads them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from midtread.kernels.cuda.common import (
    BLOCK,
    BLOCKS,
    TILE,
    bit_length,
    close,
    cuda,
    device,
    kernel,
    layout,
    onward,
    place,
    row_of,
    running_sum,
    symbol,
    walk,
)
from midtread.kernels.cuda.field_survey import BOUND, MISSED, WIDEST
from midtread.kernels.jit import int32, int64, uint8, uint32, uint64

HALO = 1024  # longest rows whose row above is kept in shared memory
_PITCH = BLOCK + 1  # so that threads with a block each do not meet in one bank of shared memory
_CELLS = BLOCKS * _PITCH
_NEAR = TILE + HALO + 1
_THREADS = 512  # of `offsets`, at most


@device
def _at(x: np.ndarray, k: int, where: Any, order: int, inverse: float, q: np.ndarray, q_at: int) -> int:
    """Symbol of value k of a box, for order 3 less that of the plane before; written-down ones start at q_at >= 0."""
    behind = order == 3 and row_of(k, where)[1] > 0
    if q_at >= 0:
        value = int64(q[q_at + k])
        return value - int64(q[q_at + k - where[1] * where[2]]) if behind else value
    at = place(k, where)
    value = int64(symbol(x[at], inverse))
    return value - int64(symbol(x[at - where[4]], inverse)) if behind else value


@kernel
def pack(
    x: np.ndarray, starts: np.ndarray, sizes: np.ndarray, pitch_z: int, pitch_y: int, per: int,
    plan: np.ndarray, steps: np.ndarray, orders: np.ndarray, bases: np.ndarray, q: np.ndarray, q_starts: np.ndarray,
    stats: np.ndarray, slots: np.ndarray, nibbles: np.ndarray, counts: np.ndarray,
) -> None:  # fmt: skip
    """Planes of each tile; a block takes a tile.

    Beside what the kernels of `field_survey` take:
        orders: int32 [1], axes along which differences are taken.
        bases: int32 [boxes], of the widths.
        q: int32, symbols of the boxes that were mended.
        q_starts: int64 [boxes], where they are, or -1.
        stats: MISSED and WIDEST are updated.
        slots: uint32 [tiles * TILE]: the words of a tile, from its slot's start on.
        nibbles: uint8 [tiles * BLOCKS / 2], the widths as they are stored.
        counts: int32 [tiles], words in the slots.
    """
    tile = cuda.blockIdx.x
    box, first = tile // per, tile % per * TILE
    where, step, order = layout(box, starts, sizes, pitch_z, pitch_y), steps[box], orders[0]
    if first >= where[0] or step == 0.0:
        for pair in range(cuda.threadIdx.x, BLOCKS // 2, cuda.blockDim.x):
            nibbles[tile * (BLOCKS // 2) + pair] = uint8(0)
        if cuda.threadIdx.x == 0:
            counts[tile] = 0
        return
    symbols = cuda.shared.array(_NEAR, int32)
    residuals = cuda.shared.array(_CELLS, uint32)
    ends = cuda.shared.array((2, BLOCKS), int32)
    inverse, q_at = 1.0 / step, q_starts[box]
    near = order > 1 and where[1] <= HALO
    low = max(first - (where[1] + 1 if near else 1), 0)
    missed = _quantize(x, first, low, where, order, step, inverse, plan[BOUND], q, q_at, symbols)
    if missed:
        cuda.atomic.add(stats, (box, MISSED), missed)
    cuda.syncthreads()
    blocks = min((where[0] - first + BLOCK - 1) // BLOCK, int64(BLOCKS))
    _differences(x, first, blocks, low, where, order, near, inverse, q, q_at, symbols, residuals)
    _widths(residuals, blocks, bases[box], ends, stats, box, nibbles, tile)
    total = _planes(residuals, ends, slots, tile)
    if cuda.threadIdx.x == 0:
        counts[tile] = total


@device
def _quantize(
    x: np.ndarray, first: int, low: int, where: Any, order: int, step: float, inverse: float, bound: float,
    q: np.ndarray, q_at: int, symbols: np.ndarray,
) -> int:  # fmt: skip
    """Symbols of a tile and of what lies before it from `low` on, as `_at` has them; how many break the bound."""
    missed, start = int32(0), low + cuda.threadIdx.x
    stop = min(first + TILE, where[0])
    if q_at >= 0:
        for k in range(start, stop, cuda.blockDim.x):
            symbols[k - low] = int32(_at(x, k, where, order, inverse, q, q_at))
        return missed
    here, pace = walk(start, cuda.blockDim.x, where)
    for k in range(start, stop, cuda.blockDim.x):
        value = x[uint64(here[3])]
        rounded = symbol(value, inverse)
        q_here = int32(rounded)
        if order == 3 and here[2] > 0:
            q_here = int32(q_here - int32(symbol(x[uint64(here[3] - where[4])], inverse)))
        symbols[uint64(k - low)] = q_here
        if k >= first and not close(value, rounded, step, bound):
            missed += int32(1)
        here = onward(here, pace)
    return missed


@device
def _differences(
    x: np.ndarray, first: int, blocks: int, low: int, where: Any, order: int, near: bool, inverse: float, q: np.ndarray,
    q_at: int, symbols: np.ndarray, residuals: np.ndarray,
) -> None:  # fmt: skip
    """Residuals of a tile in zigzag, zeros behind the box; `near`: the row above is among the symbols."""
    start = first + cuda.threadIdx.x
    here, pace = walk(start, cuda.blockDim.x, where)
    for k in range(start, first + blocks * BLOCK, cuda.blockDim.x):
        d = int32(0)
        if k < where[0]:
            column, y, z, _ = here
            at = uint64(k - low)
            d = symbols[at]
            if column or (order == 1 and k):
                d = int32(d - symbols[at - uint64(1)])
            if order > 1 and (y or (order == 2 and z)):
                if near:
                    above = uint64(k - where[1] - low)
                    d = int32(d - symbols[above])
                    if column:
                        d = int32(d + symbols[above - uint64(1)])
                else:
                    d = int32(d - _at(x, k - where[1], where, order, inverse, q, q_at))
                    if column:
                        d = int32(d + _at(x, k - where[1] - 1, where, order, inverse, q, q_at))
        i = uint64(k - first)
        residuals[i + (i >> uint64(5))] = uint32(int64(int32(d << int32(1)) ^ int32(d >> int32(31))) & 0xFFFFFFFF)
        here = onward(here, pace)


@device
def _widths(
    residuals: np.ndarray, blocks: int, base: int, ends: np.ndarray, stats: np.ndarray, box: int, nibbles: np.ndarray,
    tile: int,
) -> None:  # fmt: skip
    """Planes of each 32 residuals to ends[0], their stored widths to `nibbles`."""
    cuda.syncthreads()
    for block in range(cuda.threadIdx.x, BLOCKS, cuda.blockDim.x):
        union, at = uint32(0), uint64(block * _PITCH)
        if block < blocks:
            for i in range(BLOCK):
                union = uint32(union | residuals[at + uint64(i)])
        length = bit_length(union)
        ends[0, block] = max(length, base + 1) if length else 0
        if length > 15:
            cuda.atomic.max(stats, (box, WIDEST), length)
    cuda.syncthreads()
    for pair in range(cuda.threadIdx.x, BLOCKS // 2, cuda.blockDim.x):
        low, high = max(ends[0, 2 * pair] - base, 0), max(ends[0, 2 * pair + 1] - base, 0)
        nibbles[tile * (BLOCKS // 2) + pair] = uint8((low & 15) | (high & 15) << 4)


@device
def _planes(residuals: np.ndarray, ends: np.ndarray, slots: np.ndarray, tile: int) -> int:
    """Write the words of a tile, one after the other, each by the thread whose turn it is; returns how many."""
    row = running_sum(ends, BLOCKS)
    total = int64(ends[row, BLOCKS - 1])
    for word in range(cuda.threadIdx.x, total, cuda.blockDim.x):
        low, high = 0, BLOCKS - 1
        while low < high:  # the first block that ends behind this word
            middle = (low + high) >> 1
            if ends[row, middle] > word:
                high = middle
            else:
                low = middle + 1
        plane = word - (int64(ends[row, low - 1]) if low else 0)
        bits, at, mask = uint32(0), uint64(low * _PITCH), uint32(1 << plane)
        for i in range(BLOCK):
            if uint32(residuals[at + uint64(i)] & mask):
                bits = uint32(bits | uint32(1 << i))
        slots[tile * TILE + word] = bits
    return total


@kernel
def offsets(counts: np.ndarray, out: np.ndarray) -> None:
    """int64 [n + 1]: sums of the counts, int32 [n], before each; one block."""
    sums = cuda.shared.array((2, _THREADS), int64)
    n, threads = counts.size, cuda.blockDim.x
    each = (n + threads - 1) // threads
    low, high = min(cuda.threadIdx.x * each, n), min((cuda.threadIdx.x + 1) * each, n)
    total = int64(0)
    for i in range(low, high):
        total += int64(counts[i])
    sums[0, cuda.threadIdx.x] = total
    row = running_sum(sums, threads)
    at = sums[row, cuda.threadIdx.x] - total
    for i in range(low, high):
        out[i] = at
        at += int64(counts[i])
    if cuda.threadIdx.x == threads - 1:
        out[n] = sums[row, threads - 1]


@kernel
def compact(slots: np.ndarray, offsets: np.ndarray, out: np.ndarray) -> None:
    """The words of all tiles, one after the other; a block takes a tile."""
    tile = cuda.blockIdx.x
    first, count = offsets[tile], offsets[tile + 1] - offsets[tile]
    for i in range(cuda.threadIdx.x, count, cuda.blockDim.x):
        out[first + i] = slots[tile * TILE + i]


@kernel
def mend(
    x: np.ndarray, starts: np.ndarray, sizes: np.ndarray, pitch_z: int, pitch_y: int, most_rows: int, plan: np.ndarray,
    steps: np.ndarray, q_starts: np.ndarray, q: np.ndarray, bad: np.ndarray,
) -> None:  # fmt: skip
    """Write down the symbols of the boxes that have a place for them; a thread takes a row.

    Beside what `pack` takes:
        most_rows: rows of a box at most.
        bad: uint8, laid out as q: which values are exceptions.
    """
    for number in range(cuda.grid(1), starts.size * most_rows, cuda.gridsize(1)):
        box, row = number // most_rows, number % most_rows
        height, width = int64(sizes[box, 1]), int64(sizes[box, 2])
        if q_starts[box] >= 0 and row < int64(sizes[box, 0]) * height:
            inverse, last = 1.0 / steps[box], int32(0)
            at, to = starts[box] + row // height * pitch_z + row % height * pitch_y, q_starts[box] + row * width
            for i in range(width):
                value = symbol(x[at + i], inverse)
                good = close(x[at + i], value, steps[box], plan[BOUND])
                last = int32(value) if good else last
                q[to + i] = last
                bad[to + i] = uint8(0) if good else uint8(1)


@kernel
def count_exceptions(bad: np.ndarray, counts: np.ndarray) -> None:
    """int32 [tiles]: how many of each TILE entries are set; a block takes a tile."""
    found = cuda.shared.array(1, int32)
    if cuda.threadIdx.x == 0:
        found[0] = 0
    cuda.syncthreads()
    first, own = cuda.blockIdx.x * TILE, int32(0)
    for i in range(first + cuda.threadIdx.x, min(first + TILE, bad.size), cuda.blockDim.x):
        own += int32(bad[i])
    cuda.atomic.add(found, 0, own)
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        counts[cuda.blockIdx.x] = found[0]


@kernel
def list_exceptions(bad: np.ndarray, offsets: np.ndarray, out: np.ndarray) -> None:
    """int64: the places of all set entries, ascending; a thread takes a tile."""
    for tile in range(cuda.grid(1), offsets.size - 1, cuda.gridsize(1)):
        at = offsets[tile]
        if offsets[tile + 1] > at:
            for i in range(tile * TILE, min((tile + 1) * TILE, bad.size)):
                if bad[i]:
                    out[at] = i
                    at += 1


@kernel
def take(
    x: np.ndarray, starts: np.ndarray, sizes: np.ndarray, pitch_z: int, pitch_y: int, room: int, boxes: np.ndarray,
    places: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    """The values of exceptions.

    Beside what `pack` takes:
        room: entries that each mended box has in q.
        boxes: int32, the mended boxes.
        places: int64 [n], in q.
        out: float32 [n], filled.
    """
    for i in range(cuda.grid(1), places.size, cuda.gridsize(1)):
        out[i] = x[place(places[i] % room, layout(boxes[places[i] // room], starts, sizes, pitch_z, pitch_y))]


@kernel
def fetch(
    x: np.ndarray, starts: np.ndarray, sizes: np.ndarray, pitch_z: int, pitch_y: int, box: int, out: np.ndarray
) -> None:
    """The values of a box, one after the other."""
    where = layout(box, starts, sizes, pitch_z, pitch_y)
    for k in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        out[k] = x[place(k, where)]


@kernel
def spread(
    values: np.ndarray, starts: np.ndarray, sizes: np.ndarray, pitch_z: int, pitch_y: int, box: int, out: np.ndarray
) -> None:
    """Undo `fetch`: the values of a box to their places in `out`."""
    where = layout(box, starts, sizes, pitch_z, pitch_y)
    for k in range(cuda.grid(1), values.size, cuda.gridsize(1)):
        out[place(k, where)] = values[k]
