"""rANS streams in bytes (docs/formats/entropy.md), whole and group by group.

    stream of n symbols   nothing when n = 0, else chunks of 2**20 symbols, the last one shorter:
                          varint length of each chunk but the last │ chunk │ chunk ...
    chunk, >= 4096 bytes  4 lanes:  u64 state[4] │ u32 word ...
    chunk, shorter        1 lane:   state of 0 to 3 bytes │ u32 word ...; words move in while the state is below 2**31

Lanes start at 2**31, a single one at 2**16; a decoder that does not arrive there, with every word used, has met
damaged bytes or other tables.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import numpy as np

from midtread.container import Reader, varint
from midtread.entropy import checks
from midtread.entropy.loading import kernel
from midtread.entropy.tables import Tables
from midtread.errors import BitstreamError, UsageError
from midtread.kernels.packed import Packed

CHUNK = 1 << 20  # symbols
SHORT = 4096  # bytes; shorter chunks have one lane
START, START_SHORT = 1 << 31, 1 << 16
_ALWAYS_SHORT = SHORT * 8 // 58 - 8  # symbols; the dearest takes an escape of 18 bits and 5 bytes
_PADDING = 16  # words that a kernel may read past the end

Segment = tuple[np.ndarray, np.ndarray | None, Packed]  # symbols, indices, tables


def segment(symbols: np.ndarray, tables: Tables, indices: np.ndarray | None) -> Segment:
    """Checked arguments of one `put`. Raises UsageError."""
    symbols = checks.int32(symbols)
    indices = checks.indices(indices, symbols.size, tables)
    tables.check_codable(symbols, indices)
    return symbols, indices, tables.packed


def encode(segments: list[Segment], threads: int = 1) -> bytes:
    """One stream of all segments, in order; each may have tables of its own. The bytes do not depend on `threads`."""
    count = sum(symbols.size for symbols, _, _ in segments)
    cuts = [_cut(segments, start, start + CHUNK) for start in range(0, count, CHUNK)]
    chunks = _map(lambda cut: _chunk(cut, count), cuts, threads)
    lengths = [varint(sum(map(len, chunk))) for chunk in chunks[:-1]]
    return b"".join([*lengths, *(part for chunk in chunks for part in chunk)])


def _map(function, jobs: list, threads: int) -> list:  # type: ignore[no-untyped-def]
    if threads == 1 or len(jobs) < 2:
        return [function(job) for job in jobs]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, jobs))


def _cut(segments: list[Segment], start: int, stop: int) -> list[Segment]:
    """The part of the segments that holds symbols start to stop."""
    parts, first = [], 0
    for symbols, indices, packed in segments:
        low, high = max(start - first, 0), min(stop - first, symbols.size)
        if low < high:
            parts.append((symbols[low:high], None if indices is None else indices[low:high], packed))
        first += symbols.size
    return parts


def twin(indices: np.ndarray | None, packed: Packed, count: int) -> ModuleType:
    """The compiled kernel or its slow twin, for a stream of `count` symbols."""
    return kernel("rans", count, (indices is None or indices.dtype.str, packed.lut.dtype.str))


def encode_chunk(segments: list[Segment], worth: int | None = None, short: int = SHORT) -> bytes:
    """One chunk of any length, for those who cut a picture into chunks themselves; `Cursor` reads it.

    Args:
        segments: what it holds.
        worth: symbols that decide whether the compiled twin is loaded for it; None: as many as there are.
        short: bytes; a shorter chunk has one lane. A decoder must be told when it is not SHORT.
    """
    count = sum(symbols.size for symbols, _, _ in segments)
    return b"".join(_chunk(segments, count if worth is None else worth, short))


def _chunk(segments: list[Segment], count: int, short: int = SHORT) -> list[bytes | memoryview]:
    """Parts of one chunk. `count`: symbols of the whole stream, which decide the twin that works."""
    size = sum(symbols.size for symbols, _, _ in segments)

    def run(states: np.ndarray, words: np.ndarray, q: int) -> int:
        first = size
        for symbols, indices, packed in reversed(segments):
            first -= symbols.size
            q = int(twin(indices, packed, count).encode(symbols, indices, packed, first, states, words, q))
        return q

    return chunk_of(size, run, short)


def chunk_of(
    size: int, run: Callable[[np.ndarray, np.ndarray, int], int], short: int = SHORT
) -> list[bytes | memoryview]:
    """Parts of one chunk, for those who make symbols while they encode them.

    Args:
        size: symbols of the chunk, at least 1.
        run: run(states, words, q) encodes them all, as `kernels.rans_slow.encode` does; called once or twice.
        short: as of `encode_chunk`.
    """
    if size > _ALWAYS_SHORT:
        states, words = _run(run, size, np.full(4, START, dtype=np.uint64))
        if 4 * words.size + 32 >= short:
            return [states.astype("<u8").tobytes(), _bytes(words)]
    states, words = _run(run, size, np.full(1, START_SHORT, dtype=np.uint64))
    head, flushed = _flush(int(states[0]))
    low = int(states[0]) & ((1 << 32 * flushed) - 1)
    moved = [low >> 32 * i & 0xFFFFFFFF for i in range(flushed - 1, -1, -1)]
    head += _bytes(np.array(moved, dtype=np.uint32))
    assert len(head) + 4 * words.size < short, "one lane takes fewer bytes than four"
    return [head, _bytes(words)]


def _flush(state: int) -> tuple[bytes, int]:
    """(first bytes, words): how the state of a single lane is written."""
    words = 0
    while state >= 1 << 24:
        state >>= 32
        words += 1
    return state.to_bytes((state.bit_length() + 7) // 8, "little"), words


def _bytes(words: np.ndarray) -> memoryview:
    return words.astype("<u4", copy=False).data.cast("B")


def _run(
    run: Callable[[np.ndarray, np.ndarray, int], int], size: int, states: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    words = np.empty(2 * size + _PADDING, dtype=np.uint32)
    return states, words[int(run(states, words, words.size)) :]


class Cursor:
    """Where a decoder stands in one chunk; what kernels with causal contexts start from and leave behind.

    `states` uint64 [1 or 4] (symbol i of the chunk belongs to lane i mod len(states)), `words` uint32 with 16 more
    after `end`, `p` the next word. `finish` compares with what the encoder started from. `short` is as the encoder had
    it.
    """

    def __init__(self, data: bytes | memoryview, short: int = SHORT) -> None:
        lanes = 4 if len(data) >= short else 1
        head = 32 if lanes == 4 else len(data) % 4
        if (len(data) - head) % 4:
            raise BitstreamError(f"a chunk of {len(data)} bytes is not 4 states and whole words")
        self.end = (len(data) - head) // 4
        self.words = np.zeros(self.end + _PADDING, dtype=np.uint32)
        self.words[: self.end] = np.frombuffer(data, dtype="<u4", offset=head)
        self.p = 0
        if lanes == 4:
            self.states = np.frombuffer(data, dtype="<u8", count=4).astype(np.uint64)
            if self.states.min() < START or self.states.max() >= 1 << 63:
                raise BitstreamError(f"a lane's state is outside [2**31, 2**63): {self.states.tolist()}")
            return
        state = int.from_bytes(data[:head], "little")
        while state < START and self.p < self.end:
            state = state << 32 | int(self.words[self.p])
            self.p += 1
        self.states = np.full(1, state, dtype=np.uint64)
        if _flush(state)[1] != self.p or len(_flush(state)[0]) != head:
            raise BitstreamError(f"no encoder writes the state {state} as these {len(data)} bytes begin")

    def move(self, p: int) -> None:
        """Go on at word p, as a kernel returned it. Raises BitstreamError when it is negative."""
        if p < 0:
            raise BitstreamError("the stream ends too early, or an escaped symbol in it is no int32: it is damaged")
        self.p = int(p)

    def finish(self) -> None:
        """Raise BitstreamError unless every word was used and the lanes are where the encoder started."""
        start = START if self.states.size == 4 else START_SHORT
        if self.p != self.end or (self.states != start).any():
            raise BitstreamError(
                f"the stream does not end where it should ({self.end - self.p} words left, states "
                f"{self.states.tolist()}): it is damaged, or was coded with other tables, indices or count"
            )


def decode_into(
    out: np.ndarray, indices: np.ndarray | None, tables: Tables, cursor: Cursor, first: int, count: int
) -> None:
    """Fill `out` from a chunk, its symbols `first` and on. Raises BitstreamError."""
    run = twin(indices, tables.packed, count).decode
    cursor.move(run(out, indices, tables.packed, first, cursor.states, cursor.words, cursor.p, cursor.end))


def split(data: bytes | memoryview, count: int) -> list[memoryview]:
    """The chunks of a stream of `count` symbols. Raises BitstreamError."""
    reader = Reader(data)
    chunks = -(-count // CHUNK)
    lengths = [reader.varint(f"length of chunk {i} of {chunks}", at_most=2**40) for i in range(chunks - 1)]
    parts = [reader.take(length, f"chunk {i} of {chunks}") for i, length in enumerate(lengths)]
    if chunks:
        parts.append(reader.take(reader.left, "last chunk"))
    reader.end(f"a stream of {count} symbols")
    return parts


def decode(
    data: bytes | memoryview, count: int, tables: Tables, indices: np.ndarray | None, threads: int = 1
) -> np.ndarray:
    """int32 [count]: what `encode` was given as one segment. Raises BitstreamError."""
    indices = checks.indices(indices, count, tables)
    chunks = split(data, count)
    out = np.empty(count, dtype=np.int32)

    def job(i: int) -> None:
        part = slice(i * CHUNK, (i + 1) * CHUNK)
        cursor = Cursor(chunks[i])
        decode_into(out[part], None if indices is None else indices[part], tables, cursor, 0, count)
        cursor.finish()

    _map(job, list(range(len(chunks))), threads)
    return out


class Encoder:
    """Collects groups of symbols, then writes them as one stream: the first group put is the first to come back."""

    def __init__(self, threads: int = 1) -> None:
        self._segments: list[Segment] = []
        self._threads = threads

    def put(self, symbols: np.ndarray, tables: Tables, indices: np.ndarray | None = None) -> None:
        """Add a group. Raises UsageError."""
        if np.size(symbols):
            self._segments.append(segment(symbols, tables, indices))

    def finish(self) -> bytes:
        """The stream of everything put."""
        return encode(self._segments, self._threads)


class Decoder:
    """Group by group: the tables and indices of a group may depend on the symbols of all groups before it.

    Args:
        data: one stream.
        count: its symbols.
    """

    def __init__(self, data: bytes | memoryview, count: int) -> None:
        self._chunks, self._count, self._done = split(data, count), count, 0
        self._cursor: Cursor | None = None

    def take(self, count: int, tables: Tables, indices: np.ndarray | None = None) -> np.ndarray:
        """The next `count` symbols, int32. Raises BitstreamError, UsageError (more than there are)."""
        if count > self._count - self._done:
            raise UsageError(f"this stream has {self._count - self._done} symbols left, asked for {count}")
        indices = checks.indices(indices, count, tables)
        out, done = np.empty(count, dtype=np.int32), 0
        while done < count:
            first = self._done % CHUNK
            if first == 0:
                self._next_chunk()
            assert self._cursor is not None
            part = slice(done, min(count, done + CHUNK - first))
            which = None if indices is None else indices[part]
            decode_into(out[part], which, tables, self._cursor, first, self._count)
            self._done += part.stop - done
            done = part.stop
        return out

    def finish(self) -> None:
        """Raise BitstreamError unless all was taken and the last chunk ended as it should."""
        if self._done != self._count:
            raise UsageError(f"{self._count - self._done} symbols of this stream were not taken")
        if self._cursor is not None:
            self._cursor.finish()

    def _next_chunk(self) -> None:
        if self._cursor is not None:
            self._cursor.finish()
        self._cursor = Cursor(self._chunks[self._done // CHUNK])
