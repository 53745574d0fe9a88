"""Frozen models: integer tables and integer rules, which is all that bytes may depend on.

    chunk = u32 digest of the tables and of every context used │ stream, or for each group: varint length │ stream

There is a stream per group when contexts depend on symbols and the coder cannot go group by group. Coders without the
trait `contexts` get all symbols in their own shape, and only the tables are in the digest.

The decoder computes its own digest; when it differs, it says so instead of returning wrong symbols.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from midtread.container import Reader, varint
from midtread.entropy import rans_stream, schedule, table_bytes
from midtread.entropy.coder import Coder, GroupDecoder, GroupEncoder
from midtread.entropy.loading import kernel
from midtread.entropy.tables import MAX_PLACES, Tables
from midtread.errors import BitstreamError, LimitError, UsageError

CAUSAL = "causal"  # every symbol after those before it, row by row
ORDERS = (*schedule.NAMES, CAUSAL)  # the place in this list is what files hold: append only


class FrozenModel(ABC):
    """Writes and reads symbols; cannot be trained."""

    @abstractmethod
    def encode(self, symbols: np.ndarray, coder: Coder) -> bytes:
        """One chunk of all symbols, of any shape. Raises UsageError."""

    @abstractmethod
    def decode(self, data: bytes | memoryview, shape: tuple[int, ...], coder: Coder) -> np.ndarray:
        """int32 of `shape`. Raises BitstreamError: damage, or tables or indices other than the encoder's."""

    @abstractmethod
    def bits(self, symbols: np.ndarray) -> float:
        """Ideal code length under these tables, in bits, without their own size."""

    @abstractmethod
    def write(self) -> bytes:
        """The model itself; `read_model` undoes it."""


class Digest:
    """CRC-32 of the model and of the contexts that follow from the symbols, in the order of coding."""

    def __init__(self, *model: bytes) -> None:
        self.value = zlib.crc32(b"".join(model))

    def add(self, contexts: bytes | memoryview) -> None:
        """Go on with the contexts of a group, a byte each."""
        self.value = zlib.crc32(contexts, self.value)

    def bytes(self) -> bytes:
        """As a chunk begins."""
        return self.value.to_bytes(4, "little")

    def check(self, stored: int) -> None:
        """Raise BitstreamError when the encoder's digest was another."""
        if stored != self.value:
            raise BitstreamError(
                f"the decoder's tables and indices have the digest {self.value:08x}, the encoder's had {stored:08x}: "
                "the decoder is out of step (damaged bytes, or another model)"
            )


@dataclass(frozen=True, eq=False)
class Contextual(FrozenModel):
    """A table for each context; contexts follow from the schedule and the symbols that are known."""

    tables: Tables
    rows: np.ndarray  # uint16 [contexts]: the table of each context
    order: str = "one"  # the context of a symbol is its plane; other schedules, and "causal": from known neighbours

    @cached_property
    def by_context(self) -> Tables:
        """The table of each context, in the order of the contexts."""
        same = np.array_equal(self.rows, np.arange(len(self.tables)))
        return self.tables if same else self.tables.select(self.rows)

    @property
    def grouped(self) -> bool:
        """Whether the contexts of one group depend on the symbols of another."""
        return self.order not in ("one", CAUSAL)

    def encode(self, symbols: np.ndarray, coder: Coder) -> bytes:
        """One stream where the coder can, else one per group."""
        if not coder.traits.contexts:
            return self._digest().bytes() + coder.encode(symbols)
        digest, groups = self._digest(), self.walk(schedule.as_planes(symbols))
        if not self.grouped:
            part, contexts = next(groups)
            if self.order == CAUSAL:
                digest.add(contexts.data)
            return digest.bytes() + coder.encode(part, self.by_context, contexts)
        streams = Streams(coder)
        for part, contexts in groups:
            digest.add(contexts.data)
            streams.put(part, self.by_context, contexts)
        return digest.bytes() + streams.finish()

    def _digest(self) -> Digest:
        rows = self.rows.astype("<u2").tobytes()
        return Digest(self.tables.digest.to_bytes(4, "little"), bytes([ORDERS.index(self.order)]), rows)

    def walk(self, planes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(symbols, contexts) of each group."""
        if self.order == "one":
            yield planes.reshape(-1), self._plane_numbers(planes.shape)
        elif self.order == CAUSAL:
            out = np.empty(planes.shape, dtype=np.uint8)
            kernel("causal", planes.size, "contexts").contexts(planes, out)
            yield planes.reshape(-1), out.reshape(-1)
        else:
            values, known = np.zeros(planes.shape, dtype=np.int32), np.zeros(planes.shape, dtype=bool)
            for group in schedule.groups(self.order, planes.shape):
                part = planes.reshape(-1)[group]
                yield part, schedule.contexts(self.order, group, values, known)
                values.reshape(-1)[group], known.reshape(-1)[group] = part, True

    def _plane_numbers(self, shape: tuple[int, ...]) -> np.ndarray:
        """The contexts of schedule "one"; planes beyond the last context share it."""
        numbers = np.minimum(np.arange(shape[0]), self.rows.size - 1)
        return np.repeat(numbers.astype(np.uint8 if self.rows.size <= 256 else np.uint16), shape[1] * shape[2])

    def decode(self, data: bytes | memoryview, shape: tuple[int, ...], coder: Coder) -> np.ndarray:
        """Group after group, each with contexts from those before."""
        reader, planes, digest = Reader(data), schedule.plane_shape(shape), self._digest()
        stored = reader.uint(4, "digest", at_most=2**32 - 1)
        rest = reader.take(reader.left, "symbols")
        if not coder.traits.contexts or self.order == "one":
            digest.check(stored)
        if not coder.traits.contexts:
            return coder.decode(rest, prod(planes)).reshape(shape)
        if self.order == "one":
            return coder.decode(rest, prod(planes), self.by_context, self._plane_numbers(planes)).reshape(shape)
        values = np.zeros(planes, dtype=np.int32)
        if self.order == CAUSAL:
            self._decode_causal(rest, values, coder, digest, stored)
        else:
            self._decode_groups(rest, values, coder, digest, stored)
        return values.reshape(shape)

    def _decode_groups(self, data: memoryview, values: np.ndarray, coder: Coder, digest: Digest, stored: int) -> None:
        known, source = np.zeros(values.shape, dtype=bool), Sources(coder, data, values.size)
        for group in schedule.groups(self.order, values.shape):
            contexts = schedule.contexts(self.order, group, values, known)
            digest.add(contexts.data)
            values.reshape(-1)[group] = source.take(group.size, self.by_context, contexts)
            known.reshape(-1)[group] = True
        digest.check(stored)
        source.finish()

    def _decode_causal(self, data: memoryview, values: np.ndarray, coder: Coder, digest: Digest, stored: int) -> None:
        if coder.name != "rans":
            raise UsageError(f"a causal model decodes symbol by symbol, with coder 'rans' only; got {coder.name!r}")
        used, packed = np.zeros(values.shape, dtype=np.uint8), self.by_context.packed
        run = kernel("causal", values.size, packed.lut.dtype.str).decode
        cursors = []
        for i, chunk in enumerate(rans_stream.split(data, values.size)):
            cursor = rans_stream.Cursor(chunk)
            begin = i * rans_stream.CHUNK
            stop = min(begin + rans_stream.CHUNK, values.size)
            at = run(values, used, packed, begin, stop, cursor.states, cursor.words, cursor.p, cursor.end)
            if at < 0:
                raise BitstreamError("the stream ends too early, or an escaped symbol in it is no int32: it is damaged")
            cursor.p = int(at)
            cursors.append(cursor)
        digest.add(used.reshape(-1).data)
        digest.check(stored)
        for cursor in cursors:
            cursor.finish()

    def bits(self, symbols: np.ndarray) -> float:
        """Under the tables that the contexts choose."""
        parts = self.walk(schedule.as_planes(symbols))
        return sum(self.by_context.bits(part, contexts) for part, contexts in parts)

    def write(self) -> bytes:
        """u8 kind 0 │ u8 order │ tables │ varint contexts │ varint row[contexts]."""
        head = bytes([0, ORDERS.index(self.order)]) + table_bytes.write(self.tables)
        return head + varint(self.rows.size) + b"".join(varint(int(row)) for row in self.rows)


class Streams:
    """Groups on their way out: one stream, or one per group where the coder cannot go group by group."""

    def __init__(self, coder: Coder) -> None:
        self.coder, self._parts = coder, list[bytes]()
        self._encoder: GroupEncoder | None = coder.encoder() if coder.traits.incremental else None

    def put(self, symbols: np.ndarray, tables: Tables, rows: np.ndarray) -> None:
        """Add a group."""
        if self._encoder is not None:
            self._encoder.put(symbols, tables, rows)
        else:
            part = self.coder.encode(symbols, tables, rows)
            self._parts += [varint(len(part)), part]

    def finish(self) -> bytes:
        """The bytes of everything put."""
        return b"".join(self._parts) if self._encoder is None else self._encoder.finish()


class Sources:
    """The way back in; `take` gives group after group."""

    def __init__(self, coder: Coder, data: memoryview, count: int) -> None:
        self.coder, self._reader = coder, Reader(data)
        self._decoder: GroupDecoder | None = coder.decoder(data, count) if coder.traits.incremental else None

    def take(self, count: int, tables: Tables, rows: np.ndarray) -> np.ndarray:
        """The next group, int32 [count]."""
        if self._decoder is not None:
            return self._decoder.take(count, tables, rows)
        length = self._reader.varint("length of a group", at_most=2**40)
        return self.coder.decode(self._reader.take(length, "group"), count, tables, rows)

    def finish(self) -> None:
        """Raise BitstreamError unless all bytes were used."""
        if self._decoder is not None:
            self._decoder.finish()
        else:
            self._reader.end("the chunk")


def read_model(reader: Reader) -> FrozenModel:
    """A model that `FrozenModel.write` wrote. Raises BitstreamError, LimitError."""
    kind = reader.uint(1, "kind of model", at_most=255)
    if kind == 1:
        from midtread.entropy.adaptive import read_adaptive

        return read_adaptive(reader)
    order = reader.uint(1, "schedule", at_most=255)
    if kind != 0 or order >= len(ORDERS):
        raise BitstreamError(f"model of kind {kind} with schedule {order} is not known to this version")
    tables = table_bytes.read(reader)
    count = reader.varint("number of contexts", at_most=2**16)
    rows = [reader.varint("table of a context", at_most=len(tables) - 1) for _ in range(count)]
    if (places := int((tables.sizes[rows].astype(np.int64) + 1).sum())) > MAX_PLACES:
        raise LimitError(f"the tables of all contexts have {places} symbols, more than the {MAX_PLACES} allowed here")
    if count < contexts_of(ORDERS[order]):
        raise BitstreamError(
            f"the model has {count} contexts, schedule {ORDERS[order]} has {contexts_of(ORDERS[order])}"
        )
    return Contextual(tables, np.array(rows, dtype=np.uint16), ORDERS[order])


def contexts_of(order: str) -> int:
    """Contexts that a schedule tells apart; at least, for "one", where they are planes."""
    return {"one": 1, CAUSAL: schedule.LEVELS}.get(order, schedule.CONTEXTS)
