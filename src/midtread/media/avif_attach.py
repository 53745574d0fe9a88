"""Putting an ICC profile, Exif and XMP into an AVIF file that an encoder has just written.

The meta box is rebuilt: a colr property for the profile, an item for Exif and one for XMP, each described by a cdsc
reference to the picture. Their bytes go behind everything else, and places that moved are written anew in iloc.

Source: ISO/IEC 23008-12 annex A (Exif and XMP items); ISO/IEC 14496-12 sec. 8.11.
"""

from __future__ import annotations

from midtread.errors import UsageError
from midtread.media.avif import WHAT, Meta, parse
from midtread.media.boxes import Box, box, boxes


def _be(value: int, width: int) -> bytes:
    return value.to_bytes(width, "big")


def attach(data: bytes, icc: bytes | None, exif: bytes | None, xmp: bytes | None) -> bytes:
    """`data` with metadata. Raises UsageError when it already has Exif or XMP, or is laid out in a rare way."""
    meta = parse(data)
    outer = next(part for part in boxes(data, WHAT) if part.kind == b"meta")
    if any(item.kind == b"Exif" or item.mime == b"application/rdf+xml" for item in meta.items.values()):
        raise UsageError("this AVIF file already has Exif or XMP; metadata can be put into fresh ones only")
    places = [extent for item in meta.items.values() for extent in item.extents]
    if max(meta.items, default=0) > 0xFFF0 or any(not length for _, length in places) or len(meta.properties) > 126:
        raise UsageError("this AVIF file is laid out in a way that midtread cannot add to; drop the metadata")
    new = [(b"Exif", b"", b"\0\0\0\0" + exif)] if exif else []
    new += [(b"mime", b"application/rdf+xml\0", xmp)] if xmp else []
    first = max(meta.items, default=0) + 1
    old_size = outer.end - outer.start
    size = len(_meta(outer, meta, icc, new, first, 0, 0))  # the numbers have fixed widths, so a dry run gives the size
    end = len(data) + size - old_size
    rebuilt = _meta(outer, meta, icc, new, first, size - old_size, end)
    tail = box(b"mdat", b"".join(body for _, _, body in new)) if new else b""
    return data[: outer.start] + rebuilt + data[outer.end :] + tail


def _meta(
    outer: Box, meta: Meta, icc: bytes | None, new: list[tuple[bytes, bytes, bytes]], first: int, shift: int, end: int
) -> bytes:
    """The meta box with `new` items numbered from `first`; what stood behind it moves by `shift`."""
    parts, has_references = [], False
    for part in boxes(outer.data[4:], WHAT):
        body = bytes(part.data)
        if part.kind == b"iinf":
            body = _item_infos(body, new, first)
        elif part.kind == b"iloc":
            body = _places(outer, meta, new, first, shift, end)
        elif part.kind == b"iref":
            body += _references(meta, new, first)
            has_references = True
        elif part.kind == b"iprp" and icc:
            body = _properties(body, meta, icc)
        parts.append(box(part.kind, body))
    if new and not has_references:
        parts.append(box(b"iref", b"\0\0\0\0" + _references(meta, new, first)))
    return box(b"meta", bytes(outer.data[:4]) + b"".join(parts))


def _item_infos(body: bytes, new: list[tuple[bytes, bytes, bytes]], first: int) -> bytes:
    width = 2 if body[0] == 0 else 4
    count = int.from_bytes(body[4 : 4 + width], "big") + len(new)
    entries = b"".join(
        box(b"infe", b"\2\0\0\0" + _be(first + index, 2) + b"\0\0" + kind + b"\0" + mime)
        for index, (kind, mime, _) in enumerate(new)
    )
    return body[:4] + _be(count, width) + body[4 + width :] + entries


def _places(outer: Box, meta: Meta, new: list[tuple[bytes, bytes, bytes]], first: int, shift: int, end: int) -> bytes:
    """The iloc box, version 1, with 4-byte offsets and lengths and no base offsets."""
    old = {number: item for number, item in meta.items.items() if item.extents}
    out = b"\1\0\0\0" + b"\x44\x00" + _be(len(old) + len(new), 2)
    for number, item in old.items():
        out += _be(number, 2) + _be(item.inside, 2) + b"\0\0" + _be(len(item.extents), 2)
        for offset, length in item.extents:
            moved = shift if not item.inside and offset >= outer.end else 0
            out += _be(offset + moved, 4) + _be(length, 4)
    at = end + 8  # behind the head of the new mdat
    for index, (_, _, body) in enumerate(new):
        out += _be(first + index, 2) + b"\0\0" + b"\0\0" + b"\0\1" + _be(at, 4) + _be(len(body), 4)
        at += len(body)
    return out


def _references(meta: Meta, new: list[tuple[bytes, bytes, bytes]], first: int) -> bytes:
    return b"".join(box(b"cdsc", _be(first + index, 2) + b"\0\1" + _be(meta.primary, 2)) for index in range(len(new)))


def _properties(body: bytes, meta: Meta, icc: bytes) -> bytes:
    """The iprp box with the profile as the last property, in the place of another profile of the picture."""
    profiles = {
        number for number, prop in enumerate(meta.properties, 1)
        if prop.kind == b"colr" and bytes(prop.data[:4]) in (b"prof", b"rICC")
    }  # fmt: skip
    parts = []
    for part in boxes(body, WHAT):
        inner = bytes(part.data)
        if part.kind == b"ipco":
            inner += box(b"colr", b"prof" + icc)
        elif part.kind == b"ipma":
            listed = {number: item.properties for number, item in meta.items.items() if item.properties}
            inner = b"\0\0\0\0" + _be(len(listed), 4)
            for number, properties in sorted(listed.items()):
                kept = [p for p in properties if number != meta.primary or p & 0x7FFF not in profiles]
                kept += [len(meta.properties) + 1] if number == meta.primary else []
                inner += _be(number, 2) + _be(len(kept), 1)
                inner += bytes((p >> 8 & 0x80) | (p & 0x7F) for p in kept)
        parts.append(box(part.kind, inner))
    return b"".join(parts)
