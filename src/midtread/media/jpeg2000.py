"""JPEG 2000 and HTJ2K: size and metadata of a bare codestream or a file of boxes, and putting metadata in.

    codestream: FF 4F │ FF 51 SIZ: u16 length, u16 capabilities, u32 Xsiz Ysiz XOsiz YOsiz XTsiz YTsiz XTOsiz YTOsiz,
                u16 components, 3 bytes each (depth, subsampling) │ ... │ FF D9

Source: ITU-T T.800 annexes A.5.1 and I; T.814 for HTJ2K; the uuid boxes are ExifTool's and Adobe's habit.
"""

from __future__ import annotations

from midtread.container.reader import Reader
from midtread.errors import BitstreamError, LimitError, TruncatedError
from midtread.media import exif as exif_block
from midtread.media.boxes import Box, box, boxes
from midtread.media.header import MAX_METADATA, Header, Metadata, shape_of

_WHAT = "this JPEG 2000 file"
_EXIF = b"JpgTiffExif->JP2"
_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_SPACES = (16, 17)  # sRGB, gray
_MANY_TILES, _SMALL_TILE = 1024, 1024


def is_codestream(data: bytes) -> bool:
    """Whether `data` is a codestream without boxes."""
    return data[:2] == b"\xff\x4f"


def probe(data: bytes) -> Header:
    """Size and bits of a picture. Raises BitstreamError for what midtread does not read."""
    if is_codestream(data):
        return _codestream(data)
    columns = 0
    for part in boxes(data, _WHAT):
        if part.kind == b"jp2h":
            columns = _check_header(part)
        elif part.kind == b"jp2c":
            header = _codestream(part.data)
            channels = max(columns, header.shape[2] if len(header.shape) == 3 else 1)
            return Header((*header.shape[:2], channels) if columns else header.shape, header.bits)
    raise TruncatedError(f"{_WHAT} holds no codestream")


def _check_header(header: Box) -> int:
    """Refuse colours that OpenJPEG would hand over unconverted; return how many columns a palette has."""
    columns = 0
    for part in boxes(header.data, _WHAT):
        if part.kind == b"pclr":
            columns = Reader(part.data[2:]).uint(1, "columns of the palette", at_most=255)
        elif part.kind == b"colr" and bytes(part.data[:1]) == b"\x01":
            space = Reader(part.data[3:]).uint(4, "colour space", at_most=2**32 - 1, big_endian=True)
            if space not in _SPACES:
                raise BitstreamError(f"{_WHAT} is in colour space {space}; midtread reads 16 (sRGB) and 17 (gray)")
    return columns


def _codestream(data: bytes | memoryview) -> Header:
    reader = Reader(data)
    if bytes(reader.take(4, "start of the codestream")) != b"\xff\x4f\xff\x51":
        raise BitstreamError(f"{_WHAT}: its codestream does not start with FF 4F FF 51")
    reader.take(4, "length and capabilities")
    size = [reader.uint(4, "size", at_most=2**32 - 1, big_endian=True) for _ in range(8)]
    width, height = size[0] - size[2], size[1] - size[3]
    count = reader.uint(2, "number of components", at_most=16384, big_endian=True)
    if width < 1 or height < 1 or not size[4] or not size[5] or not 1 <= count <= 4:
        raise BitstreamError(f"{_WHAT} claims {height} x {width} samples of {count} components; 1 to 4 can be read")
    tiles = -(-width // size[4]) * -(-height // size[5])
    if tiles > _MANY_TILES and size[4] * size[5] < _SMALL_TILE:  # OpenJPEG spends 12 KB on each tile, whatever its size
        raise LimitError(f"{_WHAT} claims {tiles} tiles of {size[5]} x {size[4]}, far more than its size explains")
    parts = {bytes(reader.take(3, "component")) for _ in range(count)}
    depth, *steps = min(parts)
    if len(parts) > 1 or steps != [1, 1] or depth > 15:
        raise BitstreamError(
            f"{_WHAT} has subsampled, signed, mixed or over 16-bit components ({sorted(p.hex() for p in parts)}); "
            "midtread reads 1 to 16 unsigned bits at full resolution"
        )
    if bytes(data[-2:]) != b"\xff\xd9" and bytes(data[-64:]).rfind(b"\xff\xd9") < 0:
        raise TruncatedError(f"{_WHAT} is cut short: its end marker FF D9 is missing")
    return Header(shape_of(height, width, count), depth + 1)


def metadata(data: bytes) -> Metadata:
    """ICC profile, Exif and XMP of a file of boxes; a bare codestream has none."""
    bits = probe(data).bits
    icc = exif = xmp = None
    for part in boxes(data, _WHAT) if not is_codestream(data) else ():
        if part.kind == b"uuid" and exif is None and bytes(part.data[:16]) == _EXIF:
            exif = exif_block.without_prefix(bytes(part.data[16 : 16 + MAX_METADATA]))
        elif part.kind == b"uuid" and xmp is None and bytes(part.data[:16]) == _XMP:
            xmp = bytes(part.data[16 : 16 + MAX_METADATA])
        elif part.kind == b"jp2h":
            colours = [inner.data for inner in boxes(part.data, _WHAT) if inner.kind == b"colr"]
            icc = next((bytes(colour[3:]) for colour in colours if colour[:1] in (b"\x02", b"\x03")), None)
    return Metadata(icc, exif, xmp, exif_block.orientation(exif) if exif else 1, bits)


def codestream(data: bytes) -> bytes | memoryview:
    """The codestream alone: OpenJPH does not know boxes."""
    if is_codestream(data):
        return data
    return next(part.data for part in boxes(data, _WHAT) if part.kind == b"jp2c")


def without_profile(data: bytes) -> bytes:
    """`data`, its ICC profile replaced by plain sRGB or gray: imagecodecs would convert the samples with it."""
    if is_codestream(data):
        return data
    header = next((part for part in boxes(data, _WHAT) if part.kind == b"jp2h"), None)
    inner = list(boxes(header.data, _WHAT)) if header else []
    if header is None or not any(part.kind == b"colr" and part.data[:1] in (b"\x02", b"\x03") for part in inner):
        return data
    channels = int.from_bytes(inner[0].data[8:10], "big") if inner[0].kind == b"ihdr" else 3
    kept = b"".join(box(part.kind, bytes(part.data)) for part in inner if part.kind != b"colr")
    return data[: header.start] + box(b"jp2h", kept + _plain_colour(channels)) + data[header.end :]


def _plain_colour(channels: int) -> bytes:
    return box(b"colr", b"\x01\0\0" + (17 if channels < 3 else 16).to_bytes(4, "big"))


def wrap(data: bytes, brand: bytes) -> bytes:
    """A file of boxes around a bare codestream; `brand` is b"jp2 " or b"jph ". Colour is sRGB, or gray."""
    header = _codestream(data)
    height, width, channels = (*header.shape, 1)[:3]
    size = height.to_bytes(4, "big") + width.to_bytes(4, "big") + channels.to_bytes(2, "big")
    inner = box(b"ihdr", size + bytes([(header.bits or 8) - 1, 7, 0, 0]))
    inner += _plain_colour(channels)
    if channels in (2, 4):  # the last one is opacity of the whole picture
        colours = b"".join(i.to_bytes(2, "big") + b"\0\0" + (i + 1).to_bytes(2, "big") for i in range(channels - 1))
        last = (channels - 1).to_bytes(2, "big") + b"\0\x01\0\0"
        inner += box(b"cdef", channels.to_bytes(2, "big") + colours + last)
    head = box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", brand + b"\0\0\0\0" + brand)
    return head + box(b"jp2h", inner) + box(b"jp2c", data)


def attach(data: bytes, icc: bytes | None, exif: bytes | None, xmp: bytes | None) -> bytes:
    """Put metadata into a file of boxes; a bare codestream becomes one."""
    if is_codestream(data):
        data = wrap(data, b"jph " if data[6] & 0x40 else b"jp2 ")
    parts = []
    for part in boxes(data, _WHAT):
        body = bytes(part.data)
        if part.kind == b"jp2h" and icc:
            kept = [box(inner.kind, bytes(inner.data)) for inner in boxes(body, _WHAT) if inner.kind != b"colr"]
            body = b"".join([*kept, box(b"colr", b"\x02\0\0" + icc)])
        elif part.kind == b"uuid" and ((exif and body[:16] == _EXIF) or (xmp and body[:16] == _XMP)):
            continue
        parts.append(box(part.kind, body))
    if exif:
        parts.append(box(b"uuid", _EXIF + exif))
    if xmp:
        parts.append(box(b"uuid", _XMP + xmp))
    return b"".join(parts)
