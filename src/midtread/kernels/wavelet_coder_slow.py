"""Context-modelled coding of wavelet bands: adaptive 16-symbol rANS, in plain Python. This file is the definition.

A coefficient x is coded as a symbol 0..15 under a context, and raw bits:

    context   of S = sum of weight * magnitude over decoded neighbours (docs/formats/wavelet.md), about 64 E|x|
    k         0 while E|x| is below 4, then growing with its logarithm
    k = 0     symbol min(|x|, 15), escape, 1 sign bit unless x = 0
    k > 0     v = x ^ (x >> 31); symbol min(v >> k, 15), escape, k low bits of v, 1 sign bit
    escape    after symbol 15, with e = (size - 15) + 1: 5 bits of length n of e without its top bit, n bits

Symbols go to a rANS of 64-bit state and 32-bit words, which the encoder writes backwards; raw bits to a stream of their
own, lowest first. `models` [contexts, 18] int32 hold cumulative frequencies c[0..16] in units of 2**-8 and the number
of symbols seen; symbol i starts at (c[i] >> 8) + i of 65536. Everything is integer arithmetic.
"""

from __future__ import annotations

import numpy as np

SYMBOLS = 16
TOTAL = (65536 - SYMBOLS) << 8
SEEN = SYMBOLS + 1  # column of `models`
CONTEXTS = 41
UNIT = 64  # of the weights: S is about 64 times the magnitude to expect
LARGEST = 2**28  # magnitudes beyond are refused
MOST_SUM = 2**20 - 1
LOW = 1 << 31  # the rANS state stays at or above
# Weights of W, WW, N, NW and NE, NN, the parent, its four neighbours, siblings, first other plane, second other plane.
WEIGHTS = 10


def _contexts() -> np.ndarray:
    """Context of a sum below 4096: half-octaves."""
    table = np.zeros(4096, np.uint8)
    for s in range(1, 4096):
        top = s.bit_length() - 1
        table[s] = 1 + 2 * top + ((s >> (top - 1)) & 1 if top else 0)
    return table


CONTEXT = _contexts()
SHIFT = np.array([max((c - 1) // 2 - 7, 0) for c in range(CONTEXTS)], np.int32)  # k of a context
RATE = np.array([4 if n < 6 else 5 if n < 24 else 6 if n < 120 else 7 for n in range(256)], np.int32)
# Price of a frequency f of 65536 in 1/256 bit, by f >> 4.
PRICE = np.rint(256 * (12 - np.log2(np.maximum(np.arange(4097), 0.5)))).astype(np.int32)

# State of a stream, uint64 [5]: symbols (encoder) or words (decoder) so far, words of raw bits so far, bits held, those
# bits, and the rANS state (decoder).


def fresh_models(sets: int) -> np.ndarray:
    """Models [sets, CONTEXTS, 18] as a stream starts: geometric, of the mean that the context promises."""
    models = np.zeros((sets, CONTEXTS, SEEN + 1), np.int32)
    for context in range(CONTEXTS):
        top, half = divmod(max(context - 1, 0), 2)
        mean = ((1 << top) * (5 + 2 * half) * 1024 // (4 * UNIT)) if context else 2  # in 1/1024
        mean >>= int(SHIFT[context])
        left = TOTAL
        for i in range(1, SYMBOLS):
            left = left * mean // (1024 + mean)
            models[:, context, i] = TOTAL - left
        models[:, context, SYMBOLS] = TOTAL
    return models


def _at(q: np.ndarray, box: np.ndarray, r: int, c: int) -> int:
    """Size of the coefficient at (r, c) of the band in `box` (plane, first and last row, first and last column)."""
    plane, top, bottom, left, right = (int(v) for v in box)
    inside = 0 <= r < bottom - top and 0 <= c < right - left
    return abs(int(q[plane, top + r, left + c])) if inside else 0


def _context(q: np.ndarray, boxes: np.ndarray, weights: np.ndarray, r: int, c: int) -> int:
    """Context of the coefficient at (r, c) of band boxes[0]; boxes[1:] are parent, two siblings, two other planes."""
    this, parent = boxes[0], boxes[1]
    sizes = [
        _at(q, this, r, c - 1),
        _at(q, this, r, c - 2),
        _at(q, this, r - 1, c),
        _at(q, this, r - 1, c - 1) + _at(q, this, r - 1, c + 1),
        _at(q, this, r - 2, c),
        *_parents(q, parent, r, c),
        _at(q, boxes[2], r, c) + _at(q, boxes[3], r, c),
        _at(q, boxes[4], r, c),
        _at(q, boxes[5], r, c),
    ]
    s = sum(int(weight) * size for weight, size in zip(weights, sizes, strict=True)) & 0xFFFFFFFF
    return int(CONTEXT[s]) if s < 4096 else int(CONTEXT[min(s, MOST_SUM) >> 8]) + 16


def _parents(q: np.ndarray, box: np.ndarray, r: int, c: int) -> tuple[int, int]:
    """Size of the parent, and the sum of its four neighbours; a band's last parent serves whatever lies beyond."""
    if box[2] == box[1] or box[4] == box[3]:
        return 0, 0
    r, c = min(r >> 1, int(box[2] - box[1]) - 1), min(c >> 1, int(box[4] - box[3]) - 1)
    around = _at(q, box, r - 1, c) + _at(q, box, r + 1, c) + _at(q, box, r, c - 1) + _at(q, box, r, c + 1)
    return _at(q, box, r, c), around


def _start(model: np.ndarray, symbol: int) -> int:
    return (int(model[symbol]) >> 8) + symbol


def _learn(model: np.ndarray, symbol: int) -> None:
    rate = int(RATE[model[SEEN]])
    model[SEEN] = min(int(model[SEEN]) + 1, 255)
    for i in range(SYMBOLS):
        model[i] += ((TOTAL if i > symbol else 0) - int(model[i])) >> rate


def _price(model: np.ndarray, symbol: int) -> int:
    width = _start(model, symbol + 1) - _start(model, symbol)
    return int(PRICE[width >> 4]) + (256 if symbol else 0)


def _choose(a: int, model: np.ndarray, settings: tuple[int, int, int]) -> int:
    """The integer to code for the size `a` (in 2**-fraction): the cheapest of the nearest, one less, and zero."""
    fraction, rounding, price = settings
    q = (a + rounding) >> fraction
    if q == 0 or price == 0 or q >= SYMBOLS - 1:
        return q
    costs = [(a - (v << fraction)) ** 2 * 16 + price * _price(model, v) for v in (q, q - 1, 0)]
    return (q, q - 1, 0)[costs.index(min(costs))]


def _put(raw: np.ndarray, state: np.ndarray, value: int, count: int) -> None:
    """Append bits to the raw stream."""
    words, held, bits = (int(v) for v in state[1:4])
    bits |= value << held
    held += count
    if held >= 32:
        raw[words] = bits & 0xFFFFFFFF
        words, held, bits = words + 1, held - 32, bits >> 32
    state[1], state[2], state[3] = words, held, bits


def _encode_one(
    y: int, model: np.ndarray, k: int, tape: np.ndarray, raw: np.ndarray, state: np.ndarray,
    settings: tuple[int, int, int],
) -> int:  # fmt: skip
    """Code one coefficient; returns what was chosen for it."""
    fraction, rounding, _ = settings
    v = _choose(abs(y), model, settings) if k == 0 else (abs(y) + rounding) >> fraction
    x = -v if y < 0 else v
    v = v if k == 0 else x ^ (x >> 63)
    symbol = min(v >> k, SYMBOLS - 1)
    start = _start(model, symbol)
    tape[int(state[0])] = start | (_start(model, symbol + 1) - start - 1) << 16
    state[0] += np.uint64(1)
    _learn(model, symbol)
    if symbol == SYMBOLS - 1:
        e = (v >> k) - symbol + 1
        n = e.bit_length() - 1
        _put(raw, state, n, 5)
        _put(raw, state, e - (1 << n), n)
    if k > 0:
        _put(raw, state, v & ((1 << k) - 1) | (x < 0) << k, k + 1)
    elif v > 0:
        _put(raw, state, int(x < 0), 1)
    return x


def encode_band(
    y: np.ndarray, q: np.ndarray, boxes: np.ndarray, weights: np.ndarray, models: np.ndarray,
    tape: np.ndarray, raw: np.ndarray, state: np.ndarray, settings: tuple[int, int, int],
) -> None:  # fmt: skip
    """Choose the integers of one band and note their symbols.

    Args:
        y: int32 [planes, H, W] in 2**-fraction.
        q: int32, same shape: the integers chosen so far; this band is filled in.
        boxes: int64 [6, 5], see `_context`.
        weights: int32 [10].
        models: int32 [CONTEXTS, 18], updated.
        tape: uint32, room for every symbol: start | (width - 1) << 16.
        raw: uint32, room for two words a coefficient.
        state: uint64 [5], updated.
        settings: fraction; what is added before rounding down; price of a bit in 2**-12 squared steps.
    """
    plane, top, bottom, left, right = (int(v) for v in boxes[0])
    for r in range(bottom - top):
        for c in range(right - left):
            context = _context(q, boxes, weights, r, c)
            value, k = int(y[plane, top + r, left + c]), int(SHIFT[context])
            q[plane, top + r, left + c] = _encode_one(value, models[context], k, tape, raw, state, settings)


def write_words(tape: np.ndarray, count: int, out: np.ndarray) -> int:
    """Write the rANS of the first `count` symbols of the tape into the end of `out`; returns where it starts there."""
    x, at = LOW, out.size
    for i in range(count - 1, -1, -1):
        start, width = int(tape[i]) & 0xFFFF, (int(tape[i]) >> 16) + 1
        if x >= width << 47:
            at -= 1
            out[at] = x & 0xFFFFFFFF
            x >>= 32
        x = (x // width << 16) + x % width + start
    out[at - 2], out[at - 1] = x & 0xFFFFFFFF, x >> 32
    return at - 2


def _get(raw: np.ndarray, state: np.ndarray, count: int) -> int:
    """The next bits of the raw stream; zeros behind its end."""
    words, held, bits = (int(v) for v in state[1:4])
    if held < 32:
        bits |= (int(raw[words]) if words < raw.size else 0) << held
        words, held = words + 1, held + 32
    state[1], state[2], state[3] = words, held - count, bits >> count
    return bits & ((1 << count) - 1)


def _decode_one(model: np.ndarray, k: int, stream: np.ndarray, raw: np.ndarray, state: np.ndarray) -> int | None:
    """The next coefficient, or None when it is larger than any may be."""
    x = int(state[4])
    slot = x & 0xFFFF
    symbol = sum(_start(model, i) <= slot for i in range(1, SYMBOLS))
    start = _start(model, symbol)
    x = (_start(model, symbol + 1) - start) * (x >> 16) + slot - start
    if x < LOW:
        at = int(state[0])
        x = x << 32 | (int(stream[at]) if at < stream.size else 0)
        state[0] += np.uint64(1)
    state[4] = x
    _learn(model, symbol)
    v = symbol
    if symbol == SYMBOLS - 1:
        n = _get(raw, state, 5)
        v += (1 << n) + _get(raw, state, n) - 1
        if v << k > LARGEST:
            return None
    if k > 0:
        bits = _get(raw, state, k + 1)
        v = v << k | bits & ((1 << k) - 1)
        return v ^ -(bits >> k)
    return -v if _get(raw, state, int(v > 0)) else v


def decode_band(
    q: np.ndarray, boxes: np.ndarray, weights: np.ndarray, models: np.ndarray,
    stream: np.ndarray, raw: np.ndarray, state: np.ndarray,
) -> bool:  # fmt: skip
    """Fill one band of q; arguments as in `encode_band`, `stream` and `raw` uint32. False: too large a number."""
    plane, top, bottom, left, right = (int(v) for v in boxes[0])
    for r in range(bottom - top):
        for c in range(right - left):
            context = _context(q, boxes, weights, r, c)
            value = _decode_one(models[context], int(SHIFT[context]), stream, raw, state)
            if value is None:
                return False
            q[plane, top + r, left + c] = value
    return True


def scale(z: np.ndarray, y: np.ndarray, gain: np.float32) -> None:
    """Y [n] int32 = z [n] float32 times gain, rounded to nearest, ties to even."""
    y[:] = np.rint(z * gain).astype(np.int32)


def restore(q: np.ndarray, z: np.ndarray, box: np.ndarray, step: np.float32, shifts: np.ndarray) -> None:
    """A band of z float32 = the integers q, their sizes moved by shifts [3] (of 1, 2 and the rest), times step."""
    plane, top, bottom, left, right = (int(v) for v in box)
    given = q[plane, top:bottom, left:right]
    sizes = np.abs(given)
    made = (sizes.astype(np.float32) + shifts[np.clip(sizes, 1, 3) - 1]) * step
    z[plane, top:bottom, left:right] = np.where(given == 0, np.float32(0), np.where(given < 0, -made, made))


def measure(y: np.ndarray, q: np.ndarray, box: np.ndarray, fraction: int, sums: np.ndarray) -> None:
    """Add to sums [3, 2] int64, for the sizes 1, 2 and the rest: what y is larger than q, and how many they are."""
    plane, top, bottom, left, right = (int(v) for v in box)
    part = (plane, slice(top, bottom), slice(left, right))
    sizes = np.abs(q[part]).astype(np.int64)
    more = np.abs(y[part]).astype(np.int64) - (sizes << fraction)
    for kind in range(3):
        which = np.minimum(sizes, 3) == kind + 1
        sums[kind] += more[which].sum(), which.sum()
