"""ICC profiles, Exif and XMP: out of a file, and into one."""

from __future__ import annotations

from collections.abc import Callable

from midtread.errors import BitstreamError, UsageError
from midtread.media import avif, avif_attach, dicom, jpeg, jpeg2000, jpegxl, jpegxr, png, tiff, webp
from midtread.media.exif import without_prefix
from midtread.media.formats import FORMATS
from midtread.media.header import MAX_METADATA, Metadata
from midtread.media.native import check_format

_READERS: dict[str, Callable[[bytes], Metadata]] = {
    "jpeg": jpeg.metadata,
    "jpegls": jpeg.metadata,
    "png": png.metadata,
    "webp": webp.metadata,
    "avif": avif.metadata,
    "jpegxl": jpegxl.metadata,
    "jpeg2000": jpeg2000.metadata,
    "htj2k": jpeg2000.metadata,
    "jpegxr": jpegxr.metadata,
    "tiff": tiff.metadata,
    "dicom": dicom.metadata,
}
_WRITERS: dict[str, Callable[[bytes, bytes | None, bytes | None, bytes | None], bytes]] = {
    "jpeg": jpeg.attach,
    "png": png.attach,
    "webp": webp.attach,
    "avif": avif_attach.attach,
    "jpegxl": jpegxl.attach,
    "jpeg2000": jpeg2000.attach,
    "htj2k": jpeg2000.attach,
    "tiff": tiff.attach,
}


def metadata(name: str, data: bytes) -> Metadata:
    """What a file of format `name` says about its samples. Raises BitstreamError."""
    return _READERS[name](data) if name in _READERS else Metadata()


def check_kept(kept: frozenset[str], given: dict[str, bytes | None], what: str, advice: str) -> None:
    """Raise UsageError when some of `given` would be lost; the message names it, and the formats that keep it."""
    if lost := [key for key, value in given.items() if value and key not in kept]:
        keepers = [f.name for f in FORMATS.values() if set(lost) <= f.attaches]
        names = {"icc": "ICC profile", "exif": "Exif", "xmp": "XMP"}
        raise UsageError(
            f"{what} would lose the {' and the '.join(names[key] for key in lost)} of this picture; "
            f"{', '.join(keepers)} keep it. To go on without, {advice}"
        )


def attach(
    name: str, data: bytes, *, icc: bytes | None = None, exif: bytes | None = None, xmp: bytes | None = None
) -> bytes:
    """Encoded bytes with metadata put in, the coded samples untouched; what is given replaces what was there.

    Args:
        name: the format of `data`; `FORMATS[name].attaches` says what it can take.
        data: a whole file that an encoder has just written.
        icc: ICC profile.
        exif: TIFF structure; a leading "Exif" and two zeros are ignored. Its orientation should be 1.
        xmp: UTF-8 XML packet.

    Raises:
        UsageError: this format cannot take one of them; the message names it and the formats that can.
    """
    known = check_format(name)
    given = {"icc": icc, "exif": exif, "xmp": xmp}
    if not any(given.values()):
        return data
    check_kept(known.attaches, given, f"a {known.label} file", "drop it first")
    for key, value in given.items():
        if value and len(value) > MAX_METADATA:
            raise UsageError(f"the {key} block has {len(value)} bytes; midtread carries at most {MAX_METADATA}")
    try:
        return _WRITERS[name](data, icc, without_prefix(exif) if exif else None, xmp)
    except BitstreamError as error:
        raise UsageError(f"cannot put metadata into these {known.label} bytes: {error}") from error
