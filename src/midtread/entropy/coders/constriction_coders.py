"""The coders of the library constriction (Rust), as a reference: ANS and range coding of categorical models.

    varint length of the escapes │ varint zigzag(symbol) of each │ varint words │ u32 words of constriction

Within the words the symbols stand table after table, so that each table's model is made once; a mark of 16 bits
follows them. Source: Bamler, arXiv:2201.01741.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from midtread.container import Reader, varint
from midtread.entropy import checks, integers
from midtread.entropy.coder import Coder, Traits
from midtread.entropy.tables import Tables
from midtread.errors import BitstreamError, CodecError

_END = 0xB5A6


class _Constriction(Coder):
    """What both have in common: groups by table, escapes beside the words."""

    traits: ClassVar[Traits] = Traits(needs_tables=True, contexts=True)

    def _write(self, groups: list[tuple[np.ndarray, Any]]) -> np.ndarray:
        raise NotImplementedError

    def _reader(self, words: np.ndarray) -> tuple[Callable[[Any, int], np.ndarray], Callable[[], bool]]:
        """(decode(model, count), whether all was read)."""
        raise NotImplementedError

    def encode(self, symbols: np.ndarray, tables: Tables | None = None, indices: np.ndarray | None = None) -> bytes:
        tables, symbols = checks.need_tables(self.name, tables), checks.int32(symbols)
        indices = checks.indices(indices, symbols.size, tables)
        tables.check_codable(symbols, indices)
        if not symbols.size:
            return b""
        at = tables.places(symbols, indices)
        escaped = symbols[tables.packed.entry[at] == 0]
        groups = []
        for t, who in _by_table(indices, symbols.size):
            groups.append(((at[who] - int(tables.packed.base[t])).astype(np.int32), _model(tables, t)))
        side = integers.write_varints(integers.zigzag(escaped))
        words = self._write([*groups, (np.array([_END], dtype=np.int32), _uniform())])
        return varint(len(side)) + side + varint(len(words)) + words.astype("<u4").tobytes()

    def decode(
        self, data: bytes | memoryview, count: int, tables: Tables | None = None, indices: np.ndarray | None = None
    ) -> np.ndarray:
        tables = checks.need_tables(self.name, tables)
        indices = checks.indices(indices, count, tables)
        reader = Reader(data)
        if not count:
            reader.end("a stream of no symbols")
            return np.zeros(0, dtype=np.int32)
        side = reader.take(reader.varint("length of the escapes", at_most=5 * count), "escapes")
        escapes = integers.unzigzag(integers.read_varints(side, "escapes"))
        words = reader.take(4 * reader.varint("number of words", at_most=2 * count + 8), "words")
        reader.end("the stream")
        at = np.empty(count, dtype=np.int64)
        with _their_errors(self.name):
            take, done = self._reader(np.frombuffer(words, dtype="<u4").astype(np.uint32))
            for t, who in _by_table(indices, count):
                at[who] = take(_model(tables, t), len(at[who])) + np.int64(tables.packed.base[t])
            if take(_uniform(), 1)[0] != _END or not done():
                raise BitstreamError(
                    "the stream does not end where it should: it is damaged, or its tables were others"
                )
        escaped = tables.packed.entry[at] == 0
        if np.count_nonzero(escaped) != escapes.size:
            raise BitstreamError(f"{np.count_nonzero(escaped)} symbols are escaped, the stream holds {escapes.size}")
        symbols = tables.packed.value[at]
        symbols[escaped] = escapes
        return symbols


@dataclass(frozen=True, slots=True)
class ConstrictionAns(_Constriction):
    """ANS of constriction's default precision, 24 bits."""

    name: ClassVar[str] = "constriction_ans"
    summary: ClassVar[str] = "ANS of the library constriction, the reference"

    def _write(self, groups: list[tuple[np.ndarray, Any]]) -> np.ndarray:
        import constriction

        coder = constriction.stream.stack.AnsCoder()
        for places, model in reversed(groups):
            coder.encode_reverse(places, model)
        words: np.ndarray = coder.get_compressed()
        return words

    def _reader(self, words: np.ndarray) -> tuple[Callable[[Any, int], np.ndarray], Callable[[], bool]]:
        import constriction

        coder = constriction.stream.stack.AnsCoder(words)
        return coder.decode, coder.is_empty


@dataclass(frozen=True, slots=True)
class ConstrictionRange(_Constriction):
    """Range coding of constriction's default precision, 24 bits."""

    name: ClassVar[str] = "constriction_range"
    summary: ClassVar[str] = "range coder of the library constriction"

    def _write(self, groups: list[tuple[np.ndarray, Any]]) -> np.ndarray:
        import constriction

        coder = constriction.stream.queue.RangeEncoder()
        for places, model in groups:
            coder.encode(places, model)
        words: np.ndarray = coder.get_compressed()
        return words

    def _reader(self, words: np.ndarray) -> tuple[Callable[[Any, int], np.ndarray], Callable[[], bool]]:
        import constriction

        coder = constriction.stream.queue.RangeDecoder(words)
        return coder.decode, coder.maybe_exhausted


def _by_table(indices: np.ndarray | None, count: int) -> Iterator[tuple[int, np.ndarray | slice]]:
    """(table, which symbols), in the order of the tables."""
    if indices is None:
        yield 0, slice(None)
        return
    order = np.argsort(indices, kind="stable")
    used, starts = np.unique(indices[order], return_index=True)
    yield from zip(used.tolist(), np.split(order, starts[1:]), strict=True)


def _model(tables: Tables, t: int) -> Any:
    import constriction

    probabilities = tables.row(t)[1] / np.float64(1 << tables.precision)
    return constriction.stream.model.Categorical(probabilities, perfect=False)


def _uniform() -> Any:
    import constriction

    return constriction.stream.model.Uniform(1 << 16)


@contextmanager
def _their_errors(name: str) -> Iterator[None]:
    """Whatever constriction raises, a Rust panic included, is the bytes' fault: we gave it sound models."""
    try:
        yield
    except (CodecError, MemoryError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        raise BitstreamError(f"coder {name!r} cannot decode these bytes: {error}") from error
