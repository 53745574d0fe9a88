"""Adaptive binary arithmetic coding: no tables, every context learns its own statistics (`kernels.cabac_slow`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from midtread.entropy import checks
from midtread.entropy.coder import Coder, Traits
from midtread.entropy.loading import kernel
from midtread.entropy.tables import MAX_TABLES, Tables
from midtread.errors import BitstreamError, UsageError


@dataclass(frozen=True, slots=True)
class Cabac(Coder):
    """`indices` are contexts; decisions near zero are modelled one by one, so symbols should be small and centred."""

    name: ClassVar[str] = "cabac"
    summary: ClassVar[str] = "adaptive binary arithmetic coder with contexts, needs no tables"
    traits: ClassVar[Traits] = Traits(adaptive=True, contexts=True)

    def encode(self, symbols: np.ndarray, tables: Tables | None = None, indices: np.ndarray | None = None) -> bytes:
        """`indices` are contexts, 0 to 65,535; `tables` do not matter."""
        symbols = checks.int32(symbols)
        if not symbols.size:
            return b""
        contexts, count = _contexts(indices, symbols.size)
        out = np.empty(80 * symbols.size + 64, dtype=np.uint8)
        size = kernel("cabac", symbols.size).encode(symbols, contexts, count, out)
        return out[:size].tobytes()

    def decode(
        self, data: bytes | memoryview, count: int, tables: Tables | None = None, indices: np.ndarray | None = None
    ) -> np.ndarray:
        """Contexts as in `encode`; at most as many as the largest plus 1 are kept."""
        contexts, many = _contexts(indices, count)
        if not count:
            if data:
                raise BitstreamError(f"{len(data)} bytes for no symbols")
            return np.zeros(0, dtype=np.int32)
        out = np.empty(count, dtype=np.int32)
        if not kernel("cabac", count).decode(
            out, contexts, many, checks.read_only(np.frombuffer(data, dtype=np.uint8))
        ):
            raise BitstreamError(
                "no encoder writes this stream for so many symbols: it is damaged, or its contexts were others"
            )
        return out


def _contexts(indices: np.ndarray | None, count: int) -> tuple[np.ndarray, int]:
    """(uint16 [count], how many there are)."""
    if indices is None:
        return checks.read_only(np.zeros(count, dtype=np.uint16)), 1
    indices = np.asarray(indices)
    if indices.size != count or indices.dtype.kind not in "iu":
        raise UsageError(f"{count} symbols need {count} integer indices, got {indices.size} of {indices.dtype}")
    low, high = (int(indices.min()), int(indices.max())) if count else (0, 0)
    if low < 0 or high >= MAX_TABLES:
        raise UsageError(f"contexts are 0 to {MAX_TABLES - 1}, got {low} to {high}")
    return checks.read_only(indices.astype(np.uint16)), high + 1
