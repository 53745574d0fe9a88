"""Symbols of a box as bytes: streams over the tables of `field_tables`.

    u8 shift │ planes of the `shift` lowest bits │ streams: which tables, then the symbols without these bits

What says which table a symbol takes is in the streams before it: for each context of interpolation (`by_context`), for
each 64 symbols of Lorenzo residuals (`by_tile`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from midtread.codecs.tensor import field_residual, field_streams, field_tables
from midtread.codecs.tensor.field_memory import empty
from midtread.container import Reader
from midtread.entropy.loading import kernel
from midtread.errors import BitstreamError
from midtread.kernels import field_parts_slow, field_tiles_slow
from midtread.kernels.field_counts_slow import CLASS_BITS, LARGE, SAMPLED
from midtread.kernels.field_levels_slow import CONTEXTS, levels
from midtread.kernels.field_parts_slow import FLAG

_MAP = 2 * 12  # table of the differences between neighbouring entries of a map of tables
_OF_MAP = FLAG + 1  # the context of these


# --- the lowest bits ---


def shift_of(symbols: np.ndarray) -> int:
    """How many low bits of int32 symbols are not worth coding: as many as leave small numbers."""
    some = symbols[:: max(1, symbols.size >> 12)]
    return _shift(int(np.abs(some.astype(np.int64)).sum()) // some.size)


def _shift(mean: int) -> int:
    shift = 0
    while mean >> shift >= LARGE and shift < 24:
        shift += 1
    return shift


def _low(symbols: np.ndarray, shift: int) -> list[bytes | memoryview]:
    if shift == 0:
        return [b"\0"]
    low = np.zeros(-(-symbols.size // 32) * 32, np.uint32)
    low[: symbols.size] = (symbols & ((1 << shift) - 1)).view(np.uint32)
    words = empty(low.size * shift // 32, np.uint32)
    width = np.full(low.size // 32, shift, np.uint8)
    kernel("field_planes", low.size).pack(low, width, 0, words)
    return [bytes([shift]), words.astype("<u4", copy=False).tobytes()]


def _read_low(reader: Reader, size: int) -> Callable[[np.ndarray], np.ndarray]:
    """What puts the lowest bits back under the symbols."""
    shift = reader.uint(1, "number of low bits", at_most=24)
    if shift == 0:
        return lambda symbols: symbols
    blocks = -(-size // 32)
    words = np.frombuffer(reader.take(4 * shift * blocks, "planes of low bits"), "<u4").astype(np.uint32)
    low = empty(32 * blocks, np.uint32)
    kernel("field_planes", low.size).unpack(words, np.full(blocks, shift, np.uint8), 0, low)
    return lambda symbols: symbols << shift | low[:size].view(np.int32)


# --- a table for each context ---


class Contexts:
    """Symbols of an interpolated box, their contexts, and the tables that these take."""

    def __init__(
        self, symbols: np.ndarray, contexts: np.ndarray, shape: tuple[int, int, int], axes: int, shift: int
    ) -> None:
        self.symbols, self.axes, self.shift, self.sent = symbols, axes, shift, sent_contexts(shape, axes)
        most = self.sent.size + symbols.size + symbols.size // field_parts_slow.TILE + 1
        coded, which, ends = (
            empty(most, np.int32),
            empty(most, np.uint8),
            np.empty(2 + 14 * len(levels(shape, axes)), np.int64),
        )
        groups = kernel("field_parts", symbols.size, "gather").gather(
            symbols, contexts, np.array(shape), axes, shift, self.sent.size, coded, which, ends
        )
        self.ends = ends[:groups]
        self.coded, self.which = coded[: self.ends[-1]], which[: self.ends[-1]]
        stride = 4 if symbols.size >= SAMPLED else 1
        histogram = field_tables.new_histogram(FLAG + 1)
        count = kernel("field_counts", symbols.size, "histogram").histogram
        count(self.coded[self.sent.size :], self.which[self.sent.size :], stride, histogram)
        self.tables, cost = field_tables.choose(histogram)
        self.cost = cost * stride + (symbols.size * shift) * field_tables.BIT
        self._occurs = np.asarray(histogram.any(axis=1))

    def encode(self) -> list[bytes | memoryview]:
        """Pieces of the body."""
        table_of = np.full(_OF_MAP + 1, field_tables.WIDEST, np.uint8)
        last = field_tables.WIDEST
        for context in self.sent.tolist():  # those that do not occur repeat the one before
            last = int(self.tables[context]) if self._occurs[context] else last
            table_of[context] = last
        table_of[_OF_MAP] = _MAP
        count = self.sent.size
        self.coded[:count] = np.diff(table_of[self.sent].astype(np.int32), prepend=np.int32(field_tables.WIDEST))
        self.which[:count] = _OF_MAP
        streams = field_streams.write(self.coded, self.which, table_of, self.ends, self.cost)
        return [bytes([self.axes]), *_low(self.symbols, self.shift), *streams]


def decode_by_context(
    reader: Reader, shape: tuple[int, int, int], axes: int, scratch: tuple[np.ndarray, ...]
) -> np.ndarray:
    """int32 [n] symbols of an interpolated box, in symbol order. Raises BitstreamError.

    `scratch`: as `kernels.field_parts.decode` takes it.
    """
    size = shape[0] * shape[1] * shape[2]
    complete = _read_low(reader, size)
    source, sent = field_streams.Source(reader), sent_contexts(shape, axes)
    entries = source.read(np.empty(sent.size, np.int32), np.full(sent.size, _MAP, np.uint8), size)
    table_of = np.full(FLAG + 1, field_tables.WIDEST, np.uint8)
    table_of[sent] = _checked(np.cumsum(entries, dtype=np.int64) + field_tables.WIDEST)
    symbols, packed = empty(size, np.int32), field_tables.tables().packed
    run = kernel("field_parts", size, "decode")
    source.check(run.decode(np.array(shape), axes, table_of, packed, source.streams, symbols, scratch), symbols)
    source.finish()
    return complete(symbols)


@lru_cache(maxsize=64)
def sent_contexts(shape: tuple[int, int, int], axes: int) -> np.ndarray:
    """The contexts whose tables are sent: all of the groups that the box has symbols in, and that of the flags."""
    firsts = sorted({part.first for level in levels(shape, axes) for part in level.parts})
    return np.array([first + i for first in firsts for i in range(CONTEXTS)] + [FLAG])


def _checked(chosen: np.ndarray) -> np.ndarray:
    if chosen.size and not 0 <= int(chosen.min()) <= int(chosen.max()) < field_tables.COUNT:
        raise BitstreamError(f"the stream names table {int(chosen.max())} or {int(chosen.min())}; there are 64")
    return chosen.astype(np.uint8)


# --- a table for each tile ---


class Tiles:
    """Lorenzo residuals in zigzag, uint32 [n], and the class of each 64 of them."""

    def __init__(self, residuals: np.ndarray) -> None:
        self._run, costs = kernel("field_tiles", residuals.size), field_tables.costs()
        self.residuals = residuals
        self.shift = _shift(self._run.mean(residuals, max(1, residuals.size >> 12)))
        self.classes = np.empty(-(-residuals.size // field_tiles_slow.TILE), np.int32)
        cost = self._run.classify(
            residuals, self.shift, costs.tile_limits, costs.tile_zero, costs.tile_more, self.classes
        )
        zeros = int(np.count_nonzero(self.classes == 0))
        bits = residuals.size * self.shift + CLASS_BITS * (self.classes.size - zeros) + zeros
        self.cost = int(cost) + field_tables.BIT * bits

    def encode(self) -> list[bytes | memoryview]:
        """Pieces of the body."""
        entries = np.diff(self.classes, prepend=np.int32(0))
        histogram = field_tables.new_histogram(1)
        nothing = np.zeros(entries.size, np.uint8)
        kernel("field_counts", entries.size, "histogram").histogram(entries, nothing, 1, histogram)
        table = int(field_tables.choose(histogram)[0][0])
        most = entries.size + field_tiles_slow.TILE * self.classes.size
        coded, which = empty(most, np.int32), empty(most, np.uint8)
        coded[: entries.size], which[: entries.size] = entries, table
        end = int(self._run.take(self.residuals, self.shift, self.classes, entries.size, coded, which))
        identity = np.arange(field_tables.COUNT, dtype=np.uint8)
        streams = field_streams.write(coded[:end], which[:end], identity, np.array([entries.size, end]), self.cost)
        low = _low(field_residual.signed(self.residuals), self.shift) if self.shift else [b"\0"]
        return [*low, bytes([table]), *streams]


def decode_by_tile(reader: Reader, size: int) -> np.ndarray:
    """uint32 [n] residuals in zigzag. Raises BitstreamError."""
    complete = _read_low(reader, size)
    table = reader.uint(1, "table of the classes", at_most=field_tables.COUNT - 1)
    source, tiles = field_streams.Source(reader), -(-size // field_tiles_slow.TILE)
    entries = source.read(np.empty(tiles, np.int32), np.full(tiles, table, np.uint8), size)
    classes = np.cumsum(entries, dtype=np.int64)
    if classes.min() < 0 or classes.max() > field_tables.SCALES:
        raise BitstreamError(f"the stream names class {classes.max()} or {classes.min()} of tiles; there are 0 to 32")
    which = np.repeat((2 * (classes[classes > 0] - 1)).astype(np.uint8), field_tiles_slow.TILE)
    coded = source.read(empty(which.size, np.int32), which, size)
    source.finish()
    symbols = empty(size, np.int32)
    kernel("field_tiles", size).put(coded, classes.astype(np.int32), symbols)
    return field_residual.zigzag(complete(symbols))
