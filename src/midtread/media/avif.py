"""AVIF: size, colour and metadata from its boxes, and putting metadata in.

    ftyp │ meta: pitm (which item is the picture) │ iinf (what the items are) │ iloc (where they are) │
           iprp: ipco (properties: ispe size, av1C depth, colr colour, irot, imir, auxC alpha) │ ipma (of which item)

Sources: AV1 Image File Format 1.2; ISO/IEC 23008-12 (HEIF); ISO/IEC 14496-12 sec. 8.11; AV1 specification 5.5.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from midtread.container.reader import Reader
from midtread.errors import BitstreamError, TruncatedError
from midtread.media import exif as exif_block
from midtread.media.boxes import Bits, Box, boxes
from midtread.media.header import MAX_METADATA, Header, Metadata, shape_of

WHAT = "this AVIF file"
_MAX_ITEMS = 4096
# What Exif calls the position that `irot` (quarter turns against the clock) and then `imir` (axis) undo.
_TURNS = {
    (0, None): 1, (1, None): 8, (2, None): 3, (3, None): 6,
    (0, 0): 4, (1, 0): 5, (2, 0): 2, (3, 0): 7, (0, 1): 2, (1, 1): 7, (2, 1): 4, (3, 1): 5,
}  # fmt: skip


@dataclass
class Item:
    """One thing in the file: the picture, its alpha, its Exif, a thumbnail."""

    kind: bytes = b""
    mime: bytes = b""
    extents: list[tuple[int, int]] = field(default_factory=list)  # offset, length; in the file, or in idat
    inside: bool = False  # the offsets count from the body of idat
    properties: list[int] = field(default_factory=list)  # numbers from 1 into ipco; 0x8000: must be understood


@dataclass
class Meta:
    """The meta box, taken apart."""

    primary: int
    items: dict[int, Item]
    properties: list[Box]
    idat: memoryview

    def of(self, item: int, kind: bytes) -> list[memoryview]:
        """Bodies of the properties of one kind that an item has."""
        numbers = [n & 0x7FFF for n in self.items[item].properties] if item in self.items else []
        chosen = [self.properties[n - 1] for n in numbers if 0 < n <= len(self.properties)]
        return [box.data for box in chosen if box.kind == kind]


def _uint(reader: Reader, width: int, what: str, at_most: int = 2**64) -> int:
    return reader.uint(width, f"{WHAT}: {what}", at_most=at_most, big_endian=True) if width else 0


def parse(data: bytes) -> Meta:
    """Take the meta box apart. Raises BitstreamError, TruncatedError, also for sequences."""
    meta = None
    for part in boxes(data, WHAT):
        if part.kind == b"moov":
            raise BitstreamError(f"{WHAT} is an image sequence; midtread reads single pictures: extract a frame first")
        if part.kind == b"meta" and meta is None:
            meta = part
    if meta is None:
        raise TruncatedError(f"{WHAT} has no meta box")
    result = Meta(0, {}, [], memoryview(b""))
    for part in boxes(meta.data[4:], WHAT):
        reader = Reader(part.data)
        if part.kind == b"pitm":
            result.primary = _uint(reader, 2 if _uint(reader, 4, "pitm") >> 24 == 0 else 4, "primary item")
        elif part.kind == b"iinf":
            _items(part.data, result.items)
        elif part.kind == b"iloc":
            _locations(reader, result.items)
        elif part.kind == b"idat":
            result.idat = part.data
        elif part.kind == b"iprp":
            for inner in boxes(part.data, WHAT):
                if inner.kind == b"ipco":
                    result.properties = list(boxes(inner.data, WHAT))
                elif inner.kind == b"ipma":
                    _associations(Reader(inner.data), result.items)
    return result


def _items(data: memoryview, items: dict[int, Item]) -> None:
    for entry in boxes(data[8 if data[:1] != b"\0" else 6 :], WHAT):
        reader = Reader(entry.data)
        version = _uint(reader, 4, "infe") >> 24
        if entry.kind != b"infe" or version < 2:
            continue
        item = items.setdefault(_uint(reader, 2 if version == 2 else 4, "item"), Item())
        _uint(reader, 2, "protection")
        item.kind = bytes(reader.take(4, f"{WHAT}: kind of an item"))
        item.mime = bytes(reader.take(reader.left, "")).split(b"\0")[1:2][0] if item.kind == b"mime" else b""


def _locations(reader: Reader, items: dict[int, Item]) -> None:
    version = _uint(reader, 4, "iloc") >> 24
    sizes = _uint(reader, 2, "iloc sizes")
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    for _ in range(_uint(reader, 2 if version < 2 else 4, "number of places", _MAX_ITEMS)):
        item = items.setdefault(_uint(reader, 2 if version < 2 else 4, "item"), Item())
        item.inside = bool(version) and _uint(reader, 2, "construction method") & 15 == 1
        _uint(reader, 2, "data reference")
        base = _uint(reader, base_size, "base offset")
        for _ in range(_uint(reader, 2, "number of extents", _MAX_ITEMS)):
            if version:
                _uint(reader, index_size, "extent index")
            offset = base + _uint(reader, offset_size, "offset")
            item.extents.append((offset, _uint(reader, length_size, "length")))


def _associations(reader: Reader, items: dict[int, Item]) -> None:
    head = _uint(reader, 4, "ipma")
    wide = head & 1
    for _ in range(_uint(reader, 4, "number of associations", _MAX_ITEMS)):
        item = items.setdefault(_uint(reader, 2 if head >> 24 == 0 else 4, "item"), Item())
        for _ in range(_uint(reader, 1, "properties of an item")):
            number = _uint(reader, 1 + wide, "property")
            item.properties.append(number if wide else (number & 0x80) << 8 | number & 0x7F)


def _content(data: bytes, meta: Meta, item: Item) -> bytes:
    source = meta.idat if item.inside else memoryview(data)
    parts, total = [], 0
    for offset, length in item.extents:
        reader = Reader(source)
        reader.offset = offset
        length = length or reader.left
        total += length
        if total > MAX_METADATA:
            raise BitstreamError(f"{WHAT}: metadata of more than {MAX_METADATA} bytes")
        parts.append(bytes(reader.take(length, f"{WHAT}: an item")))
    return b"".join(parts)


def probe(data: bytes) -> Header:
    """Size and bits of the picture: the largest that any item, or the AV1 stream itself, claims."""
    meta = parse(data)
    height = width = 0
    for prop in meta.properties:
        if prop.kind == b"ispe":
            reader = Reader(prop.data[4:])
            size = [_uint(reader, 4, "size") for _ in range(2)]
            width, height = max(width, size[0]), max(height, size[1])
        elif prop.kind == b"clap":
            raise BitstreamError(f"{WHAT} crops itself (clap), which midtread does not read; re-save it cropped")
    configs = [prop.data for prop in meta.properties if prop.kind == b"av1C"]
    if not configs or not height:
        raise BitstreamError(f"{WHAT} holds no AV1 picture (no av1C or ispe property); HEIC is not read")
    flags = [bytes(config[2:3])[0] for config in configs if len(config) > 3]
    bits = max((12 if f & 0x20 else 10) if f & 0x40 else 8 for f in flags) if flags else 8
    mono = bool(flags) and bool(flags[0] & 0x10) and len(configs) == 1
    alpha = any(prop.kind == b"auxC" and b"alpha" in bytes(prop.data) for prop in meta.properties)
    for item in meta.items.values():
        if item.kind == b"av01":
            inner = _sequence_size(data, meta, item)
            width, height = max(width, inner[1]), max(height, inner[0])
    channels = (1 if mono else 3) + alpha
    return Header(shape_of(height, width, channels), bits)


def _sequence_size(data: bytes, meta: Meta, item: Item) -> tuple[int, int]:
    """Largest frame that the AV1 sequence header allows: the decoder allocates by it, not by ispe."""
    source = meta.idat if item.inside else memoryview(data)
    if not item.extents:
        return 0, 0
    reader = Reader(source)
    reader.offset, end = item.extents[0][0], sum(item.extents[0])
    while reader.offset + 2 <= min(end, len(source)):
        head = reader.take(1, f"{WHAT}: OBU")[0]
        if head & 4:
            reader.take(1, f"{WHAT}: OBU extension")
        size = reader.varint(f"{WHAT}: size of an OBU", at_most=2**32) if head & 2 else reader.left
        body = reader.take(size, f"{WHAT}: OBU")
        if head >> 3 & 15 == 1:
            return _sequence_header(Bits(body[:64], f"{WHAT}: its sequence header", lowest_first=False))
    return 0, 0


def _sequence_header(bits: Bits) -> tuple[int, int]:
    bits.take(3 + 1)
    if bits.take(1):  # reduced_still_picture_header
        bits.take(5)
    else:
        if bits.take(1):
            raise BitstreamError(f"{WHAT} has the timing of a video in its AV1 stream; re-save it as a still picture")
        display_delay = bits.take(1)
        for _ in range(bits.take(5) + 1):
            bits.take(12)
            if bits.take(5) > 7:
                bits.take(1)
            if display_delay and bits.take(1):
                bits.take(4)
    width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
    width = bits.take(width_bits) + 1
    return bits.take(height_bits) + 1, width


def metadata(data: bytes) -> Metadata:
    """ICC profile, Exif, XMP; the orientation is that of irot and imir, Exif has no say in it."""
    meta = parse(data)
    exif = xmp = icc = warning = None
    for item in meta.items.values():
        if item.kind == b"Exif" and exif is None:
            raw = _content(data, meta, item)
            exif = exif_block.without_prefix(raw[4 + int.from_bytes(raw[:4], "big") :]) or None
        elif item.kind == b"mime" and item.mime == b"application/rdf+xml" and xmp is None:
            xmp = _content(data, meta, item) or None
    for colour in meta.of(meta.primary, b"colr"):
        if colour[:4] in (b"prof", b"rICC"):
            icc = bytes(colour[4:])
        elif colour[:4] == b"nclx" and (other := _other_colour(colour)):
            warning = f"its colour is coded by number ({other}), which midtread does not carry"
    rotation = [bytes(body[:1])[0] & 3 for body in meta.of(meta.primary, b"irot") if len(body)]
    mirror = [bytes(body[:1])[0] & 1 for body in meta.of(meta.primary, b"imir") if len(body)]
    turn = _TURNS[rotation[0] if rotation else 0, mirror[0] if mirror else None]
    return Metadata(icc, exif, xmp, turn, probe(data).bits, None if icc else warning)


def _other_colour(colour: memoryview) -> str | None:
    """Primaries and transfer when they are neither sRGB's nor unspecified."""
    reader = Reader(colour[4:])
    primaries, transfer = _uint(reader, 2, "primaries"), _uint(reader, 2, "transfer")
    return None if primaries in (1, 2) and transfer in (1, 2, 6, 13) else f"primaries {primaries}, transfer {transfer}"
