"""Tables that follow the symbols: each block is coded with what the blocks before it have shown.

    counts ──► tables of the next block ──► code the block ──► add its symbols to the counts ──► ...

Blocks grow from 64 symbols to 8,192, so that early tables change often and late ones cost no time. Nothing is sent but
the alphabet. Counts are integers, so the decoder's tables are the encoder's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from midtread.container import Reader, varint
from midtread.entropy import checks, integers
from midtread.entropy.coder import Coder
from midtread.entropy.frozen import Digest, FrozenModel, Sources, Streams
from midtread.entropy.tables import Tables, normalise
from midtread.errors import BitstreamError

_FIRST, _LAST = 64, 8192  # symbols of the first and of the longest block
_STEP = 32  # what one symbol adds to its count
_FULL = 1 << 16  # symbols after which all counts are halved
MAX_ALPHABET = 4096


@dataclass(frozen=True)
class Adaptive(FrozenModel):
    """One table, learnt on the way. Symbols outside the alphabet are escaped."""

    low: int
    size: int
    precision: int = 16

    def encode(self, symbols: np.ndarray, coder: Coder) -> bytes:
        """Block after block."""
        flat, learnt = checks.int32(symbols), _Counts(self)
        digest, streams = Digest(self.write()), Streams(coder)
        if not coder.traits.needs_tables:
            return digest.bytes() + coder.encode(symbols)
        for begin, stop in _blocks(flat.size):
            rows, tables = np.zeros(stop - begin, dtype=np.uint8), learnt.tables()
            digest.add(tables.digest.to_bytes(4, "little"))
            streams.put(flat[begin:stop], tables, rows)
            learnt.add(flat[begin:stop])
        return digest.bytes() + streams.finish()

    def decode(self, data: bytes | memoryview, shape: tuple[int, ...], coder: Coder) -> np.ndarray:
        """Block after block, learning what the encoder learnt."""
        out = np.zeros(shape, dtype=np.int32)
        flat, learnt, reader = out.reshape(-1), _Counts(self), Reader(data)
        stored, digest = reader.uint(4, "digest", at_most=2**32 - 1), Digest(self.write())
        rest = reader.take(reader.left, "symbols")
        if not coder.traits.needs_tables:
            digest.check(stored)
            return coder.decode(rest, flat.size).reshape(shape)
        source = Sources(coder, rest, flat.size)
        for begin, stop in _blocks(flat.size):
            rows, tables = np.zeros(stop - begin, dtype=np.uint8), learnt.tables()
            digest.add(tables.digest.to_bytes(4, "little"))
            flat[begin:stop] = source.take(stop - begin, tables, rows)
            learnt.add(flat[begin:stop])
        digest.check(stored)
        source.finish()
        return out

    def bits(self, symbols: np.ndarray) -> float:
        """Under the tables as they change."""
        flat, learnt, total = checks.int32(symbols), _Counts(self), 0.0
        for begin, stop in _blocks(flat.size):
            total += learnt.tables().bits(flat[begin:stop])
            learnt.add(flat[begin:stop])
        return total

    def write(self) -> bytes:
        """u8 kind 1 │ u8 precision │ varint zigzag(low) │ varint size."""
        low = int(integers.zigzag(np.array([self.low]))[0])
        return bytes([1, self.precision]) + varint(low) + varint(self.size)


def read_adaptive(reader: Reader) -> Adaptive:
    """What `Adaptive.write` wrote, behind its kind. Raises BitstreamError, LimitError."""
    precision = reader.uint(1, "precision", at_most=18)
    zigzag = reader.varint("lowest symbol", at_most=2**32 - 1)
    size = reader.varint("size of the alphabet", at_most=MAX_ALPHABET)
    low = int(integers.unzigzag(np.array([zigzag], dtype=np.uint32))[0])
    if precision < 12 or size < 1 or size > 1 << precision - 1 or low + size > 2**31:
        raise BitstreamError(f"an alphabet of {size} symbols from {low} with {precision} bits cannot be")
    return Adaptive(low, size, precision)


def _blocks(count: int) -> Iterator[tuple[int, int]]:
    begin, length = 0, _FIRST
    while begin < count:
        yield begin, min(count, begin + length)
        begin, length = begin + length, min(_LAST, length + length // 2)


class _Counts:
    """Counts of the alphabet and of the escape; every place keeps a little, more near 0."""

    def __init__(self, model: Adaptive) -> None:
        self._model = model
        distance = np.abs(model.low + np.arange(model.size, dtype=np.int64))
        self._counts = np.append(1 + _STEP * 8 // (1 + distance), 1)
        self._seen = 0

    def tables(self) -> Tables:
        frequencies = normalise(self._counts, self._model.precision)
        return Tables.build(self._model.precision, [self._model.low], [self._model.size], frequencies)

    def add(self, symbols: np.ndarray) -> None:
        place = symbols.astype(np.int64) - self._model.low
        place[(place < 0) | (place >= self._model.size)] = self._model.size
        self._counts = self._counts + _STEP * np.bincount(place, minlength=self._counts.size)
        self._seen += symbols.size
        if self._seen >= _FULL:
            self._counts, self._seen = (self._counts + 1) >> 1, self._seen // 2
