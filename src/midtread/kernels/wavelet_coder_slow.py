"""Context-modelled coding of wavelet bands, in NumPy, half a row at a time. This file is the definition.

A row is coded in two halves: its even columns, then its odd ones, which know both neighbours. No coefficient of a half
depends on another of it, so a half is a vector: first all its contexts, then all its symbols.

    S         sum of weight * |neighbour| modulo 2**32 (signed) over integers coded before
    context   0 when S <= 0, else half-octaves of S: what float32(S) has in its exponent and its first fraction bit,
              less what a S of 1 has there, plus 1; at most MOST
    k         0 up to context TOP, then one more for every two contexts
    symbol    x >> k; the k low bits of x go to the raw bits
    segment   16 neighbours of a half (its last has fewer). One whose contexts are all at most CALM is calm: a flag, of
              context FLAG + the largest of them, says whether it has anything but zeros, and if not, nothing else is
              coded of it; if so, BROKEN + its context is that of each symbol. The flags of a half come before its
              symbols; both are filled up to a multiple of 4 with symbols 0 of a table that knows no other (no bits:
              they keep the lanes of rANS in step).
    layer     when `refine` is set, the integers known so far have one bit less, and stand doubled in q. Of one that is
              not 0, in place of x: 0 or 1, what its size grows by, and the context is REFINE, REFINE + 1 or + 2 for a
              size of 2, 4 or more; it counts as above CALM. Others are -1, 0 or 1; contexts end at TOP, and k is 0.
    table     that of the mean size of the symbols which the context has met: quarter-octaves of float32(total) /
              float32(count), the same bits as above. Counts and totals grow after each of the first ALL_LEARN rows and
              each even one; where the count is above MEMORY then, both are halved, rounded down.

Symbols go to rANS with integer tables (`rans_slow`), raw bits to a stream of their own, lowest bit first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from midtread.kernels import rans_slow

TOP = 22  # the last context that codes all of x
MOST = TOP + 2 * 24
CALM = 5
FLAG = MOST + 1
BROKEN = FLAG + CALM + 1
REFINE = BROKEN + CALM + 1
FILL = CONTEXTS = REFINE + 3  # all contexts before FILL learn
SIZES, FLAGS = 60, 40  # tables of symbols and of flags, by their mean; then comes that of FILL
TABLES = SIZES + FLAGS + 1
LEAST_MEAN = 468  # float32(2**-10) >> 21: the mean of table 0
MEMORY = 256
ALL_LEARN = 64
LARGEST_TOLD = 255  # a size counts as this much at most
UNIT_TOLD = 256  # of totals
SEGMENT = 16
LARGEST = 2**28  # magnitudes beyond are refused
UNIT = 128  # of the weights: S is about 128 times the magnitude to expect
# Weights of N, NW and NE, NN, NNW and NNE (half a knight's move: a row up, two columns aside), W and E (odd columns
# only), the parent, its four neighbours, first and second sibling, first and second other plane.
WEIGHTS = 11
PRICES = 64  # sizes that have a price and a threshold of their own; the last stands for more as well

# State of a stream, uint64 [4]: symbols so far, words of raw bits so far, bits held, those bits.


def _row(q: np.ndarray, box: np.ndarray, r: int) -> np.ndarray:
    """Row r of the band in `box` (plane, first and last row, first and last column; last: one beyond), or nothing."""
    plane, top, bottom, left, right = (int(v) for v in box)
    return q[plane, top + r, left:right] if 0 <= r < bottom - top else q[plane, 0, :0]


def _sizes(row: np.ndarray, first: int, count: int) -> np.ndarray:
    """|row[first::2]| as `count` int32, zeros beyond its end."""
    out = np.zeros(count, np.int32)
    found = np.abs(row[first::2])[:count]
    out[: found.size] = found
    return out


def _shifted(x: np.ndarray, by: int, count: int) -> np.ndarray:
    """x[j + by] for j in 0 .. count - 1, zeros outside."""
    out = np.zeros(count, np.int32)
    for j in range(max(0, -by), min(count, x.size - by)):
        out[j] = x[j + by]
    return out


def _parents(q: np.ndarray, box: np.ndarray, r: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Sizes of the parents of columns 2 j and 2 j + 1 of row r, and the sums of their four neighbours."""
    p = r >> 1
    whole = np.abs(_row(q, box, p)).astype(np.int32)
    around = _shifted(whole, -1, count) + _shifted(whole, 1, count)
    for near in (p - 1, p + 1):
        around = around + _shifted(np.abs(_row(q, box, near)).astype(np.int32), 0, count)
    return _shifted(whole, 0, count), around


def sums(q: np.ndarray, boxes: np.ndarray, weights: np.ndarray, r: int, half: int) -> np.ndarray:
    """S of the even (half 0) or odd (1) columns of row r, int32; `q` is known up to there."""
    box = boxes[0]
    width = int(box[4] - box[3])
    count = (width + 1 - half) >> 1
    rows = [[_sizes(_row(q, box, r - up), first, (width + 1) >> 1) for first in (0, 1)] for up in (0, 1, 2)]
    if half == 0:
        near = _shifted(rows[1][1], -1, count) + _shifted(rows[1][1], 0, count)
        wide = _shifted(rows[1][0], -1, count) + _shifted(rows[1][0], 1, count)
        sides = np.zeros(count, np.int32)
    else:
        near = _shifted(rows[1][0], 0, count) + _shifted(rows[1][0], 1, count)
        wide = _shifted(rows[1][1], -1, count) + _shifted(rows[1][1], 1, count)
        sides = _shifted(rows[0][0], 0, count) + _shifted(rows[0][0], 1, count)
    parent, around = _parents(q, boxes[1], r, count)
    known = [_shifted(rows[1][half], 0, count), near, _shifted(rows[2][half], 0, count), wide, sides, parent, around]
    known += [_sizes(_row(q, other, r), half, count) for other in boxes[2:]]
    total = np.zeros(count, np.int64)
    for weight, sizes in zip(weights[half], known, strict=True):
        total += int(weight) * sizes.astype(np.int64)
    return total.astype(np.int32)


def contexts(s: np.ndarray) -> np.ndarray:
    """Contexts int32 of sums int32."""
    return np.clip((s.astype(np.float32).view(np.int32) >> 22) - 253, 0, MOST)


def tables(learnt: np.ndarray) -> np.ndarray:
    """The table of each context, uint8 [CONTEXTS + 1], for counts and totals int64 [CONTEXTS, 2]."""
    mean = learnt[:, 1].astype(np.float32) / np.float32(UNIT_TOLD) / learnt[:, 0].astype(np.float32)
    place = (mean.view(np.int32) >> 21) - LEAST_MEAN
    out = np.append(np.clip(place, 0, SIZES - 1), SIZES + FLAGS)
    for binary in (slice(FLAG, BROKEN), slice(REFINE, FILL)):
        out[binary] = SIZES + np.clip(place[binary], 0, FLAGS - 1)
    return out.astype(np.uint8)


def refined(context: np.ndarray, old: np.ndarray) -> np.ndarray:
    """Contexts of a half whose doubled integers were `old`."""
    return np.where(old == 0, np.minimum(context, TOP), REFINE + np.clip(np.abs(old) >> 1, 1, 3) - 1)


def _learn(learnt: np.ndarray, symbols: np.ndarray, names: np.ndarray) -> None:
    """Add the symbols of a row to what their contexts have met."""
    told = np.minimum(np.abs(symbols.astype(np.int64)), LARGEST_TOLD) * UNIT_TOLD
    real = names != FILL
    new = np.zeros((CONTEXTS, 2), np.int64)
    np.add.at(new, names[real], np.stack([np.ones_like(told), told], 1)[real])
    new += learnt
    learnt[:] = new >> (new[:, :1] > MEMORY)


def shifts(context: np.ndarray) -> np.ndarray:
    """K of contexts."""
    return np.where(context <= MOST, np.maximum(context - (TOP - 1), 0) >> 1, 0)


def _busy(context: np.ndarray) -> np.ndarray:
    """For each segment, the largest of its contexts."""
    return np.array([context[j : j + SEGMENT].max() for j in range(0, context.size, SEGMENT)], np.int32)


def _of_flags(context: np.ndarray) -> np.ndarray:
    """Contexts of the flags of a half, uint8."""
    busy = _busy(context)
    return (FLAG + busy[busy <= CALM]).astype(np.uint8)


def quantize(
    y: np.ndarray, context: np.ndarray, table: np.ndarray, thresholds: np.ndarray, settings: tuple[int, int]
) -> np.ndarray:  # fmt: skip
    """The integers to code: nearest (or lower, with less than half added), and one less below a threshold.

    Whether one less costs less depends on where in its interval a size lies alone: with a size a = v + miss, going from
    v to v - 1 adds 2 miss + 1 squared steps and saves the difference of two prices, known for each table and v.
    """
    fraction, rounding = settings
    a = np.abs(y)
    v = (a + rounding) >> fraction
    row = np.where(context <= TOP, table[context], TABLES - 1)
    v = v - (a - (v << fraction) < thresholds[row, np.minimum(v, PRICES - 1)])
    return np.where(y < 0, -v, v).astype(np.int32)


def _put(raw: np.ndarray, state: np.ndarray, value: int, count: int) -> None:
    """Append bits to the raw stream."""
    words, held, bits = (int(v) for v in state[1:4])
    bits |= value << held
    held += count
    if held >= 32:
        raw[words] = bits & 0xFFFFFFFF
        words, held, bits = words + 1, held - 32, bits >> 32
    state[1], state[2], state[3] = words, held, bits


def _names(context: np.ndarray, flags: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Contexts of the symbols that a half has, for the flags of its calm segments, and which of the half they are."""
    name, kept = context.astype(np.uint8), np.ones(context.size, bool)
    for i, flag in zip(np.flatnonzero(_busy(context) <= CALM), flags, strict=True):
        part = slice(SEGMENT * i, SEGMENT * (i + 1))
        kept[part], name[part] = flag != 0, BROKEN + name[part]
    return _filled(name[kept], FILL), kept


def _filled(x: np.ndarray, value: int) -> np.ndarray:
    """X and up to three times `value`, a multiple of 4 in all."""
    return np.append(x, np.full(-x.size % 4, value, x.dtype))


def _note_half(x: np.ndarray, context: np.ndarray, raw: np.ndarray, state: np.ndarray) -> tuple:
    """(symbols, names) of a half; its raw bits are put to the others."""
    k = shifts(context)
    for j in np.flatnonzero(k):
        _put(raw, state, int(x[j]) & ((1 << int(k[j])) - 1), int(k[j]))
    parts = [x[SEGMENT * i : SEGMENT * (i + 1)] for i in np.flatnonzero(_busy(context) <= CALM)]
    flags = np.array([part.any() for part in parts], np.int32)
    names, kept = _names(context, flags)
    symbols = [_filled(flags, 0), _filled((x >> k)[kept], 0)]
    return np.concatenate(symbols), np.concatenate([_filled(_of_flags(context), FILL), names])


def encode_block(
    y: np.ndarray, q: np.ndarray, boxes: np.ndarray, weights: np.ndarray, learnt: np.ndarray, thresholds: np.ndarray,
    symbols: np.ndarray, indices: np.ndarray, raw: np.ndarray, state: np.ndarray, settings: tuple[int, int],
    refine: bool,
) -> None:  # fmt: skip
    """Choose the integers of one block of a band and note their symbols.

    Args:
        y: int32 [planes, H, W] in 2**-fraction.
        q: int32, same shape: the integers chosen so far; this block is filled in.
        boxes: int64 [6, 5]: this block, the parents', two siblings', two other planes'.
        weights: int32 [2, 11], of even and odd columns.
        learnt: int64 [CONTEXTS, 2], count and total of each context; updated.
        thresholds: int32 [TABLES, PRICES], see `quantize`; its last row is for contexts beyond TOP.
        symbols: int32, room for 17 for every 16 coefficients and 14 more each row.
        indices: uint8, tables of the symbols.
        raw: uint32, room for a word a coefficient.
        state: uint64 [4], updated.
        settings: fraction; what is added before rounding down.
        refine: y has the integers themselves, and q those of one bit less, doubled.
    """
    box = boxes[0]
    for r in range(int(box[2] - box[1])):
        which, first = tables(learnt), int(state[0])
        told = []
        for half in (0, 1):
            context = contexts(sums(q, boxes, weights, r, half))
            old, given = _row(q, box, r)[half::2].copy(), _row(y, box, r)[half::2]
            if refine:
                context, x = refined(context, old), np.where(old < 0, old - given, given - old)
            else:
                x = quantize(given, context, which, thresholds, settings)
            _row(q, box, r)[half::2] = given if refine else x
            told.append(_note_half(x, context, raw, state))
        found, names = (np.concatenate(parts) for parts in zip(*told, strict=True))
        symbols[first : first + found.size], indices[first : first + found.size] = found, which[names]
        state[0] = first + found.size
        if r < ALL_LEARN or r % 2 == 0:
            _learn(learnt, found, names)


def _get(raw: np.ndarray, state: np.ndarray, count: int) -> int:
    """The next bits of the raw stream; zeros behind its end."""
    words, held, bits = (int(v) for v in state[1:4])
    if held < 32:
        bits |= (int(raw[words]) if words < raw.size else 0) << held
        words, held = words + 1, held + 32
    state[1], state[2], state[3] = words, held - count, bits >> count
    return bits & ((1 << count) - 1)


def decode_block(
    q: np.ndarray, boxes: np.ndarray, weights: np.ndarray, learnt: np.ndarray, packed: Any, states: np.ndarray,
    words: np.ndarray, place: np.ndarray, end: int, raw: np.ndarray, state: np.ndarray, refine: bool,
) -> bool:  # fmt: skip
    """Fill one block of q. Arguments are those of `encode_block`, and of the rANS:

    packed is `kernels.packed.Packed`, the tables; states uint64 [1 or 4], the lanes, updated; words uint32, with 16
    more behind `end`; place int64 [1], the next word, updated. Returns False when there is no such block: the stream
    ends too early or holds too large a number.
    """
    told: list[tuple[np.ndarray, np.ndarray]] = []

    def take(names: np.ndarray) -> np.ndarray:
        out = np.zeros(names.size, np.int32)
        if place[0] >= 0:
            place[0] = rans_slow.decode(out, which[names], packed, 0, states, words, int(place[0]), end)
        told.append((out, names))
        return out

    for r in range(int(boxes[0, 2] - boxes[0, 1])):
        which = tables(learnt)
        told.clear()
        for half in (0, 1):
            context, old = contexts(sums(q, boxes, weights, r, half)), _row(q, boxes[0], r)[half::2].astype(np.int64)
            context = refined(context, old) if refine else context
            k, of_flags = shifts(context), _of_flags(context)
            flags = take(_filled(of_flags, FILL))[: of_flags.size]
            names, kept = _names(context, flags)
            x = np.zeros(context.size, np.int64)
            x[kept] = take(names)[: kept.sum()]
            for j in np.flatnonzero(k):
                x[j] = (x[j] << k[j]) | _get(raw, state, int(k[j]))
            x = old + np.where(old < 0, -x, x) if refine else x
            if place[0] < 0 or np.abs(x).max(initial=0) > LARGEST:
                return False
            _row(q, boxes[0], r)[half::2] = x
        if r < ALL_LEARN or r % 2 == 0:
            _learn(learnt, *(np.concatenate(parts) for parts in zip(*told, strict=True)))
    return True
