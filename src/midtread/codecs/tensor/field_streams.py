"""Groups of symbols as rANS streams: each group dealt to all of them, so that they are decoded side by side.

    u8 S │ S = 0: one rANS chunk (docs/formats/entropy.md), the shortest form of few bytes
         │ S > 0: u32 words of each stream [S] │ u64 state[S][4] │ u32 word ...

A group of n symbols has shares of 4 ceil(n / 4 S); stream j holds the j-th share of each group, one after the other.
"""

from __future__ import annotations

import numpy as np

from midtread.codecs.tensor import field_tables
from midtread.codecs.tensor.field_memory import empty
from midtread.container import Reader
from midtread.entropy import rans_stream
from midtread.entropy.loading import kernel
from midtread.errors import BitstreamError
from midtread.kernels.field_parts_slow import LANES, Streams

MOST = 16
_LEAST_BYTES = 1 << 12  # of a second stream, so that its states cost less than half a percent
_SHORT_BYTES = 1 << 10  # from here on the speed of four lanes is worth their states
_PADDING = 16  # words that a kernel may read past the end


def how_many(cost: int) -> int:
    """Streams for symbols of a cost, in 1 / field_tables.BIT bits, about; 0: the shortest form."""
    size_bytes = cost // (8 * field_tables.BIT)
    return 0 if size_bytes < _SHORT_BYTES else 1 << max(1, min(MOST, size_bytes // _LEAST_BYTES)).bit_length() - 1


def write(
    coded: np.ndarray, which: np.ndarray, table_of: np.ndarray, ends: np.ndarray, cost: int
) -> list[bytes | memoryview]:
    """Pieces of the streams.

    Args:
        coded: int32 [n], group after group.
        which: uint8 [n], their contexts.
        table_of: uint8, the table of each context.
        ends: int64 [groups], where each ends.
        cost: of all symbols, as `how_many` takes it.
    """
    many, packed = how_many(cost), field_tables.tables().packed
    count = max(many, 1)
    symbols, tables, stops = empty(coded.size, np.int32), empty(coded.size, np.uint8), np.empty(count, np.int64)
    kernel("field_parts", coded.size, "deal").deal(coded, which, table_of, ends, count, symbols, tables, stops)
    if many == 0:
        return [b"\0", rans_stream.encode_chunk([(symbols, tables, packed)])]
    words, starts = empty(2 * symbols.size + _PADDING, np.uint32), np.empty(count, np.int64)
    states = np.full((count, LANES), rans_stream.START, np.uint64)
    kernel("field_parts", coded.size, "encode").encode(symbols, tables, packed, stops, states, words, starts)
    sizes = np.diff(starts, append=words.size).astype("<u4")
    coded_words = words[starts[0] :].astype("<u4", copy=False).view(np.uint8).data
    return [bytes([count]), sizes.tobytes(), states.astype("<u8").tobytes(), coded_words]


class Source:
    """Streams that are read group by group."""

    def __init__(self, reader: Reader) -> None:
        count = reader.uint(1, "number of streams", at_most=MOST)
        if count & count - 1:
            raise BitstreamError(f"a box has 0, 1, 2, 4, 8 or 16 streams, this one {count}")
        done = np.zeros(max(count, 1), np.int64)
        if count == 0:
            cursor = rans_stream.Cursor(reader.take(reader.left, "rANS chunk"))
            places, ends = np.array([cursor.p]), np.array([cursor.end])
            self.streams = Streams(cursor.states.reshape(1, -1), cursor.words, places, ends, done)
            return
        sizes = np.frombuffer(reader.take(4 * count, "words of each stream"), "<u4").astype(np.int64)
        states = np.frombuffer(reader.take(8 * LANES * count, "states"), "<u8").astype(np.uint64).reshape(count, LANES)
        if states.min() < rans_stream.START or states.max() >= 1 << 63:
            raise BitstreamError(f"a lane's state is outside [2**31, 2**63): {states.ravel().tolist()}")
        ends = np.cumsum(sizes)
        words = empty(int(ends[-1]) + _PADDING, np.uint32) if 4 * ends[-1] == reader.left else None
        if words is None:
            raise BitstreamError(f"the streams declare {ends[-1]} words, {reader.left} bytes are left for them")
        words[: ends[-1]] = np.frombuffer(reader.take(reader.left, "words"), "<u4")
        words[ends[-1] :] = 0
        self.streams = Streams(states, words, ends - sizes, ends, done)

    def read(self, out: np.ndarray, tables: np.ndarray, size: int) -> np.ndarray:
        """Fill a group: int32 [n] with symbols of the tables, uint8 [n]. `size`: values of the box."""
        packed = field_tables.tables().packed
        return self.check(kernel("field_parts", size, "read").read(out, tables, packed, self.streams), out)

    def check(self, good: bool, out: np.ndarray) -> np.ndarray:
        """`out`, when a kernel says that it is good."""
        if not good:
            raise BitstreamError("a stream ends too early, or an escaped symbol in it is no int32: it is damaged")
        return out

    def finish(self) -> None:
        """Raise BitstreamError unless every stream ended as it should."""
        states, _, places, ends, _ = self.streams
        start = rans_stream.START if states.shape[1] == LANES else rans_stream.START_SHORT
        if (places != ends).any() or (states != start).any():
            raise BitstreamError(
                f"the streams do not end where they should ({int((ends - places).sum())} words left, states "
                f"{states.ravel().tolist()}): they are damaged, or were coded with other tables, indices or count"
            )
