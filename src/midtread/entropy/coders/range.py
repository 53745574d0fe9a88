"""A range coder of our own: 64 bits of state, words of 32 bits, first in first out (layout: `range_stream`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from midtread.entropy import checks, range_stream
from midtread.entropy.coder import Coder, Traits
from midtread.entropy.tables import Tables


@dataclass(frozen=True, slots=True)
class Range(Coder):
    """Codes forwards: an encoder need not know the symbols to come."""

    name: ClassVar[str] = "range"
    summary: ClassVar[str] = "range coder under given tables, forwards"
    traits: ClassVar[Traits] = Traits(needs_tables=True, contexts=True, incremental=True)

    def encode(self, symbols: np.ndarray, tables: Tables | None = None, indices: np.ndarray | None = None) -> bytes:
        """Forwards."""
        encoder = range_stream.Encoder()
        encoder.put(symbols, checks.need_tables(self.name, tables), indices)
        return encoder.finish()

    def decode(
        self, data: bytes | memoryview, count: int, tables: Tables | None = None, indices: np.ndarray | None = None
    ) -> np.ndarray:
        """Forwards."""
        decoder = range_stream.Decoder(data, count)
        symbols = decoder.take(count, checks.need_tables(self.name, tables), indices)
        decoder.finish()
        return symbols

    def encoder(self) -> range_stream.Encoder:
        """Groups on their way out."""
        return range_stream.Encoder()

    def decoder(self, data: bytes | memoryview, count: int) -> range_stream.Decoder:
        """Groups on their way in."""
        return range_stream.Decoder(data, count)
