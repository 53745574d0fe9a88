"""rANS decoding on the GPU, a stream by a thread, lanes and all; `kernels.field_parts_slow.read` is the definition."""

from __future__ import annotations

from typing import Any

import numpy as np

from midtread.kernels.cuda.common import cuda, device
from midtread.kernels.jit import int32, int64, uint64
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
