"""Groups of symbols <-> the bytes of a tile, by any coder of the entropy room.

    rans      one rANS chunk (docs/formats/entropy.md): who reads it group by group knows where it ends
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

_PATIENT = WORTH_COMPILING - 1  # symbols that the choice of a twin is told of, at most

Group = tuple[np.ndarray, np.ndarray]  # symbols, the table of each; flat


def write(groups: list[Group], tables: Tables, coder: Coder) -> bytes:
    """The bytes of all groups, in order."""
    if coder.name == "rans":
        segments = [rans_stream.segment(symbols, tables, rows) for symbols, rows in groups if symbols.size]
        count = sum(symbols.size for symbols, _ in groups)
        return rans_stream.encode_chunk(segments, min(count, _PATIENT))
    streams, count = Streams(coder), 0
    for symbols, rows in groups:
        count += symbols.size
        streams.put(symbols, tables, rows)
    return varint(count) + streams.finish()


class RansSource:
    """One rANS chunk, group by group."""

    def __init__(self, data: memoryview, tables: Tables) -> None:
        self._cursor, self._tables, self._done = rans_stream.Cursor(data), tables, 0

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Symbols of the next group, whose tables are `rows`. Raises BitstreamError."""
        checked, out = checks.indices(rows, rows.size, self._tables), np.empty(rows.size, np.int32)
        if out.size:
            hint = min(out.size, _PATIENT)
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


def read(data: memoryview, tables: Tables, coder: Coder, at_most: int) -> RansSource | CountedSource:
    """Where a decoder takes its groups from; at_most: symbols. Raises BitstreamError."""
    return RansSource(data, tables) if coder.name == "rans" else CountedSource(data, tables, coder, at_most)
