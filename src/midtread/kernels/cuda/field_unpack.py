"""Bit planes and sums of Lorenzo differences on the GPU: `field_planes.unpack` and `field_lorenzo.inverse`.

    measure ──► offsets ──► sums ──► along (3 axes)  or  carries ──► carried (1 or 2 axes) ──► put (exceptions)

A box is worked on in regions of rows that lie one behind the other: planes for three axes, some rows for two, and for
one axis a piece of the line that the whole box is. `sums` adds up along the rows and down the columns of each region;
what remains is to add the regions to each other. Sums lie in the array that is to be filled, as int32, until then.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from midtread.kernels.cuda.common import (
    BLOCK,
    BLOCKS,
    TILE,
    cuda,
    device,
    divided,
    float64,
    kernel,
    layout,
    onward,
    place,
    reciprocal,
    running_sum,
    walk,
)
from midtread.kernels.jit import int32, int64, uint32, uint64

REGION = 1 << 14  # values of a region, about, for one and two axes
_COLUMNS = 1024  # of a region at a time
_SEGMENTS = TILE // BLOCK  # of BLOCK values in shared memory
_PITCH = BLOCK + 1
_CELLS = _SEGMENTS * _PITCH


@kernel
def measure(nibbles: np.ndarray, bases: np.ndarray, per: int, before: np.ndarray, counts: np.ndarray) -> None:
    """Words of each tile, and of the blocks before each block of it; a block takes a tile.

    Args:
        nibbles: uint8 [tiles * BLOCKS / 2].
        bases: int32 [boxes].
        per: tiles of a box.
        before: uint32 [tiles * BLOCKS], filled: words of the tile before each block.
        counts: int32 [tiles], filled.
    """
    tile = cuda.blockIdx.x
    ends = cuda.shared.array((2, BLOCKS), int32)
    for block in range(cuda.threadIdx.x, BLOCKS, cuda.blockDim.x):
        ends[0, block] = _planes(nibbles, tile * BLOCKS + block, bases[tile // per])
    row = running_sum(ends, BLOCKS)
    for block in range(cuda.threadIdx.x, BLOCKS, cuda.blockDim.x):
        before[tile * BLOCKS + block] = uint32(ends[row, block - 1] if block else 0)
    if cuda.threadIdx.x == 0:
        counts[tile] = ends[row, BLOCKS - 1]


@device
def _planes(nibbles: np.ndarray, block: int, base: int) -> int:
    width = int64(nibbles[block >> 1]) >> (4 * (block & 1)) & 15
    return int32(width + base if width else 0)


@device
def _residual(k: int, tile: int, words: np.ndarray, offsets: np.ndarray, before: np.ndarray, nibbles: np.ndarray,
              base: int) -> int:  # fmt: skip
    """The signed residual of value k of a box whose first tile is `tile`."""
    block = tile * BLOCKS + (k >> 5)
    first, planes = offsets[tile + (k >> 12)] + int64(before[block]), _planes(nibbles, block, base)
    bits, lane, at = uint32(0), uint32(31 - (k & 31)), uint64(first + planes)
    for _ in range(planes):
        at -= uint64(1)
        bits = uint32((bits << uint32(1)) | (uint32(words[at] << lane) >> uint32(31)))
    return int32(uint32(bits >> uint32(1)) ^ uint32(uint32(0) - uint32(bits & uint32(1))))


@kernel
def sums(
    nibbles: np.ndarray, words: np.ndarray, offsets: np.ndarray, before: np.ndarray, bases: np.ndarray,
    residuals: np.ndarray, residuals_at: np.ndarray, orders: np.ndarray, starts: np.ndarray, sizes: np.ndarray,
    pitch_z: int, pitch_y: int, per: int, first_box: int, regions: int, few: int, out: np.ndarray, lasts: np.ndarray,
) -> None:  # fmt: skip
    """Sums along the rows and down the columns of regions; a block takes a region.

    Beside what `measure` takes:
        words: uint32.
        offsets: int64 [tiles + 1].
        residuals: int32, of boxes that have no planes.
        residuals_at: int64 [boxes], where theirs are, or -1.
        orders: int32 [boxes], axes of differences; 0: leave the box alone.
        first_box: that the first blocks work on.
        regions: of a box at most.
        few: the same, of boxes with one or two axes.
        out: int32, filled.
        lasts: int32 [boxes * few, widest row]: the last row of each region, for one and two axes.
    """
    box, region = first_box + cuda.blockIdx.x // regions, cuda.blockIdx.x % regions
    order, where, tile = orders[box], layout(box, starts, sizes, pitch_z, pitch_y), box * per
    rows, columns = region_shape(order, where)
    first = region * rows * columns
    if order == 0 or first >= where[0]:
        return
    columns = min(columns, where[0] - first)  # of order 1: the last piece of the line
    rows = min(rows, (where[0] - first) // columns)
    values = cuda.shared.array(_CELLS, int32)
    segments = cuda.shared.array(_SEGMENTS, int32)
    left = cuda.shared.array(_SEGMENTS, int32)
    wide = min(columns, _COLUMNS)
    across = (wide + BLOCK - 1) // BLOCK  # segments of a row
    high, by_wide = _SEGMENTS // across, reciprocal(wide)
    for top in range(0, rows, high):
        lines = min(high, rows - top)
        for from_ in range(0, columns, wide):
            here = min(wide, columns - from_)
            cuda.syncthreads()
            for i in range(cuda.threadIdx.x, lines * wide, cuda.blockDim.x):
                row = divided(i, by_wide)
                column = i - row * wide
                if column < here:
                    k = first + (top + row) * columns + from_ + column
                    if residuals_at[box] >= 0:
                        residual = residuals[residuals_at[box] + k]
                    else:
                        residual = _residual(k, tile, words, offsets, before, nibbles, bases[box])
                    values[(row * across + (column >> 5)) * _PITCH + (column & 31)] = residual
            _sum_rows(values, segments, left, lines, across, here, from_ == 0)
            last = box * few + region if order < 3 and top + lines == rows else int64(-1)
            _sum_columns(
                values, segments, first + top * columns + from_, columns, lines, across, here, top > 0, where, out
            )
            for column in range(cuda.threadIdx.x, here if last >= 0 else 0, cuda.blockDim.x):
                if order == 2 or from_ + column == columns - 1:
                    k = first + (rows - 1) * columns + from_ + column
                    lasts[last, from_ + column if order == 2 else 0] = out[place(k, where)]


@device
def _sum_columns(
    values: np.ndarray, segments: np.ndarray, first: int, columns: int, lines: int, across: int, here: int, more: bool,
    where: Any, out: np.ndarray,
) -> None:  # fmt: skip
    """Sums down the columns from value `first` of a box on, to `out`; `more`: lines above it are there already."""
    for column in range(cuda.threadIdx.x, here, cuda.blockDim.x):
        total = out[place(first + column - columns, where)] if more else int32(0)
        at, pace = walk(first + column, columns, where)
        segment = uint64(column >> 5)
        for _ in range(lines):
            total = int32(total + values[segment * uint64(_PITCH) + uint64(column & 31)] + segments[segment])
            out[uint64(at[3])] = total
            segment += uint64(across)
            at = onward(at, pace)


@device
def region_shape(order: int, where: Any) -> Any:
    """(rows, columns) of the regions of a box."""
    if order == 1:
        return int64(1), min(int64(REGION), where[0])
    if order == 2:
        return max(REGION // where[1], int64(1)), where[1]
    return where[2], where[1]


@device
def _sum_rows(values: np.ndarray, segments: np.ndarray, left: np.ndarray, lines: int, across: int, here: int,
              fresh: bool) -> None:  # fmt: skip
    """Sums along each segment; what lies left of each segment to `segments`. `left` keeps what lies left of a row."""
    cuda.syncthreads()
    for segment in range(cuda.threadIdx.x, lines * across, cuda.blockDim.x):
        column, total, at = segment % across * BLOCK, int32(0), uint64(segment * _PITCH)
        for _ in range(min(int64(BLOCK), here - column)):
            total = int32(total + values[at])
            values[at] = total
            at += uint64(1)
        segments[segment] = total
    cuda.syncthreads()
    for row in range(cuda.threadIdx.x, lines, cuda.blockDim.x):
        total = int64(0) if fresh else int64(left[row])
        for segment in range(row * across, (row + 1) * across):
            own = int64(segments[segment])
            segments[segment] = int32(total)
            total += own
        left[row] = int32(total)
    cuda.syncthreads()


@kernel
def along(
    orders: np.ndarray, steps: np.ndarray, starts: np.ndarray, sizes: np.ndarray, pitch_z: int, pitch_y: int,
    first_box: int, boxes: int, plane: int, sums: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    """Three axes: add the planes up and take their steps; a thread takes a column of planes.

    Beside what `sums` takes:
        steps: float64 [boxes].
        boxes: how many.
        plane: values of a plane of a box at most.
        sums: int32, as `sums` left it.
        out: the same memory as float32, filled.
    """
    for number in range(cuda.grid(1), boxes * plane, cuda.gridsize(1)):
        box, place_ = first_box + number // plane, number % plane
        if orders[box] == 3 and place_ < int64(sizes[box, 1]) * int64(sizes[box, 2]):
            at, total, step = place(place_, layout(box, starts, sizes, pitch_z, pitch_y)), int64(0), steps[box]
            for _ in range(sizes[box, 0]):
                total = int64(int32(total + int64(sums[at])))
                out[at] = np.float32(float64(total) * step)
                at += pitch_z


@kernel
def carries(orders: np.ndarray, first_box: int, regions: int, lasts: np.ndarray) -> None:
    """One and two axes: what lies before each region, in place of its last row; a block takes a box."""
    box = first_box + cuda.blockIdx.x
    if orders[box] == 1 or orders[box] == 2:
        for column in range(cuda.threadIdx.x, 1 if orders[box] == 1 else lasts.shape[1], cuda.blockDim.x):
            total = int64(0)
            for region in range(box * regions, (box + 1) * regions):
                own = int64(lasts[region, column])
                lasts[region, column] = int32(total)
                total += own


@kernel
def carried(
    orders: np.ndarray, steps: np.ndarray, starts: np.ndarray, sizes: np.ndarray, pitch_z: int, pitch_y: int, per: int,
    first_box: int, regions: int, lasts: np.ndarray, sums: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    """One and two axes: add what lies before and take the steps; a block takes a tile of a box. Arguments as above."""
    box, first = first_box + cuda.blockIdx.x // per, cuda.blockIdx.x % per * TILE
    order = orders[box]
    if order == 1 or order == 2:
        where = layout(box, starts, sizes, pitch_z, pitch_y)
        rows, columns = region_shape(order, where)
        by_region = reciprocal(rows * columns)
        for k in range(first + cuda.threadIdx.x, min(first + TILE, where[0]), cuda.blockDim.x):
            at, region = place(k, where), divided(k, by_region)
            column = k - divided(k, where[6]) * columns if order == 2 else int64(0)
            total = int32(int64(sums[at]) + int64(lasts[box * regions + region, column]))
            out[at] = np.float32(float64(total) * steps[box])


@kernel
def put(places: np.ndarray, values: np.ndarray, out: np.ndarray) -> None:
    """out[places] = values: exceptions, by their bits. int64 [n], int32 [n], int32."""
    for i in range(cuda.grid(1), places.size, cuda.gridsize(1)):
        out[places[i]] = values[i]
