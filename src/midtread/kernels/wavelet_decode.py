"""Decoding wavelet bands, compiled; defined in `wavelet_coder_slow`."""

from __future__ import annotations

from typing import Any

import numpy as np

from midtread.kernels import rans
from midtread.kernels.jit import inlined, int32, int64, jit, uint8, uint64
from midtread.kernels.packed import Packed
from midtread.kernels.wavelet_coder_slow import ALL_LEARN, BROKEN, CALM, CONTEXTS, FILL, FLAG, LARGEST, SEGMENT, TOP
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


@inlined
def _get(raw: Any, words: Any, acc: Any, held: Any, count: Any) -> Any:
    """The next bits of the raw stream, zeros behind its end -> (value, words, acc, held)."""
    if held < 32:
        if words < raw.size:
            acc |= uint64(raw[words]) << uint64(held)
        words += 1
        held += 32
    value = int64(acc & ((uint64(1) << uint64(count)) - uint64(1)))
    return value, words, acc >> uint64(count), held - count


@jit
def _add_raw(x: np.ndarray, n: int, context: np.ndarray, raw: np.ndarray, state: np.ndarray) -> bool:
    """Put the low bits under the symbols x; False when an integer becomes too large."""
    words, held, acc = int64(state[1]), int64(state[2]), state[3]
    for j in range(n):
        k = shift(context[j])
        if k > 0:
            low, words, acc, held = _get(raw, words, acc, held, k)
            value = (int64(x[j]) << k) | low
            if abs(value) > LARGEST:
                return False
            x[j] = value
    state[1], state[2], state[3] = uint64(words), uint64(held), acc
    return True


@jit
def _largest(x: np.ndarray, n: int) -> int:
    most = int32(0)
    for j in range(n):
        most = max(most, max(x[j], ~x[j]))
    return most


@jit
def _name_flags(names: np.ndarray, n: int, busy: np.ndarray) -> int:
    """Contexts of the flags of a half, filled up; returns how many they are then."""
    at = 0
    for segment in range((n + SEGMENT - 1) // SEGMENT):
        if busy[segment] <= CALM:
            names[at] = uint8(FLAG + busy[segment])
            at += 1
    while at & 3:
        names[at] = uint8(FILL)
        at += 1
    return at


@jit
def _name_symbols(context: np.ndarray, n: int, busy: np.ndarray, flags: np.ndarray, names: np.ndarray) -> int:
    """Contexts of the symbols that a half has, its flags known, and filled up; returns how many they are."""
    flag, at = 0, 0
    for first in range(0, n, SEGMENT):
        add = uint8(0)
        if busy[first // SEGMENT] <= CALM:
            flag, add = flag + 1, uint8(BROKEN)
            if flags[flag - 1] == 0:
                continue
        to, of = uint64(at), uint64(first)
        for j in range(SEGMENT):
            names[to + uint64(j)] = uint8(context[of + uint64(j)]) + add
        at += min(SEGMENT, n - first)
    while at & 3:
        names[at] = uint8(FILL)
        at += 1
    return at


@jit
def _spread(x: np.ndarray, n: int, busy: np.ndarray, flags: np.ndarray, found: np.ndarray) -> None:
    """Put decoded symbols where they belong, zeros into the segments whose flag is 0."""
    flag, at = 0, 0
    for first in range(0, n, SEGMENT):
        kept = True
        if busy[first // SEGMENT] <= CALM:
            kept = flags[flag] != 0
            flag += 1
        to, of = uint64(first), uint64(at)
        if kept:
            for j in range(SEGMENT):
                x[to + uint64(j)] = found[of + uint64(j)]
            at += min(SEGMENT, n - first)
        else:
            for j in range(SEGMENT):
                x[to + uint64(j)] = 0


@jit
def _add_old(x: np.ndarray, n: int, row: np.ndarray, half: int) -> None:
    """Symbols of a refining layer to integers."""
    for j in range(n):
        old = row[half + 2 * j]
        x[j] = old + (-x[j] if old < 0 else x[j])


@inlined
def _take(
    out: Any, n: Any, names: Any, tables: Any, which: Any, told: Any, learning: Any, packed: Any, lut: Any,
    cumulative: Any, value: Any, states: Any, words: Any, p: Any, end: Any,
) -> Any:  # fmt: skip
    """Decode n symbols of the contexts `names` and tell what they are; returns the next word, beyond end if none."""
    for i in range(n):
        tables[i] = which[names[i]]
    i, four = 0, states.size == 4
    if four:
        i, p = rans.decode_run(
            out, n, tables, packed.precision, packed.lut_bits, lut, cumulative, value, states, words, i, p, end
        )
    while i < n and p <= end:  # a single lane, or an escape
        p = rans.decode_ones(out, i + 4, tables, packed, states, words, i, p, end)
        i += 4
        if four:
            i, p = rans.decode_run(
                out, n, tables, packed.precision, packed.lut_bits, lut, cumulative, value, states, words, i, p, end
            )
    if learning:
        tell(out, names, 0, n, told)
    return p


@jit
def decode_block(
    q: np.ndarray, boxes: np.ndarray, weights: np.ndarray, learnt: np.ndarray, packed: Packed, states: np.ndarray,
    words: np.ndarray, place: np.ndarray, end: int, raw: np.ndarray, state: np.ndarray, refine: bool,
) -> bool:  # fmt: skip
    """Fill one block; see `wavelet_coder_slow.decode_block`."""
    box = boxes[0]
    w = box[4] - box[3]
    room = room_of(w)
    sums, own = np.empty((2, room), np.int32), np.zeros((3, 2, room + 2), np.int32)
    whole, around = np.zeros(room + 2, np.int32), np.zeros(room + 2, np.int32)
    x, f = np.zeros((2, room), np.int32), np.empty(room, np.float32)
    even_c, odd_c = np.zeros(room, np.int32), np.zeros(room, np.int32)
    bits, busy = f.view(np.int32), np.empty(room // SEGMENT, np.int32)
    even, odd, even_x, odd_x = sums[0, : (w + 1) >> 1], sums[1, : w >> 1], x[0], x[1]
    found, flags = np.empty(room + SEGMENT, np.int32), np.empty(room + SEGMENT, np.int32)
    names, tables = np.empty(room + SEGMENT, np.uint8), np.empty(room + SEGMENT, np.uint8)
    mean = np.empty(CONTEXTS, np.float32)
    mean_bits = mean.view(np.int32)
    told, which = np.zeros(CONTEXTS + 1, np.int64), np.empty(CONTEXTS + 1, np.uint8)
    lut, starts, value, p = packed.lut, packed.cumulative, packed.value, place[0]
    for r in range(box[2] - box[1]):
        open_row(even, odd, r, own, q, boxes, weights, whole, around)
        row = row_of(q, box, r)
        learns = r < ALL_LEARN or r % 2 == 0
        if r <= ALL_LEARN or r % 2:
            choose_tables(learnt, mean, mean_bits, which)
        for half in range(2):
            s, out, context = (even, even_x, even_c) if half == 0 else (odd, odd_x, odd_c)
            if half == 1:
                add_sides(odd, own[r % 3, 0], weights[1, 4])
            n = s.size
            most = contexts(s, f, bits, context)
            if refine:
                most = 0
                refine_contexts(context, n, row, half)
            count = 0
            if find_busy(context, n, busy):
                count = _name_flags(names, n, busy)
                p = _take(
                    flags, count, names, tables, which, told, learns, packed, lut, starts, value, states, words, p, end
                )
            count = _name_symbols(context, n, busy, flags, names)
            if p <= end:
                p = _take(
                    found, count, names, tables, which, told, learns, packed, lut, starts, value, states, words, p, end
                )
            if p > end:
                return False
            _spread(out, n, busy, flags, found)
            if (most > TOP and not _add_raw(out, n, context, raw, state)) or _largest(out, n) > LARGEST:
                return False
            if refine:
                _add_old(out, n, row, half)
            keep_sizes(out, n, own[r % 3, half])
        write_row(row, even_x, odd_x)
        if learns:
            learn(learnt, told)
    place[0] = p
    return True
