"""Range coded streams in bytes (docs/formats/entropy.md), whole and group by group.

    stream of n symbols   nothing when n = 0, else the words of the coder, highest byte first, cut after the last byte
                          that is needed; the reader takes zeros for what was cut off

The last symbol is followed by 16 bits of value END at probability 2**-16: a decoder that does not find them has met
damaged bytes or other tables.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np

from midtread.entropy import checks
from midtread.entropy.loading import kernel
from midtread.entropy.tables import Tables
from midtread.errors import BitstreamError, UsageError
from midtread.kernels.packed import Packed

END = 0xB5A6
_ONES = (1 << 64) - 1


def _twin(indices: np.ndarray | None, packed: Packed, count: int) -> ModuleType:
    return kernel("range_coder", count, (indices is None or indices.dtype.str, packed.lut.dtype.str))


class Encoder:
    """Collects groups of symbols, then writes them as one stream."""

    def __init__(self) -> None:
        self._groups: list[tuple[np.ndarray, np.ndarray | None, Packed]] = []

    def put(self, symbols: np.ndarray, tables: Tables, indices: np.ndarray | None = None) -> None:
        """Add a group. Raises UsageError."""
        symbols = checks.int32(symbols)
        indices = checks.indices(indices, symbols.size, tables)
        tables.check_codable(symbols, indices)
        if symbols.size:
            self._groups.append((symbols, indices, tables.packed))

    def finish(self) -> bytes:
        """The stream of everything put."""
        total = sum(symbols.size for symbols, _, _ in self._groups)
        if not total:
            return b""
        state, words, count = np.array([0, _ONES], dtype=np.uint64), np.empty(2 * total + 8, dtype=np.uint32), 0
        for symbols, indices, packed in self._groups:
            count = int(_twin(indices, packed, total).encode(symbols, indices, packed, state, words, count))
        return _flush(int(state[0]), int(state[1]), words[:count])


def _shortest(low: int, width: int) -> tuple[int, int]:
    """(bytes, value): the end mark, and then the number whose last bytes, of 8, may be left out."""
    scale = width >> 16
    low += scale * END
    for size in range(9):
        mask = (1 << 64 - 8 * size) - 1
        value = low + mask & ~mask
        if value < low + scale:
            break
    return size, value


def _flush(low: int, width: int, words: np.ndarray) -> bytes:
    size, value = _shortest(low, width)
    number = (int.from_bytes(words.astype(">u4").tobytes(), "big") << 64) + value  # a carry runs up
    return (number >> 64 - 8 * size).to_bytes(4 * words.size + size, "big")


class Decoder:
    """Group by group: the tables and indices of a group may depend on the symbols of all groups before it.

    Args:
        data: one stream.
        count: its symbols.
    """

    def __init__(self, data: bytes | memoryview, count: int) -> None:
        self._data, self._count, self._done = bytes(data), count, 0
        padded = self._data + bytes(-len(self._data) % 4 + 8)
        self._words = np.frombuffer(padded, dtype=">u4").astype(np.uint32)
        code = int(self._words[0]) << 32 | int(self._words[1])
        self._state, self._p = np.array([code, _ONES], dtype=np.uint64), 2
        if (not count and self._data) or code == _ONES:
            raise BitstreamError(f"{len(self._data)} bytes are no range coded stream of {count} symbols")

    def take(self, count: int, tables: Tables, indices: np.ndarray | None = None) -> np.ndarray:
        """The next `count` symbols, int32. Raises BitstreamError, UsageError (more than there are)."""
        if count > self._count - self._done:
            raise UsageError(f"this stream has {self._count - self._done} symbols left, asked for {count}")
        indices, out = checks.indices(indices, count, tables), np.empty(count, dtype=np.int32)
        run = _twin(indices, tables.packed, self._count).decode
        self._p = int(run(out, indices, tables.packed, self._state, self._words, self._p))
        if self._p < 0:
            raise BitstreamError("this is no range coded stream of these tables: it is damaged")
        self._done += count
        return out

    def finish(self) -> None:
        """Raise BitstreamError unless the stream ends as an encoder of these symbols ends it."""
        if self._done != self._count:
            raise UsageError(f"{self._count - self._done} symbols of this stream were not taken")
        if not self._count:
            return
        code, width = (int(value) for value in self._state)
        moved = 4 * (self._p - 2)
        number = int.from_bytes(self._data[moved : moved + 8].ljust(8, b"\0"), "big")
        size, value = _shortest((number - code) & _ONES, width)
        if len(self._data) != moved + size or value & _ONES != number:
            raise BitstreamError(
                f"the stream does not end where it should (byte {moved + size} of {len(self._data)}): "
                "it is damaged, or was coded with other tables, indices or count"
            )
