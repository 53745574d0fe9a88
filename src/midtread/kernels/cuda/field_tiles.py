"""Boxes of Lorenzo residuals and rANS on the GPU, decoded to residuals: a block takes a box.

`codecs.tensor.field_symbols.decode_by_tile` defines it; `field_unpack` makes values of the residuals.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from midtread.kernels.cuda.common import cuda, kernel
from midtread.kernels.cuda.field_restore import (
    AXES,
    COUNT,
    DEPTH,
    HEIGHT,
    LANES_OF,
    LOW_AT,
    OUT_AT,
    SHIFT,
    STATES,
    SUMS,
    SYMBOLS_AT,
    WIDTH,
    begin,
    finish,
    low_bits,
    ranks,
    read,
)
from midtread.kernels.cuda.rans import STREAMS
from midtread.kernels.field_tiles_slow import TILE
from midtread.kernels.jit import int32, int64, uint8, uint64

TABLE = AXES  # the column of the table of the classes, instead
_CLASSES = 32


@kernel
def restore(
    jobs: np.ndarray, low: np.ndarray, words: np.ndarray, states: np.ndarray, places: np.ndarray, ends: np.ndarray,
    packed: Any, classes: np.ndarray, tables: np.ndarray, values: np.ndarray, flags: np.ndarray, out: np.ndarray,
    status: np.ndarray,
) -> None:  # fmt: skip
    """Residuals of boxes.

    Beside what `field_restore.restore` takes:
        jobs: with TABLE for AXES, and the first residual for OUT_AT.
        classes: uint8, memory for n entries from SYMBOLS_AT on, n filled up to whole tiles; the next three likewise.
        out: int32, filled.
    """
    job, box = jobs[cuda.blockIdx.x], cuda.blockIdx.x
    own_states = cuda.shared.array(STATES, uint64)
    own_places = cuda.shared.array(STREAMS, int64)
    own_ends = cuda.shared.array(STREAMS, int64)
    done = cuda.shared.array(STREAMS, int64)
    sums = cuda.shared.array(SUMS, int32)
    bad = cuda.shared.array(1, int32)
    streams = (words, job[COUNT], job[LANES_OF], own_states, own_places, own_ends, done, packed, bad)
    begin(states[box], places[box], ends[box], streams)
    size, at = job[DEPTH] * job[HEIGHT] * job[WIDTH], job[SYMBOLS_AT]
    tiles = (size + TILE - 1) // TILE
    for tile in range(cuda.threadIdx.x, tiles, cuda.blockDim.x):
        tables[at + tile] = uint8(job[TABLE])
    read(tiles, tables, values, at, streams)
    if cuda.threadIdx.x == 0:
        current = int64(0)
        for tile in range(tiles):
            current += int64(values[at + tile])
            if current < 0 or current > _CLASSES:
                bad[0], current = 1, int64(0)
            classes[at + tile], flags[at + tile] = uint8(current), int32(1 if current else 0)
    used = ranks(flags, at, tiles, sums)
    for k in range(cuda.threadIdx.x, tiles * TILE, cuda.blockDim.x):
        flag = int64(flags[at + k // TILE])
        if flag & 1:
            tables[at + (flag >> 1) * TILE + k % TILE] = uint8(2 * (int64(classes[at + k // TILE]) - 1))
    read(used * TILE, tables, values, at, streams)
    for k in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        flag = int64(flags[at + k // TILE])
        high = int64(values[at + (flag >> 1) * TILE + k % TILE]) if flag & 1 else int64(0)
        out[job[OUT_AT] + k] = int32(high << job[SHIFT] | low_bits(low, job[LOW_AT], job[SHIFT], k))
    finish(streams, box, status)
