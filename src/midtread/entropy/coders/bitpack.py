"""Bit packing: each block of 256 symbols takes as many bits a symbol as its range needs.

u8 width[blocks] │ varint zigzag(lowest)[blocks] │ (symbol - lowest) of `width` bits each, zeros to the whole byte
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from midtread.container import Reader
from midtread.entropy import checks, integers
from midtread.entropy.coder import Coder, Traits
from midtread.entropy.tables import Tables
from midtread.errors import BitstreamError

BLOCK = 256


@dataclass(frozen=True, slots=True)
class Bitpack(Coder):
    """No statistics at all: the size is known from the range of each block."""

    name: ClassVar[str] = "bitpack"
    summary: ClassVar[str] = "fixed width per block of 256 symbols"
    traits: ClassVar[Traits] = Traits(fixed_rate=True, random_access=True)

    def encode(self, symbols: np.ndarray, tables: Tables | None = None, indices: np.ndarray | None = None) -> bytes:
        """Neither tables nor indices matter."""
        symbols = checks.int32(symbols)
        if not symbols.size:
            return b""
        starts = np.arange(0, symbols.size, BLOCK)
        lowest = np.minimum.reduceat(symbols, starts)
        spans = np.maximum.reduceat(symbols, starts).astype(np.int64) - lowest
        widths = np.frexp(spans.astype(np.float64))[1].astype(np.uint8)
        each = np.repeat(np.arange(starts.size), BLOCK)[: symbols.size]
        offsets = symbols.astype(np.int64) - lowest[each]
        head = widths.tobytes() + integers.write_varints(integers.zigzag(lowest))
        return head + integers.pack_bits(offsets.astype(np.uint64), widths[each])

    def decode(
        self, data: bytes | memoryview, count: int, tables: Tables | None = None, indices: np.ndarray | None = None
    ) -> np.ndarray:
        """All blocks at once."""
        blocks = -(-count // BLOCK)
        reader = Reader(data)
        widths = np.frombuffer(reader.take(blocks, "widths"), dtype=np.uint8)
        if widths.max(initial=0) > 32:
            raise BitstreamError(f"a block has {widths.max()} bits a symbol; 32 are the most")
        lowest = [reader.varint(f"lowest symbol of block {i}", at_most=2**32 - 1) for i in range(blocks)]
        rest = reader.take(reader.left, "symbols")
        each = np.repeat(np.arange(blocks), BLOCK)[:count]
        offsets = integers.unpack_bits(rest, 0, widths[each], "the symbols")
        integers.check_padding(rest, int(widths[each].sum(dtype=np.int64)), "the stream")
        symbols = integers.unzigzag(np.array(lowest, dtype=np.uint32)).astype(np.int64)[each] + offsets.astype(np.int64)
        if count and symbols.max() > 2**31 - 1:
            raise BitstreamError(f"a symbol is {symbols.max()}, more than an int32 holds")
        return symbols.astype(np.int32)
