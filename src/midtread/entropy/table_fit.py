"""Tables fitted to symbols, in a form that takes few bytes to send.

    symbols ──► counts ──► alphabet of each table ──► log2 of the counts in steps of 1/R ──► frequencies

Coarse logarithms cost a little rate and save a lot of header; R is the one that costs the fewest bits in all.
"""

from __future__ import annotations

import numpy as np

from midtread.entropy import checks, exact_math, table_bytes
from midtread.entropy.loading import kernel
from midtread.entropy.tables import MAX_SIZE, MAX_TABLES, Tables
from midtread.errors import UsageError

_LN2 = float.fromhex("0x1.62e42fefa39efp-1")
_GAP = 32  # a lone last symbol so far from the rest is cheaper as an escape
_DENSE = 1 << 22  # counts that are kept for every possible symbol


def fit(
    symbols: np.ndarray, indices: np.ndarray | None = None, count: int | None = None, precision: int | None = None
) -> Tables:
    """Static tables for these symbols.

    Args:
        symbols: integers that fit int32.
        indices: which of `count` tables each symbol is for; None for one table.
        count: number of tables; default: one more than the largest index.
        precision: bits; default 16, or 18 when a table has more than 8,192 symbols.

    Returns:
        Tables with an escape each. A table without symbols codes zeros. `table_bytes.write` sends them compactly.
    """
    symbols = checks.int32(symbols)
    if count is None:
        count = 1 if indices is None or not symbols.size else int(np.max(indices)) + 1
    if not 1 <= count <= MAX_TABLES:
        raise UsageError(f"count={count}; there can be 1 to {MAX_TABLES} tables")
    if indices is not None:
        indices = np.asarray(indices)
        if indices.size != symbols.size or (symbols.size and (int(indices.min()) < 0 or int(indices.max()) >= count)):
            raise UsageError(f"{symbols.size} symbols need as many indices, each from 0 to {count - 1}")
        indices = checks.read_only(indices.astype(np.uint8 if count <= 256 else np.uint16, copy=False))
    return from_counts(*_counts(symbols, indices, count), precision)


def _counts(symbols: np.ndarray, indices: np.ndarray | None, count: int) -> tuple[list[int], list[np.ndarray]]:
    """(first symbol, counts with those outside last) of each table."""
    if not symbols.size:
        return [0] * count, [np.array([1, 0])] * count
    low, high = int(symbols.min()), int(symbols.max())
    if high - low >= MAX_SIZE:
        low = max(low, min(int(np.median(symbols)) - MAX_SIZE // 2, high - MAX_SIZE + 1))
        high = low + MAX_SIZE - 1
    span = high - low + 1
    if count * (span + 1) <= _DENSE:
        table = np.zeros((count, span + 1), dtype=np.int64)
        kernel("count", symbols.size, indices is None or indices.dtype.str).count(symbols, indices, low, span, table)
        rows = [_trim(np.flatnonzero(row[:-1]), row[np.flatnonzero(row[:-1])], int(row[-1])) for row in table]
    else:
        column = np.clip(symbols.astype(np.int64) - low, -1, span) + 1
        which = np.zeros(symbols.size, dtype=np.int64) if indices is None else indices.astype(np.int64)
        keys, times = np.unique(which * (span + 2) + column, return_counts=True)
        rows = []
        for t in range(count):
            mine = slice(*np.searchsorted(keys, [t * (span + 2), (t + 1) * (span + 2)]))
            column, n = keys[mine] - t * (span + 2) - 1, times[mine]
            inside = (column >= 0) & (column < span)
            rows.append(_trim(column[inside], n[inside], int(n[~inside].sum())))
    return [low + first if first is not None else 0 for first, _ in rows], [row for _, row in rows]


def _trim(used: np.ndarray, times: np.ndarray, outside: int) -> tuple[int | None, np.ndarray]:
    """(first column, counts with those outside last) of one table, without far single symbols at its ends."""
    begin, end = 0, used.size
    while end - begin > 1 and times[end - 1] == 1 and used[end - 1] - used[end - 2] > _GAP:
        end -= 1
        outside += 1
    while end - begin > 1 and times[begin] == 1 and used[begin + 1] - used[begin] > _GAP:
        begin += 1
        outside += 1
    if begin == end:
        return None, np.array([max(1, outside), outside])
    row = np.zeros(int(used[end - 1] - used[begin]) + 2, dtype=np.int64)
    row[used[begin:end] - used[begin]] = times[begin:end]
    row[-1] = outside
    return int(used[begin]), row


def from_counts(lows: list[int], rows: list[np.ndarray], precision: int | None = None) -> Tables:
    """Tables from counts of each table's symbols, those of its escapes last. Raises UsageError."""
    if precision is None:
        precision = 18 if max(map(len, rows)) > 8192 else 16
    best: tuple[float, Tables] | None = None
    for steps in table_bytes.STEPS:
        tables = table_bytes.from_logarithms(precision, steps, lows, [_logarithms(row, steps) for row in rows])
        bits = 8.0 * len(tables.recipe)
        for t, row in enumerate(rows):
            used = np.flatnonzero(row)
            frequencies = tables.row(t)[1][used].astype(np.float64)
            bits += float(np.cumsum(row[used] * (precision - exact_math.log(frequencies) / _LN2))[-1])
        if best is not None and bits >= best[0]:
            break
        best = bits, tables
    assert best is not None
    return best[1]


def _logarithms(row: np.ndarray, steps: int) -> np.ndarray:
    """1 + log2(count) in steps of 1 / steps, 0 for what never occurs."""
    used = np.maximum(row, 1).astype(np.float64)
    return np.where(row > 0, 1 + np.rint(steps * exact_math.log(used) / _LN2), 0).astype(np.int64)
