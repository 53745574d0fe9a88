"""From the symbols of an interpolated box to groups for the entropy coder and back, in NumPy: the definition.

The symbols of a box (`field_levels_slow`) come part by part. A tile of 16 symbols of a large part whose contexts are
all the first one of their group is silent: a flag says whether it has anything but zeros, and if not, that is all.
Groups of symbols are dealt to several rANS streams, so that they can be decoded side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from midtread.kernels import rans_slow
from midtread.kernels.field_levels_slow import CORNER, Kinds, contexts_of, corner, levels, magnitudes
from midtread.kernels.packed import Packed

TILE = 16
WITH_TILES = 4096  # symbols of a part from which it has silent tiles
FLAG = CORNER + 1  # the context of flags
LANES = 4


class Streams(NamedTuple):
    """Where the decoder stands in each of S streams: see `rans_stream.Cursor`."""

    states: np.ndarray  # uint64 [S, LANES], or [1, 1] for a short one
    words: np.ndarray  # uint32, of all streams, with 16 more behind the last
    p: np.ndarray  # int64 [S]: next word of each
    end: np.ndarray  # int64 [S]
    done: np.ndarray  # int64 [S]: symbols read


def share(count: int, streams: int) -> int:
    """How many symbols of a group each stream has; the last ones less, or none."""
    return -(-count // (LANES * streams)) * LANES


def gather(
    symbols: np.ndarray, contexts: np.ndarray, shape: np.ndarray, axes: int, shift: int, first: int, coded: np.ndarray,
    which: np.ndarray, ends: np.ndarray,
) -> int:  # fmt: skip
    """What is coded of a box.

    Args:
        symbols: int32 [n], in symbol order.
        contexts: uint8 [n], of symbols >> shift.
        shape: int64 [3] of the box.
        axes: see `field_levels_slow.levels`.
        shift: low bits that are not coded.
        first: places to leave free at the start; they are the first group.
        coded: int32 [first + n + n // 64 + 1], filled.
        which: uint8, the context of each, filled.
        ends: int64 [2 + 14 * levels], filled: where each group ends.

    Returns:
        Number of groups.
    """
    groups = [(np.zeros(first, np.int32), np.zeros(first, np.uint8))]
    sides = tuple(shape.tolist())
    least = int(np.prod(corner(sides, axes)))
    groups.append((symbols[:least] >> shift, contexts[:least]))
    for level in levels(sides, axes):
        for part in level.parts:
            high, own = symbols[part.start : part.stop] >> shift, contexts[part.start : part.stop]
            silent, tiles = _silent(own, part.first)
            loud = (high[: tiles.size * TILE].reshape(-1, TILE) != 0).any(axis=1)
            if silent.any():
                groups.append((loud[silent].astype(np.int32), np.full(np.count_nonzero(silent), FLAG, np.uint8)))
            kept = np.concatenate(
                [np.repeat(~silent | loud, TILE), np.ones(high.size % TILE if tiles.size else 0, bool)]
            )
            kept = kept if tiles.size else np.ones(high.size, bool)
            groups.append((high[kept], own[kept]))
    at = 0
    for i, (values, own) in enumerate(groups):
        coded[at : at + values.size], which[at : at + values.size] = values, own
        at += values.size
        ends[i] = at
    return len(groups)


def _silent(contexts: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
    """(bool [tiles], their numbers); no tiles in small parts."""
    tiles = contexts.size // TILE if contexts.size >= WITH_TILES else 0
    return (contexts[: tiles * TILE].reshape(-1, TILE) == first).all(axis=1), np.arange(tiles)


def deal(
    coded: np.ndarray, which: np.ndarray, table_of: np.ndarray, ends: np.ndarray, streams: int,
    out: np.ndarray, tables: np.ndarray, stops: np.ndarray,
) -> None:  # fmt: skip
    """Sort groups by stream: stream j has the j-th share of each group.

    Args:
        coded: int32 [n].
        which: uint8 [n], their contexts.
        table_of: uint8, the table of each context.
        ends: int64 [groups].
        streams: how many.
        out: int32 [n], filled stream by stream.
        tables: uint8 [n], filled: the table of each.
        stops: int64 [streams], filled: where each stream ends.
    """
    places: list[list[np.ndarray]] = [[] for _ in range(streams)]
    for start, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True):
        for j, own in enumerate(_shares(end - start, streams)):
            places[j].append(np.arange(start + own.start, start + own.stop))
    order = np.concatenate([np.concatenate(own) for own in places])
    out[:], tables[:] = coded[order], table_of[which[order]]
    stops[:] = np.cumsum([sum(map(len, own)) for own in places])


def _shares(count: int, streams: int) -> Iterator[slice]:
    size = share(count, streams)
    return (slice(min(j * size, count), min((j + 1) * size, count)) for j in range(streams))


def encode(
    symbols: np.ndarray, tables: np.ndarray, packed: Packed, stops: np.ndarray, states: np.ndarray, words: np.ndarray,
    starts: np.ndarray,
) -> None:  # fmt: skip
    """Encode the symbols of each stream.

    Args:
        symbols: int32 [n], stream by stream.
        tables: uint8 [n].
        packed: the tables.
        stops: int64 [S], where each stream ends.
        states: uint64 [S, LANES], updated.
        words: uint32, filled from the end.
        starts: int64 [S], filled: where the words of each stream start; they end where the next ones start.
    """
    q = words.size
    for j in reversed(range(stops.size)):
        own = slice(int(stops[j - 1]) if j else 0, int(stops[j]))
        q = rans_slow.encode(symbols[own], tables[own], packed, 0, states[j], words, q)
        starts[j] = q


def read(out: np.ndarray, tables: np.ndarray, packed: Packed, streams: Streams) -> bool:
    """Decode a group: fill `out`, int32 [n], with symbols of the `tables`, uint8 [n]. False: the bytes are damaged."""
    for j, own in enumerate(_shares(out.size, streams.done.size)):
        if own.start == own.stop:
            continue
        p = rans_slow.decode(
            out[own], tables[own], packed, int(streams.done[j]), streams.states[j], streams.words,
            int(streams.p[j]), int(streams.end[j]),
        )  # fmt: skip
        if p < 0:
            return False
        streams.p[j] = p
        streams.done[j] += own.stop - own.start
    return True


def decode(
    shape: np.ndarray, axes: int, table_of: np.ndarray, packed: Packed, streams: Streams, symbols: np.ndarray,
    scratch: tuple[np.ndarray, ...],
) -> bool:  # fmt: skip
    """Undo `gather` and `deal` but for the first group: fill symbols, int32 [n]. False: the bytes are damaged.

    `scratch` is the compiled twin's.
    """
    take = _reader(packed, streams)
    sides = tuple(shape.tolist())
    least = corner(sides, axes)
    first = take(np.full(np.prod(least), table_of[CORNER], np.uint8))
    if first is None:
        return False
    symbols[: first.size] = first
    known = magnitudes(first).reshape(least)
    for level in levels(sides, axes):
        kinds = Kinds(known, axes)
        for part in level.parts:
            own, here = contexts_of(kinds, part).reshape(-1), symbols[part.start : part.stop]
            silent, tiles = _silent(own, part.first)
            loud = np.ones(tiles.size, bool)
            if silent.any():
                flags = take(np.full(np.count_nonzero(silent), table_of[FLAG], np.uint8))
                if flags is None:
                    return False
                loud[silent] = flags != 0
            kept = np.ones(own.size, bool)
            kept[: tiles.size * TILE] = np.repeat(loud, TILE)
            values = take(table_of[own[kept]])
            if values is None:
                return False
            here[:] = 0
            here[kept] = values
            kinds.arrays[part.odd] = magnitudes(here).reshape(part.shape)
        known = kinds.complete(level.shape)
    return True


def _reader(packed: Packed, streams: Streams) -> Callable[[np.ndarray], np.ndarray | None]:
    def take(tables: np.ndarray) -> np.ndarray | None:
        out = np.zeros(tables.size, np.int32)
        return out if read(out, tables, packed, streams) else None

    return take
