"""Context-modelled coding of wavelet bands, compiled; `wavelet_coder_slow` says what it does, and is the definition."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int32, int64, uint32, uint64

from midtread.kernels.jit import inlined, jit
from midtread.kernels.wavelet_coder_slow import (
    CONTEXT,
    LARGEST,
    LOW,
    MOST_SUM,
    PRICE,
    RATE,
    SEEN,
    SHIFT,
    SYMBOLS,
)
from midtread.kernels.wavelet_coder_vector import find, move

# A row of magnitudes has two zeros before and behind it.


@jit
def _add(base: np.ndarray, x: np.ndarray, weight: int) -> None:
    for j in range(base.size):
        base[j] += int32(weight * x[j])


@jit
def _add_sizes(base: np.ndarray, x: np.ndarray, weight: int) -> None:
    for j in range(base.size):
        base[j] += int32(weight * abs(x[j]))


@inlined
def _row(q: Any, box: Any, r: Any) -> Any:
    """Row r of the band in `box`: plane, first and last row, first and last column (last: one beyond)."""
    return q[box[0], box[1] + r, box[3] : box[4]]


@jit
def _add_parents(base: np.ndarray, q: np.ndarray, box: np.ndarray, r: int, near: np.ndarray, of: np.ndarray) -> None:
    """Add the parents of row r: the coefficient at half the position and its four neighbours."""
    h, w = box[2] - box[1], box[4] - box[3]
    row = min(r >> 1, h - 1)
    near[:w] = 0
    middle = _row(q, box, row)
    _add_sizes(near[:w], middle, of[5])
    _add_sizes(near[1:w], middle, of[6])
    _add_sizes(near[: w - 1], middle[1:], of[6])
    if row > 0:
        _add_sizes(near[:w], _row(q, box, row - 1), of[6])
    if row + 1 < h:
        _add_sizes(near[:w], _row(q, box, row + 1), of[6])
    pairs = min(base.size >> 1, w)
    for j in range(pairs):
        base[2 * j] += near[j]
        base[2 * j + 1] += near[j]
    for j in range(2 * pairs, base.size):
        base[j] += near[w - 1]


@jit
def _open_row(
    base: np.ndarray, r: int, up: np.ndarray, up2: np.ndarray, near: np.ndarray, q: np.ndarray, boxes: np.ndarray,
    weights: np.ndarray,
) -> None:  # fmt: skip
    """Everything in S of row r but W and WW."""
    base[:] = 0
    _add(base, up[2:], weights[2])
    _add(base, up[1:], weights[3])
    _add(base, up[3:], weights[3])
    _add(base, up2[2:], weights[4])
    if boxes[1, 2] > boxes[1, 1]:
        _add_parents(base, q, boxes[1], r, near, weights)
    for i in range(2, 6):
        if r < boxes[i, 2] - boxes[i, 1]:
            row = _row(q, boxes[i], r)
            _add_sizes(base[: min(base.size, row.size)], row, weights[7 if i < 4 else 4 + i])


@inlined
def _context(s: Any) -> Any:
    s = uint32(s)  # a hostile sum wraps around
    if s < uint32(4096):
        return int64(CONTEXT[s])
    return int64(CONTEXT[min(s, uint32(MOST_SUM)) >> uint32(8)]) + 16


@inlined
def _learn(models: Any, context: Any, symbol: Any) -> None:
    seen = models[context, SEEN]
    models[context, SEEN] = min(seen + 1, 255)
    move(models, int64(context), int32(symbol), int32(RATE[seen]))


@inlined
def _price(models: Any, context: Any, symbol: Any) -> Any:
    width = (models[context, symbol + 1] >> 8) - (models[context, symbol] >> 8) + 1
    return int64(PRICE[width >> 4]) + (256 if symbol else 0)


@inlined
def _choose(a: Any, models: Any, context: Any, fraction: Any, rounding: Any, price: Any) -> Any:
    """The integer to code for the size `a` (in 2**-fraction): the cheapest of the nearest, one less, and zero."""
    q = (a + rounding) >> fraction
    if q == 0 or price == 0 or q >= SYMBOLS - 1:
        return q
    miss = a - (q << fraction)
    best, least = q, miss * miss * 16 + price * _price(models, context, q)
    for less in (q - 1, 0):
        miss = a - (less << fraction)
        cost = miss * miss * 16 + price * _price(models, context, less)
        if cost < least:
            best, least = less, cost
    return best


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


@jit
def _escape(raw: np.ndarray, words: int, acc: int, held: int, rest: int) -> tuple[int, int, int]:
    e = rest + 1
    n = 0
    while e >> (n + 1):
        n += 1
    words, acc, held = _put(raw, words, acc, held, uint64(n), 5)
    return _put(raw, words, acc, held, uint64(e - (int64(1) << n)), n)


@jit
def _encode_row(
    y: np.ndarray, q: np.ndarray, sums: np.ndarray, sizes: np.ndarray, weights: np.ndarray, models: np.ndarray,
    tape: np.ndarray, raw: np.ndarray, state: np.ndarray, settings: tuple,
) -> None:  # fmt: skip
    fraction, rounding, price = settings
    at, words, held, acc = int64(state[0]), int64(state[1]), int64(state[2]), state[3]
    of_w, of_ww = int64(weights[0]), int64(weights[1])
    size1, size2 = int64(0), int64(0)
    for j in range(q.size):
        context = _context(sums[j] + of_w * size1 + of_ww * size2)
        k = int64(SHIFT[context])
        x = int64(y[j])
        negative = uint64(x < 0)
        if k == 0:
            v = _choose(abs(x), models, context, fraction, rounding, price)
            x = -v if negative else v
        else:
            v = (abs(x) + rounding) >> fraction
            x = -v if negative else v
            negative = uint64(x < 0)
            v = x ^ (x >> 63)
        symbol = min(v >> k, SYMBOLS - 1)
        start = (models[context, symbol] >> 8) + symbol
        tape[at] = uint32(start | (((models[context, symbol + 1] >> 8) + symbol - start) << 16))
        at += 1
        _learn(models, context, symbol)
        if symbol == SYMBOLS - 1:
            words, acc, held = _escape(raw, words, acc, held, (v >> k) - symbol)
        if k > 0:
            words, acc, held = _put(raw, words, acc, held, (v & ((1 << k) - 1)) | int64(negative << uint64(k)), k + 1)
        elif v > 0:
            words, acc, held = _put(raw, words, acc, held, negative, 1)
        q[j] = x
        size2, size1 = size1, abs(x)
        sizes[j + 2] = size1
    state[0], state[1], state[2], state[3] = uint64(at), uint64(words), uint64(held), acc


@jit
def encode_band(
    y: np.ndarray, q: np.ndarray, boxes: np.ndarray, weights: np.ndarray, models: np.ndarray,
    tape: np.ndarray, raw: np.ndarray, state: np.ndarray, settings: tuple,
) -> None:  # fmt: skip
    """Choose and model one band; see `wavelet_coder_slow.encode_band`."""
    box = boxes[0]
    w = box[4] - box[3]
    sums, near = np.empty(w, np.int32), np.empty(w + 2, np.int32)
    here, up, up2 = np.zeros(w + 4, np.int32), np.zeros(w + 4, np.int32), np.zeros(w + 4, np.int32)
    for r in range(box[2] - box[1]):
        _open_row(sums, r, up, up2, near, q, boxes, weights)
        _encode_row(_row(y, box, r), _row(q, box, r), sums, here, weights, models, tape, raw, state, settings)
        here, up, up2 = up2, here, up


@jit
def write_words(tape: np.ndarray, count: int, out: np.ndarray) -> int:
    """Write the rANS of the first `count` symbols of the tape into the end of `out`; returns where it starts there."""
    x, at = uint64(LOW), out.size
    for i in range(count - 1, -1, -1):
        start, width = uint64(tape[i] & uint32(0xFFFF)), uint64(tape[i] >> uint32(16)) + uint64(1)
        if x >= width << uint64(47):
            at -= 1
            out[at] = uint32(x & uint64(0xFFFFFFFF))
            x >>= uint64(32)
        quotient = x // width
        x = (quotient << uint64(16)) + (x - quotient * width) + start
    at -= 2
    out[at], out[at + 1] = uint32(x & uint64(0xFFFFFFFF)), uint32(x >> uint64(32))
    return at


@inlined
def _fill(raw: Any, words: Any, acc: Any, held: Any) -> Any:
    """At least 32 bits held -> (words, acc, held)."""
    if held < 32:
        if words < raw.size:
            acc |= uint64(raw[words]) << uint64(held)
        words += 1
        held += 32
    return words, acc, held


@jit
def _read_escape(raw: np.ndarray, words: Any, acc: Any, held: Any) -> Any:
    words, acc, held = _fill(raw, words, acc, held)
    n = int64(acc & uint64(31))
    acc >>= uint64(5)
    words, acc, held = _fill(raw, words, acc, held - 5)
    rest = (int64(1) << n) + int64(acc & ((uint64(1) << uint64(n)) - uint64(1))) - 1
    return rest, words, acc >> uint64(n), held - n


@jit
def _decode_row(
    q: np.ndarray, sums: np.ndarray, sizes: np.ndarray, weights: np.ndarray, models: np.ndarray,
    stream: np.ndarray, raw: np.ndarray, state: np.ndarray,
) -> bool:  # fmt: skip
    at, words, held, acc, x = int64(state[0]), int64(state[1]), int64(state[2]), state[3], state[4]
    of_w, of_ww = int64(weights[0]), int64(weights[1])
    size1, size2 = int64(0), int64(0)
    for j in range(q.size):
        context = _context(sums[j] + of_w * size1 + of_ww * size2)
        slot = int32(x & uint64(0xFFFF))
        symbol = find(models, int64(context), slot)
        start = int64(models[context, symbol] >> 8) + symbol
        width = int64(models[context, symbol + 1] >> 8) + symbol + 1 - start
        x = uint64(width) * (x >> uint64(16)) + uint64(slot - start)
        if x < uint64(LOW):
            x = (x << uint64(32)) | (uint64(stream[at]) if at < stream.size else uint64(0))
            at += 1
        _learn(models, context, symbol)
        v, k = symbol, uint64(SHIFT[context])
        if symbol == SYMBOLS - 1:
            rest, words, acc, held = _read_escape(raw, words, acc, held)
            v += rest
            if (v << int64(k)) > LARGEST:
                return False
        words, acc, held = _fill(raw, words, acc, held)
        if k > uint64(0):
            v = (v << int64(k)) | int64(acc & ((uint64(1) << k) - uint64(1)))
            acc >>= k
            value = v ^ -int64(acc & uint64(1))
            acc >>= uint64(1)
            held -= int64(k) + 1
        else:
            some = uint64(v > 0)
            sign = int64(acc & some)
            acc >>= some
            held -= int64(some)
            value = (v ^ -sign) + sign
        q[j] = value
        size2, size1 = size1, abs(value)
        sizes[j + 2] = size1
    state[0], state[1], state[2], state[3], state[4] = uint64(at), uint64(words), uint64(held), acc, x
    return True


@jit
def decode_band(
    q: np.ndarray, boxes: np.ndarray, weights: np.ndarray, models: np.ndarray,
    stream: np.ndarray, raw: np.ndarray, state: np.ndarray,
) -> bool:  # fmt: skip
    """Fill one band; see `wavelet_coder_slow.decode_band`."""
    box = boxes[0]
    w = box[4] - box[3]
    sums, near = np.empty(w, np.int32), np.empty(w + 2, np.int32)
    here, up, up2 = np.zeros(w + 4, np.int32), np.zeros(w + 4, np.int32), np.zeros(w + 4, np.int32)
    for r in range(box[2] - box[1]):
        _open_row(sums, r, up, up2, near, q, boxes, weights)
        if not _decode_row(_row(q, box, r), sums, here, weights, models, stream, raw, state):
            return False
        here, up, up2 = up2, here, up
    return True


@jit
def scale(z: np.ndarray, y: np.ndarray, gain: np.float32) -> None:
    """Y [n] int32 = z [n] float32 times gain, rounded to nearest."""
    for i in range(y.size):
        y[i] = int32(np.rint(z[i] * gain))


@jit
def _restore_row(q: np.ndarray, z: np.ndarray, step: np.float32, shifts: np.ndarray) -> None:
    one, two, more = shifts[0], shifts[1], shifts[2]
    for i in range(q.size):
        size = abs(q[i])
        shift = one if size == 1 else (two if size == 2 else more)
        made = np.float32(np.float32(size) + shift) * step
        z[i] = np.float32(0) if q[i] == 0 else (-made if q[i] < 0 else made)


@jit
def restore(q: np.ndarray, z: np.ndarray, box: np.ndarray, step: np.float32, shifts: np.ndarray) -> None:
    """A band of z float32 = the integers q moved by shifts [3] (of sizes 1, 2 and the rest), times step."""
    for r in range(box[2] - box[1]):
        _restore_row(_row(q, box, r), _row(z, box, r), step, shifts)


@jit
def measure(y: np.ndarray, q: np.ndarray, box: np.ndarray, fraction: int, sums: np.ndarray) -> None:
    """Add to sums [3, 2] int64, for the sizes 1, 2 and the rest: what y is larger than q, and how many they are."""
    for r in range(box[2] - box[1]):
        of_y, of_q = _row(y, box, r), _row(q, box, r)
        for j in range(of_q.size):
            size = abs(int64(of_q[j]))
            if size > 0:
                sums[min(size, 3) - 1, 0] += abs(int64(of_y[j])) - (size << fraction)
                sums[min(size, 3) - 1, 1] += 1
