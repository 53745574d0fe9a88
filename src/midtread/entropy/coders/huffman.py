"""Canonical Huffman codes made from the frequency tables; an escape is followed by 32 bits of zigzag.

    u8 count mod 256 │ codes, highest bit first, zeros to the whole byte

Code lengths follow from the frequencies by integer arithmetic, so they are not in the stream. Shorter codes come first,
codes of one length in the order of the symbols, the escape last.

Frequencies that sum to 2**18 at most make codes of 25 bits at most (Fibonacci numbers are the worst case).

Source: Huffman, Proc. IRE 40(9), 1952.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, NamedTuple

import numpy as np

from midtread.container import Reader
from midtread.entropy import checks, integers
from midtread.entropy.coder import Coder, Traits
from midtread.entropy.loading import kernel
from midtread.entropy.tables import Tables
from midtread.errors import BitstreamError
from midtread.kernels.huffman_slow import LONGEST, RAW


@dataclass(frozen=True, slots=True)
class Huffman(Coder):
    """Whole bits: at least 1 for every symbol of a table with more than one."""

    name: ClassVar[str] = "huffman"
    summary: ClassVar[str] = "canonical Huffman codes from given tables"
    traits: ClassVar[Traits] = Traits(needs_tables=True, contexts=True)

    def encode(self, symbols: np.ndarray, tables: Tables | None = None, indices: np.ndarray | None = None) -> bytes:
        """A code per symbol; escapes are followed by 32 bits."""
        tables, symbols = checks.need_tables(self.name, tables), checks.int32(symbols)
        indices = checks.indices(indices, symbols.size, tables)
        tables.check_codable(symbols, indices)
        code = _code(tables)
        at = tables.places(symbols, indices)
        escaped = tables.packed.entry[at] == 0
        values, widths = code.values[at], code.lengths[at]
        raw = integers.zigzag(symbols).astype(np.uint64)
        values = np.where(escaped, values << np.uint64(RAW) | raw, values)
        if not symbols.size:
            return b""
        codes = integers.pack_bits(values, np.where(escaped, widths + RAW, widths).astype(np.uint8))
        return bytes([symbols.size % 256]) + codes

    def decode(
        self, data: bytes | memoryview, count: int, tables: Tables | None = None, indices: np.ndarray | None = None
    ) -> np.ndarray:
        """Looks up 10 bits at once, walks on from there."""
        tables = checks.need_tables(self.name, tables)
        indices = checks.indices(indices, count, tables)
        code, packed, reader = _code(tables), tables.packed, Reader(data)
        if count and reader.uint(1, "count", at_most=255) != count % 256:
            raise BitstreamError(f"the stream holds another number of symbols than {count}")
        data = reader.take(reader.left, "codes")
        padded = checks.read_only(np.frombuffer(bytes(data) + bytes(8), dtype=np.uint8))
        places, raw = np.empty(count, dtype=np.uint32), np.empty(count, dtype=np.uint32)
        run = kernel("huffman", count, indices is None or indices.dtype.str).decode
        escapes = packed.base + packed.size
        used = run(padded, places, raw, indices, escapes, code.limit, code.first, code.order, 8 * len(data))
        if used < 0:
            raise BitstreamError("the stream ends too early, or holds a code that its table lacks: it is damaged")
        integers.check_padding(data, int(used), "the stream")
        escaped = packed.entry[places] == 0
        return np.where(escaped, integers.unzigzag(raw), packed.value[places])


class _Code(NamedTuple):
    values: np.ndarray  # uint64 [E], code of each place
    lengths: np.ndarray  # int64 [E]
    limit: np.ndarray  # uint64 [T, LONGEST + 1]; see kernels.huffman_slow
    first: np.ndarray  # int64 [T, LONGEST + 1]
    order: np.ndarray  # uint32


@lru_cache(maxsize=8)
def _code(tables: Tables) -> _Code:
    packed = tables.packed
    values = np.zeros(packed.cumulative.size, dtype=np.uint64)
    lengths = np.zeros(packed.cumulative.size, dtype=np.int64)
    limit = np.zeros((len(tables), LONGEST + 1), dtype=np.uint64)
    first = np.zeros((len(tables), LONGEST + 1), dtype=np.int64)
    order: list[np.ndarray] = []
    done, bits = 0, np.arange(LONGEST + 1)
    for t in range(len(tables)):
        frequencies = tables.row(t)[1]
        used = np.flatnonzero(frequencies)
        length = np.array(_lengths(frequencies[used].tolist()), dtype=np.int64)
        rank = np.argsort(length, kind="stable")
        widths = np.uint64(1) << (np.uint64(32) - length[rank].astype(np.uint64))  # of each code, in 2**-32
        code = np.cumsum(widths, dtype=np.uint64) - widths
        at = int(packed.base[t]) + used[rank]
        values[at], lengths[at] = code >> (np.uint64(32) - length[rank].astype(np.uint64)), length[rank]
        begin = np.searchsorted(length[rank], bits)
        many = np.searchsorted(length[rank], bits, side="right") - begin
        below = code.astype(np.int64)[np.minimum(begin, rank.size - 1)]
        limit[t] = np.where(many > 0, below + (many << 32 - bits), 0)
        first[t] = done + begin - (below >> 32 - bits)
        order.append(at.astype(np.uint32))
        done += at.size
    return _Code(values, lengths, limit, first, np.concatenate(order))


def _lengths(frequencies: list[int]) -> list[int]:
    """Bits of each code, at most LONGEST, from positive frequencies."""
    if len(frequencies) == 1:
        return [0]
    parent = [0] * (2 * len(frequencies) - 1)
    heap = [(frequency, i) for i, frequency in enumerate(frequencies)]
    heapq.heapify(heap)
    for node in range(len(frequencies), len(parent)):
        a, b = heapq.heappop(heap), heapq.heappop(heap)
        parent[a[1]] = parent[b[1]] = node
        heapq.heappush(heap, (a[0] + b[0], node))
    depth = [0] * len(parent)
    for node in range(len(parent) - 2, -1, -1):
        depth[node] = depth[parent[node]] + 1
    return depth[: len(frequencies)]
