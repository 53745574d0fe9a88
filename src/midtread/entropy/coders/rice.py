"""Golomb-Rice codes: a parameter k for each block of 64 symbols.

    k of 5 bits each, zeros to the whole byte │ quotients │ remainders of k bits each, zeros to the whole byte

The zigzag value z of a symbol has the quotient z >> k, written as so many zeros and a one, and the remainder
z mod 2**k.

Source: Rice & Plaunt, IEEE Trans. Commun. 19(6), 1971.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from midtread.container import Reader
from midtread.entropy import checks, integers
from midtread.entropy.coder import Coder, Traits
from midtread.entropy.tables import Tables
from midtread.errors import BitstreamError, TruncatedError

BLOCK = 64


@dataclass(frozen=True, slots=True)
class Rice(Coder):
    """Good for two-sided geometric symbols of slowly changing scale; needs nothing but the symbols."""

    name: ClassVar[str] = "rice"
    summary: ClassVar[str] = "Golomb-Rice codes, one parameter per block of 64 symbols"
    traits: ClassVar[Traits] = Traits(adaptive=True)

    def encode(self, symbols: np.ndarray, tables: Tables | None = None, indices: np.ndarray | None = None) -> bytes:
        """Neither tables nor indices matter."""
        z = integers.zigzag(checks.int32(symbols))
        if not z.size:
            return b""
        starts = np.arange(0, z.size, BLOCK)
        costs = [np.add.reduceat((z >> np.uint32(k)).astype(np.int64) + k, starts) for k in range(_most(z) + 1)]
        k = np.argmin(np.stack(costs), axis=0).astype(np.uint8)
        each = np.repeat(k, BLOCK)[: z.size]
        quotients = (z >> each).astype(np.int64)
        ones = np.zeros(int(quotients.sum()) + z.size, dtype=np.uint8)
        ones[np.cumsum(quotients + 1) - 1] = 1
        remainders = np.unpackbits(np.frombuffer(integers.pack_bits(z.astype(np.uint64), each), dtype=np.uint8))
        used = int(each.sum(dtype=np.int64))
        tail = np.packbits(np.concatenate([ones, remainders[:used]])).tobytes()
        return integers.pack_bits(k.astype(np.uint64), np.full(k.size, 5, dtype=np.uint8)) + tail

    def decode(
        self, data: bytes | memoryview, count: int, tables: Tables | None = None, indices: np.ndarray | None = None
    ) -> np.ndarray:
        """Quotients first, then all remainders at once."""
        blocks, reader = -(-count // BLOCK), Reader(data)
        head = reader.take((5 * blocks + 7) // 8, "parameters")
        k = integers.unpack_bits(head, 0, np.full(blocks, 5, dtype=np.uint8), "the parameters")
        integers.check_padding(head, 5 * blocks, "the parameters")
        each = np.repeat(k, BLOCK)[:count]
        rest = reader.take(reader.left, "symbols")
        ones = np.flatnonzero(np.unpackbits(np.frombuffer(rest, dtype=np.uint8)))[:count]
        if ones.size < count:
            raise TruncatedError(f"the stream has {ones.size} quotients, {count} symbols need one each")
        quotients = np.diff(ones, prepend=-1).astype(np.uint64) - np.uint64(1)
        start = int(ones[-1]) + 1 if count else 0
        remainders = integers.unpack_bits(rest, start, each.astype(np.uint8), "the remainders")
        integers.check_padding(rest, start + int(each.sum()), "the stream")
        z = (quotients << each) | remainders
        if count and z.max() > 2**32 - 1:
            raise BitstreamError(f"a symbol is {z.max()} in zigzag, more than 32 bits")
        return integers.unzigzag(z.astype(np.uint32))


def _most(z: np.ndarray) -> int:
    """The largest parameter that can be of use."""
    return min(31, int(z.max()).bit_length())
