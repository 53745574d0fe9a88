"""Boxes of interpolation and rANS on the GPU, decoded whole: a block takes a box, level by level.

`kernels.field_parts_slow.decode` and `kernels.field_levels_slow.restore` in one, which define it. Arrays are laid out
as in `kernels.field_levels`: n symbols in order, then two rooms of m for the known points of a level and of the next.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from midtread.kernels.cuda.common import SIMULATED, cuda, device, divided, float32, kernel, product32, reciprocal
from midtread.kernels.cuda.rans import LANES, STREAMS, read_group
from midtread.kernels.field_levels_slow import CONTEXTS, CORNER, FAR
from midtread.kernels.field_parts_slow import FLAG, TILE, WITH_TILES
from midtread.kernels.jit import int32, int64, uint8, uint64

KINDS = (1, 2, 4, 3, 5, 6, 7)
STATES = STREAMS * LANES
MAP, WIDEST = 24, 62  # tables of the map's differences, and what they start from
TABLES = FLAG + 1
THREADS = 4 if SIMULATED else 256  # of a block, at most
SUMS = THREADS + 1

# Columns of `jobs`, int64 [boxes, COLUMNS]: what a box is and where things of it begin.
(DEPTH, HEIGHT, WIDTH, AXES, SHIFT, COUNT, LANES_OF, SENT, LOW_AT, OUT_AT, SYMBOLS_AT, ROOM_AT, COLUMNS) = range(13)


@device
def count_levels(job: np.ndarray) -> int:
    """Number of levels above the corner."""
    most, level = int64(1), 0
    for axis in range(3):
        if (job[AXES] >> 4) & (4 >> axis):
            most = max(most, job[DEPTH + axis])
    while (most - 1) >> level > 0:
        level += 1
    return level


@device
def lay_out(job: np.ndarray, level: int, dims: np.ndarray, starts: np.ndarray) -> None:
    """Sizes int64 [8, 3] and starts int64 [9] of the kinds of a level; starts[8]: of the volume complete after it."""
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        known, n, m = int64(1), int64(1), int64(1)
        for axis in range(3):
            whole, bit = job[DEPTH + axis], 4 >> axis
            split = (job[AXES] >> 4) & bit
            size = (whole + (1 << level) - 1) >> level if split else whole
            n *= whole
            known *= (size + 1) >> 1 if split else whole
            m *= (whole + 1) >> 1 if split else whole
            for odd in range(8):
                if odd & bit:
                    dims[odd, axis] = size >> 1 if split else 0
                else:
                    dims[odd, axis] = (size + 1) >> 1 if split else whole
        starts[0], starts[8] = n + (level & 1) * m, n + ((level + 1) & 1) * m
        for i in range(7):
            odd = KINDS[i]
            starts[odd] = known
            known += dims[odd, 0] * dims[odd, 1] * dims[odd, 2]
    cuda.syncthreads()


@device
def _near(odd: int, axis: int, z: int, y: int, x: int, dims: np.ndarray, starts: np.ndarray) -> Any:
    """(place of the point before, along an axis, how far the next is, the point's number, the last number)."""
    kind = odd ^ (4 >> axis)
    height, width = dims[kind, 1], dims[kind, 2]
    at = starts[kind] + (z * height + y) * width + x
    if axis == 0:
        return at, height * width, z, dims[kind, 0] - 1
    if axis == 1:
        return at, width, y, height - 1
    return at, int64(1), x, width - 1


@device
def context_of(sizes: np.ndarray, room: int, odd: int, along: int, z: int, y: int, x: int, dims: np.ndarray,
             starts: np.ndarray) -> int:  # fmt: skip
    """Class of a point by the magnitudes beside it."""
    total = int64(1)
    for axis in range(3):
        if along & (4 >> axis):
            at, pitch, i, last = _near(odd, axis, z, y, x, dims, starts)
            here = uint64(room + at)
            total += int64(sizes[here]) + int64(sizes[here + uint64(pitch if i < last else 0)])
    return (int64(np.float32(total).view(np.int32)) >> 22) - 254


@device
def interpolated(x_hat: np.ndarray, room: int, odd: int, along: int, z: int, y: int, x: int, dims: np.ndarray,
                  starts: np.ndarray) -> float:  # fmt: skip
    """A point of a kind from those beside it."""
    total, count = float32(0.0), 0
    for axis in range(3):
        if along & (4 >> axis):
            at, pitch, i, last = _near(odd, axis, z, y, x, dims, starts)
            here, step = uint64(room + at), uint64(pitch)
            left = x_hat[here]
            if i >= 1 and last - i >= 2:
                inner = product32(float32(9.0), float32(left + x_hat[here + step]))
                outer = float32(x_hat[here - step] + x_hat[here + step + step])
                value = product32(float32(inner - outer), float32(0.0625))
            elif last > i:
                value = product32(float32(left + x_hat[here + step]), float32(0.5))
            elif i >= 1:
                value = float32(product32(left, float32(1.5)) - product32(x_hat[here - step], float32(0.5)))
            else:
                value = left
            total = float32(total + value) if count else value
            count += 1
    return total if count == 1 else product32(total, float32(0.5 if count == 2 else 1 / 3))


@device
def weave(
    parts: np.ndarray, room: int, split: int, dims: np.ndarray, starts: np.ndarray, out: np.ndarray, at: int,
    pitch_z: int, pitch_y: int,
) -> None:  # fmt: skip
    """All points of a level in their places, from out[at] on; pitches less than 0: one row behind the other."""
    sides = (dims[0, 0] + dims[4, 0], dims[0, 1] + dims[2, 1], dims[0, 2] + dims[1, 2])
    if pitch_y < 0:
        pitch_z, pitch_y = sides[1] * sides[2], sides[2]
    by_width, by_height = reciprocal(sides[2]), reciprocal(sides[1])
    for i in range(cuda.threadIdx.x, sides[0] * sides[1] * sides[2], cuda.blockDim.x):
        row = divided(i, by_width)
        z = divided(row, by_height)
        x, y = i - row * sides[2], row - z * sides[1]
        odd = ((z & 1) << 2 | (y & 1) << 1 | (x & 1)) & split
        zz, yy, xx = (z >> 1 if split & 4 else z), (y >> 1 if split & 2 else y), (x >> 1 if split & 1 else x)
        source = starts[odd] + (zz * dims[odd, 1] + yy) * dims[odd, 2] + xx
        out[uint64(at + z * pitch_z + y * pitch_y + x)] = parts[uint64(room + source)]


@device
def begin(states: np.ndarray, places: np.ndarray, ends: np.ndarray, streams: Any) -> None:
    """Set up shared memory of a block for the streams of a box."""
    _, _, _, own_states, own_places, own_ends, done, _, bad = streams
    for i in range(cuda.threadIdx.x, STATES, cuda.blockDim.x):
        own_states[i] = states[i]
    for j in range(cuda.threadIdx.x, STREAMS, cuda.blockDim.x):
        own_places[j], own_ends[j], done[j] = places[j], ends[j], 0
    if cuda.threadIdx.x == 0:
        bad[0] = 0
    cuda.syncthreads()


@device
def finish(streams: Any, box: int, status: np.ndarray) -> None:
    """Note whether the streams of a box ended as they should."""
    _, many, lanes, states, places, ends, _, _, bad = streams
    start = uint64(1 << 31) if lanes == LANES else uint64(1 << 16)
    cuda.syncthreads()
    for j in range(cuda.threadIdx.x, many, cuda.blockDim.x):
        for lane in range(lanes):
            if states[LANES * j + lane] != start or places[j] != ends[j]:
                bad[0] = 1
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        status[box] = bad[0]


@device
def ranks(flags: np.ndarray, at: int, count: int, sums: np.ndarray) -> int:
    """Turn each 0 or 1 of flags[at:] into (how many 1 lie before) << 1 | itself; returns how many there are."""
    cuda.syncthreads()
    threads, thread = cuda.blockDim.x, cuda.threadIdx.x
    each = (count + threads - 1) // threads
    low, high = min(thread * each, count), min((thread + 1) * each, count)
    own = int32(0)
    for i in range(low, high):
        own += flags[at + i]
    sums[thread] = own
    cuda.syncthreads()
    if thread == 0:
        total = int32(0)
        for i in range(threads):
            total, sums[i] = int32(total + sums[i]), total
        sums[threads] = total
    cuda.syncthreads()
    rank = sums[thread]
    for i in range(low, high):
        flag = flags[at + i]
        flags[at + i] = int32(rank << 1 | flag)
        rank += flag
    cuda.syncthreads()
    return int64(sums[threads])


@device
def low_bits(low: np.ndarray, at: int, shift: int, k: int) -> int:
    """The lowest bits of symbol k."""
    bits = int64(0)
    for plane in range(shift):
        bits |= ((int64(low[at + (k >> 5) * shift + plane]) >> (k & 31)) & 1) << plane
    return bits


@device
def read(count: int, tables: np.ndarray, values: np.ndarray, at: int, streams: Any) -> None:
    """See `rans.read_group`."""
    words, many, lanes, states, places, ends, done, packed, bad = streams
    read_group(count, tables, values, at, words, many, lanes, states, places, ends, done, packed, bad)


@device
def _read_map(job: np.ndarray, sent: np.ndarray, tables: np.ndarray, values: np.ndarray, table_of: np.ndarray,
              streams: Any) -> None:  # fmt: skip
    """The table of each context."""
    at = job[SYMBOLS_AT]
    for i in range(cuda.threadIdx.x, job[SENT], cuda.blockDim.x):
        tables[at + i] = MAP
    read(job[SENT], tables, values, at, streams)
    if cuda.threadIdx.x == 0:
        for i in range(TABLES):
            table_of[i] = WIDEST
        last, bad = int64(WIDEST), streams[8]
        for i in range(job[SENT]):
            last += int64(values[at + i])
            if last < 0 or last > WIDEST + 1:
                bad[0], last = 1, int64(WIDEST)
            table_of[sent[i]] = uint8(last)
    cuda.syncthreads()


@device
def _corner(job: np.ndarray, step: float, low: np.ndarray, table_of: np.ndarray, dims: np.ndarray, starts: np.ndarray,
            streams: Any, scratch: Any) -> None:  # fmt: skip
    """The symbols of the coarsest level."""
    tables, values, sizes, x_hat = scratch[1], scratch[2], scratch[4], scratch[5]
    lay_out(job, count_levels(job), dims, starts)
    at, room, count = job[SYMBOLS_AT], job[ROOM_AT], dims[0, 0] * dims[0, 1] * dims[0, 2]
    for k in range(cuda.threadIdx.x, count, cuda.blockDim.x):
        tables[at + k] = table_of[CORNER]
    read(count, tables, values, at, streams)
    for k in range(cuda.threadIdx.x, count, cuda.blockDim.x):
        high = int64(values[at + k])
        symbol = high << job[SHIFT] | low_bits(low, job[LOW_AT], job[SHIFT], k)
        sizes[room + starts[8] + k] = uint8(min(abs(high), FAR))
        x_hat[room + starts[8] + k] = product32(float32(int32(symbol)), step)


@device
def _part(
    job: np.ndarray, level: int, odd: int, step: float, low: np.ndarray, table_of: np.ndarray, dims: np.ndarray,
    starts: np.ndarray, sums: np.ndarray, streams: Any, scratch: Any,
) -> None:  # fmt: skip
    """The symbols of a kind of points, and the points."""
    contexts, tables, values, flags, sizes, x_hat = scratch
    at, room, start = job[SYMBOLS_AT], job[ROOM_AT], starts[odd]
    height, width = dims[odd, 1], dims[odd, 2]
    size = dims[odd, 0] * height * width
    many = (odd >> 2) + (odd >> 1 & 1) + (odd & 1)
    first, along = CONTEXTS * ((3 if level else 0) + many - 1), odd & job[AXES] & 7
    along = along if along else odd
    if size == 0:
        return
    by_width, by_height = reciprocal(width), reciprocal(height)
    for k in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        row = divided(k, by_width)
        z = divided(row, by_height)
        y, x = row - z * height, k - row * width
        contexts[uint64(at + k)] = uint8(first + context_of(sizes, room, odd, along, z, y, x, dims, starts))
    tiles = size // TILE if size >= WITH_TILES else 0
    kept = _keep(at, first, tiles, table_of, sums, streams, scratch)
    for k in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        place = _place(k, tiles, kept, at, flags)
        if place >= 0:
            tables[uint64(at + place)] = table_of[uint64(contexts[uint64(at + k)])]
    read(kept * TILE + size - tiles * TILE, tables, values, at, streams)
    for k in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        row, place = divided(k, by_width), _place(k, tiles, kept, at, flags)
        z = divided(row, by_height)
        y, x = row - z * height, k - row * width
        high, here = int64(values[uint64(at + place)]) if place >= 0 else int64(0), uint64(room + start + k)
        symbol = high << job[SHIFT] | low_bits(low, job[LOW_AT], job[SHIFT], start + k)
        sizes[here] = uint8(min(abs(high), FAR))
        predicted = interpolated(x_hat, room, odd, along, z, y, x, dims, starts)
        x_hat[here] = float32(predicted + product32(float32(int32(symbol)), step))
    cuda.syncthreads()


@device
def _place(k: int, tiles: int, kept: int, at: int, flags: np.ndarray) -> int:
    """Where symbol k of a part is among those that are coded, -1 when it is not."""
    if k >= tiles * TILE:
        return k - tiles * TILE + kept * TILE
    flag = int64(flags[uint64(at + k // TILE)])
    return (flag >> 1) * TILE + k % TILE if flag & 1 else int64(-1)


@device
def _keep(at: int, first: int, tiles: int, table_of: np.ndarray, sums: np.ndarray, streams: Any, scratch: Any) -> int:
    """Which tiles are coded, to `flags` as `ranks` has them: all but the silent ones that are zeros; how many."""
    contexts, tables, values, flags, _, _ = scratch
    if tiles == 0:
        return int64(0)
    cuda.syncthreads()
    for tile in range(cuda.threadIdx.x, tiles, cuda.blockDim.x):
        differs = int64(0)
        for k in range(at + tile * TILE, at + (tile + 1) * TILE):
            differs |= int64(contexts[k]) ^ first
        flags[at + tile] = 0 if differs else 1
    silent = ranks(flags, at, tiles, sums)
    if silent:
        for i in range(cuda.threadIdx.x, silent, cuda.blockDim.x):
            tables[at + i] = table_of[FLAG]
        read(silent, tables, values, at, streams)
    for tile in range(cuda.threadIdx.x, tiles, cuda.blockDim.x):
        flag = int64(flags[at + tile])
        flags[at + tile] = 1 if flag & 1 == 0 or values[at + (flag >> 1)] != 0 else 0
    return ranks(flags, at, tiles, sums)


@kernel
def restore(
    jobs: np.ndarray, sent: np.ndarray, steps: np.ndarray, low: np.ndarray, words: np.ndarray, states: np.ndarray,
    places: np.ndarray, ends: np.ndarray, packed: Any, pitch_z: int, pitch_y: int, contexts: np.ndarray,
    tables: np.ndarray, values: np.ndarray, flags: np.ndarray, sizes: np.ndarray, x_hat: np.ndarray, out: np.ndarray,
    status: np.ndarray,
) -> None:  # fmt: skip
    """Decode boxes; a block of at most THREADS threads takes a box.

    Args:
        jobs: int64 [boxes, COLUMNS].
        sent: uint8 [boxes, contexts], those whose tables are sent, SENT of them.
        steps: float64 [boxes].
        low: uint32, planes of low bits.
        words: uint32, of all streams.
        states: uint64 [boxes, STREAMS * LANES], states[4 j + l] of lane l of stream j.
        places: int64 [boxes, STREAMS], first word of each stream.
        ends: int64 [boxes, STREAMS].
        packed: see `rans.read_group`.
        pitch_z: from plane to plane of `out`.
        pitch_y: from row to row.
        contexts: uint8, memory for n entries from SYMBOLS_AT on.
        tables: uint8, likewise.
        values: int32, likewise.
        flags: int32, likewise.
        sizes: uint8, memory for n + 2 m entries from ROOM_AT on.
        x_hat: float32, likewise.
        out: float32 vector.
        status: int32 [boxes]: 0, or 1 when the bytes are damaged.
    """
    job, box = jobs[cuda.blockIdx.x], cuda.blockIdx.x
    table_of = cuda.shared.array(TABLES, uint8)
    own_states = cuda.shared.array(STATES, uint64)
    own_places = cuda.shared.array(STREAMS, int64)
    own_ends = cuda.shared.array(STREAMS, int64)
    done = cuda.shared.array(STREAMS, int64)
    dims = cuda.shared.array((8, 3), int64)
    starts = cuda.shared.array(9, int64)
    sums = cuda.shared.array(SUMS, int32)
    bad = cuda.shared.array(1, int32)
    streams = (words, job[COUNT], job[LANES_OF], own_states, own_places, own_ends, done, packed, bad)
    begin(states[box], places[box], ends[box], streams)
    _read_map(job, sent[box], tables, values, table_of, streams)
    scratch = (contexts, tables, values, flags, sizes, x_hat)
    _corner(job, float32(steps[box]), low, table_of, dims, starts, streams, scratch)
    split = (job[AXES] >> 4) & 7
    for level in range(count_levels(job) - 1, -1, -1):
        lay_out(job, level, dims, starts)
        for i in range(7):
            if KINDS[i] & split == KINDS[i]:
                _part(job, level, KINDS[i], float32(steps[box]), low, table_of, dims, starts, sums, streams, scratch)
        room = job[ROOM_AT]
        if level:
            weave(x_hat, room, split, dims, starts, x_hat, room + starts[8], -1, -1)
            weave(sizes, room, split, dims, starts, sizes, room + starts[8], -1, -1)
    if count_levels(job) == 0:  # all is corner
        lay_out(job, 1, dims, starts)
    cuda.syncthreads()
    weave(x_hat, job[ROOM_AT], split, dims, starts, out, job[OUT_AT], pitch_z, pitch_y)
    finish(streams, box, status)
