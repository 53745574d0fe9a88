"""A range coder, compiled; `range_coder_slow` says what it does, and is the definition."""

from __future__ import annotations

from typing import Any

import numpy as np

from midtread.kernels.jit import inlined, int32, int64, jit, uint32, uint64
from midtread.kernels.packed import MARKER, Packed


@inlined
def _narrow(low: Any, width: Any, words: Any, count: Any, start: Any, f: Any, precision: Any) -> Any:
    """Encode one symbol -> (low, width, count)."""
    scale = width >> precision
    before = low
    low += scale * start
    width = scale * f
    if low < before:
        at = count - uint64(1)
        while words[at] == uint32(0xFFFFFFFF):
            words[at] = uint32(0)
            at -= uint64(1)
        words[at] += uint32(1)
    if width < uint64(1 << 32):
        words[count] = uint32(low >> uint64(32))
        count += uint64(1)
        low <<= uint64(32)
        width <<= uint64(32)
    return low, width, count


@jit
def _escape(low: int, width: int, words: np.ndarray, count: int, symbol: int) -> tuple[int, int, int]:
    """Encode a symbol's bytes -> (low, width, count)."""
    value = uint64(uint32((int64(symbol) << int64(1)) ^ (int64(symbol) >> int64(63))))
    while value >= uint64(128):
        low, width, count = _narrow(low, width, words, count, value & uint64(127) | uint64(128), uint64(1), uint64(8))
        value >>= uint64(7)
    return _narrow(low, width, words, count, value, uint64(1), uint64(8))


@jit
def encode(
    symbols: np.ndarray, indices: np.ndarray | None, packed: Packed, state: np.ndarray, words: np.ndarray, count: int
) -> int:
    """Encode `symbols` after words[:count]; see `range_coder_slow.encode`."""
    low, width, count, precision = state[0], state[1], uint64(count), uint64(packed.precision)
    for i in range(symbols.size):
        t = uint64(0) if indices is None else uint64(indices[i])
        escape = uint64(packed.base[t]) + uint64(packed.size[t])
        at = uint64(packed.base[t]) + uint64(min(uint32(int32(symbols[i] - packed.low[t])), packed.size[t]))
        if packed.entry[at] == uint64(0):
            at = escape
        start = uint64(packed.cumulative[at])
        f = uint64(packed.cumulative[at + uint64(1)]) - start
        low, width, count = _narrow(low, width, words, count, start, f, precision)
        if at == escape:
            low, width, count = _escape(low, width, words, count, symbols[i])
    state[0], state[1] = low, width
    return int64(count)


@inlined
def _take(code: Any, width: Any, words: Any, p: Any, start: Any, f: Any, scale: Any) -> Any:
    """Take one symbol away -> (code, width, p)."""
    code -= scale * start
    width = scale * f
    if width < uint64(1 << 32):
        code = (code << uint64(32)) | (uint64(words[p]) if p < uint64(words.size) else uint64(0))
        width <<= uint64(32)
        p += uint64(1)
    return code, width, p


@jit
def _get_escape(code: int, width: int, words: np.ndarray, p: int) -> tuple[int, int, int, int, bool]:
    """Decode a symbol's bytes -> (symbol, code, width, p, good)."""
    value = shift = uint64(0)
    more = True
    while more:
        scale = width >> uint64(8)
        byte = code // scale
        if byte > uint64(255) or shift == uint64(35):
            return int32(0), code, width, p, False
        code, width, p = _take(code, width, words, p, byte, uint64(1), scale)
        value |= (byte & uint64(127)) << shift
        more = byte > uint64(127)
        shift += uint64(7)
    symbol = int32(int64(value >> uint64(1)) ^ -int64(value & uint64(1)))
    return symbol, code, width, p, value <= uint64(0xFFFFFFFF)


@jit
def decode(
    out: np.ndarray, indices: np.ndarray | None, packed: Packed, state: np.ndarray, words: np.ndarray, p: int
) -> int:
    """Decode into `out`; see `range_coder_slow.decode`."""
    code, width, p, precision = state[0], state[1], uint64(p), uint64(packed.precision)
    bits = uint64(packed.lut_bits)
    for i in range(out.size):
        t = uint64(0) if indices is None else uint64(indices[i])
        scale = width >> precision
        slot = code // scale
        if slot >> precision:
            return int64(-1)
        at = uint64(packed.lut[(t << bits) | (slot >> (precision - bits))])
        while uint64(packed.cumulative[at + uint64(1)]) <= slot:
            at += uint64(1)
        start = uint64(packed.cumulative[at])
        f = uint64(packed.cumulative[at + uint64(1)]) - start
        code, width, p = _take(code, width, words, p, start, f, scale)
        out[i] = packed.value[at]
        if packed.value[at] == int32(MARKER) and at == uint64(packed.base[t]) + uint64(packed.size[t]):
            out[i], code, width, p, good = _get_escape(code, width, words, p)
            if not good:
                return int64(-1)
    state[0], state[1] = code, width
    return int64(p)
