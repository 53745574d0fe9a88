"""rANS: our own, 4 interleaved lanes of 64 bits, words of 32 bits (layout: `rans_stream`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from midtread.entropy import checks, rans_stream
from midtread.entropy.coder import Coder, Traits
from midtread.entropy.tables import Tables
from midtread.spec import check_range


@dataclass(frozen=True, slots=True)
class Rans(Coder):
    """Within 0.01 % of the tables' ideal; fast where there are enough symbols to pay for the compiled kernel."""

    name: ClassVar[str] = "rans"
    summary: ClassVar[str] = "interleaved rANS under given tables, compiled, one thread per chunk"
    traits: ClassVar[Traits] = Traits(needs_tables=True, contexts=True, incremental=True)

    threads: int = 1  # chunks of 2**20 symbols at a time; the bytes do not depend on it

    def __post_init__(self) -> None:
        check_range(self.name, "threads", self.threads, 1, 1024, integer=True)

    def encode(self, symbols: np.ndarray, tables: Tables | None = None, indices: np.ndarray | None = None) -> bytes:
        """Backwards, so that the decoder goes forwards."""
        tables = checks.need_tables(self.name, tables)
        return rans_stream.encode([rans_stream.segment(symbols, tables, indices)], self.threads)

    def decode(
        self, data: bytes | memoryview, count: int, tables: Tables | None = None, indices: np.ndarray | None = None
    ) -> np.ndarray:
        """Forwards, chunk by chunk."""
        return rans_stream.decode(data, count, checks.need_tables(self.name, tables), indices, self.threads)

    def encoder(self) -> rans_stream.Encoder:
        """Groups on their way out."""
        return rans_stream.Encoder(self.threads)

    def decoder(self, data: bytes | memoryview, count: int) -> rans_stream.Decoder:
        """Groups on their way in."""
        return rans_stream.Decoder(data, count)
