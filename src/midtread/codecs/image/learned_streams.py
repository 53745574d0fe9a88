"""Groups of symbols <-> the bytes of a tile, by any coder of the entropy room.

    rans      one rANS chunk (docs/formats/entropy.md): who reads it group by group knows where it ends; it may be
              marked to have one lane up to twice the usual length, which saves some 20 bytes there
    others    varint symbols │ one stream, or for each group: varint length │ stream

One picture of usual size takes the slow twin of the rANS kernel: a tenth of a second, less than loading numba. After a
few, or when a picture has several tiles, the compiled one is worth loading.
"""

from __future__ import annotations

import numpy as np

from midtread.container import Reader, varint
from midtread.entropy import checks, rans_stream
from midtread.entropy.coder import Coder
from midtread.entropy.frozen import Sources, Streams
from midtread.entropy.loading import WORTH_COMPILING
from midtread.entropy.tables import Tables
from midtread.errors import BitstreamError

PATIENT = WORTH_COMPILING - 1  # symbols that the choice of a twin is told of, at most
_MARKED = rans_stream.SHORT, 2 * rans_stream.SHORT  # bytes of a chunk whose single lane is said

Group = tuple[np.ndarray, np.ndarray]  # symbols, the table of each; flat


def write(groups: list[Group], tables: Tables, coder: Coder) -> tuple[bytes, bool]:
    """The bytes of all groups, in order, and whether they are a chunk to be marked."""
    if coder.name == "rans":
        segments = [rans_stream.segment(symbols, tables, rows) for symbols, rows in groups if symbols.size]
        count = sum(symbols.size for symbols, _ in groups)
        chunk = rans_stream.encode_chunk(segments, min(count, PATIENT), _MARKED[1])
        return chunk, _MARKED[0] <= len(chunk) < _MARKED[1]
    streams, count = Streams(coder), 0
    for symbols, rows in groups:
        count += symbols.size
        streams.put(symbols, tables, rows)
    return varint(count) + streams.finish(), False


class RansSource:
    """One rANS chunk, group by group."""

    def __init__(self, data: memoryview, tables: Tables, marked: bool) -> None:
        if marked and not _MARKED[0] <= len(data) < _MARKED[1]:
            raise BitstreamError(
                f"this tile has {len(data)} bytes of symbols; those marked to have one lane have {_MARKED[0]} to "
                f"{_MARKED[1] - 1}: it is damaged"
            )
        short = _MARKED[1] if marked else _MARKED[0]
        self._cursor, self._tables, self._done = rans_stream.Cursor(data, short), tables, 0

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Symbols of the next group, whose tables are `rows`. Raises BitstreamError."""
        checked, out = checks.indices(rows, rows.size, self._tables), np.empty(rows.size, np.int32)
        if out.size:
            hint = min(out.size, PATIENT)
            rans_stream.decode_into(out, checked, self._tables, self._cursor, self._done, hint)
        self._done += out.size
        return out

    def finish(self) -> None:
        """Raise BitstreamError unless the chunk ends here."""
        self._cursor.finish()


class CountedSource:
    """The streams of any other coder, behind the number of their symbols."""

    def __init__(self, data: memoryview, tables: Tables, coder: Coder, at_most: int) -> None:
        reader = Reader(data)
        self._left = reader.varint("number of symbols", at_most=at_most)
        self._source, self._tables = Sources(coder, reader.take(reader.left, "symbols"), self._left), tables

    def take(self, rows: np.ndarray) -> np.ndarray:
        """As `RansSource.take`."""
        self._left -= rows.size
        if self._left < 0:
            raise BitstreamError("this tile has fewer symbols than its tables ask for: it is damaged")
        return self._source.take(rows.size, self._tables, rows)

    def finish(self) -> None:
        """As `RansSource.finish`."""
        if self._left:
            raise BitstreamError(f"{self._left} symbols of this tile belong to nothing")
        self._source.finish()


def read(data: memoryview, tables: Tables, coder: Coder, at_most: int, marked: bool) -> RansSource | CountedSource:
    """Where a decoder takes its groups from; at_most: symbols; marked: as of `write`. Raises BitstreamError."""
    if coder.name == "rans":
        return RansSource(data, tables, marked)
    if marked:
        raise BitstreamError(f"the symbols of this tile are marked to have one lane, but are coded with {coder.name}")
    return CountedSource(data, tables, coder, at_most)
