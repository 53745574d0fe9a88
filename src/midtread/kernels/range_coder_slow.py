"""A range coder in plain Python: the definition that `range_coder` repeats faster, and what short streams use.

    state: low and width, 64 bits each; at the start 0 and 2**64 - 1
    symbol (start, f):  scale = width >> precision;  low += scale * start;  width = scale * f
    width < 2**32:      the high 32 bits of low go out as a word, both move up by 32 bits

When low passes 2**64 the words that went out get a carry. The decoder holds code = (the stream's number) - low instead.
A symbol that its table lacks is coded as the table's escape, followed by its zigzag value in bytes of 7 bits, lowest
first, high bit set when more follow, each of probability 1/256.

Source: Martin, "Range encoding", 1979; words of 32 bits and a state of 64 as in Bamler, arXiv:2201.01741.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from midtread.kernels.packed import Packed, escape_bytes

_ONES = (1 << 64) - 1


def _narrow(state: list[int], out: list[int], start: int, f: int, precision: int) -> None:
    scale = state[1] >> precision
    state[0] += scale * start
    state[1] = scale * f
    if state[0] > _ONES:
        state[0] &= _ONES
        at = len(out) - 1
        while out[at] == 0xFFFFFFFF:
            out[at] = 0
            at -= 1
        out[at] += 1
    if state[1] < 1 << 32:
        out.append(state[0] >> 32)
        state[0] = state[0] << 32 & _ONES
        state[1] <<= 32


def encode(
    symbols: np.ndarray, indices: np.ndarray | None, packed: Packed, state: np.ndarray, words: np.ndarray, count: int
) -> int:
    """Encode `symbols` after words[:count].

    Args:
        symbols: int32 [n].
        indices: unsigned [n], the table of each symbol; None when there is one table.
        packed: the tables.
        state: uint64 [2], low and width; updated.
        words: uint32; at least 2 n free after `count`. Earlier ones may get a carry.
        count: words written so far.

    Returns:
        Words written now.
    """
    now, out, precision = state.tolist(), words[:count].tolist(), packed.precision
    cumulative, base, size, low = (
        column.tolist() for column in (packed.cumulative, packed.base, packed.size, packed.low)
    )
    tables = [0] * symbols.size if indices is None else indices.tolist()
    for symbol, t in zip(symbols.tolist(), tables, strict=True):
        k = symbol - low[t]
        at = base[t] + (k if 0 <= k < size[t] else size[t])
        if cumulative[at] == cumulative[at + 1]:
            at = base[t] + size[t]
        _narrow(now, out, cumulative[at], cumulative[at + 1] - cumulative[at], precision)
        if at == base[t] + size[t]:
            for byte in escape_bytes(symbol):
                _narrow(now, out, byte, 1, 8)
    state[:] = now
    words[: len(out)] = out
    return len(out)


def decode(
    out: np.ndarray, indices: np.ndarray | None, packed: Packed, state: np.ndarray, words: np.ndarray, p: int
) -> int:
    """Decode into `out`.

    Args:
        out: int32 [n], filled.
        indices: unsigned [n] or None.
        packed: the tables.
        state: uint64 [2], code and width; updated.
        words: uint32.
        p: next word to read; zeros are read past the end.

    Returns:
        The next word, or -1: no encoder writes such a stream.
    """
    code, width, given = int(state[0]), int(state[1]), words.tolist()
    precision, cumulative, value = packed.precision, packed.cumulative.tolist(), packed.value.tolist()
    base, size = packed.base.tolist(), packed.size.tolist()
    tables = [0] * out.size if indices is None else indices.tolist()

    def take(start: int, f: int, scale: int) -> None:
        nonlocal code, width, p
        code -= scale * start
        width = scale * f
        if width < 1 << 32:
            code = code << 32 | (given[p] if p < len(given) else 0)
            width <<= 32
            p += 1

    for i, t in enumerate(tables):
        slot = code // (width >> precision)
        if slot >> precision:
            return -1
        at = bisect_right(cumulative, slot, base[t], base[t] + size[t] + 1) - 1
        take(cumulative[at], cumulative[at + 1] - cumulative[at], width >> precision)
        symbol = value[at]
        if at == base[t] + size[t]:
            zigzag, shift, more = 0, 0, 128
            while more:
                byte = code // (width >> 8)
                if byte > 255 or shift == 35:
                    return -1
                take(byte, 1, width >> 8)
                zigzag |= (byte & 127) << shift
                more = byte & 128
                shift += 7
            if zigzag >> 32:
                return -1
            symbol = zigzag >> 1 ^ -(zigzag & 1)
        out[i] = symbol
    state[:] = code, width
    return p
