"""rANS on the GPU, a stream by a thread, lanes and all; `kernels.field_parts_slow` is the definition."""

from __future__ import annotations

from typing import Any

import numpy as np

from midtread.kernels.cuda.common import cuda, device, kernel
from midtread.kernels.jit import int32, int64, uint32, uint64
from midtread.kernels.packed import MARKER

LANES = 4
STREAMS = 16  # at most
_PRECISION = 16
_MASK = (1 << _PRECISION) - 1
_LOWEST = 1 << 31


@device
def read_group(
    count: int, tables: np.ndarray, values: np.ndarray, at: int, words: np.ndarray, streams: int, lanes: int,
    states: np.ndarray, places: np.ndarray, ends: np.ndarray, done: np.ndarray, packed: Any, bad: np.ndarray,
) -> None:  # fmt: skip
    """Decode a group of symbols; all threads of a block take part, and are synchronised before and after.

    Args:
        count: symbols of the group.
        tables: uint8, the table of symbol i at [at + i].
        values: int32, filled likewise.
        at: where the group is.
        words: uint32.
        streams: how many.
        lanes: of each, 1 or 4.
        states: uint64 [streams * LANES], shared.
        places: int64 [streams], shared: the next word of each.
        ends: int64 [streams], shared.
        done: int64 [streams], shared: symbols read.
        packed: (bits of the look-up table, base, size, cumulative, value, lut) of the tables: see `kernels.packed`.
        bad: int32 [1], shared; 1 when a stream ends too early or an escaped symbol is no int32.
    """
    cuda.syncthreads()
    share = (count + LANES * streams - 1) // (LANES * streams) * LANES
    _, base, size, cumulative, value, lut = packed
    bits, one = uint64(packed[0]), uint64(1)  # unsigned places: numba does not look for negative ones
    for j in range(cuda.threadIdx.x, streams, cuda.blockDim.x):
        p, end = uint64(places[j]), uint64(ends[j])
        low, high = min(j * share, count), min((j + 1) * share, count)
        for i in range(low, high):
            lane, t = uint64(j * LANES + ((done[j] + i - low) & (lanes - 1))), uint64(tables[uint64(at + i)])
            x = states[lane]
            slot = x & uint64(_MASK)
            near = uint64(lut[(t << bits) | (slot >> (uint64(_PRECISION) - bits))])
            while uint64(cumulative[near + one]) <= slot:
                near += one
            first = uint64(cumulative[near])
            x = (uint64(cumulative[near + one]) - first) * (x >> uint64(_PRECISION)) + slot - first
            symbol = value[near]
            if x < uint64(_LOWEST) and p < end:
                x = (x << uint64(32)) | uint64(words[p])
                p += one
            if symbol == MARKER and near == uint64(base[t]) + uint64(size[t]):
                symbol, x, p = _escape(x, p, words, end, bad)
            values[uint64(at + i)], states[lane] = symbol, x
        done[j] += high - low
        places[j] = int64(p)
    cuda.syncthreads()


@device
def _escape(x: int, p: int, words: np.ndarray, end: int, bad: np.ndarray) -> Any:
    """The bytes of a symbol that its table lacks -> (symbol, x, p)."""
    number, shift, more = uint64(0), uint64(0), True
    while more:
        byte = x & uint64(255)
        number |= (byte & uint64(127)) << shift
        more, shift, x = byte > uint64(127), shift + uint64(7), x >> uint64(8)
        if x < uint64(_LOWEST) and p < end:
            x = (x << uint64(32)) | uint64(words[p])
            p += uint64(1)
        if (more and shift == uint64(35)) or number > uint64(0xFFFFFFFF):
            bad[0] = 1
            more, number = False, uint64(0)
    return int32(int64(number >> uint64(1)) ^ -int64(number & uint64(1))), x, p


@kernel
def write_groups(
    first: np.ndarray, groups: np.ndarray, ends: np.ndarray, streams: np.ndarray, symbols: np.ndarray,
    tables: np.ndarray, packed: Any, words: np.ndarray, states: np.ndarray, spans: np.ndarray,
) -> None:  # fmt: skip
    """Encode the groups of boxes, dealt to their streams; a block takes a box, a thread a stream.

    Args:
        first: int64 [boxes], where the symbols of each begin; its words are from 2 * first on.
        groups: int64 [boxes], how many.
        ends: int64 [boxes, groups], where each group ends, counted from `first`.
        streams: int64 [boxes]; 0: leave the box alone.
        symbols: int32.
        tables: uint8, of each symbol.
        packed: (base, size, cumulative, low) of the tables: see `kernels.packed`.
        words: uint32, filled; twice as long as the symbols.
        states: uint64 [boxes, STREAMS * LANES], filled.
        spans: int64 [boxes, STREAMS, 2], filled: from where to where the words of each stream are.
    """
    box, many = cuda.blockIdx.x, streams[cuda.blockIdx.x]
    for j in range(cuda.threadIdx.x, many, cuda.blockDim.x):
        count, before = int64(0), int64(0)  # symbols of this stream, and of those before it
        for group in range(groups[box]):
            size = ends[box, group] - (ends[box, group - 1] if group else 0)
            share = (size + LANES * many - 1) // (LANES * many) * LANES
            count += min((j + 1) * share, size) - min(j * share, size)
            before += min(j * share, size)
        end = 2 * (first[box] + before + count)
        for lane in range(LANES):
            states[box, LANES * j + lane] = _LOWEST
        q = uint64(end)
        for group in range(groups[box] - 1, -1, -1):
            start = ends[box, group - 1] if group else int64(0)
            size = ends[box, group] - start
            share = (size + LANES * many - 1) // (LANES * many) * LANES
            for i in range(min((j + 1) * share, size) - 1, min(j * share, size) - 1, -1):
                count -= 1
                lane, at = LANES * j + (count & (LANES - 1)), first[box] + start + i
                states[box, lane], q = _push(states[box, lane], symbols[at], tables[at], packed, words, q)
        spans[box, j, 0], spans[box, j, 1] = int64(q), end


@device
def _push(x: int, symbol: int, table: int, packed: Any, words: np.ndarray, q: int) -> Any:
    """Encode a symbol in front of words[q:] -> (state, q)."""
    base, size, cumulative, low = packed
    first, many = int64(base[table]), int64(size[table])
    k, x = int64(symbol) - int64(low[table]), uint64(x)
    at = first + (k if 0 <= k < many else many)
    start = uint64(cumulative[at])
    width = uint64(cumulative[at + 1]) - start
    if at == first + many or width == uint64(0):
        start = uint64(cumulative[first + many])
        width = uint64(cumulative[first + many + 1]) - start
        zigzag, last = uint64((int64(symbol) << 1) ^ (int64(symbol) >> 63)), 0
        while zigzag >> uint64(7 * (last + 1)):
            last += 1
        for i in range(last, -1, -1):
            byte = (zigzag >> uint64(7 * i)) & uint64(127) | uint64(128 if i < last else 0)
            if x >= uint64(1 << 55):
                q -= uint64(1)
                words[q] = uint32(x & uint64(0xFFFFFFFF))
                x >>= uint64(32)
            x = x << uint64(8) | byte
    if x >= width << uint64(63 - _PRECISION):
        q -= uint64(1)
        words[q] = uint32(x & uint64(0xFFFFFFFF))
        x >>= uint64(32)
    quotient = x // width
    return (quotient << uint64(_PRECISION)) + (x - quotient * width) + start, q


@kernel
def collect(words: np.ndarray, spans: np.ndarray, offsets: np.ndarray, out: np.ndarray) -> None:
    """Words of streams, one behind the other: words[spans[i, 0] : spans[i, 1]] to offsets[i]; a block takes a span."""
    first, count = spans[cuda.blockIdx.x, 0], spans[cuda.blockIdx.x, 1] - spans[cuda.blockIdx.x, 0]
    for i in range(cuda.threadIdx.x, count, cuda.blockDim.x):
        out[offsets[cuda.blockIdx.x] + i] = words[first + i]
