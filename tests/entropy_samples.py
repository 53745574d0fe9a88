"""Symbols and tables for the tests of the entropy room: made by integer arithmetic, the same everywhere."""

import numpy as np

from midtread.entropy.tables import Tables, normalise

NAMES = [
    "rans", "range", "cabac", "huffman", "rice", "bitpack", "constriction_ans", "constriction_range", "zstd", "brotli",
    "jpegls", "jpegxl", "webp", "png",
]  # fmt: skip
OURS = NAMES[:6]  # the bytes of the others are their libraries' affair


def noise(count: int, below: int, seed: int = 1) -> np.ndarray:
    """int64 [count] in [0, below), from a generator that nobody changes (Knuth's MMIX)."""
    state, out = seed, np.empty(count, dtype=np.int64)
    for i in range(count):
        state = (6364136223846793005 * state + 1442695040888963407) % 2**64
        out[i] = (state >> 33) * below >> 31
    return out


def bell(size: int, precision: int = 16, peak: int = 3, escape: int = 1) -> tuple[int, np.ndarray]:
    """(low, frequencies): `size` symbols around 0, falling on both sides."""
    low = -(size // 2)
    k = np.abs(low + np.arange(size, dtype=np.int64))
    return low, normalise(np.append((1 << 36) // (1 + k // peak + k * k), escape << 18 if escape else 0), precision)


def few_tables(precision: int = 16) -> Tables:
    """Tables of 1, 2, 3, 9, 40 and 300 symbols."""
    return Tables.of([bell(size, precision, 1 + size // 8) for size in (1, 2, 3, 9, 40, 300)], precision)


def some_symbols(tables: Tables, count: int, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """(symbols int32, indices uint8) drawn from the tables; about one in 50 lies outside them."""
    indices = noise(count, len(tables), seed).astype(np.uint8)
    slots, symbols = noise(count, 1 << tables.precision, seed + 1), np.empty(count, dtype=np.int32)
    for t in range(len(tables)):
        low, frequencies = tables.row(t)
        mine = indices == t
        place = np.searchsorted(np.cumsum(frequencies), slots[mine], side="right")
        symbols[mine] = low + place
    wild = noise(count, 50, seed + 2) == 0
    symbols[wild] = noise(int(wild.sum()), 5000, seed + 3) - 2500
    if count > 4:
        symbols[1:5] = 2**31 - 1, -(2**31), 2**31 - 2, -(2**31) + 1
    return symbols, indices
