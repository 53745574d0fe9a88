"""Walk over bytes nobody vouches for; every step says what it wanted."""

from __future__ import annotations

import sys
import zlib

from midtread.errors import BitstreamError, LimitError, TruncatedError

_LARGE = 2**20  # bytes; below, loading a library would cost more than it saves
_SOME = 2**13  # below, calling it would


def varint(value: int) -> bytes:
    """Unsigned LEB128: 7 bits a byte, lowest first, high bit set on all but the last."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def crc32(data: bytes | memoryview, start: int = 0) -> int:
    """The CRC-32 of zip and PNG. Large pieces go to zlib-ng, which is ten times as fast as Python's zlib."""
    if len(data) < (_SOME if "imagecodecs" in sys.modules else _LARGE):
        return zlib.crc32(data, start)
    import imagecodecs

    return int(imagecodecs.zlibng_crc32(data, start))  # type: ignore[arg-type]  # any buffer will do


class Reader:
    """A cursor over `data`. Never copies more than it returns, never reads past the end.

    Counts carry `at_most` without a default: whoever reads one decides how much memory it may cost.
    """

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._data = memoryview(data).cast("B")
        self.offset = 0

    @property
    def left(self) -> int:
        """Bytes not yet read."""
        return len(self._data) - self.offset

    def take(self, count: int, what: str) -> memoryview:
        """The next `count` bytes. Raises TruncatedError."""
        if count > self.left:
            raise TruncatedError(f"{what} at byte {self.offset} needs {count} bytes, {self.left} left")
        self.offset += count
        return self._data[self.offset - count : self.offset]

    def uint(self, width: int, what: str, *, at_most: int, big_endian: bool = False) -> int:
        """An unsigned integer of `width` bytes. Raises TruncatedError, LimitError."""
        value = int.from_bytes(self.take(width, what), "big" if big_endian else "little")
        return self._bounded(value, what, at_most)

    def varint(self, what: str, *, at_most: int) -> int:
        """A LEB128 integer in its shortest form. Raises TruncatedError, BitstreamError, LimitError."""
        value = shift = 0
        while True:
            byte = self.take(1, what)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if byte == 0 and shift:
                    raise BitstreamError(f"{what} before byte {self.offset} is written longer than needed")
                return self._bounded(value, what, at_most)
            shift += 7
            if shift > 63:
                raise BitstreamError(f"{what} before byte {self.offset} runs over 10 bytes")

    def text(self, what: str, *, at_most: int) -> str:
        """A length byte and that many ASCII characters. Raises BitstreamError for anything else."""
        raw = bytes(self.take(self.uint(1, f"length of {what}", at_most=at_most), what))
        if not raw.isascii() or not raw.decode("ascii").isprintable():
            raise BitstreamError(f"{what} is {raw!r}, not plain ASCII")
        return raw.decode("ascii")

    def checksum(self, start: int, what: str) -> None:
        """Read a CRC-32 and compare it with that of the bytes from `start` to here. Raises BitstreamError."""
        end = self.offset
        found = crc32(self._data[start:end])
        stored = self.uint(4, f"{what}: checksum", at_most=2**32 - 1)
        if found != stored:
            raise BitstreamError(
                f"{what} is damaged: bytes {start} to {end} have CRC {found:08x}, the file says {stored:08x}"
            )

    def end(self, what: str) -> None:
        """Raise BitstreamError unless every byte was read."""
        if self.left:
            raise BitstreamError(f"{what} ends at byte {self.offset}, but {self.left} more bytes follow")

    def _bounded(self, value: int, what: str, at_most: int) -> int:
        if value > at_most:
            raise LimitError(f"{what} is {value}, more than the {at_most} allowed here")
        return value
