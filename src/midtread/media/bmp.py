"""BMP, read by midtread itself: the decoder in imagecodecs crashed on one in 200 of our damaged files.

    "BM" │ u32 file size │ u32 0 │ u32 offset of the samples │ u32 header size │ i32 width │ i32 height (negative:
    top row first) │ u16 1 │ u16 bits │ u32 compression │ ... │ masks or palette │ rows, padded to 4 bytes, BGR

Source: Microsoft, "Bitmap Header Types" (BITMAPINFOHEADER to BITMAPV5HEADER).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from midtread.container.reader import Reader
from midtread.errors import BitstreamError
from midtread.media.header import Header, shape_of
from midtread.spec import Limits

_PLAIN, _MASKS, _MASKS_ALPHA = 0, 3, 6
_MASKS_OF = {16: (0x7C00, 0x3E0, 0x1F, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0)}


@dataclass(frozen=True, slots=True)
class _Layout:
    header: Header
    bits: int
    top_down: bool
    masks: tuple[int, ...]
    palette: np.ndarray | None  # [n, 3] RGB


def _layout(data: bytes) -> _Layout:
    reader = Reader(data)
    if bytes(reader.take(2, "BMP signature")) != b"BM":
        raise BitstreamError("this BMP file does not start with BM")
    reader.take(8, "BMP header")
    offset = reader.uint(4, "offset of the samples", at_most=2**32)
    size = reader.uint(4, "size of the BMP header", at_most=2**32)
    if not 40 <= size <= 256:
        raise BitstreamError(f"this BMP file has a header of {size} bytes; midtread reads Windows headers, 40 to 124")
    width, signed_height = (
        int.from_bytes(reader.take(4, f"BMP {what}"), "little", signed=True) for what in ("width", "height")
    )
    reader.take(2, "BMP planes")
    bits = reader.uint(2, "BMP bits", at_most=65535)
    compression = reader.uint(4, "BMP compression", at_most=2**32)
    reader.take(12, "BMP header")
    colours = reader.uint(4, "BMP palette size", at_most=2**32)
    reader.take(4, "BMP header")
    masked = compression in (_MASKS, _MASKS_ALPHA) and bits in (16, 32)
    if bits not in (1, 4, 8, 16, 24, 32) or not (compression == _PLAIN or masked):
        raise BitstreamError(
            f"this BMP file has {bits} bits a pixel and compression {compression}; "
            "midtread reads uncompressed ones of 1, 4, 8, 16, 24 and 32 bits: re-save it uncompressed"
        )
    masks: tuple[int, ...] = _MASKS_OF.get(bits, ())
    if masked:
        count = 4 if size >= 56 or compression == _MASKS_ALPHA else 3
        masks = (*(reader.uint(4, "BMP colour mask", at_most=2**32) for _ in range(count)), 0)[:4]
    palette = None
    if bits <= 8:
        reader.offset = 14 + size
        entries = min(colours or 2**bits, 2**bits)
        raw = np.frombuffer(reader.take(4 * entries, "BMP palette"), np.uint8).reshape(-1, 4)
        palette = np.zeros((2**bits, 3), np.uint8)  # an index above the palette is black, as everywhere
        palette[:entries] = raw[:, 2::-1]
    gray = palette is not None and bool((palette == palette[:, :1]).all())
    height = abs(signed_height)
    channels = 1 if gray else 4 if masks and masks[3] else 3
    return _Layout(
        Header(shape_of(height, max(width, 0), channels), offset=offset), bits, signed_height < 0, masks, palette
    )


def probe(data: bytes) -> Header:
    """Size of the picture. Raises BitstreamError for run lengths and the OS/2 variants."""
    return _layout(data).header


def decode(data: bytes, limits: Limits) -> np.ndarray:
    """uint8 gray, RGB or RGBA; palettes are looked up, a palette of grays gives a gray picture."""
    layout = _layout(data)
    layout.header.check("BMP", limits)
    height, width = layout.header.shape[:2]
    stride = (width * layout.bits + 31) // 32 * 4
    reader = Reader(data)
    reader.offset = layout.header.offset
    rows = np.frombuffer(reader.take(stride * height, "BMP samples"), np.uint8).reshape(height, stride)
    if not layout.top_down:
        rows = rows[::-1]
    if layout.palette is not None:
        return _look_up(rows, width, layout)
    if layout.bits == 24:
        return np.ascontiguousarray(rows[:, : 3 * width].reshape(height, width, 3)[..., ::-1])
    kind = "<u2" if layout.bits == 16 else "<u4"
    packed = np.ascontiguousarray(rows).view(kind)[:, :width]
    x = np.empty(layout.header.shape, np.uint8)
    for channel in range(x.shape[2]):
        x[..., channel] = _unpack(packed, layout.masks[channel])
    return x


def _look_up(rows: np.ndarray, width: int, layout: _Layout) -> np.ndarray:
    if layout.bits == 8:
        indices = rows[:, :width]
    else:
        bits = np.unpackbits(rows, axis=1)[:, : width * layout.bits]
        indices = bits if layout.bits == 1 else np.packbits(bits.reshape(len(rows), width, 4), axis=2)[..., 0] >> 4
    assert layout.palette is not None
    gray = len(layout.header.shape) == 2
    return np.ascontiguousarray((layout.palette[:, 0] if gray else layout.palette).take(indices, axis=0))


def _unpack(packed: np.ndarray, mask: int) -> np.ndarray:
    """One channel, stretched to 0..255."""
    if not mask:
        return np.zeros(packed.shape, np.uint8)
    shift = (mask & -mask).bit_length() - 1
    top = mask >> shift
    if top & (top + 1) or top > 0xFFFF:
        raise BitstreamError(f"this BMP file has the colour mask {mask:08x}, whose bits are not next to each other")
    value = (packed & packed.dtype.type(mask)).astype(np.uint32) >> shift
    return ((2 * 255 * value + top) // (2 * top)).astype(np.uint8)


def encode(x: np.ndarray) -> bytes:
    """Gray as an 8-bit palette, RGB as 24 bits, RGBA as 32 bits with masks."""
    import imagecodecs

    return bytes(imagecodecs.bmp_encode(x))
