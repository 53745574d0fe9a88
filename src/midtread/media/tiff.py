"""TIFF and BigTIFF: size, samples in our conventions, metadata in and out. The pixels are libtiff's work.

Sources: TIFF revision 6.0 (Adobe 1992); Adobe PageMaker 6 and Photoshop TIFF technical notes; BigTIFF (AWare Systems).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from midtread.errors import BitstreamError, UsageError
from midtread.media.header import Header, Metadata, blame_the_bytes, shape_of, to_full_scale
from midtread.media.ifd import EXIF, GPS, ICC, ORIENTATION, XMP, Directories, Entry, copy, lay_out
from midtread.spec import Limits

_WHAT = "this TIFF file"
_SUBTYPE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES = 254, 256, 257, 258, 259, 262, 277
_PLANAR, _COLORMAP, _TILE_WIDTH, _TILE_HEIGHT, _EXTRA, _FORMAT = 284, 320, 322, 323, 338, 339
_WHITE_IS_ZERO, _PALETTE, _YCBCR, _JPEG = 0, 3, 6, (6, 7)
_READABLE = {0: "white is zero", 1: "black is zero", 2: "RGB", 3: "palette", 6: "YCbCr"}
# What cameras and scanners write beside the picture; the rest of the first directory describes the samples.
_ABOUT = (270, 271, 272, 282, 283, 296, 305, 306, 315, 33432, EXIF, GPS)


@dataclass(frozen=True, slots=True)
class _Layout:
    header: Header
    photometric: int
    separate: bool  # planes one after the other
    extra: tuple[int, ...]  # meaning of the samples beyond colour: 0 unspecified, 1 premultiplied alpha, 2 alpha
    tile: tuple[int, ...]
    colormap: tuple[int, ...]


def _only_page(directories: Directories) -> dict[int, Entry]:
    """The one full-resolution page; smaller copies of it are passed over."""
    pages = directories.pages()
    full = [p for p in pages if not directories.ints(p.get(_SUBTYPE), "subfile type", (0,))[0] & 1]
    if len(full) != 1:
        raise BitstreamError(f"{_WHAT} holds {len(full)} pages; midtread reads single pictures: extract one page first")
    if full[0] is not pages[0]:
        raise BitstreamError(f"{_WHAT} starts with a preview of another page; re-save it with another program")
    return full[0]


def _layout(data: bytes) -> _Layout:
    directories = Directories(data, _WHAT)
    page = _only_page(directories)

    def one(tag: int, what: str, default: int) -> int:
        return directories.ints(page.get(tag), what, (default,))[0]

    width, height = one(_WIDTH, "width", 0), one(_HEIGHT, "height", 0)
    samples, photometric = one(_SAMPLES, "samples per pixel", 1), one(_PHOTOMETRIC, "photometric", 1)
    depths = set(directories.ints(page.get(_BITS), "bits per sample", (1,), at_most=65535))
    if photometric not in _READABLE or (photometric == _YCBCR and one(_COMPRESSION, "compression", 1) not in _JPEG):
        raise BitstreamError(
            f"{_WHAT} has photometric interpretation {photometric}; midtread reads gray, RGB, palettes, and YCbCr "
            "inside JPEG (5 is CMYK, 8 CIELab): convert it to RGB first"
        )
    if len(depths) != 1:
        raise BitstreamError(f"{_WHAT} mixes samples of {sorted(depths)} bits; midtread reads equal ones")
    tile = (one(_TILE_HEIGHT, "tile height", 0), one(_TILE_WIDTH, "tile width", 0)) if _TILE_WIDTH in page else ()
    palette = photometric == _PALETTE
    colormap = directories.ints(page.get(_COLORMAP), "colour map", (), at_most=3 * 65536) if palette else ()
    channels = 3 if palette else samples
    unsigned = set(directories.ints(page.get(_FORMAT), "sample format", (1,), at_most=65535)) == {1}
    return _Layout(
        Header(shape_of(height, width, channels), depths.pop() if unsigned and not palette else None),
        photometric,
        one(_PLANAR, "planar configuration", 1) == 2,
        directories.ints(page.get(_EXTRA), "extra samples", (), at_most=65535),
        (*tile, 1 if one(_PLANAR, "planar configuration", 1) == 2 else samples) if tile else (),
        colormap,
    )


def probe(data: bytes) -> Header:
    """Size of the picture. Raises BitstreamError for several pages and colours that midtread does not read."""
    return _layout(data).header


def decode(data: bytes, limits: Limits) -> np.ndarray:
    """The samples: palettes become RGB, bilevel 0 and 255, white-is-zero is inverted, alpha is made straight."""
    layout = _layout(data)
    layout.header.check("TIFF", limits)
    if layout.tile:
        limits.check_shape(layout.tile, f"a tile of {_WHAT}")
    import imagecodecs

    with blame_the_bytes("TIFF"):
        x = imagecodecs.tiff_decode(data)
    if layout.separate and x.ndim == 3:
        x = np.moveaxis(x, 0, -1)
    if layout.photometric == _PALETTE:
        x = _look_up(x, layout.colormap)
    elif x.dtype == bool:
        x = x.view(np.uint8) * np.uint8(255)
    else:
        x = to_full_scale(x, layout.header.bits)
    if layout.photometric == _WHITE_IS_ZERO and x.dtype.kind == "u":
        x = ~x
    if 1 in layout.extra and x.ndim == 3:
        x = _straight(x)
    return np.ascontiguousarray(x, dtype=x.dtype.newbyteorder("="))


def _look_up(x: np.ndarray, colormap: tuple[int, ...]) -> np.ndarray:
    """RGB from palette indices; 8 bits when every colour has only 8 (v * 257, or v * 256 as older writers have it)."""
    if x.ndim != 2 or x.dtype.kind not in "bu" or not colormap or len(colormap) % 3:
        raise BitstreamError(f"{_WHAT} has a palette of {len(colormap)} numbers for samples of {x.dtype.name}")
    table = np.array(colormap, dtype=np.uint16).reshape(3, -1).T
    if (table % 257 == 0).all() or (table % 256 == 0).all():
        table = (table >> 8).astype(np.uint8)
    return table.take(x.astype(np.int64), axis=0, mode="clip")


def _straight(x: np.ndarray) -> np.ndarray:
    """Undo premultiplied alpha, rounding to nearest; colours under alpha 0 stay as they are."""
    alpha = x[..., -1:].astype(np.float64)
    white = float(np.iinfo(x.dtype).max) if x.dtype.kind in "ui" else 1.0
    colour = x[..., :-1] * (white / np.where(alpha > 0, alpha, white))
    if x.dtype.kind in "ui":
        colour = np.clip(np.rint(colour), 0, white)
    return np.concatenate([colour.astype(x.dtype), x[..., -1:]], axis=-1)


def encode(x: np.ndarray) -> bytes:
    """Lossless, deflate with a predictor."""
    import imagecodecs

    channels = x.shape[2] if x.ndim == 3 else 1
    options: dict[str, Any] = {"photometric": "minisblack" if channels < 3 else "rgb", "planarconfig": "contig"}
    if channels in (2, 4):
        options["extrasample"] = "unassalpha"
    return bytes(imagecodecs.tiff_encode(x, compression="deflate", predictor=True, **options))


def metadata(data: bytes) -> Metadata:
    """ICC profile, XMP, and an Exif block made of the tags that describe how the picture came about."""
    directories = Directories(data, _WHAT)
    page = _only_page(directories)
    icc, xmp = (directories.raw(page[tag], "metadata") if tag in page else None for tag in (ICC, XMP))
    about = {tag: page[tag] for tag in _ABOUT if tag in page}
    exif = None
    if about.keys() - {282, 283, 296}:  # a resolution alone says nothing about the picture
        try:
            exif = b"II*\0\x08\0\0\0" + copy(directories, about, 8)
        except BitstreamError:  # damaged camera data; the picture itself may be whole
            exif = None
    turn = directories.ints(page.get(ORIENTATION), "orientation", (1,))[0]
    return Metadata(icc, exif, xmp, turn if 1 <= turn <= 8 else 1, _layout(data).header.bits)


def attach(data: bytes, icc: bytes | None, exif: bytes | None, xmp: bytes | None) -> bytes:
    """Append a new first directory that has the old one's tags and the new ones."""
    directories = Directories(data, _WHAT)
    if directories.big or directories.big_endian:
        raise UsageError("metadata can be put into little-endian TIFF files below 4 GiB only; drop the metadata")
    fields = {}
    for tag, entry in directories.directory(directories.first)[0].items():
        fields[tag] = (entry.kind, entry.count, directories.raw(entry, f"tag {tag}", 2**31))
    for tag, kind, value in ((ICC, 7, icc), (XMP, 1, xmp)):
        if value:
            fields[tag] = (kind, len(value), value)
    base = len(data) + (len(data) & 1)
    if exif:
        source = Directories(exif, "this Exif block")
        about, _ = source.directory(source.first)
        base, block = _append_exif(source, {tag: about[tag] for tag in (EXIF, GPS) if tag in about}, fields, base)
        for tag in set(_ABOUT[:-2]) & about.keys() - fields.keys():
            entry = about[tag]
            fields[tag] = (entry.kind, entry.count, source.little(entry, f"tag {tag}"))
    else:
        block = b""
    head = data[:4] + base.to_bytes(4, "little") + data[8:].ljust(len(data) - 8 + (len(data) & 1), b"\0")
    return head + block + lay_out(fields, base)


def _append_exif(
    source: Directories, pointers: dict[int, Entry], fields: dict[int, tuple[int, int, bytes]], base: int
) -> tuple[int, bytes]:
    """Lay the Exif and GPS directories out at `base`, point `fields` at them; the offset after them, and the bytes."""
    block = b""
    for tag, pointer in pointers.items():
        child, _ = source.directory(source.ints(pointer, f"tag {tag}", (0,))[0])
        fields[tag] = (4, 1, (base + len(block)).to_bytes(4, "little"))
        block += copy(source, child, base + len(block), depth=1)
    return base + len(block), block
