"""Boxes: the skeleton of AVIF, JPEG XL, JPEG 2000 and HTJ2K files.

    u32 size, itself included │ 4 letters │ [u64 size when the first was 1] │ body     (big-endian; size 0: to the end)

Source: ISO/IEC 14496-12 sec. 4.2, ISO/IEC 15444-1 annex I.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from midtread.container.reader import Reader
from midtread.errors import BitstreamError, TruncatedError


@dataclass(frozen=True, slots=True)
class Box:
    """One box: `start` is where it begins and `body` where its body does, counted from the start of what was walked."""

    kind: bytes
    start: int
    body: int
    end: int
    data: memoryview  # its body


def boxes(data: bytes | memoryview, what: str) -> Iterator[Box]:
    """The boxes of `data`, one after the other. Raises TruncatedError, BitstreamError."""
    reader = Reader(data)
    while reader.left:
        start = reader.offset
        size = reader.uint(4, f"{what}: size of a box", at_most=2**32 - 1, big_endian=True)
        kind = bytes(reader.take(4, f"{what}: name of a box"))
        if size == 1:
            size = reader.uint(8, f"{what}: size of box {kind!r}", at_most=2**63, big_endian=True)
        elif size == 0:
            size = len(data) - start
        head = reader.offset - start
        if size < head:
            raise BitstreamError(f"{what}: box {kind!r} at byte {start} claims {size} bytes, its head alone has {head}")
        if size - head > reader.left:
            raise TruncatedError(
                f"{what} is cut short: box {kind!r} at byte {start} has {size} bytes, {len(data) - start} are there"
            )
        yield Box(kind, start, start + head, start + size, reader.take(size - head, f"{what}: box {kind!r}"))


def find(data: bytes | memoryview, kind: bytes, what: str) -> Box | None:
    """The first box of a kind."""
    return next((box for box in boxes(data, what) if box.kind == kind), None)


def box(kind: bytes, body: bytes) -> bytes:
    """The bytes of a box."""
    return (len(body) + 8).to_bytes(4, "big") + kind + body


class Bits:
    """Bits of a byte string, lowest first (JPEG XL) or highest first (AV1). Raises TruncatedError."""

    def __init__(self, data: bytes | memoryview, what: str, *, lowest_first: bool) -> None:
        self._data, self._what, self._lowest_first = data, what, lowest_first
        self._at = 0

    def take(self, count: int) -> int:
        """An unsigned integer of `count` bits."""
        if self._at + count > 8 * len(self._data):
            raise TruncatedError(f"{self._what} needs {count} bits at bit {self._at}, {8 * len(self._data)} are there")
        value = 0
        for i in range(count):
            byte, bit = divmod(self._at + i, 8)
            if self._lowest_first:
                value |= (self._data[byte] >> bit & 1) << i
            else:
                value = value << 1 | self._data[byte] >> (7 - bit) & 1
        self._at += count
        return value

    def pick(self, *choices: tuple[int, int]) -> int:
        """JPEG XL's U32: two bits choose among four pairs (offset, bits); the value is offset + u(bits)."""
        offset, count = choices[self.take(2)]
        return offset + self.take(count)
