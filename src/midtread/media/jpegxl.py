"""JPEG XL: size, colour and metadata of a bare codestream or a file of boxes, and putting metadata in.

Source: ISO/IEC 18181-1 annexes A (image header) and 18181-2 (boxes); libjxl 0.11 lib/jxl/image_metadata.cc.
"""

from __future__ import annotations

from dataclasses import dataclass

from midtread.errors import BitstreamError, TruncatedError
from midtread.media import exif as exif_block
from midtread.media.boxes import Bits, box, boxes
from midtread.media.header import MAX_METADATA, Header, Metadata, shape_of

_WHAT = "this JPEG XL file"
_SIGNATURE = b"\0\0\0\x0cJXL \r\n\x87\n"
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_SMALL = ((1, 9), (1, 13), (1, 18), (1, 30))
_ENUM = ((0, 0), (1, 0), (2, 4), (18, 6))
_ALPHA, _GRAY = 0, 1


@dataclass(frozen=True, slots=True)
class _Image:
    header: Header
    colour: str | None  # what its colour is when it is not sRGB


def _codestream(data: bytes) -> bytes | memoryview:
    """The first 4 KiB of the codestream at least; that is more than any image header before the profile."""
    if data[:2] == b"\xff\x0a":
        return data
    parts = b""
    for part in boxes(data, _WHAT):
        if part.kind == b"jxlc":
            return part.data
        if part.kind == b"jxlp" and len(parts) < 4096:
            parts += bytes(part.data[4:4100])  # the first four bytes number the part
    if not parts:
        raise TruncatedError(f"{_WHAT} holds no codestream")
    return parts


def _size(bits: Bits) -> tuple[int, int]:
    small = bits.take(1)
    height = 8 * (1 + bits.take(5)) if small else bits.pick(*_SMALL)
    if ratio := bits.take(3):
        over, under = _RATIOS[ratio - 1]
        return height, height * over // under
    return height, 8 * (1 + bits.take(5)) if small else bits.pick(*_SMALL)


def _depth(bits: Bits) -> tuple[int, bool]:
    if bits.take(1):
        depth = bits.pick((32, 0), (16, 0), (24, 0), (1, 6))
        bits.take(4)  # bits of the exponent
        return depth, True
    return bits.pick((8, 0), (10, 0), (12, 0), (1, 6)), False


def _extra_channel(bits: Bits) -> None:
    if bits.take(1):
        return  # 8-bit alpha
    kind = bits.pick(*_ENUM)
    _depth(bits)
    bits.pick((0, 0), (3, 0), (4, 0), (1, 3))  # dim_shift
    for _ in range(bits.pick((0, 0), (0, 4), (16, 5), (48, 10))):
        bits.take(8)  # a letter of its name
    if kind == _ALPHA:
        if bits.take(1):
            raise BitstreamError(f"{_WHAT} has premultiplied alpha; midtread reads straight alpha: re-save it")
    elif kind == 2:
        bits.take(64)  # spot colour
    elif kind == 5:
        bits.pick((1, 0), (0, 2), (3, 4), (19, 8))  # colour filter array


def _colour(bits: Bits) -> tuple[bool, str | None]:
    """Whether it is gray, and what its colour is when it is not sRGB."""
    if bits.take(1):
        return False, None
    profile = bits.take(1)
    space = bits.pick(*_ENUM)
    if profile:
        return space == _GRAY, "an ICC profile"
    if space == 2:
        return False, "XYB colour"
    white = bits.pick(*_ENUM)
    if white == 2:
        return space == _GRAY, "its own white point"
    primaries = bits.pick(*_ENUM) if space != _GRAY else 1
    if primaries == 2:
        return False, "its own primaries"
    gamma = bits.take(24) if bits.take(1) else None
    curve = bits.pick(*_ENUM) if gamma is None else None
    other = (white, primaries) != (1, 1) or curve not in (13, 8)  # linear is what float samples mean here
    return space == _GRAY, f"primaries {primaries}, white {white}, curve {curve or gamma}" if other else None


def _image(data: bytes) -> _Image:
    stream = _codestream(data)
    if bytes(stream[:2]) != b"\xff\x0a":
        raise BitstreamError(f"{_WHAT}: its codestream does not start with FF 0A")
    bits = Bits(stream[2:4096], _WHAT, lowest_first=True)
    height, width = _size(bits)
    if bits.take(1):  # all the rest is default: 8 bits, sRGB, nothing extra
        return _Image(Header((height, width, 3), 8), None)
    orientation = 1
    if bits.take(1):
        orientation = 1 + bits.take(3)
        if bits.take(1):
            _size(bits)  # intrinsic size
        if bits.take(1):
            raise BitstreamError(f"{_WHAT} carries a preview picture, which midtread does not read")
        if bits.take(1):
            raise BitstreamError(f"{_WHAT} is an animation; midtread reads single pictures: extract a frame first")
    depth, is_float = _depth(bits)
    bits.take(1)  # 16-bit buffers suffice
    extra = bits.pick((0, 0), (1, 0), (2, 4), (1, 12))
    for _ in range(extra):
        _extra_channel(bits)
    bits.take(1)  # XYB
    gray, colour = _colour(bits)
    if orientation >= 5:  # the decoder turns the picture
        height, width = width, height
    return _Image(Header(shape_of(height, width, (1 if gray else 3) + extra), None if is_float else depth), colour)


def probe(data: bytes) -> Header:
    """Size of a JPEG XL file, upright, and its bits a sample. Raises BitstreamError for animations."""
    return _image(data).header


def metadata(data: bytes) -> Metadata:
    """Exif and XMP; the orientation is already applied by the decoder, and Exif has no say in it."""
    image, exif, xmp = _image(data), None, None
    warning = f"its colour is {image.colour}, which midtread cannot read" if image.colour else None
    for part in boxes(data, _WHAT) if data[:2] != b"\xff\x0a" else ():
        kind, body = part.kind, bytes(part.data[: MAX_METADATA + 4])
        if kind == b"brob" and body[:4] in (b"Exif", b"xml "):
            kind, body = body[:4], _unbrotli(body[4:])
        if kind == b"Exif" and exif is None and len(body) > 4:
            exif = exif_block.without_prefix(body[4 + int.from_bytes(body[:4], "big") :])
        elif kind == b"xml " and xmp is None:
            xmp = body
    return Metadata(None, exif or None, xmp or None, 1, image.header.bits, warning)


def _unbrotli(packed: bytes) -> bytes:
    import imagecodecs

    try:
        return bytes(imagecodecs.brotli_decode(packed, out=MAX_METADATA))
    except Exception:  # damaged, or larger than any metadata: the picture itself may be whole
        return b""


def attach(data: bytes, icc: bytes | None, exif: bytes | None, xmp: bytes | None) -> bytes:
    """Add an Exif and an XMP box; a bare codestream becomes a file of boxes. `icc` is always None here."""
    if data[:2] == b"\xff\x0a":
        parts = [_SIGNATURE, box(b"ftyp", b"jxl \0\0\0\0jxl "), box(b"jxlc", data)]
    else:
        names = {name for name, value in ((b"Exif", exif), (b"xml ", xmp)) if value}
        old = [part for part in boxes(data, _WHAT) if part.kind not in names and bytes(part.data[:4]) not in names]
        parts = [box(part.kind, bytes(part.data)) for part in old]
    if exif:
        parts.append(box(b"Exif", b"\0\0\0\0" + exif))
    if xmp:
        parts.append(box(b"xml ", xmp))
    return b"".join(parts)
