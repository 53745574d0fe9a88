"""Encoding wavelet bands, compiled; defined in `wavelet_coder_slow`."""

from __future__ import annotations

from typing import Any

import numpy as np

from midtread.kernels.jit import inlined, int32, int64, jit, uint8, uint32, uint64
from midtread.kernels.wavelet_coder_slow import (
    ALL_LEARN,
    BROKEN,
    CALM,
    CONTEXTS,
    FILL,
    FLAG,
    PRICES,
    SEGMENT,
    TABLES,
    TOP,
)
from midtread.kernels.wavelet_contexts import (
    add_sides,
    choose_tables,
    contexts,
    find_busy,
    keep_sizes,
    learn,
    open_row,
    refine_contexts,
    room_of,
    row_of,
    shift,
    tell,
    write_row,
)


@jit
def _quantize(
    y: np.ndarray, half: int, x: np.ndarray, n: int, context: np.ndarray, rows: np.ndarray, thresholds: np.ndarray,
    fraction: int, rounding: int,
) -> None:  # fmt: skip
    """Choose the n integers x of y[half::2]; rows [contexts], where the thresholds of each begin."""
    if fraction == 0:
        for j in range(n):
            x[j] = y[half + 2 * j]
        return
    fraction, rounding = int32(fraction), int32(rounding)
    for first in range(0, n, SEGMENT):
        some = int32(0)
        for j in range(first, min(first + SEGMENT, n)):
            given = y[half + 2 * j]
            v = (abs(given) + rounding) >> fraction
            some |= v
            x[j] = -v if given < 0 else v
        if some == 0:
            continue
        for j in range(first, min(first + SEGMENT, n)):
            v = abs(x[j])
            miss = abs(y[half + 2 * j]) - (v << fraction)
            at = uint64(rows[context[j]] + min(v, int32(PRICES - 1)))
            less = int32(miss < thresholds[at])
            x[j] += less if x[j] < 0 else -less


@inlined
def _put(raw: Any, words: Any, acc: Any, held: Any, value: Any, count: Any) -> Any:
    """Append `count` <= 32 bits; held < 32 before and after -> (words, acc, held)."""
    acc |= uint64(value) << uint64(held)
    held += count
    if held >= 32:
        raw[words] = uint32(acc & uint64(0xFFFFFFFF))
        words += 1
        acc >>= uint64(32)
        held -= 32
    return words, acc, held


@inlined
def _fill(symbols: Any, indices: Any, at: Any) -> Any:
    """Fill up to a multiple of 4; returns where that is."""
    while at & 3:
        symbols[at], indices[at] = int32(0), uint8(FILL)
        at += 1
    return at


@jit
def _note_half(
    x: np.ndarray, n: int, context: np.ndarray, busy: np.ndarray, most: int, symbols: np.ndarray, names: np.ndarray,
    flag: int,
) -> int:  # fmt: skip
    """Note the symbols of a half and their contexts from `flag` on; returns where they end.

    x and context have zeros behind n, to the end of the last segment.
    """
    at = _fill(symbols, names, flag + find_busy(context, n, busy))  # where symbols go: behind all flags
    for first in range(0, n, SEGMENT):
        most_here, of = busy[first // SEGMENT], uint64(first)
        add = uint8(BROKEN) if most_here <= CALM else uint8(0)
        if add:
            some = int32(0)
            for j in range(SEGMENT):
                some |= x[of + uint64(j)]
            symbols[flag], names[flag] = int32(some != 0), uint8(FLAG + most_here)
            flag += 1
            if some == 0:
                continue
        to = uint64(at)  # uint64: numba looks for negative indices in others, one by one
        for j in range(SEGMENT):  # may write behind n, where more is written later
            symbols[to + uint64(j)] = x[of + uint64(j)]
            names[to + uint64(j)] = uint8(context[of + uint64(j)]) + add
        if most > TOP:
            for j in range(SEGMENT):
                symbols[to + uint64(j)] = x[of + uint64(j)] >> shift(context[of + uint64(j)])
        at += min(SEGMENT, n - first)
    return _fill(symbols, names, at)


@jit
def _rename(indices: np.ndarray, first: int, last: int, which: np.ndarray) -> None:
    """Contexts to their tables."""
    for i in range(uint64(first), uint64(last)):
        indices[i] = which[indices[i]]


@jit
def _note_raw(x: np.ndarray, n: int, context: np.ndarray, raw: np.ndarray, state: np.ndarray) -> None:
    """Put the low bits of a half to the raw ones."""
    words, held, acc = int64(state[1]), int64(state[2]), state[3]
    for j in range(n):
        k = shift(context[j])
        words, acc, held = _put(raw, words, acc, held, int64(x[j]) & ((1 << k) - 1), k)
    state[1], state[2], state[3] = uint64(words), uint64(held), acc


@inlined
def _encode_half(
    given: Any, half: Any, s: Any, f: Any, bits: Any, x: Any, context: Any, busy: Any, rows: Any, thresholds: Any,
    fraction: Any, rounding: Any, symbols: Any, names: Any, raw: Any, state: Any, refine: Any, row: Any, sizes: Any,
) -> None:  # fmt: skip
    most = contexts(s, f, bits, context)
    if refine:
        most = 0
        refine_contexts(context, s.size, row, half)
        for j in range(s.size):
            old, new = row[half + 2 * j], given[half + 2 * j]
            x[j] = old - new if old < 0 else new - old
    else:
        _quantize(given, half, x, s.size, context, rows, thresholds, fraction, rounding)
    state[0] = uint64(_note_half(x, s.size, context, busy, most, symbols, names, int64(state[0])))
    if most > TOP:
        _note_raw(x, s.size, context, raw, state)
    if refine:
        for j in range(s.size):
            x[j] = given[half + 2 * j]
    keep_sizes(x, s.size, sizes)


@jit
def encode_block(
    y: np.ndarray, q: np.ndarray, boxes: np.ndarray, weights: np.ndarray, learnt: np.ndarray, thresholds: np.ndarray,
    symbols: np.ndarray, indices: np.ndarray, raw: np.ndarray, state: np.ndarray, settings: tuple,
    refine: bool,
) -> None:  # fmt: skip
    """Choose and note one block; see `wavelet_coder_slow.encode_block`."""
    box = boxes[0]
    w = box[4] - box[3]
    room = room_of(w)
    sums, own = np.empty((2, room), np.int32), np.zeros((3, 2, room + 2), np.int32)
    whole, around = np.zeros(room + 2, np.int32), np.zeros(room + 2, np.int32)
    x, context, f = np.zeros((2, room), np.int32), np.zeros((2, room), np.int32), np.empty(room, np.float32)
    bits, busy = f.view(np.int32), np.empty(room // SEGMENT, np.int32)
    even, odd, even_x, odd_x = sums[0, : (w + 1) >> 1], sums[1, : w >> 1], x[0], x[1]
    even_c, odd_c, flat = context[0], context[1], thresholds.reshape(-1)
    mean, told, which = (
        np.empty(CONTEXTS, np.float32),
        np.zeros(CONTEXTS + 1, np.int64),
        np.empty(CONTEXTS + 1, np.uint8),
    )
    mean_bits, rows = mean.view(np.int32), np.full(CONTEXTS, (TABLES - 1) * PRICES, np.int32)
    fraction, rounding = settings
    for r in range(box[2] - box[1]):
        open_row(even, odd, r, own, q, boxes, weights, whole, around)
        if r <= ALL_LEARN or r % 2:
            choose_tables(learnt, mean, mean_bits, which)
            for c in range(TOP + 1):
                rows[c] = int32(which[c]) * int32(PRICES)
        given, made, sizes, first = row_of(y, box, r), row_of(q, box, r), own[r % 3], int64(state[0])
        even_sizes, odd_sizes = sizes[0], sizes[1]
        _encode_half(
            given, 0, even, f, bits, even_x, even_c, busy, rows, flat, fraction, rounding, symbols, indices, raw, state,
            refine, made, even_sizes,
        )  # fmt: skip
        add_sides(odd, even_sizes, weights[1, 4])
        _encode_half(
            given, 1, odd, f, bits, odd_x, odd_c, busy, rows, flat, fraction, rounding, symbols, indices, raw, state,
            refine, made, odd_sizes,
        )  # fmt: skip
        write_row(made, even_x, odd_x)
        if r < ALL_LEARN or r % 2 == 0:
            tell(symbols, indices, first, int64(state[0]), told)
            learn(learnt, told)
        _rename(indices, first, int64(state[0]), which)
