"""rANS over interleaved lanes, compiled; `rans_slow` says what it does, and is the definition.

What is different here: four symbols at a time, and a multiplication by a reciprocal (`packed`) for the division.
rANS: Duda, arXiv:1311.2540; interleaved lanes: Giesen, arXiv:1402.3392; division: Alverson, ARITH 1991.

`get` and `get_escape` decode one symbol inside another kernel whose next table depends on it (causal contexts; see
`causal.decode`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from midtread.kernels.jit import inlined, int32, int64, intrinsic, jit, uint32, uint64
from midtread.kernels.packed import MARKER, Packed

LOWEST = 1 << 31


@intrinsic
def _high_product(context: Any, a: Any, b: Any) -> Any:
    """Upper 64 bits of the 128-bit product of two uint64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(128)
        left, right = (builder.zext(value, wide) for value in arguments)
        return builder.trunc(builder.lshr(builder.mul(left, right), ir.Constant(wide, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), generate


@inlined
def _table(indices: Any, i: Any) -> Any:
    """Table of symbol i; without indices there is one table."""
    if indices is None:
        return uint64(0)
    return uint64(indices[i])  # numba drops this branch when indices are None


@inlined
def _within(symbol: Any, low: Any, size: Any) -> Any:
    """Number of `symbol` in a table of `size` symbols from `low` on, or the escape's."""
    return uint64(min(uint32(int32(symbol - low)), size))


@inlined
def _find(symbol: Any, t: Any, packed: Any) -> Any:
    """Place of `symbol` in table t, or the escape's."""
    return uint64(packed.base[t]) + _within(symbol, packed.low[t], packed.size[t])


@inlined
def _push(x: Any, q: Any, words: Any, at: Any, packed: Any) -> Any:
    """Encode what stands at place `at` -> (x, q)."""
    top = x >> uint64(32)
    words[q - uint64(1)] = uint32(x)  # always written, kept only when the state is full: no branch to mispredict
    full = top >= uint64(packed.entry[at])
    x = top if full else x
    quotient = _high_product(x, packed.reciprocal[at]) >> uint64(packed.shift[at])
    return x + uint64(packed.bias[at]) + quotient * uint64(packed.complement[at]), q - uint64(full)


@jit
def _put(x: int, q: int, words: np.ndarray, symbol: int, t: int, packed: Packed) -> tuple[int, int]:
    """Encode any symbol under table t, also one that the table lacks -> (x, q)."""
    at = _find(symbol, t, packed)
    if packed.entry[at] == uint32(0):
        value = uint64(uint32((int64(symbol) << int64(1)) ^ (int64(symbol) >> int64(63))))
        count = uint64(1)
        while value >> (uint64(7) * count):
            count += uint64(1)
        more = uint64(0)
        while count:
            count -= uint64(1)
            if x >= uint64(1 << 55):
                q -= uint64(1)
                words[q] = uint32(x)
                x >>= uint64(32)
            x = (x << uint64(8)) | ((value >> (uint64(7) * count)) & uint64(127)) | more
            more = uint64(128)
        at = uint64(packed.base[t]) + uint64(packed.size[t]) + uint64(1)
    return _push(x, q, words, at, packed)


@jit
def encode(
    symbols: np.ndarray, indices: np.ndarray | None, packed: Packed, first: int, states: np.ndarray,
    words: np.ndarray, q: int,
) -> int:  # fmt: skip
    """Encode `symbols`, last to first, in front of words[q:]; see `rans_slow.encode`."""
    q, i, first = uint64(q), uint64(symbols.size), uint64(first)
    lane = uint64(states.size - 1)  # 0 or 3: a mask
    while i > uint64(0) and (lane == uint64(0) or (first + i) & lane):
        i -= uint64(1)
        where = (first + i) & lane
        states[where], q = _put(states[where], q, words, symbols[i], _table(indices, i), packed)
    if i >= uint64(4):
        i, q = _encode_fours(symbols, indices, packed, states, words, q, i)
    while i > uint64(0):
        i -= uint64(1)
        where = (first + i) & lane
        states[where], q = _put(states[where], q, words, symbols[i], _table(indices, i), packed)
    return q


@jit
def _encode_fours(
    symbols: np.ndarray, indices: np.ndarray | None, packed: Packed, states: np.ndarray,
    words: np.ndarray, q: int, i: int,
) -> tuple[int, int]:  # fmt: skip
    """Encode symbols[:i] in fours, lanes 3 2 1 0, until fewer than four are left -> (i, q)."""
    entry, low, most = packed.entry, packed.low[0], packed.size[0]
    x0, x1, x2, x3 = states[0], states[1], states[2], states[3]
    while i >= uint64(4):
        i -= uint64(4)
        i1, i2, i3 = i + uint64(1), i + uint64(2), i + uint64(3)
        t0, t1, t2, t3 = _table(indices, i), _table(indices, i1), _table(indices, i2), _table(indices, i3)
        if indices is None:  # one table: its first symbol and its size stay in registers
            a0, a1 = _within(symbols[i], low, most), _within(symbols[i1], low, most)
            a2, a3 = _within(symbols[i2], low, most), _within(symbols[i3], low, most)
        else:
            a0, a1 = _find(symbols[i], t0, packed), _find(symbols[i1], t1, packed)
            a2, a3 = _find(symbols[i2], t2, packed), _find(symbols[i3], t3, packed)
        if min(min(entry[a0], entry[a1]), min(entry[a2], entry[a3])) > uint32(0):
            x3, q = _push(x3, q, words, a3, packed)
            x2, q = _push(x2, q, words, a2, packed)
            x1, q = _push(x1, q, words, a1, packed)
            x0, q = _push(x0, q, words, a0, packed)
        else:
            x3, q = _put(x3, q, words, symbols[i3], t3, packed)
            x2, q = _put(x2, q, words, symbols[i2], t2, packed)
            x1, q = _put(x1, q, words, symbols[i1], t1, packed)
            x0, q = _put(x0, q, words, symbols[i], t0, packed)
    states[0], states[1], states[2], states[3] = x0, x1, x2, x3
    return i, q


@inlined
def _slot(x: Any, packed: Any) -> Any:
    """The bits of state x that name its next symbol."""
    return uint32(x & ((uint64(1) << uint64(packed.precision)) - uint64(1)))


@inlined
def _near(slot: Any, t: Any, packed: Any) -> Any:
    """A place in table t at or before the symbol of `slot`."""
    bits = uint64(packed.lut_bits)
    return uint64(packed.lut[(uint64(t) << bits) | (uint64(slot) >> (uint64(packed.precision) - bits))])


@inlined
def _climb(at: Any, slot: Any, packed: Any) -> Any:
    """The place of the symbol of `slot`, from a place before it."""
    while packed.cumulative[at + uint64(1)] <= slot:
        at += uint64(1)
    return at


@inlined
def _pop(x: Any, at: Any, packed: Any) -> Any:
    """State without the symbol at `at`, before a word is moved in."""
    precision = uint64(packed.precision)
    slot = x & ((uint64(1) << precision) - uint64(1))
    start = uint64(packed.cumulative[at])
    return (uint64(packed.cumulative[at + uint64(1)]) - start) * (x >> precision) + slot - start


@inlined
def _refill(x: Any, p: Any, words: Any) -> Any:
    """Move a word in when the state is low -> (x, p). Reads words[p] in any case, so that no branch is needed."""
    word = uint64(words[p])
    low = x < uint64(LOWEST)
    x = ((x << uint64(32)) | word) if low else x
    return x, p + uint64(low)


@inlined
def _refill_until(x: Any, p: Any, words: Any, end: Any) -> Any:
    """Move a word in when the state is low and one is left -> (x, p)."""
    if x < uint64(LOWEST) and p < end:
        return (x << uint64(32)) | uint64(words[p]), p + uint64(1)
    return x, p


@jit
def get_escape(x: int, p: int, words: np.ndarray, end: int) -> tuple[int, int, int]:
    """The bytes of a symbol that its table lacks -> (symbol, x, p); p = end + 1 when it is no int32."""
    value = shift = uint64(0)
    more = True
    while more:
        byte = x & uint64(255)
        value |= (byte & uint64(127)) << shift
        more = byte > uint64(127)
        shift += uint64(7)
        x, p = _refill_until(x >> uint64(8), p, words, end)
        if (more and shift == uint64(35)) or value > uint64(0xFFFFFFFF):
            return int32(0), x, end + uint64(1)
    return int32(int64(value >> uint64(1)) ^ -int64(value & uint64(1))), x, p


@inlined
def get(x: Any, p: Any, words: Any, end: Any, t: Any, packed: Any) -> Any:
    """Decode a symbol of table t -> (symbol, escaped, x, p). When `escaped`, `get_escape` has the symbol.

    All counters are uint64. It does not call `get_escape` itself: with a call inside, numba counts references to every
    array of `packed` on each symbol, which costs five times the rest.
    """
    slot = _slot(x, packed)
    at = _climb(_near(slot, t, packed), slot, packed)
    symbol = packed.value[at]
    escaped = symbol == int32(MARKER) and at == uint64(packed.base[t]) + uint64(packed.size[t])
    x, p = _refill_until(_pop(x, at, packed), p, words, end)
    return symbol, escaped, x, p


@jit
def _get(x: int, p: int, words: np.ndarray, end: int, t: int, packed: Packed) -> tuple[int, int, int]:
    """Decode any symbol of table t -> (symbol, x, p)."""
    symbol, escaped, x, p = get(x, p, words, end, t, packed)
    if escaped:
        symbol, x, p = get_escape(x, p, words, end)
    return symbol, x, p


@jit
def decode(
    out: np.ndarray, indices: np.ndarray | None, packed: Packed, first: int, states: np.ndarray,
    words: np.ndarray, p: int, end: int,
) -> int:  # fmt: skip
    """Decode into `out`, reading words[p:end]; see `rans_slow.decode`. `words` has 16 more after `end`."""
    p, end, i, first = uint64(p), uint64(end), uint64(0), uint64(first)
    n, lane = uint64(out.size), uint64(states.size - 1)  # a mask
    while i < n and p <= end:
        if lane and ((first + i) & lane) == uint64(0) and i + uint64(4) <= n:
            i, p = _decode_fours(out, indices, packed, states, words, p, end, i)
        aligned = False
        while i < n and p <= end and not aligned:  # past the escape that stopped the fours, or to where fours begin
            where = (first + i) & lane
            out[i], states[where], p = _get(states[where], p, words, end, _table(indices, i), packed)
            i += uint64(1)
            aligned = lane > uint64(0) and ((first + i) & lane) == uint64(0)
    return int64(p) if p <= end else int64(-1)


@jit
def _decode_fours(
    out: np.ndarray, indices: np.ndarray | None, packed: Packed, states: np.ndarray,
    words: np.ndarray, p: int, end: int, i: int,
) -> tuple[int, int]:  # fmt: skip
    """Decode out[i:] in fours, lanes 0 1 2 3, until an escape, the end of `out` or p > end -> (i, p)."""
    value, n, low, escape = packed.value, uint64(out.size), packed.low[0], uint64(packed.size[0])
    x0, x1, x2, x3 = states[0], states[1], states[2], states[3]
    while i + uint64(4) <= n and p <= end:
        i1, i2, i3 = i + uint64(1), i + uint64(2), i + uint64(3)
        t0, t1, t2, t3 = _table(indices, i), _table(indices, i1), _table(indices, i2), _table(indices, i3)
        s0, s1, s2, s3 = _slot(x0, packed), _slot(x1, packed), _slot(x2, packed), _slot(x3, packed)
        a0, a1 = _near(s0, t0, packed), _near(s1, t1, packed)
        a2, a3 = _near(s2, t2, packed), _near(s3, t3, packed)
        a0, a1 = _climb(a0, s0, packed), _climb(a1, s1, packed)
        a2, a3 = _climb(a2, s2, packed), _climb(a3, s3, packed)
        if indices is None:  # one table: the place says the symbol
            if max(max(a0, a1), max(a2, a3)) == escape:
                break
            v0, v1, v2, v3 = int32(a0) + low, int32(a1) + low, int32(a2) + low, int32(a3) + low
        else:
            v0, v1, v2, v3 = value[a0], value[a1], value[a2], value[a3]
            if min(min(v0, v1), min(v2, v3)) == int32(MARKER):
                break
        out[i], out[i1], out[i2], out[i3] = v0, v1, v2, v3
        x0, p = _refill(_pop(x0, a0, packed), p, words)
        x1, p = _refill(_pop(x1, a1, packed), p, words)
        x2, p = _refill(_pop(x2, a2, packed), p, words)
        x3, p = _refill(_pop(x3, a3, packed), p, words)
        i += uint64(4)
    states[0], states[1], states[2], states[3] = x0, x1, x2, x3
    return i, p


@jit
def decode_run(
    out: np.ndarray, n: int, indices: np.ndarray, precision: int, lut_bits: int, lut: np.ndarray,
    cumulative: np.ndarray, value: np.ndarray, states: np.ndarray, words: np.ndarray, i: int, p: int, end: int,
) -> tuple[int, int]:  # fmt: skip
    """Decode out[i:n] of four lanes, until an escape, n or p > end -> (i, p); for kernels that decode many short runs.

    i and n are multiples of 4. What it needs of `Packed` comes one by one: numba counts a reference to each array that
    is taken out of a tuple, which costs as much as a short run. `decode_ones` goes on where it stops.
    """
    precision, lut_bits = uint64(precision), uint64(lut_bits)
    i, n, p, end = uint64(i), uint64(n), uint64(p), uint64(end)
    one, mask, less = uint64(1), (uint64(1) << precision) - uint64(1), precision - lut_bits
    x0, x1, x2, x3 = states[0], states[1], states[2], states[3]
    while i < n and p <= end:
        i1, i2, i3 = i + one, i + uint64(2), i + uint64(3)
        s0, s1, s2, s3 = x0 & mask, x1 & mask, x2 & mask, x3 & mask
        a0 = uint64(lut[(uint64(indices[i]) << lut_bits) | (s0 >> less)])
        a1 = uint64(lut[(uint64(indices[i1]) << lut_bits) | (s1 >> less)])
        a2 = uint64(lut[(uint64(indices[i2]) << lut_bits) | (s2 >> less)])
        a3 = uint64(lut[(uint64(indices[i3]) << lut_bits) | (s3 >> less)])
        while uint64(cumulative[a0 + one]) <= s0:
            a0 += one
        while uint64(cumulative[a1 + one]) <= s1:
            a1 += one
        while uint64(cumulative[a2 + one]) <= s2:
            a2 += one
        while uint64(cumulative[a3 + one]) <= s3:
            a3 += one
        v0, v1, v2, v3 = value[a0], value[a1], value[a2], value[a3]
        if min(min(v0, v1), min(v2, v3)) == int32(MARKER):
            break
        out[i], out[i1], out[i2], out[i3] = v0, v1, v2, v3
        c0, c1, c2, c3 = uint64(cumulative[a0]), uint64(cumulative[a1]), uint64(cumulative[a2]), uint64(cumulative[a3])
        x0, p = _refill((uint64(cumulative[a0 + one]) - c0) * (x0 >> precision) + s0 - c0, p, words)
        x1, p = _refill((uint64(cumulative[a1 + one]) - c1) * (x1 >> precision) + s1 - c1, p, words)
        x2, p = _refill((uint64(cumulative[a2 + one]) - c2) * (x2 >> precision) + s2 - c2, p, words)
        x3, p = _refill((uint64(cumulative[a3 + one]) - c3) * (x3 >> precision) + s3 - c3, p, words)
        i += uint64(4)
    states[0], states[1], states[2], states[3] = x0, x1, x2, x3
    return int64(i), int64(p)


@jit
def decode_ones(
    out: np.ndarray, n: int, indices: np.ndarray, packed: Packed, states: np.ndarray, words: np.ndarray,
    i: int, p: int, end: int,
) -> int:  # fmt: skip
    """Decode out[i:n], symbol i of lane i mod 4 or of the only one, escapes and all -> p; beyond end when it failed."""
    lane, i, n, p, end = uint64(states.size - 1), uint64(i), uint64(n), uint64(p), uint64(end)
    while i < n and p <= end:
        where = i & lane
        out[i], states[where], p = _get(states[where], p, words, end, _table(indices, i), packed)
        i += uint64(1)
    return int64(p)
