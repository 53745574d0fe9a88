"""Tables as bytes: the shortest of three ways (docs/formats/entropy.md).

    u8 kind | precision - 12 << 4, then
    0 exact         varint tables │ columns: size - 1, difference of lows, frequencies
    1 logarithms    varint tables │ u8 log2(R) │ columns: the same, with logarithms in place of frequencies
    2 family        u8 family │ varint scales │ varint lowest │ varint highest │ varint shape
    3 mixture       tables (kind 2) │ varint tables │ varint a, b, eighths of a, for each

Columns are sequences of integers, coded by the coder `cabac`: varint length │ bytes. A logarithm v stands for the
weight 2**((v - 1) / R), 0 for the weight 0; each is written as its difference from the one before.
"""

from __future__ import annotations

import numpy as np

from midtread.container import Reader, varint
from midtread.entropy import exact_math
from midtread.entropy.coders.cabac import Cabac
from midtread.entropy.tables import MAX_PLACES, MAX_SIZE, MAX_TABLES, PRECISIONS, Tables, normalise
from midtread.errors import BitstreamError, LimitError, UsageError

EXACT, LOGARITHMS, FAMILY, MIXTURE = 0, 1, 2, 3
_LN2 = float.fromhex("0x1.62e42fefa39efp-1")
STEPS = (1, 2, 4, 8, 16, 32, 64)  # R: steps of an octave


def write(tables: Tables) -> bytes:
    """Everything a decoder needs to make the same tables."""
    if tables.recipe:
        return tables.recipe
    head = bytes([EXACT | tables.precision - PRECISIONS[0] << 4]) + varint(len(tables))
    return head + _columns(tables.lows, tables.sizes, tables.frequencies.astype(np.int64), tables.starts)


def read(reader: Reader, *, at_most: int = MAX_PLACES) -> Tables:
    """Tables that `write` wrote.

    Args:
        reader: stands at the tables; afterwards behind them.
        at_most: symbols and escapes of all tables together.

    Raises:
        BitstreamError: these are no tables.
        LimitError: they are larger than `at_most`.
    """
    kind = reader.uint(1, "kind of tables", at_most=255)
    kind, precision = kind & 15, (kind >> 4) + PRECISIONS[0]
    try:
        if kind == FAMILY:
            return _read_family(reader, precision)
        if kind == MIXTURE:
            return _read_mixture(reader, precision)
        if kind not in (EXACT, LOGARITHMS) or precision not in PRECISIONS:
            raise BitstreamError(f"tables of kind {kind} with {precision} bits are not known to this version")
        count = reader.varint("number of tables", at_most=MAX_TABLES)
        steps = 1 << reader.uint(1, "steps of an octave", at_most=len(STEPS) - 1) if kind == LOGARITHMS else 0
        lows, sizes, values = _read_columns(reader, count, at_most)
        if kind == EXACT:
            return Tables.build(precision, lows, sizes, values)
        rows = np.split(np.cumsum(values), np.cumsum(sizes + 1)[:-1])
        return from_logarithms(precision, steps, lows.tolist(), rows)
    except UsageError as error:
        raise BitstreamError(f"these tables cannot be: {error}") from error


def from_logarithms(precision: int, steps: int, lows: list[int], rows: list[np.ndarray]) -> Tables:
    """Tables from 1 + log2(count) in steps of 1 / steps, the escape last in each row; 0 never occurs.

    A row that has no symbol codes zeros; an escape that never occurs gets the least frequency.
    """
    values = np.concatenate(rows)
    if values.min() < 0 or values.max() > 40 * steps:
        raise UsageError(f"logarithms are 0 to {40 * steps}, got {values.min()} to {values.max()}")
    octaves = np.rint(exact_math.exp(np.arange(steps) * (_LN2 / steps)) * 256.0).astype(np.int64)
    frequencies = []
    for row in rows:
        logarithm = np.maximum(row - 1, 0)
        weights = np.where(row > 0, octaves[logarithm % steps] << logarithm // steps, 0)
        weights[-1] = max(weights[-1], 1)
        if not weights[:-1].any():
            weights[0] = 1
        while weights.sum() > 1 << 43:
            weights = np.where(weights > 0, np.maximum(weights >> 1, 1), 0)
        frequencies.append(normalise(weights, precision))
    sizes = np.array([row.size - 1 for row in rows])
    starts = np.concatenate([[0], np.cumsum(sizes + 1)])
    head = bytes([LOGARITHMS | precision - PRECISIONS[0] << 4]) + varint(len(rows)) + bytes([steps.bit_length() - 1])
    recipe = head + _columns(np.array(lows), sizes, np.diff(values, prepend=0), starts)
    return Tables.build(precision, lows, sizes, np.concatenate(frequencies), recipe)


def _columns(lows: np.ndarray, sizes: np.ndarray, values: np.ndarray, starts: np.ndarray) -> bytes:
    firsts = np.stack([sizes.astype(np.int64) - 1, np.diff(lows.astype(np.int64), prepend=0)], axis=1).ravel()
    wide = np.where(firsts > 2**31 - 1, firsts - 2**32, np.where(firsts < -(2**31), firsts + 2**32, firsts))
    parts = Cabac().encode(wide, None, np.arange(wide.size) & 1), Cabac().encode(values, None, _value_contexts(starts))
    return b"".join(varint(len(part)) + part for part in parts)


def _value_contexts(starts: np.ndarray) -> np.ndarray:
    """0 for the first value of a table, 2 for its escape, 1 between."""
    contexts = np.ones(int(starts[-1]), dtype=np.uint8)
    contexts[starts[:-1]] = 0
    contexts[starts[1:] - 1] = 2
    return contexts


def _read_columns(reader: Reader, count: int, at_most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(lows, sizes, values), the last as they were written."""
    if not count:
        raise BitstreamError("there are no tables")
    data = reader.take(reader.varint("length of the alphabets", at_most=2**32), "alphabets")
    firsts = Cabac().decode(data, 2 * count, None, np.arange(2 * count) & 1).astype(np.int64).reshape(count, 2)
    sizes = firsts[:, 0] + 1
    if sizes.min() < 1 or sizes.max() > MAX_SIZE:
        raise BitstreamError(f"tables have {sizes.min()} to {sizes.max()} symbols; 1 to {MAX_SIZE} are possible")
    places = int(sizes.sum()) + count
    if places > at_most:
        raise LimitError(f"the tables have {places} symbols, more than the {at_most} allowed here")
    lows = np.cumsum(firsts[:, 1]).astype(np.int32).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes + 1)])
    data = reader.take(reader.varint("length of the frequencies", at_most=2**32), "frequencies")
    return lows, sizes, Cabac().decode(data, places, None, _value_contexts(starts)).astype(np.int64)


def _read_family(reader: Reader, precision: int) -> Tables:
    from midtread.entropy.families import Family

    number = reader.uint(1, "family", at_most=255)
    count = reader.varint("number of scales", at_most=1024)
    lowest, highest = (reader.varint(what, at_most=1 << 28) for what in ("lowest scale", "highest scale"))
    return Family.numbered(number, count, precision, lowest, highest, reader.varint("shape", at_most=2048)).tables


def _read_mixture(reader: Reader, precision: int) -> Tables:
    from midtread.entropy.families import mix

    kind = reader.uint(1, "kind of the mixed tables", at_most=255)
    if kind != FAMILY | precision - PRECISIONS[0] << 4:
        raise BitstreamError(f"a mixture is of a family's tables, not of kind {kind & 15}")
    tables, rows = _read_family(reader, precision), []
    for _ in range(reader.varint("number of mixtures", at_most=1024)):
        a, b = (reader.varint("table", at_most=len(tables) - 1) for _ in range(2))
        rows.append((a, b, reader.varint("eighths", at_most=8)))
    if not rows:
        raise BitstreamError("there are no mixtures")
    return mix(tables, rows)
