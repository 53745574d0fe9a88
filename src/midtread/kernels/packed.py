"""Frequency tables as the rANS kernels read them: T tables in a few flat arrays.

Table t has the symbols low[t] .. low[t] + size[t] - 1 and then the escape; its places in the arrays of length E start
at base[t]:

    place         base + 0 │ ... │ base + size - 1 │ base + size       │ base + size + 1
    cumulative    0        │ ... │                 │ where the escape  │ 2**precision
                           │     │                 │ begins            │
    value         symbol   │ ... │ symbol          │ marker            │ 0
    the others    symbol   │ ... │ symbol          │ entry: 0          │ the escape's own

`entry` is what the upper half of a state must reach before a word is moved out, frequency << (31 - precision); it is 0
where the frequency is 0, which means: look further. The encoder's step from state x is x + bias + x // frequency *
complement with complement = 2**precision - frequency, and x // frequency = (x * reciprocal >> 64) >> shift for every
x < 2**63 (Alverson, ARITH 1991). One array for each, so that nothing is unpacked in the loop.

`lut` maps (table, first lut_bits of the slot) to the place where the search for the slot's symbol begins.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

MARKER = -(2**31)  # `value` of an escape; a symbol of that value takes the same slow way and comes out right


class Packed(NamedTuple):
    """What the kernels need to know about T tables with E places in all."""

    precision: int
    lut_bits: int
    low: np.ndarray  # int32 [T]
    size: np.ndarray  # uint32 [T]
    base: np.ndarray  # uint32 [T]
    cumulative: np.ndarray  # uint32 [E]
    entry: np.ndarray  # uint32 [E]
    bias: np.ndarray  # uint32 [E]
    complement: np.ndarray  # uint32 [E]
    shift: np.ndarray  # uint32 [E]
    reciprocal: np.ndarray  # uint64 [E]
    value: np.ndarray  # int32 [E]
    lut: np.ndarray  # uint16 or uint32 [T << lut_bits]


def pack(precision: int, lows: np.ndarray, sizes: np.ndarray, frequencies: np.ndarray) -> Packed:
    """Lay out tables.

    Args:
        precision: bits; the frequencies of each table sum to 2**precision, at most 2**18.
        lows: int32 [T].
        sizes: int [T], symbols of each table, without the escape.
        frequencies: uint32 [sum(sizes + 1)], each table's symbols and then its escape.
    """
    count = len(lows)
    sizes = sizes.astype(np.int64)
    base = np.concatenate([[0], np.cumsum(sizes + 2)[:-1]])
    places = int(sizes.sum()) + 2 * count
    table = np.repeat(np.arange(count), sizes + 2)
    within = np.arange(places) - base[table]
    last = within == sizes[table] + 1

    frequency = np.zeros(places, dtype=np.uint64)
    frequency[~last] = frequencies
    total = np.cumsum(frequency, dtype=np.uint64) - frequency
    cumulative = total - (table.astype(np.uint64) << np.uint64(precision))
    cumulative[last] = 1 << precision
    value = np.where(within < sizes[table], lows[table].astype(np.int64) + within, MARKER)
    value[last] = 0

    escape = base + sizes
    start = cumulative.copy()
    frequency[escape + 1], frequency[escape], start[escape + 1] = frequency[escape], 0, cumulative[escape]

    entry, bias, complement, shift, reciprocal = _steps(precision, frequency, start)

    lut_bits = _lut_bits(precision, count, int(sizes.max()))
    first = -(-total.astype(np.int64) >> precision - lut_bits)  # entry of `lut` that begins at or after each place
    lut = np.repeat(np.arange(places), np.diff(first, append=count << lut_bits))
    return Packed(
        precision,
        lut_bits,
        np.ascontiguousarray(lows, dtype=np.int32),
        sizes.astype(np.uint32),
        base.astype(np.uint32),
        cumulative.astype(np.uint32),
        entry,
        bias,
        complement,
        shift,
        reciprocal,
        value.astype(np.int32),
        lut.astype(np.uint16 if places <= 2**16 else np.uint32),
    )


def _lut_bits(precision: int, count: int, most: int) -> int:
    """Few steps from where a search begins, in an array that stays in the cache: 2**13 entries, or up to 2**15.

    `most` is the size of the largest of `count` tables; each symbol of it has an entry at least.
    """
    tables, symbols = (count - 1).bit_length(), most.bit_length()
    return min(precision, max(8, 13 - tables, symbols, min(symbols + 2, 15 - tables)))


def _steps(precision: int, frequency: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, ...]:
    """(entry, bias, complement, shift, reciprocal) of places with these frequencies and starts, both uint64 [E].

    reciprocal = ceil(2**(63 + s) / f) with s = ceil(log2 f), and shift = s - 1. For f = 1 the product with 2**64 - 1
    gives x - 1 instead of x, which the bias makes good (x >= 1).
    """
    one, whole = np.uint64(1), np.uint64(1 << precision)
    f = np.maximum(frequency, one)
    s = np.frexp((f - one).astype(np.float64))[1].astype(np.uint64)  # bit length of f - 1; exact below 2**53
    half, rest = np.uint64(2**63) // f, np.uint64(2**63) % f
    tail = rest << s
    reciprocal = (half << s) + tail // f + (tail % f != 0)
    reciprocal[f == one] = 2**64 - 1
    bias = start + np.where(f == one, whole - one, np.uint64(0))
    entry = frequency << np.uint64(31 - precision)
    return *(column.astype(np.uint32) for column in (entry, bias, whole - f, np.maximum(s, one) - one)), reciprocal


def escape_bytes(symbol: int) -> list[int]:
    """What follows the escape of a symbol that its table lacks: zigzag, 7 bits a byte, lowest first, high bit: more."""
    value = symbol << 1 if symbol >= 0 else ~symbol << 1 | 1
    out = []
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return [*out, value]
