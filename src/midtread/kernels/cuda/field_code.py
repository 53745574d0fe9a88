"""Boxes of interpolation on the GPU, from values to symbols ready for the entropy coder: a block takes a box.

`kernels.field_levels_slow.forward`, `kernels.field_parts_slow.gather` and `kernels.field_counts_slow` in one, which
define it. Boxes are described, and points laid out, as in `field_restore`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from midtread.kernels.cuda.common import cuda, device, divided, float32, float64, kernel, product32, reciprocal
from midtread.kernels.cuda.field_restore import (
    AXES,
    COUNT,
    DEPTH,
    HEIGHT,
    KINDS,
    LANES_OF,
    LOW_AT,
    MAP,
    OUT_AT,
    ROOM_AT,
    SENT,
    SHIFT,
    SUMS,
    SYMBOLS_AT,
    TABLES,
    THREADS,
    WIDEST,
    WIDTH,
    context_of,
    count_levels,
    interpolated,
    lay_out,
    ranks,
    weave,
)
from midtread.kernels.field_counts_slow import BIT, COUNTED, LARGE, NEAR, SAMPLED
from midtread.kernels.field_levels_slow import CONTEXTS, CORNER, FAR, LARGEST
from midtread.kernels.field_parts_slow import FLAG, TILE, WITH_TILES
from midtread.kernels.jit import int32, int64, uint8, uint64

# Columns of jobs that mean something else here: SHIFT is -1 where it is to be found, OUT_AT where the box is in x.
ORDER, CODED_AT, COUNTED_AT = COUNT, LOW_AT, LANES_OF
# Columns of `results`, int64 [boxes, RESULTS].
COST, FOUND_SHIFT, MISSED, GROUPS, TABLE, RESULTS = range(6)
MOST_GROUPS = 304  # of a box: 7 kinds of 20 levels, two each, and some
_NEAREST = 12582912.0  # 1.5 * 2**23: adding and subtracting it rounds a float32 to nearest, ties to even


@device
def shift_for(mean: int) -> int:
    """How many low bits of symbols of a mean magnitude are not worth coding."""
    shift = 0
    while mean >> shift >= LARGE and shift < 24:
        shift += 1
    return shift


@device
def mean_of(symbols: np.ndarray, at: int, count: int, totals: np.ndarray) -> int:
    """Mean magnitude of some symbols, rounded down; all threads get it."""
    stride, own = max(count >> 12, 1), int64(0)
    cuda.syncthreads()
    for k in range(cuda.threadIdx.x * stride, count, cuda.blockDim.x * stride):
        own += abs(int64(symbols[at + k]))
    totals[cuda.threadIdx.x] = own
    return sum_of(totals) // ((count + stride - 1) // stride)


@device
def sum_of(totals: np.ndarray) -> int:
    """Sum of what each thread put to its place of shared int64 memory; all threads get it."""
    cuda.syncthreads()
    total = int64(0)
    for thread in range(cuda.blockDim.x):
        total += totals[thread]
    cuda.syncthreads()
    return total


@device
def cheapest(counts: np.ndarray, at: int, bits: np.ndarray, limits: np.ndarray) -> Any:
    """(table, its cost) for a row of a histogram, int32, that begins at counts[at]; (0, -1) for an empty one."""
    count, weighted, used = int64(0), int64(0), int64(0)
    for m in range(COUNTED):
        here = int64(counts[at + m])
        count += here
        weighted += here * m
        used = m + 1 if here else used
    if count == 0:
        return int64(0), int64(-1)
    mean, scale = 64 * weighted // count, int64(0)
    while scale < limits.size and limits[scale] <= mean:
        scale += 1
    best, chosen = int64(-1), int64(0)
    for t in range(2 * max(scale - NEAR, 0), min(2 * (scale + NEAR + 1), bits.shape[0])):
        cost = int64(0)
        for m in range(used):
            cost += int64(counts[at + m]) * int64(bits[t, m])
        if best < 0 or cost < best:
            best, chosen = cost, int64(t)
    return chosen, best


@device
def _quantize(value: float, predicted: float, step: float, inverse: float, bound: float) -> Any:
    """(symbol, what the decoder makes of it, 1 if that breaks the bound)."""
    scaled, rounded = product32(float32(value - predicted), inverse), float32(0.0)
    if abs(scaled) < float32(LARGEST):
        rounded = float32(float32(scaled + float32(_NEAREST)) - float32(_NEAREST))
    x_hat = float32(predicted + product32(rounded, step))
    good = abs(float64(x_hat) - float64(value)) <= bound
    return int32(rounded), x_hat, int64(0 if good else 1)


@device
def _coordinates(k: int, sides: Any, by: Any) -> Any:
    row = divided(k, by[1])
    z = divided(row, by[0])
    return z, row - z * sides[0], k - row * sides[1]


@device
def _forward(
    job: np.ndarray, x: np.ndarray, pitch_z: int, pitch_y: int, step: float, bound: float, dims: np.ndarray,
    starts: np.ndarray, symbols: np.ndarray, x_hat: np.ndarray,
) -> int:  # fmt: skip
    """Symbols of a box, level by level; how many of this thread's break the bound."""
    at, room, split, missed = job[SYMBOLS_AT], job[ROOM_AT], (job[AXES] >> 4) & 7, int64(0)
    own, inverse = float32(step), float32(1.0 / step)
    top = count_levels(job)
    for level in range(top, -1, -1):
        lay_out(job, level, dims, starts)
        for number in range(-1 if level == top else 0, 7 if level < top else 0):
            odd = KINDS[number] if number >= 0 else 0
            height, width, along = dims[odd, 1], dims[odd, 2], odd & job[AXES] & 7
            along = along if along else odd
            first = starts[odd] if odd else int64(0)
            target = starts[odd] if odd else starts[8]
            size = dims[odd, 0] * height * width
            if odd & split == odd and size:
                by = (reciprocal(height), reciprocal(width))
                for k in range(cuda.threadIdx.x, size, cuda.blockDim.x):
                    z, y, xx = _coordinates(k, (height, width), by)
                    predicted = float32(0.0)
                    if odd:
                        predicted = interpolated(x_hat, room, odd, along, z, y, xx, dims, starts)
                    if split & 4:
                        z = (2 * z + (odd >> 2)) << level
                    if split & 2:
                        y = (2 * y + (odd >> 1 & 1)) << level
                    if split & 1:
                        xx = (2 * xx + (odd & 1)) << level
                    value = x[job[OUT_AT] + z * pitch_z + y * pitch_y + xx]
                    symbol, here, bad = _quantize(value, predicted, own, inverse, bound)
                    symbols[at + first + k], x_hat[room + target + k] = symbol, here
                    missed += bad
            cuda.syncthreads()
        if 0 < level < top:
            weave(x_hat, room, split, dims, starts, x_hat, room + starts[8], -1, -1)
    cuda.syncthreads()
    return missed


@device
def _gather(
    job: np.ndarray, shift: int, dims: np.ndarray, starts: np.ndarray, sums: np.ndarray, symbols: np.ndarray,
    contexts: np.ndarray, flags: np.ndarray, sizes: np.ndarray, coded: np.ndarray, which: np.ndarray, ends: np.ndarray,
) -> int:  # fmt: skip
    """What is coded and its contexts, behind places for the map; `ends` of the groups; how many groups."""
    at, room, split, end = job[SYMBOLS_AT], job[ROOM_AT], (job[AXES] >> 4) & 7, job[CODED_AT] + job[SENT]
    top, groups = count_levels(job), 2
    lay_out(job, top, dims, starts)
    size = dims[0, 0] * dims[0, 1] * dims[0, 2]
    for k in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        high = int64(symbols[at + k]) >> shift
        sizes[room + starts[8] + k] = uint8(min(abs(high), FAR))
        coded[end + k], which[end + k] = int32(high), uint8(CORNER)
    ends[0], ends[1] = job[SENT], job[SENT] + size
    end += size
    for level in range(top - 1, -1, -1):
        lay_out(job, level, dims, starts)
        for number in range(7):
            odd = KINDS[number]
            if odd & split == odd and dims[odd, 0] * dims[odd, 1] * dims[odd, 2]:
                silent, kept = _part(job, level, odd, shift, end, dims, starts, sums, symbols, contexts, flags, sizes,
                                     coded, which)  # fmt: skip
                if silent:
                    end += silent
                    ends[groups] = end - job[CODED_AT]
                    groups += 1
                end += kept
                ends[groups] = end - job[CODED_AT]
                groups += 1
        if level:
            weave(sizes, room, split, dims, starts, sizes, room + starts[8], -1, -1)
    cuda.syncthreads()
    return groups


@device
def _part(
    job: np.ndarray, level: int, odd: int, shift: int, end: int, dims: np.ndarray, starts: np.ndarray, sums: np.ndarray,
    symbols: np.ndarray, contexts: np.ndarray, flags: np.ndarray, sizes: np.ndarray, coded: np.ndarray,
    which: np.ndarray,
) -> Any:  # fmt: skip
    """What is coded of a kind of points, from coded[end] on: (flags, symbols)."""
    at, room, start, height, width = job[SYMBOLS_AT], job[ROOM_AT], starts[odd], dims[odd, 1], dims[odd, 2]
    size, many = dims[odd, 0] * height * width, (odd >> 2) + (odd >> 1 & 1) + (odd & 1)
    first, along = CONTEXTS * ((3 if level else 0) + many - 1), odd & job[AXES] & 7
    along, by = along if along else odd, (reciprocal(height), reciprocal(width))
    for k in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        z, y, x = _coordinates(k, (height, width), by)
        contexts[at + k] = uint8(first + context_of(sizes, room, odd, along, z, y, x, dims, starts))
        sizes[room + start + k] = uint8(min(abs(int64(symbols[at + start + k]) >> shift), FAR))
    tiles = size // TILE if size >= WITH_TILES else int64(0)
    marks = at + tiles  # 1: silent, 2: not all zero
    cuda.syncthreads()
    for tile in range(cuda.threadIdx.x, tiles, cuda.blockDim.x):
        differs, loud = int64(0), int64(0)
        for k in range(tile * TILE, (tile + 1) * TILE):
            differs |= int64(contexts[at + k]) ^ first
            loud |= int64(symbols[at + start + k]) >> shift
        flags[at + tile] = int32(0 if differs else 1)
        flags[marks + tile] = int32((0 if differs else 1) | (2 if loud else 0))
    silent = ranks(flags, at, tiles, sums)
    for tile in range(cuda.threadIdx.x, tiles, cuda.blockDim.x):
        mark, flag = int64(flags[marks + tile]), int64(flags[at + tile])
        if mark & 1:
            coded[end + (flag >> 1)], which[end + (flag >> 1)] = int32(mark >> 1), uint8(FLAG)
        flags[at + tile] = int32(0 if mark == 1 else 1)
    kept, end = ranks(flags, at, tiles, sums), end + silent
    for k in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        place = k - tiles * TILE + kept * TILE
        if k < tiles * TILE:
            flag = int64(flags[at + k // TILE])
            place = (flag >> 1) * TILE + k % TILE if flag & 1 else int64(-1)
        if place >= 0:
            coded[end + place] = int32(int64(symbols[at + start + k]) >> shift)
            which[end + place] = contexts[at + k]
    cuda.syncthreads()
    return silent, kept * TILE + size - tiles * TILE


@device
def _choose(job: np.ndarray, end: int, stride: int, sent: np.ndarray, costs: Any, counts: np.ndarray, coded: np.ndarray,
            which: np.ndarray, chosen: np.ndarray, cost_of: np.ndarray) -> int:  # fmt: skip
    """Turn contexts into tables, the cheapest for each, and write the map down; cost of what was counted."""
    first, at, begin = job[COUNTED_AT], job[CODED_AT], job[CODED_AT] + job[SENT]
    for i in range(cuda.threadIdx.x, TABLES * COUNTED, cuda.blockDim.x):
        counts[first + i] = 0
    cuda.syncthreads()
    for i in range(begin + cuda.threadIdx.x * stride, at + end, cuda.blockDim.x * stride):
        magnitude = min(abs(int64(coded[i])), COUNTED - 1)
        cuda.atomic.add(counts, first + int64(which[i]) * COUNTED + magnitude, 1)
    cuda.syncthreads()
    for context in range(cuda.threadIdx.x, TABLES, cuda.blockDim.x):
        chosen[context], cost_of[context] = cheapest(counts, first + context * COUNTED, costs[0], costs[1])
    cuda.syncthreads()
    total, last, before = int64(0), int64(WIDEST), int64(WIDEST)
    for context in range(TABLES):
        total += max(cost_of[context], int64(0))
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        for i in range(job[SENT]):  # those that do not occur repeat the one before
            last = chosen[sent[i]] if cost_of[sent[i]] >= 0 else last
            coded[at + i], which[at + i] = int32(last - before), uint8(MAP)
            chosen[sent[i]], before = last, last
        chosen[CORNER] = WIDEST  # never sent
    cuda.syncthreads()
    for i in range(begin + cuda.threadIdx.x, at + end, cuda.blockDim.x):
        which[i] = uint8(chosen[which[i]])
    return total


@kernel
def interpolate(
    jobs: np.ndarray, sent: np.ndarray, steps: np.ndarray, bound: float, costs: Any, x: np.ndarray, pitch_z: int,
    pitch_y: int, symbols: np.ndarray, contexts: np.ndarray, flags: np.ndarray, sizes: np.ndarray, x_hat: np.ndarray,
    counts: np.ndarray, coded: np.ndarray, which: np.ndarray, ends: np.ndarray, results: np.ndarray,
) -> None:  # fmt: skip
    """Symbols, their tables and cost of boxes; a block of at most THREADS threads takes a box whose ORDER is 0.

    Args:
        jobs: int64 [boxes, COLUMNS], as for `field_restore.restore`, but with ORDER, CODED_AT and COUNTED_AT.
        sent: uint8 [boxes, contexts].
        steps: float64 [boxes].
        bound: that no value may break.
        costs: (bits int32 [tables, COUNTED], limits int64, zero int64, more int64), of `field_tables.costs`.
        x: float32 vector.
        pitch_z: from plane to plane of it.
        pitch_y: from row to row.
        symbols: int32, filled with n symbols from SYMBOLS_AT on.
        contexts: uint8, memory for n entries from there on.
        flags: int32, likewise.
        sizes: uint8, memory for n + 2 m entries from ROOM_AT on.
        x_hat: float32, likewise.
        counts: int32, memory for TABLES * COUNTED entries from COUNTED_AT on.
        coded: int32, filled from CODED_AT on with what is coded.
        which: uint8, likewise, with its tables.
        ends: int64 [boxes, MOST_GROUPS], filled: where each group of it ends, counted from CODED_AT.
        results: int64 [boxes, RESULTS], filled; MISSED: how many values break the bound.
    """
    job, box = jobs[cuda.blockIdx.x], cuda.blockIdx.x
    dims = cuda.shared.array((8, 3), int64)
    starts = cuda.shared.array(9, int64)
    sums = cuda.shared.array(SUMS, int32)
    totals = cuda.shared.array(THREADS, int64)
    chosen = cuda.shared.array(TABLES, int64)
    cost_of = cuda.shared.array(TABLES, int64)
    if job[ORDER]:
        return
    size, shift = job[DEPTH] * job[HEIGHT] * job[WIDTH], job[SHIFT]
    totals[cuda.threadIdx.x] = _forward(job, x, pitch_z, pitch_y, steps[box], bound, dims, starts, symbols, x_hat)
    missed = sum_of(totals)
    if shift < 0:
        shift = int64(shift_for(mean_of(symbols, job[SYMBOLS_AT], size, totals)))
    groups = _gather(job, shift, dims, starts, sums, symbols, contexts, flags, sizes, coded, which, ends[box])
    cuda.syncthreads()
    stride = 4 if size >= SAMPLED else 1
    cost = _choose(job, ends[box, groups - 1], stride, sent[box], costs, counts, coded, which, chosen, cost_of)
    if cuda.threadIdx.x == 0:
        results[box, COST] = cost * stride + size * shift * BIT
        results[box, FOUND_SHIFT], results[box, MISSED], results[box, GROUPS] = shift, missed, groups


@kernel
def low_planes(jobs: np.ndarray, results: np.ndarray, symbols: np.ndarray, planes: np.ndarray) -> None:
    """The lowest bits of the symbols of boxes, FOUND_SHIFT planes of each 32; a block takes a box.

    uint32, from planes[SYMBOLS_AT * 24 / 32] on, where SYMBOLS_AT is a multiple of 32.
    """
    job, shift = jobs[cuda.blockIdx.x], results[cuda.blockIdx.x, FOUND_SHIFT]
    size, at = job[DEPTH] * job[HEIGHT] * job[WIDTH], job[SYMBOLS_AT]
    for word in range(cuda.threadIdx.x, (size + 31) // 32 * shift, cuda.blockDim.x):
        block, plane, bits = word // shift, word % shift, int64(0)
        for i in range(min(int64(32), size - 32 * block)):
            bits |= (int64(symbols[at + 32 * block + i]) >> plane & 1) << i
        planes[uint64(at // 32 * 24 + word)] = bits
