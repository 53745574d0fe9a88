"""PNG chunks: size, metadata, and putting metadata in.

    89 50 4E 47 0D 0A 1A 0A │ chunks: u32 length │ 4 letters │ body │ u32 CRC │ ... IEND        (big-endian)

Source: Portable Network Graphics, third edition, W3C 2025.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from midtread.container.reader import Reader
from midtread.errors import BitstreamError, TruncatedError
from midtread.media import exif as exif_block
from midtread.media.header import MAX_METADATA, Header, Metadata, shape_of

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = b"\0\0\0\0IEND\xaeB`\x82"
_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # by colour type; 3 is a palette of RGB colours
_XMP = b"XML:com.adobe.xmp\0"


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, memoryview]]:
    """Name, offset and body of every chunk; the CRCs are the decoder's business."""
    reader = Reader(data)
    if bytes(reader.take(8, "PNG signature")) != _SIGNATURE:
        raise BitstreamError("this PNG file does not start with the PNG signature")
    while True:
        start = reader.offset
        length = reader.uint(4, "length of a PNG chunk", at_most=2**31 - 1, big_endian=True)
        name = bytes(reader.take(4, "name of a PNG chunk"))
        yield name, start, reader.take(length, f"PNG chunk {name!r}")
        reader.take(4, f"CRC of PNG chunk {name!r}")
        if name == b"IEND":
            return


def probe(data: bytes) -> Header:
    """Size of a PNG file. Raises BitstreamError, TruncatedError, also when the end is missing or it is animated."""
    height = width = channels = 0
    for name, _, body in _chunks(data):
        if not channels:
            if name != b"IHDR":
                raise BitstreamError(f"this PNG file starts with chunk {name!r} instead of b'IHDR'")
            height, width, channels = _ihdr(body)
        elif name == b"tRNS" and channels in (1, 3):
            channels += 1
        elif name == b"acTL":
            raise BitstreamError("this PNG file is an animation; midtread reads single pictures: extract a frame first")
        elif name == b"IDAT":
            break
    if data.rfind(_END) < 0:  # libpng does not miss it, but then nobody knows whether all of the file is there
        raise TruncatedError("this PNG file is cut short: its last chunk, IEND, is missing")
    return Header(shape_of(height, width, channels))


def _ihdr(body: memoryview) -> tuple[int, int, int]:
    reader = Reader(body)
    width = reader.uint(4, "PNG width", at_most=2**32, big_endian=True)
    height = reader.uint(4, "PNG height", at_most=2**32, big_endian=True)
    _, colour = reader.take(2, "PNG depth and colour type")
    if colour not in _CHANNELS:
        raise BitstreamError(f"this PNG file claims colour type {colour}; 0, 2, 3, 4 and 6 exist")
    return height, width, _CHANNELS[colour]


def metadata(data: bytes) -> Metadata:
    """ICC profile, Exif, XMP and significant bits."""
    icc = exif = xmp = bits = warning = None
    for name, _, body in _chunks(data):
        if name == b"iCCP" and icc is None:
            icc = _inflate(bytes(body).partition(b"\0")[2][1:], "ICC profile")
        elif name == b"eXIf" and exif is None:
            exif = exif_block.without_prefix(bytes(body))
        elif name == b"iTXt" and xmp is None and bytes(body[: len(_XMP)]) == _XMP:
            xmp = _text(bytes(body[len(_XMP) :]))
        elif name == b"sBIT" and len(body):
            bits = max(body)
        elif name == b"cICP" and bytes(body[:2]) not in (b"\x01\x01", b"\x01\x0d"):
            warning = f"its colours are coded by number (cICP {bytes(body).hex()}), which midtread does not carry"
    return Metadata(icc, exif, xmp, exif_block.orientation(exif) if exif else 1, bits, warning)


def _inflate(packed: bytes, what: str) -> bytes | None:
    """Decompress, or None for a damaged stream or one that would grow too big: the picture itself may be whole."""
    try:
        stream = zlib.decompressobj()
        plain = stream.decompress(packed, MAX_METADATA)
    except zlib.error:
        return None
    return plain if stream.eof else None


def _text(body: bytes) -> bytes | None:
    """The text of an iTXt chunk after its keyword: flag, method, language and translated keyword come first."""
    if len(body) < 2:
        return None
    text = body[2:].partition(b"\0")[2].partition(b"\0")[2]
    return _inflate(text, "XMP packet") if body[0] else text


def attach(data: bytes, icc: bytes | None, exif: bytes | None, xmp: bytes | None) -> bytes:
    """Put metadata after IHDR; what is given replaces what the file had."""
    new = []
    if icc:
        new.append(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc)))
    if exif:
        new.append(_chunk(b"eXIf", exif))
    if xmp:
        new.append(_chunk(b"iTXt", _XMP + b"\0\0\0\0" + xmp))
    out = [_SIGNATURE]
    for name, start, body in _chunks(data):
        old = (icc and name in (b"iCCP", b"sRGB", b"cICP")) or (exif and name == b"eXIf")
        if not old and not (xmp and name == b"iTXt" and bytes(body[: len(_XMP)]) == _XMP):
            out.append(data[start : start + 12 + len(body)])
        if name == b"IHDR":
            out += new
    return b"".join(out)


def _chunk(name: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")
