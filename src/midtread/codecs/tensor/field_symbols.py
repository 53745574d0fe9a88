"""Symbols of a box as bytes: one rANS stream over the tables of `field_tables`.

    u8 shift │ planes of the `shift` lowest bits │ rANS: which tables, then the symbols without these bits

What says which table a symbol takes is in the stream before it: for each context of interpolation (`by_context`), for
each 64 symbols of Lorenzo residuals (`by_tile`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from midtread.codecs.tensor import field_tables
from midtread.codecs.tensor.field_interpolation import Kinds, levels
from midtread.codecs.tensor.field_memory import empty
from midtread.container import Reader
from midtread.entropy import rans_stream
from midtread.entropy.loading import kernel
from midtread.errors import BitstreamError
from midtread.kernels.field_levels_slow import CONTEXTS

TILE = 64
_GROUPS = 6  # finest level and all others, each with one, two or three odd axes
_CORNER = _GROUPS * CONTEXTS  # the context of the first symbol
_FLAG = _CORNER + 1  # the context of what says whether a tile in silence has anything else than zeros
_MAP = 2 * 12  # table of the differences between neighbouring entries of a map of tables
_WITH_TILES = 4096  # symbols
_LARGE = 32  # mean magnitude from which the lowest bits are noise, stored as they are
_SAMPLED = 1 << 17  # symbols from which every fourth is counted


# --- the lowest bits ---


def _split(symbols: np.ndarray) -> tuple[np.ndarray, int]:
    """(symbols without their lowest bits, how many these are): as many as leave small numbers."""
    mean = float(np.abs(symbols[:: max(1, symbols.size >> 12)].astype(np.float64)).mean())
    shift = 0
    while mean >= _LARGE and shift < 24:
        mean, shift = mean / 2, shift + 1
    return (symbols >> shift if shift else symbols), shift


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


def encode_by_context(symbols: np.ndarray, shape: tuple[int, int, int]) -> list[bytes | memoryview]:
    """int32 [n] symbols of an interpolated box -> pieces."""
    high, shift = _split(symbols)
    coded, contexts, histogram = _counted(high, shape)
    sent = _used(shape)
    table_of = np.full(_FLAG + 1, field_tables.WIDEST, np.uint8)
    chosen, occurs = field_tables.choose(histogram)[0], histogram.sum(axis=1)
    last = field_tables.WIDEST
    for context in sent:  # those that do not occur repeat the one before
        last = int(chosen[context]) if occurs[context] else last
        table_of[context] = last
    entries = np.diff(table_of[sent].astype(np.int32), prepend=np.int32(field_tables.WIDEST))
    stream = _stream((entries, _constant(_MAP, entries.size)), (coded, _translate(contexts, table_of)))
    return [*_low(symbols, shift), stream]


def _counted(symbols: np.ndarray, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(what is coded int32 [m], contexts uint8 [m], histogram of magnitudes by context)."""
    run = kernel("field_counts", symbols.size, "tiles")
    most = symbols.size + symbols.size // TILE + 1
    coded, contexts = empty(most, np.int32), empty(most, np.uint8)
    at = 0

    def take(part: np.ndarray, own: np.ndarray, first: int) -> None:
        nonlocal at
        busy = empty(_tiles_of(part.size), np.uint8)
        if busy.size and run.quiet_tiles(own, first, busy):
            sums = empty(busy.size, np.int64)
            run.tile_sums(part[: TILE * busy.size], sums)
            flags = (sums > 0).astype(np.int32)[busy > 0]
            coded[at : at + flags.size], contexts[at : at + flags.size] = flags, _FLAG
            at += flags.size
            busy = np.where(busy == 0, 1, sums > 0).astype(np.uint8)
        else:
            busy[:] = 1
        run.gather_tiles(own, busy, contexts[at:])
        at += int(run.gather_tiles(part, busy, coded[at:]))

    _walk(shape, symbols, take)
    coded, contexts = coded[:at], contexts[:at]
    histogram = field_tables.new_histogram(_FLAG + 1)
    count = kernel("field_counts", symbols.size, "histogram").histogram
    count(coded, contexts, 4 if at >= _SAMPLED else 1, histogram)
    return coded, contexts, histogram


def _stream(*parts: tuple[np.ndarray, np.ndarray]) -> bytes:
    """One rANS stream of (symbols, tables) after (symbols, tables)."""
    tables = field_tables.tables()
    return rans_stream.encode_chunk([rans_stream.segment(symbols, tables, which) for symbols, which in parts])


def decode_by_context(reader: Reader, shape: tuple[int, int, int]) -> np.ndarray:
    """int32 [n]: undo `encode_by_context`. Raises BitstreamError."""
    size = shape[0] * shape[1] * shape[2]
    complete = _read_low(reader, size)
    cursor = rans_stream.Cursor(reader.take(reader.left, "rANS stream"))
    sent, tables, run = _used(shape), field_tables.tables(), kernel("field_counts", size, "tiles")
    at = 0

    def read(which: np.ndarray) -> np.ndarray:
        nonlocal at
        out = empty(which.size, np.int32)
        which.flags.writeable = False
        rans_stream.decode_into(out, which, tables, cursor, at, size)
        at += out.size
        return out

    chosen = np.cumsum(read(_constant(_MAP, len(sent))), dtype=np.int64) + field_tables.WIDEST
    table_of = np.full(_FLAG + 1, field_tables.WIDEST, np.uint8)
    table_of[sent] = _checked(chosen)
    symbols = empty(size, np.int32)

    def take(part: np.ndarray, own: np.ndarray, first: int) -> None:
        busy = empty(_tiles_of(part.size), np.uint8)
        quiet = int(run.quiet_tiles(own, first, busy)) if busy.size else 0
        if quiet == 0:
            part[:] = read(_translate(own, table_of))
            return
        where = busy > 0
        busy[:] = 1
        busy[where] = read(_constant(int(table_of[_FLAG]), quiet)) != 0
        kept = empty(part.size, np.uint8)
        count = int(run.gather_tiles(own, busy, kept))
        run.scatter_tiles(read(_translate(kept[:count], table_of)), busy, part)

    _walk(shape, symbols, take)
    cursor.finish()
    return complete(symbols)


def _walk(
    shape: tuple[int, int, int], symbols: np.ndarray, take: Callable[[np.ndarray, np.ndarray, int], None]
) -> None:
    """Show `take` one part after the other: (its symbols, contexts, the silent context); it may fill the symbols."""
    run = kernel("field_levels", symbols.size, "contexts")
    take(symbols[:1], np.full(1, _CORNER, np.uint8), 0)
    known = empty((1, 1, 1), np.uint8)
    run.magnitudes(symbols[:1], known.reshape(-1))
    plan = levels(shape)
    for level in plan:
        kinds = Kinds(known)
        for part in level.parts:
            first = CONTEXTS * ((3 if level is not plan[-1] else 0) + part.odd.bit_count() - 1)
            here = symbols[part.start : part.stop]
            contexts = empty(part.shape, np.uint8)
            run.contexts(*kinds.near(part.odd), part.odd, first, contexts)
            take(here, contexts.reshape(-1), first)
            magnitudes = kinds.arrays[part.odd] = empty(part.shape, np.uint8)
            run.magnitudes(here, magnitudes.reshape(-1))
        if level is not plan[-1]:
            known = kinds.complete(level.shape, run)


def _tiles_of(size: int) -> int:
    """Tiles of a part that can be silent; in small parts none, it would not be worth their while."""
    return size // TILE if size >= _WITH_TILES else 0


def _translate(contexts: np.ndarray, table_of: np.ndarray) -> np.ndarray:
    """The table of each context, uint8 [n]."""
    out = empty(contexts.size, np.uint8)
    kernel("field_counts", contexts.size, "translate").translate(contexts, table_of, out)
    return out


def _used(shape: tuple[int, int, int]) -> list[int]:
    """The contexts whose tables are sent: all of the groups that the box has symbols in."""
    plan = levels(shape)
    groups = {(3 if level is not plan[-1] else 0) + part.odd.bit_count() - 1 for level in plan for part in level.parts}
    return [group * CONTEXTS + i for group in sorted(groups) for i in range(CONTEXTS)] + [_FLAG]


def _constant(table: int, count: int) -> np.ndarray:
    which = np.full(count, table, np.uint8)
    which.flags.writeable = False
    return which


def _checked(chosen: np.ndarray) -> np.ndarray:
    if chosen.size and not 0 <= int(chosen.min()) <= int(chosen.max()) < field_tables.COUNT:
        raise BitstreamError(f"the stream names table {int(chosen.max())} or {int(chosen.min())}; there are 64")
    return chosen.astype(np.uint8)


# --- a table for each tile ---


def encode_by_tile(symbols: np.ndarray) -> list[bytes | memoryview]:
    """int32 [n] residuals -> pieces."""
    high, shift = _split(symbols)
    padded, sums = _tiles(high)
    classes = np.searchsorted(field_tables.costs().tile_limits, sums, side="right").astype(np.int32) + 1
    classes[sums == 0] = 0  # nothing else is sent for it
    entries = np.diff(classes, prepend=np.int32(0))
    histogram = field_tables.new_histogram(1)
    nothing = np.zeros(entries.size, np.uint8)
    kernel("field_counts", entries.size, "histogram").histogram(entries, nothing, 1, histogram)
    table = int(field_tables.choose(histogram)[0][0])
    used = classes > 0
    which = np.repeat((2 * (classes[used] - 1)).astype(np.uint8), TILE)
    stream = _stream((entries, _constant(table, entries.size)), (padded[used].reshape(-1), which))
    return [*_low(symbols, shift), bytes([table]), stream]


def bits(symbols: np.ndarray) -> float:
    """Bits that `encode_by_tile` would take, about."""
    high, shift = _split(symbols)
    return float(field_tables.tile_bits(_tiles(high)[1]).sum()) + symbols.size * shift


def _tiles(symbols: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(int32 [tiles, TILE], zeros behind the last symbol; sum of magnitudes of each)."""
    tiles = -(-symbols.size // TILE)
    padded = np.zeros((tiles, TILE), np.int32)
    padded.reshape(-1)[: symbols.size] = symbols
    sums = empty(tiles, np.int64)
    kernel("field_counts", symbols.size, "tiles").tile_sums(padded.reshape(-1), sums)
    return padded, sums


def decode_by_tile(reader: Reader, size: int) -> np.ndarray:
    """int32 [n]: undo `encode_by_tile`. Raises BitstreamError."""
    complete = _read_low(reader, size)
    table = reader.uint(1, "table of the classes", at_most=field_tables.COUNT - 1)
    cursor = rans_stream.Cursor(reader.take(reader.left, "rANS stream"))
    tiles = -(-size // TILE)
    entries, tables = empty(tiles, np.int32), field_tables.tables()
    rans_stream.decode_into(entries, _constant(table, tiles), tables, cursor, 0, size)
    classes = np.cumsum(entries, dtype=np.int64)
    used = classes > 0
    which = np.repeat(_checked(2 * (classes[used] - 1)), TILE)
    if (classes < 0).any():
        raise BitstreamError("the stream names a class of tiles below 0")
    which.flags.writeable = False
    coded = empty(which.size, np.int32)
    rans_stream.decode_into(coded, which, tables, cursor, tiles, size)
    cursor.finish()
    padded = np.zeros((tiles, TILE), np.int32)
    padded[used] = coded.reshape(-1, TILE)
    return complete(padded.reshape(-1)[:size])
