"""JPEG and JPEG-LS marker segments: size, metadata, and putting metadata in.

    FF D8 │ segments: FF marker │ u16 length, big-endian, itself included │ body │ ... FF DA (scan) ... │ FF D9

Sources: ITU-T T.81 annex B; T.87 annex C; Exif 2.32 sec. 4.7.2; XMP part 3 sec. 1.1.3; ICC.1:2022 annex B.4.
"""

from __future__ import annotations

from collections.abc import Iterator

from midtread.container.reader import Reader
from midtread.errors import BitstreamError, TruncatedError, UsageError
from midtread.media import exif as exif_block
from midtread.media.header import MAX_METADATA, Header, Metadata, shape_of

_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}
_JPEGLS_FRAME, _SCAN, _END = 0xF7, 0xDA, 0xD9
_APP0, _APP1, _APP2 = 0xE0, 0xE1, 0xE2
_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length
_ICC = b"ICC_PROFILE\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_XMP_MORE = b"http://ns.adobe.com/xmp/extension/\0"
_MOST = 65533  # bytes in one segment after its length


def _segments(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Marker, offset and body of every segment up to and including the first scan's header.

    Bytes between segments are skipped as libjpeg skips them, so that both see the same frame header.
    """
    reader = Reader(data)
    if bytes(reader.take(2, "start of image")) != b"\xff\xd8":
        raise BitstreamError("this JPEG file does not start with FF D8")
    while True:
        start = data.find(b"\xff", reader.offset)
        if start < 0:
            raise TruncatedError(f"this JPEG file has no scan: no marker after byte {reader.offset}")
        reader.offset = start + 1
        marker = 0xFF
        while marker == 0xFF:
            marker = reader.uint(1, "marker", at_most=255)
        if marker == 0 or marker in _ALONE:
            continue
        if marker == _END:
            raise TruncatedError(f"this JPEG file ends at byte {start}, before any scan")
        length = reader.uint(2, f"length of segment {marker:02X}", at_most=65535, big_endian=True)
        if length < 2:
            raise BitstreamError(f"segment {marker:02X} at byte {start} claims {length} bytes, the least is 2")
        yield marker, start, bytes(reader.take(length - 2, f"segment {marker:02X}"))
        if marker == _SCAN:
            return


def probe(data: bytes, *, jpegls: bool = False) -> Header:
    """Size of a JPEG or JPEG-LS file. Raises BitstreamError, TruncatedError, also when its end is missing."""
    header, label = None, "JPEG-LS" if jpegls else "JPEG"
    for marker, start, body in _segments(data):
        if marker in _FRAMES and (marker == _JPEGLS_FRAME) == jpegls:
            if header is not None:
                raise BitstreamError(f"this {label} file has two frames, the second at byte {start}")
            header = _frame(body, label)
        elif marker == _SCAN:
            if header is None:
                raise BitstreamError(f"this {label} file has a scan at byte {start} before any frame header")
            # Both decoders invent the missing samples of a file cut short, so the end is looked for here.
            if data.rfind(b"\xff\xd9", start) < 0:
                raise TruncatedError(f"this {label} file is cut short: no end marker FF D9 after byte {start}")
    assert header is not None
    return header


def probe_jpegls(data: bytes) -> Header:
    """Size of a JPEG-LS file."""
    return probe(data, jpegls=True)


def _frame(body: bytes, label: str) -> Header:
    reader = Reader(body)
    bits, height, width, components = (
        reader.uint(size, f"{label} frame header", at_most=65535, big_endian=True) for size in (1, 2, 2, 1)
    )
    if not 2 <= bits <= 16:
        raise BitstreamError(f"this {label} file claims {bits} bits a sample; 2 to 16 exist")
    if height == 0:
        raise BitstreamError(f"this {label} file states its height after the scan; re-save it with another program")
    if label == "JPEG" and components not in (1, 3):
        raise BitstreamError(
            f"this JPEG file has {components} components (CMYK has 4); midtread reads gray and colour: "
            "convert it first, for example with `magick in.jpg -colorspace sRGB out.jpg`"
        )
    return Header(shape_of(height, width, components), bits)


def metadata(data: bytes) -> Metadata:
    """ICC profile, Exif, and the first 64 KiB of XMP."""
    exif = xmp = None
    parts: dict[int, bytes] = {}
    bits = warning = None
    for marker, _, body in _segments(data):
        if marker == _APP1 and body.startswith(exif_block.PREFIX) and exif is None:
            exif = exif_block.without_prefix(body)
        elif marker == _APP1 and body.startswith(_XMP) and xmp is None:
            xmp = body[len(_XMP) :]
        elif marker == _APP1 and body.startswith(_XMP_MORE):
            warning = "its XMP packet continues in further segments, which midtread does not carry"
        elif marker == _APP2 and body.startswith(_ICC) and len(body) > len(_ICC) + 2:
            parts.setdefault(body[len(_ICC)], body[len(_ICC) + 2 :])
        elif marker in _FRAMES and body:
            bits = body[0]
    icc = b"".join(parts[number] for number in sorted(parts)) or None
    if icc and sorted(parts) != list(range(1, len(parts) + 1)):
        icc = None  # a profile with a hole in it describes nothing
    return Metadata(icc, exif, xmp, exif_block.orientation(exif) if exif else 1, bits, warning)


def attach(data: bytes, icc: bytes | None, exif: bytes | None, xmp: bytes | None) -> bytes:
    """Put metadata in front of the other segments; what is given replaces what the file had."""
    new = []
    if exif:
        new.append(_segment(_APP1, exif_block.PREFIX + exif, "the Exif block"))
    if xmp:
        new.append(_segment(_APP1, _XMP + xmp, "the XMP packet"))
    room = _MOST - len(_ICC) - 2
    pieces = [icc[i : i + room] for i in range(0, len(icc), room)] if icc else []
    if len(pieces) > 255:
        raise UsageError(f"an ICC profile of {len(icc or b'')} bytes does not fit a JPEG file, {255 * room} do")
    for number, piece in enumerate(pieces, 1):
        new.append(_segment(_APP2, _ICC + bytes([number, len(pieces)]) + piece, "the ICC profile"))
    replaced = ((exif, exif_block.PREFIX), (xmp, _XMP), (icc, _ICC))
    out, done = [data[:2]], False
    for marker, start, body in _segments(data):
        if marker != _APP0 and not done:  # JFIF wants its APP0 to stay first
            out += new
            done = True
        if marker == _SCAN:
            out.append(data[start:])
        elif not any(value and body.startswith(prefix) for value, prefix in replaced if marker in (_APP1, _APP2)):
            out.append(b"\xff" + bytes([marker]) + (len(body) + 2).to_bytes(2, "big") + body)
    return b"".join(out)


def _segment(marker: int, body: bytes, what: str) -> bytes:
    if len(body) > min(_MOST, MAX_METADATA):
        raise UsageError(f"{what} has {len(body)} bytes; a JPEG file holds at most {_MOST} in one segment")
    return b"\xff" + bytes([marker]) + (len(body) + 2).to_bytes(2, "big") + body
