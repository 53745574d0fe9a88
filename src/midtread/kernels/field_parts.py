"""From the symbols of an interpolated box to groups for the entropy coder and back, compiled; see `field_parts_slow`.

Arrays of magnitudes are laid out as in `field_levels`.
"""

from __future__ import annotations

import numpy as np

from midtread.kernels.field_levels import along_of, contexts_row, corner, depth, first_context, layout, weave
from midtread.kernels.field_levels_slow import CORNER, FAR
from midtread.kernels.field_parts_slow import FLAG, LANES, TILE, WITH_TILES, Streams
from midtread.kernels.jit import int32, int64, jit, uint8, uint32, uint64
from midtread.kernels.packed import Packed
from midtread.kernels.rans import decode as decode_rans
from midtread.kernels.rans import encode as encode_rans

_KINDS = (1, 2, 4, 3, 5, 6, 7)


@jit
def _silent(contexts: np.ndarray, start: int, first: int, out: np.ndarray) -> int:
    """1 for each tile whose contexts are all `first`, else 0; returns how many."""
    count = 0
    for tile in range(out.size):
        differs, at = uint8(0), start + uint64(TILE * tile)
        for k in range(at, at + uint64(TILE)):
            differs |= contexts[k] ^ uint8(first)
        out[tile] = uint8(differs == uint8(0))
        count += int(out[tile])
    return count


@jit
def gather(
    symbols: np.ndarray, contexts: np.ndarray, shape: np.ndarray, axes: int, shift: int, first: int, coded: np.ndarray,
    which: np.ndarray, ends: np.ndarray,
) -> int:  # fmt: skip
    """What is coded of a box; see `field_parts_slow.gather`."""
    dims, starts = np.empty((8, 3), np.uint64), np.empty(8, np.uint64)
    silent = np.empty(symbols.size // TILE, np.uint8)
    shift, at, groups = int32(shift), uint64(first), 2
    ends[0] = first
    planes, rows, columns = corner(shape, axes)
    for k in range(uint64(planes * rows * columns)):
        coded[at], which[at] = symbols[k] >> shift, contexts[k]
        at += uint64(1)
    ends[1] = at
    for level in range(depth(shape, axes) - 1, -1, -1):
        layout(shape, axes, level, dims, starts)
        for i in range(7):
            odd = _KINDS[i]
            size, start = dims[odd, 0] * dims[odd, 1] * dims[odd, 2], starts[odd]
            tiles = int(size) // TILE if size >= WITH_TILES else 0
            flags = _silent(contexts, start, first_context(level, odd), silent[:tiles])
            for tile in range(tiles if flags else 0):
                if silent[tile]:
                    loud, tile_at = int32(0), start + uint64(TILE * tile)
                    for k in range(tile_at, tile_at + uint64(TILE)):
                        loud |= symbols[k] >> shift
                    silent[tile] = uint8(loud == int32(0))
                    coded[at], which[at] = int32(loud != int32(0)), uint8(FLAG)
                    at += uint64(1)
            if flags:
                ends[groups] = at
                groups += 1
            for tile in range(tiles):
                if not silent[tile]:
                    tile_at = start + uint64(TILE * tile)
                    for k in range(uint64(TILE)):
                        coded[at + k], which[at + k] = symbols[tile_at + k] >> shift, contexts[tile_at + k]
                    at += uint64(TILE)
            for k in range(start + uint64(TILE * tiles), start + size):
                coded[at], which[at] = symbols[k] >> shift, contexts[k]
                at += uint64(1)
            if size:
                ends[groups] = at
                groups += 1
    return groups


@jit
def _share(count: int, streams: int) -> int:
    """See `field_parts_slow.share`."""
    return (count + LANES * streams - 1) // (LANES * streams) * LANES


@jit
def deal(
    coded: np.ndarray, which: np.ndarray, table_of: np.ndarray, ends: np.ndarray, streams: int,
    out: np.ndarray, tables: np.ndarray, stops: np.ndarray,
) -> None:  # fmt: skip
    """Sort groups by stream; see `field_parts_slow.deal`."""
    at = uint64(0)
    for j in range(streams):
        start = 0
        for group in range(ends.size):
            size = _share(ends[group] - start, streams)
            low, high = min(start + j * size, ends[group]), min(start + (j + 1) * size, ends[group])
            for k in range(uint64(low), uint64(high)):
                out[at], tables[at] = coded[k], table_of[uint64(which[k])]
                at += uint64(1)
            start = ends[group]
        stops[j] = at


@jit
def encode(
    symbols: np.ndarray, tables: np.ndarray, packed: Packed, stops: np.ndarray, states: np.ndarray, words: np.ndarray,
    starts: np.ndarray,
) -> None:  # fmt: skip
    """Encode the symbols of each stream; see `field_parts_slow.encode`."""
    q = words.size
    for j in range(stops.size - 1, -1, -1):
        start, stop = stops[j - 1] if j else 0, stops[j]
        q = int64(encode_rans(symbols[start:stop], tables[start:stop], packed, 0, states[j], words, q))
        starts[j] = q


@jit
def read(out: np.ndarray, tables: np.ndarray, packed: Packed, streams: Streams) -> bool:
    """Decode a group; see `field_parts_slow.read`."""
    states, words, places, end, done = streams
    size = _share(out.size, done.size)
    for j in range(done.size):
        low, high = min(j * size, out.size), min((j + 1) * size, out.size)
        if low < high:
            p = decode_rans(out[low:high], tables[low:high], packed, done[j], states[j], words, places[j], end[j])
            if p < 0:
                return False
            places[j] = p
            done[j] += high - low
    return True


@jit
def _magnitudes(symbols: np.ndarray, start: int, stop: int, sizes: np.ndarray) -> None:
    for k in range(start, stop):
        s = symbols[k]
        sizes[k] = uint8(min(uint32(s if s >= int32(0) else -s), uint32(FAR)))


@jit
def _scatter(values: np.ndarray, quiet: np.ndarray, symbols: np.ndarray, start: int, stop: int) -> None:
    """Put the decoded values of a part in their places, zeros in quiet tiles."""
    at = uint64(0)
    for tile in range(quiet.size):
        tile_at = start + uint64(TILE * tile)
        if quiet[tile]:
            for k in range(tile_at, tile_at + uint64(TILE)):
                symbols[k] = int32(0)
        else:
            for k in range(uint64(TILE)):
                symbols[tile_at + k] = values[at + k]
            at += uint64(TILE)
    for k in range(start + uint64(TILE * quiet.size), stop):
        symbols[k] = values[at]
        at += uint64(1)


@jit
def _tables_of(
    contexts: np.ndarray, start: int, stop: int, quiet: np.ndarray, table_of: np.ndarray, out: np.ndarray
) -> int:
    """The tables of the symbols of a part that are not in quiet tiles; returns how many."""
    at = uint64(0)
    for tile in range(quiet.size):
        if not quiet[tile]:
            tile_at = start + uint64(TILE * tile)
            for k in range(uint64(TILE)):
                out[at + k] = table_of[uint64(contexts[tile_at + k])]
            at += uint64(TILE)
    for k in range(start + uint64(TILE * quiet.size), stop):
        out[at] = table_of[uint64(contexts[k])]
        at += uint64(1)
    return at


@jit
def _read_quiet(quiet: np.ndarray, flags: int, table: int, packed: Packed, streams: Streams, values: np.ndarray,
                tables: np.ndarray) -> bool:  # fmt: skip
    """Read which of the silent tiles are quiet indeed."""
    tables[:flags] = uint8(table)
    if not read(values[:flags], tables[:flags], packed, streams):
        return False
    flag = 0
    for tile in range(quiet.size):
        if quiet[tile]:
            quiet[tile] = uint8(values[flag] == int32(0))
            flag += 1
    return True


@jit
def decode(
    shape: np.ndarray, axes: int, table_of: np.ndarray, packed: Packed, streams: Streams, symbols: np.ndarray,
    scratch: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> bool:  # fmt: skip
    """Fill the symbols of a box; see `field_parts_slow.decode`. `scratch`: sizes, contexts, values, tables."""
    sizes, contexts, values, tables = scratch
    dims, starts = np.empty((8, 3), np.uint64), np.empty(8, np.uint64)
    total, all_quiet = np.empty(shape[2], np.uint16), np.empty(symbols.size // TILE, np.uint8)
    planes, rows, columns = corner(shape, axes)
    known = planes * rows * columns
    tables[:known] = table_of[CORNER]
    if not read(symbols[:known], tables[:known], packed, streams):
        return False
    _magnitudes(symbols, uint64(0), uint64(known), sizes)
    complete = layout(shape, axes, depth(shape, axes), dims, starts)
    for k in range(uint64(known)):
        sizes[complete + k] = sizes[k]
    for level in range(depth(shape, axes) - 1, -1, -1):
        complete = layout(shape, axes, level, dims, starts)
        for i in range(7):
            odd = uint64(_KINDS[i])
            first, width = first_context(level, _KINDS[i]), dims[odd, 2]
            along = uint64(along_of(_KINDS[i], axes))
            start, stop = starts[odd], starts[odd] + dims[odd, 0] * dims[odd, 1] * width
            if start == stop:
                continue
            for z in range(dims[odd, 0]):
                for y in range(dims[odd, 1]):
                    at = start + (z * dims[odd, 1] + y) * width
                    contexts_row(sizes, starts, dims, odd, along, first, z, y, total, contexts, at, width)
            quiet = all_quiet[: (int(stop - start) // TILE if stop - start >= WITH_TILES else 0)]
            flags = _silent(contexts, start, first, quiet)
            if flags and not _read_quiet(quiet, flags, table_of[FLAG], packed, streams, values, tables):
                return False
            count = int(_tables_of(contexts, start, stop, quiet, table_of, tables))
            if not read(values[:count], tables[:count], packed, streams):
                return False
            _scatter(values, quiet, symbols, start, stop)
            _magnitudes(symbols, start, stop, sizes)
        if level:
            height, width = dims[0, 1] + dims[2, 1], dims[0, 2] + dims[1, 2]
            weave(sizes, axes, starts, dims, sizes, complete, height * width, width)
    return True
