"""JPEG XR: size and metadata from its TIFF-like directory and from the header of its codestream.

Source: ITU-T T.832 annex A (file), sec. 8.3 (codestream header).
"""

from __future__ import annotations

from midtread.container.reader import Reader
from midtread.errors import BitstreamError
from midtread.media import exif as exif_block
from midtread.media.header import Header, Metadata, shape_of
from midtread.media.ifd import EXIF, ICC, XMP, Directories, Entry, copy

_WHAT = "this JPEG XR file"
_WIDTH, _HEIGHT, _START, _LENGTH = 0xBC80, 0xBC81, 0xBCC0, 0xBCC1
_COLOURS = {0: 1, 1: 3, 2: 3, 3: 3, 7: 3}  # gray, 4:2:0, 4:2:2, 4:4:4, RGB; 4 and 5 are CMYK, 6 is anything, 8 RGBE
_DEPTHS = (1, 2, 4, 7)  # uint8, uint16, float16, float32


def _page(data: bytes) -> tuple[Directories, dict[int, Entry]]:
    directories = Directories(data, _WHAT)
    pages = directories.pages()
    if len(pages) != 1:
        raise BitstreamError(f"{_WHAT} holds {len(pages)} pictures; midtread reads single ones: extract one first")
    return directories, pages[0]


def probe(data: bytes) -> Header:
    """Size of a picture: the larger of what directory and codestream claim."""
    directories, page = _page(data)
    width, height, start, length = (
        directories.ints(page.get(tag), what, (0,))[0]
        for tag, what in ((_WIDTH, "width"), (_HEIGHT, "height"), (_START, "image offset"), (_LENGTH, "image length"))
    )
    reader = Reader(data)
    reader.offset = start
    reader.take(length, f"{_WHAT}: the codestream")
    reader.offset = start
    if bytes(reader.take(8, f"{_WHAT}: start of the codestream")) != b"WMPHOTO\0":
        raise BitstreamError(f"{_WHAT}: its codestream does not start with WMPHOTO")
    reader.take(2, "codestream header")
    flags, kind = reader.take(2, "codestream header")
    colour, depth = kind >> 4, kind & 15
    if colour not in _COLOURS or depth not in _DEPTHS:
        raise BitstreamError(
            f"{_WHAT} has colour format {colour} and bit depth code {depth}; midtread reads gray and RGB "
            "of 8 or 16 bits, half and float: convert it first"
        )
    size = 2 if flags & 0x80 else 4
    inner = [1 + reader.uint(size, "codestream size", at_most=2**32, big_endian=True) for _ in range(2)]
    width, height = max(width, inner[0]), max(height, inner[1])
    channels = _COLOURS[colour] + (1 if flags & 1 or 0xBCC2 in page else 0)
    return Header(shape_of(height, width, channels))


def metadata(data: bytes) -> Metadata:
    """ICC profile, XMP and Exif."""
    directories, page = _page(data)
    icc, xmp = (directories.raw(page[tag], "metadata") if tag in page else None for tag in (ICC, XMP))
    exif = b"II*\0\x08\0\0\0" + copy(directories, {EXIF: page[EXIF]}, 8) if EXIF in page else None
    return Metadata(icc, exif, xmp, exif_block.orientation(exif) if exif else 1)
