"""WebP (RIFF) chunks: size, metadata, and putting metadata in.

    "RIFF" │ u32 size │ "WEBP" │ chunks: 4 letters │ u32 length │ body │ a zero byte when the length is odd
    simple: "VP8 " or "VP8L" alone      extended: VP8X (flags, canvas), ICCP, ALPH, VP8/VP8L, EXIF, "XMP "

Source: RFC 9649.
"""

from __future__ import annotations

from collections.abc import Iterator

from midtread.container.reader import Reader
from midtread.errors import BitstreamError, TruncatedError
from midtread.media import exif as exif_block
from midtread.media.header import Header, Metadata

_ANIMATED, _HAS_XMP, _HAS_EXIF, _HAS_ALPHA, _HAS_ICC = 0x02, 0x04, 0x08, 0x10, 0x20


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    reader = Reader(data)
    if bytes(reader.take(4, "RIFF header")) != b"RIFF":
        raise BitstreamError("this WebP file does not start with RIFF")
    size = reader.uint(4, "size of the WebP file", at_most=2**32 - 1)
    if size > reader.left:
        raise TruncatedError(f"this WebP file is cut short: it claims {size + 8} bytes, {len(data)} are there")
    end = reader.offset + size
    reader.take(4, "WebP header")
    while reader.offset + 8 <= end:
        name = bytes(reader.take(4, "name of a WebP chunk"))
        length = reader.uint(4, f"length of WebP chunk {name!r}", at_most=2**32 - 1)
        yield name, reader.take(length, f"WebP chunk {name!r}")
        reader.take(min(length & 1, reader.left), "padding")


def probe(data: bytes) -> Header:
    """Size of a WebP file: the larger of canvas and frame. Raises BitstreamError for animations."""
    width = height = 0
    alpha = False
    for name, body in _chunks(data):
        reader = Reader(body)
        if name == b"VP8X":
            flags = reader.uint(4, "WebP flags", at_most=2**32 - 1)
            if flags & _ANIMATED:
                raise BitstreamError("this WebP file is an animation; midtread reads single pictures: extract one")
            alpha |= bool(flags & _HAS_ALPHA)
            size = [1 + reader.uint(3, "WebP canvas", at_most=2**24) for _ in range(2)]
        elif name == b"VP8L":
            reader.take(1, "signature of a lossless WebP frame")
            packed = reader.uint(4, "size of a lossless WebP frame", at_most=2**32 - 1)
            alpha |= bool(packed >> 28 & 1)
            size = [1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)]
        elif name == b"VP8 ":
            reader.take(6, "start of a lossy WebP frame")
            size = [reader.uint(2, "size of a lossy WebP frame", at_most=65535) & 0x3FFF for _ in range(2)]
        else:
            continue
        width, height = max(width, size[0]), max(height, size[1])
        if name != b"VP8X":
            return Header((height, width, 4 if alpha else 3))
    raise TruncatedError("this WebP file holds no picture")


def metadata(data: bytes) -> Metadata:
    """ICC profile, Exif and XMP."""
    found: dict[bytes, bytes] = {}
    for name, body in _chunks(data):
        if name in (b"ICCP", b"EXIF", b"XMP "):
            found.setdefault(name, bytes(body))
    exif = found.get(b"EXIF")
    exif = exif_block.without_prefix(exif) if exif else None
    return Metadata(found.get(b"ICCP"), exif, found.get(b"XMP "), exif_block.orientation(exif) if exif else 1)


def attach(data: bytes, icc: bytes | None, exif: bytes | None, xmp: bytes | None) -> bytes:
    """Put metadata in; a simple file becomes an extended one. What is given replaces what the file had."""
    height, width, channels = probe(data).shape
    chunks = {name: bytes(body) for name, body in _chunks(data) if name != b"VP8X"}
    chunks.update((name, body) for name, body in ((b"ICCP", icc), (b"EXIF", exif), (b"XMP ", xmp)) if body)
    flags = _HAS_ALPHA if channels == 4 else 0
    for name, flag in ((b"ICCP", _HAS_ICC), (b"EXIF", _HAS_EXIF), (b"XMP ", _HAS_XMP)):
        flags |= flag if name in chunks else 0
    head = flags.to_bytes(4, "little") + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunks = {b"VP8X": head, **chunks}
    order = [b"VP8X", b"ICCP", b"ALPH", b"VP8 ", b"VP8L", b"EXIF", b"XMP "]
    order += [name for name in chunks if name not in order]
    parts = [b"WEBP"]
    for name in order:
        if (body := chunks.get(name)) is not None:
            parts.append(name + len(body).to_bytes(4, "little") + body + b"\0" * (len(body) & 1))
    payload = b"".join(parts)
    return b"RIFF" + len(payload).to_bytes(4, "little") + payload
