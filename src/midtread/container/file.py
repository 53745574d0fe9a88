"""Layout of a midtread file, version 1, little-endian (docs/formats/container.md).

    header   89 4D 54 │ u8 version │ text codec │ u8 dtype << 4 │ ndim │ varint shape[ndim] │ varint chunks │ u32 CRC
    chunk    u8 tag │ varint length │ length bytes │ u32 CRC              (as often as the header says, then the end)

Each CRC-32 covers everything of its part before it, so a flipped byte anywhere is refused. A picture costs 23 bytes
and the codec's name. Chunks with a tag below 128 must be understood; a reader skips unknown ones from 128 on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from midtread.container.memory import join
from midtread.container.reader import Reader, crc32, varint
from midtread.errors import BitstreamError, TruncatedError, UsageError
from midtread.spec import Limits

MAGIC = b"\x89MT"  # the high bit shows a 7-bit transfer, as in PNG
VERSION = 1

# The place in this list is what files hold: append only.
DTYPES = (
    "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
    "float16", "float32", "float64", "bfloat16", "bool", "complex64", "complex128",
)  # fmt: skip


class Tag(IntEnum):
    """What a chunk holds. Below 128: a decoder must understand it."""

    PAYLOAD = 0  # the codec's own bytes
    PARAMETERS = 1  # what the codec's decoder needs beside the payload; the codec defines it
    ICC = 128  # ICC profile of the picture
    EXIF = 129  # Exif block (TIFF structure), orientation already applied
    XMP = 130


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a file with its own checksum."""

    tag: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Parts:
    """A chunk to be written whose content comes in parts."""

    tag: int
    parts: list[bytes | memoryview]


@dataclass(frozen=True, slots=True)
class Header:
    """What every file says before any of its chunks."""

    codec: str
    dtype: str
    shape: tuple[int, ...]
    chunks: int


@dataclass(frozen=True, slots=True)
class Span:
    """Where a chunk stands in the bytes of its file; `content` checks and returns what is there."""

    tag: int
    start: int  # of the chunk
    body: int  # of its content
    end: int  # of its content


@dataclass(frozen=True, slots=True)
class File:
    """A midtread file: which codec made it, the array it stands for, and its chunks."""

    codec: str
    dtype: str
    shape: tuple[int, ...]
    chunks: tuple[Chunk, ...]

    def find(self, tag: int) -> bytes | None:
        """The first chunk with `tag`."""
        return next((chunk.data for chunk in self.chunks if chunk.tag == tag), None)

    def need(self, tag: Tag) -> bytes:
        """The first chunk with `tag`. Raises BitstreamError when there is none."""
        data = self.find(tag)
        if data is None:
            raise BitstreamError(f"this {self.codec} file has no {tag.name.lower()} chunk")
        return data


def is_midtread(data: bytes) -> bool:
    """Whether the first bytes are a midtread file's, of any version."""
    return bytes(data[: len(MAGIC)]) == MAGIC


def write(file: File) -> bytes:
    """The bytes of `file`. Raises UsageError when something in it has no place in the layout."""
    header = Header(file.codec, file.dtype, file.shape, len(file.chunks))
    return write_each(header, file.chunks, sum(len(chunk.data) + 20 for chunk in file.chunks) + 400)


def write_each(header: Header, chunks: Iterable[Chunk | Parts], room: int) -> bytes:
    """The same, of chunks that are made one by one.

    Args:
        header: says how many they are.
        chunks: as many; the memory of one may be that of the one before.
        room: bytes of the file at most, as far as known; large files get their memory at once.

    Raises:
        UsageError: something has no place in the layout.
    """
    _check(header)
    return join(_parts(header, chunks), room)


def _check(header: Header) -> None:
    if header.dtype not in DTYPES:
        raise UsageError(f"a midtread file holds {', '.join(DTYPES)}; got {header.dtype}")
    codec, shape = header.codec, header.shape
    if len(shape) > 15 or not (0 < len(codec) < 64 and codec.isascii() and codec.isprintable()):
        raise UsageError(f"codec name {codec!r} or rank {len(shape)} does not fit a midtread file's header")
    if not all(0 <= size < 2**63 for size in shape):
        raise UsageError(f"shape {list(shape)} does not fit a midtread file's header; sizes are 0 to 2**63 - 1")


def pieces(header: Header, chunks: Iterable[Chunk | Parts]) -> Iterator[bytes | memoryview]:
    """The same bytes one after the other, for files that are written while they are made. Raises UsageError."""
    _check(header)
    return _parts(header, chunks)


def _parts(header: Header, chunks: Iterable[Chunk | Parts]) -> Iterator[bytes | memoryview]:
    head = MAGIC + bytes([VERSION, len(header.codec)]) + header.codec.encode("ascii")
    head += bytes([DTYPES.index(header.dtype) << 4 | len(header.shape)])
    head += b"".join(map(varint, header.shape)) + varint(header.chunks)
    yield head + _crc(head)
    count = 0
    for chunk in chunks:
        count += 1
        if not 0 <= chunk.tag < 256 or (chunk.tag < 128 and chunk.tag not in Tag.__members__.values()):
            raise UsageError(f"chunk tag {chunk.tag} is neither one of {[int(tag) for tag in Tag]} nor 131 to 255")
        parts = chunk.parts if isinstance(chunk, Parts) else [chunk.data]
        start = bytes([chunk.tag]) + varint(sum(map(len, parts)))
        yield start
        crc = crc32(start)
        for part in parts:
            crc = crc32(part, crc)
            yield part
        yield crc.to_bytes(4, "little")
    assert count == header.chunks, f"a header of {header.chunks} chunks stands before {count}"


def read_header(data: bytes | memoryview, limits: Limits = Limits()) -> Header:
    """The header alone; chunks are neither read nor checked. Raises BitstreamError, LimitError."""
    return _read_header(Reader(data), limits)


def read(data: bytes, limits: Limits = Limits()) -> File:
    """Parse and verify a whole file. Raises BitstreamError (damage), TruncatedError, LimitError."""
    reader = Reader(data)
    header = _read_header(reader, limits)
    chunks = tuple(_read_chunk(reader, data, number, header) for number in range(header.chunks))
    reader.end(f"this {header.codec} file")
    return File(header.codec, header.dtype, header.shape, chunks)


def arrived(data: bytes, limits: Limits = Limits()) -> bytes:
    """A whole file of the chunks that a cut one still has; for codecs whose first chunks are worth something alone.

    Raises:
        BitstreamError, TruncatedError, LimitError: as `read`, but for the cut, when a chunk is there before it.
    """
    reader = Reader(data)
    header = _read_header(reader, limits)
    chunks: list[Chunk] = []
    for number in range(header.chunks):
        try:
            chunks.append(_read_chunk(reader, data, number, header))
        except TruncatedError:
            if not chunks:
                raise
            break
    return write(File(header.codec, header.dtype, header.shape, tuple(chunks)))


def index(data: bytes | memoryview, limits: Limits = Limits(), *, cut: bool = False) -> tuple[Header, tuple[Span, ...]]:
    """Header and places of all chunks, for those who need a few of them; no content is touched or checked.

    Args:
        data: a whole file, or with `cut` the beginning of one; then chunks that are not wholly there are left out.
        limits: for the header.
        cut: as said.

    Raises:
        BitstreamError, TruncatedError, LimitError: as `read`, as far as it can be told without the contents.
    """
    reader = Reader(data)
    header = _read_header(reader, limits)
    spans: list[Span] = []
    for number in range(header.chunks):
        what = f"chunk {number} of {header.chunks}"
        try:
            span = _read_span(reader, what)
            reader.take(4, f"{what}: checksum")
        except TruncatedError:
            if not cut:
                raise
            return header, tuple(spans)
        _check_known(span.tag, what)
        spans.append(span)
    reader.end(f"this {header.codec} file")
    return header, tuple(spans)


def content(data: bytes | memoryview, span: Span, what: str) -> memoryview:
    """The content of one chunk of an `index`, without a copy. Raises BitstreamError when it is damaged."""
    reader = Reader(data)
    reader.offset = span.end
    reader.checksum(span.start, what)
    return memoryview(data).cast("B")[span.body : span.end]


def _read_chunk(reader: Reader, data: bytes, number: int, header: Header) -> Chunk:
    what = f"chunk {number} of {header.chunks}"
    span = _read_span(reader, what)
    reader.checksum(span.start, what)
    _check_known(span.tag, what)
    return Chunk(span.tag, bytes(memoryview(data).cast("B")[span.body : span.end]))


def _read_span(reader: Reader, what: str) -> Span:
    start = reader.offset
    tag = reader.uint(1, f"{what}: tag", at_most=255)
    length = reader.varint(f"{what}: length", at_most=2**48)
    body = reader.offset
    reader.take(length, what)
    return Span(tag, start, body, reader.offset)


def _check_known(tag: int, what: str) -> None:
    if tag < 128 and tag not in Tag.__members__.values():
        raise BitstreamError(f"{what} has tag {tag}, which this version of midtread does not know; update midtread")


def _read_header(reader: Reader, limits: Limits) -> Header:
    if bytes(reader.take(len(MAGIC), "magic")) != MAGIC:
        raise BitstreamError("these bytes are not a midtread file: the first three are not 89 4D 54")
    version = reader.uint(1, "version", at_most=255)
    if version != VERSION:
        raise BitstreamError(f"this is a midtread file of version {version}, this midtread reads version {VERSION}")
    codec = reader.text("codec name", at_most=63)
    kind = reader.uint(1, "dtype and rank", at_most=255)
    if kind >> 4 >= len(DTYPES):
        raise BitstreamError(f"dtype number {kind >> 4} means nothing in version {VERSION}")
    shape = tuple(reader.varint(f"shape[{axis}]", at_most=2**63) for axis in range(kind & 15))
    chunks = reader.varint("number of chunks", at_most=limits.max_chunks)
    reader.checksum(0, "the header")  # before the limit: a damaged size is damage, not a big picture
    limits.check_shape(shape, f"this {codec} file")
    return Header(codec, DTYPES[kind >> 4], shape, chunks)


def _crc(data: bytes | memoryview, start: int = 0) -> bytes:
    return crc32(data, start).to_bytes(4, "little")


def shape_and_dtype(x: np.ndarray) -> tuple[tuple[int, ...], str]:
    """Shape and dtype as a header holds them."""
    return tuple(int(size) for size in x.shape), x.dtype.name
