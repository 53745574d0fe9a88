"""QOI: its size. The pixels are imagecodecs' work.

    "qoif" │ u32 width │ u32 height │ u8 channels │ u8 colour space │ operations │ 00 00 00 00 00 00 00 01  (big-endian)

Source: The Quite OK Image Format, specification 1.0, qoiformat.org.
"""

from __future__ import annotations

from midtread.container.reader import Reader
from midtread.errors import BitstreamError, TruncatedError
from midtread.media.header import Header

_END = b"\0\0\0\0\0\0\0\x01"
_LONGEST_RUN = 62  # pixels that one byte can stand for


def probe(data: bytes) -> Header:
    """Size of a QOI file. Raises TruncatedError when it cannot hold so many pixels or its end is missing."""
    reader = Reader(data)
    if bytes(reader.take(4, "QOI signature")) != b"qoif":
        raise BitstreamError("this QOI file does not start with qoif")
    width, height = (reader.uint(4, f"QOI {what}", at_most=2**32, big_endian=True) for what in ("width", "height"))
    channels = reader.uint(1, "QOI channels", at_most=255)
    if channels not in (3, 4):
        raise BitstreamError(f"this QOI file claims {channels} channels; 3 and 4 exist")
    if data[-len(_END) :] != _END or width * height > _LONGEST_RUN * reader.left:
        raise TruncatedError(
            f"this QOI file is cut short: {len(data)} bytes without end mark, or too few for {height} x {width} pixels"
        )
    return Header((height, width, channels))
