"""Directories of tagged values: the skeleton of TIFF, of JPEG XR and of Exif blocks.

    "II" or "MM" │ u16 42 (TIFF) 43 (BigTIFF) 444 (JPEG XR) │ offset of the first directory
    directory: u16 n │ n x (u16 tag │ u16 type │ u32 count │ 4 bytes: the value, or where it is) │ offset of the next

BigTIFF has 8-byte counts and offsets. Values are fetched only when asked for, with a limit on their size.
"""

from __future__ import annotations

from dataclasses import dataclass

from midtread.container.reader import Reader
from midtread.errors import BitstreamError
from midtread.media.header import MAX_METADATA

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_UNSIGNED = {1: 1, 3: 2, 4: 4, 13: 4, 16: 8, 18: 8}
_MAX_PAGES = 4096
_MAX_TAGS = 4096
ORIENTATION, XMP, ICC, EXIF, GPS = 0x0112, 0x02BC, 0x8773, 0x8769, 0x8825
_SUBDIRECTORIES = (EXIF, GPS, 0xA005)  # the last is Interoperability, inside Exif


@dataclass(frozen=True, slots=True)
class Entry:
    """One tag: its type, how many values, and where in the file they are."""

    kind: int
    count: int
    offset: int


class Directories:
    """The directories of a file, read lazily. Raises BitstreamError, TruncatedError, LimitError throughout."""

    def __init__(self, data: bytes, what: str) -> None:
        self.what = what
        self._reader = Reader(data)
        order = bytes(self._reader.take(2, f"{what}: byte order"))
        if order not in (b"II", b"MM"):
            raise BitstreamError(f"{what} starts with {order!r} instead of b'II' or b'MM'")
        self.big_endian = order == b"MM"
        version = self._uint(2, "version")
        self.big = version == 43
        if version not in (42, 43, 444):
            raise BitstreamError(f"{what} has version {version} where TIFF has 42, BigTIFF 43 and JPEG XR 444")
        if self.big and (self._uint(2, "size of offsets"), self._uint(2, "zero")) != (8, 0):
            raise BitstreamError(f"{what} is a BigTIFF whose offsets are not 8 bytes long")
        self._word = 8 if self.big else 4
        self.first = self._uint(self._word, "offset of the first directory")

    def pages(self) -> list[dict[int, Entry]]:
        """Every directory of the chain."""
        pages: list[dict[int, Entry]] = []
        offset, seen = self.first, set()
        while offset:
            if offset in seen or len(pages) == _MAX_PAGES:
                raise BitstreamError(f"{self.what}: the chain of directories does not end")
            seen.add(offset)
            page, offset = self.directory(offset)
            pages.append(page)
        if not pages:
            raise BitstreamError(f"{self.what} has no directory")
        return pages

    def directory(self, offset: int) -> tuple[dict[int, Entry], int]:
        """The directory at `offset` and the offset of the next one; the first of two equal tags counts."""
        self._reader.offset = offset
        entries: dict[int, Entry] = {}
        for _ in range(self._uint(8 if self.big else 2, "number of tags", at_most=_MAX_TAGS)):
            tag, kind = self._uint(2, "tag"), self._uint(2, "type of a tag")
            count = self._uint(self._word, f"count of tag {tag}")
            here = self._reader.offset
            inline = _SIZES.get(kind, 1) * count <= self._word
            where = here if inline else self._uint(self._word, f"offset of tag {tag}")
            self._reader.offset = here + self._word
            entries.setdefault(tag, Entry(kind, count, where))
        return entries, self._uint(self._word, "offset of the next directory")

    def raw(self, entry: Entry, what: str, at_most: int = MAX_METADATA) -> bytes:
        """The bytes of a value as they are in the file."""
        if entry.kind not in _SIZES:
            raise BitstreamError(f"{self.what}: {what} has the unknown type {entry.kind}")
        size = _SIZES[entry.kind] * entry.count
        if size > at_most:
            raise BitstreamError(f"{self.what}: {what} claims {size} bytes, more than the {at_most} that make sense")
        self._reader.offset = entry.offset
        return bytes(self._reader.take(size, f"{self.what}: {what}"))

    def little(self, entry: Entry, what: str, at_most: int = MAX_METADATA) -> bytes:
        """The bytes of a value in little-endian order."""
        raw = self.raw(entry, what, at_most)
        width = {5: 4, 10: 4}.get(entry.kind, _SIZES[entry.kind])  # a rational is two integers
        if not self.big_endian or width == 1:
            return raw
        return b"".join(raw[i : i + width][::-1] for i in range(0, len(raw), width))

    def ints(self, entry: Entry | None, what: str, default: tuple[int, ...], at_most: int = 1024) -> tuple[int, ...]:
        """Unsigned values of a tag, or `default` when the tag is absent."""
        if entry is None:
            return default
        width = _UNSIGNED.get(entry.kind)
        if width is None or not entry.count:
            raise BitstreamError(f"{self.what}: {what} is not a list of unsigned integers")
        raw, order = self.raw(entry, what, at_most * width), "big" if self.big_endian else "little"
        return tuple(
            int.from_bytes(raw[i : i + width], order)  # type: ignore[arg-type]
            for i in range(0, len(raw), width)
        )

    def _uint(self, width: int, what: str, at_most: int = 2**64 - 1) -> int:
        return self._reader.uint(width, f"{self.what}: {what}", at_most=at_most, big_endian=self.big_endian)


def lay_out(fields: dict[int, tuple[int, int, bytes]], base: int) -> bytes:
    """A little-endian directory that will stand at offset `base`, its values behind it, and no next directory.

    Args:
        fields: tag -> (type, count, value); a value of more than 4 bytes is stored behind the directory.
        base: an even offset.
    """
    tail, after = bytearray(), base + 2 + 12 * len(fields) + 4
    head = bytearray(len(fields).to_bytes(2, "little"))
    for tag, (kind, count, value) in sorted(fields.items()):
        head += tag.to_bytes(2, "little") + kind.to_bytes(2, "little") + count.to_bytes(4, "little")
        if len(value) <= 4:
            head += value.ljust(4, b"\0")
        else:
            head += (after + len(tail)).to_bytes(4, "little")
            tail += value + b"\0" * (len(value) & 1)
    return bytes(head + b"\0\0\0\0" + tail)


def copy(source: Directories, entries: dict[int, Entry], base: int, depth: int = 0) -> bytes:
    """`entries` of any byte order, laid out anew for offset `base` with the Exif and GPS directories they point to.

    What a maker's note points to by absolute offset is lost, as with every program that moves Exif.
    """
    fields: dict[int, tuple[int, int, bytes]] = {}
    below: list[tuple[int, bytes]] = []
    plain = {tag: entry for tag, entry in entries.items() if entry.kind in _SIZES and entry.kind < 16}
    for tag, entry in plain.items():
        fields[tag] = (entry.kind, entry.count, source.little(entry, f"tag {tag}"))
    end = base + len(lay_out(fields, base))
    for tag in _SUBDIRECTORIES:
        if tag in plain and depth < 2:
            child, _ = source.directory(source.ints(plain[tag], f"tag {tag}", (0,))[0])
            block = copy(source, child, end, depth + 1)
            fields[tag] = (4, 1, end.to_bytes(4, "little"))
            below.append((tag, block))
            end += len(block)
    return lay_out(fields, base) + b"".join(block for _, block in below)
