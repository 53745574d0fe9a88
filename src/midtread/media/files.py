"""Files <-> pictures: open by content, save by suffix, replace whole or not at all."""

from __future__ import annotations

import os
import stat
import warnings
from math import prod
from pathlib import Path

import numpy as np

from midtread.container import is_midtread
from midtread.errors import BitstreamError, CodecError, LimitError, TruncatedError, UsageError
from midtread.media import exif, guard, hdf5, native
from midtread.media.arrays import open_array
from midtread.media.atomic import write_bytes
from midtread.media.encode import encode, has_boxes
from midtread.media.formats import FORMATS, suffix_format
from midtread.media.header import Header, Metadata
from midtread.media.metadata import attach, check_kept, metadata
from midtread.media.picture import Picture
from midtread.media.sniff import sniff
from midtread.spec import Limits

_BYTES_PER_ELEMENT = 16  # no format here spends more on a sample, so a file that is larger cannot be within the limits
_SMALLEST_LIMIT = 2**24  # bytes; whatever the limits, headers and metadata have room


def read(data: bytes, limits: Limits = Limits(), *, trusted: bool = False) -> Picture:
    """Decode a whole file, its format told by its first bytes; upright, with its metadata.

    Args:
        data: a whole file.
        limits: compared with the size that the file claims before anything is allocated.
        trusted: decode formats whose decoder can crash in this process too, which is faster and has no time limit.

    Raises:
        BitstreamError: unknown, damaged or cut short; or something that midtread does not read, such as an animation.
        LimitError: the picture is larger than `limits` allows, or took too long.
        MissingError: the format needs a package that is not installed.

    Warns:
        UserWarning: the file says something about its colours that midtread cannot carry.
    """
    data = bytes(data)
    name = sniff(data)
    if name is None:
        raise _unknown(data)
    known = native.check_format(name)
    if known.fragile and not trusted:
        header = native.probe(name, data)
        header.check(known.label, limits)
        x = guard.decode(name, data, limits, prod(header.shape))
    else:
        x = native.decode(name, data, limits)
    found = metadata(name, data)
    if found.warning:
        warnings.warn(f"this {known.label} file: {found.warning}", stacklevel=2)
    return Picture(
        exif.turn(x, found.orientation),
        found.icc,
        exif.upright(found.exif) if found.exif else None,
        found.xmp,
        name,
        found.bits if found.bits and found.bits < 8 * x.dtype.itemsize else None,
    )


def inspect(data: bytes, limits: Limits = Limits()) -> tuple[str, Header, Metadata]:
    """Format, claimed size and metadata of a whole file, without decoding its samples.

    Raises:
        BitstreamError: unknown, damaged or cut short; LimitError: larger than `limits` allows; MissingError.
    """
    name = sniff(data)
    if name is None:
        raise _unknown(data)
    header = native.probe(name, data)
    header.check(FORMATS[name].label, limits)
    return name, header, metadata(name, data)


def _unknown(data: bytes) -> BitstreamError:
    if not data:
        return TruncatedError("the file is empty")
    if is_midtread(data):
        return BitstreamError("this is a midtread file, not a picture in a native format; `midtread decode` opens it")
    if hdf5.SIGNATURE in (data[at : at + 8] for at in hdf5.SIGNATURE_AT):
        return BitstreamError("this is an HDF5 file, which holds arrays under names; open it by its path")
    shown = " ".join(f"{byte:02x}" for byte in data[:8])
    known = ", ".join(format.label for format in FORMATS.values())
    return BitstreamError(f"the first bytes, {shown} ({data[:8]!r}), are those of no format midtread reads: {known}")


def read_bytes(path: str | os.PathLike[str], limits: Limits = Limits()) -> bytes:
    """The bytes of a picture file.

    Raises:
        UsageError: no such file, a folder, a device, or not allowed to read it.
        LimitError: the file is larger than any picture within `limits` can be.
    """
    try:
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            raise UsageError(f"{os.fspath(path)} is a folder; give the path of a picture file")
        if stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode):
            raise UsageError(f"{os.fspath(path)} is a device, not a picture file")
        most = max(_BYTES_PER_ELEMENT * limits.max_elements, _SMALLEST_LIMIT)
        if found.st_size > most:
            raise LimitError(
                f"{os.fspath(path)} has {found.st_size} bytes, more than the {most} that {limits.max_elements} samples "
                "can need; pass limits=Limits(max_elements=...) or --max-elements to allow more"
            )
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {os.fspath(path)}") from error
    except OSError as error:
        raise UsageError(f"cannot read {os.fspath(path)}: {error.strerror or error}") from error


def load(path: str | os.PathLike[str], limits: Limits = Limits(), *, trusted: bool = False) -> Picture:
    """Open a picture or an array; the content of the file decides what it is, whatever its name says.

    `file.h5::name` and `file.nc::name` choose one array of those that an HDF5 or NetCDF file holds.

    Raises:
        UsageError: no such file, a folder, or not allowed to read it.
        BitstreamError, LimitError, MissingError: as `read`, with the path in front.
    """
    try:
        return open_array(path, limits, trusted=trusted) or read(read_bytes(path, limits), limits, trusted=trusted)
    except CodecError as error:
        if os.fspath(path) in str(error):
            raise
        hint = (
            "; a raw .yuv file has no header: midtread.media.video.read_yuv reads it"
            if str(path)[-4:] == ".yuv"
            else ""
        )
        raise type(error)(f"{os.fspath(path)}: {error}{hint}") from error


def save(path: str | os.PathLike[str], picture: Picture | np.ndarray, *, drop_metadata: bool = False) -> None:
    """Write a picture losslessly in the format of the suffix; an old file is replaced whole or not at all.

    Args:
        path: where to; `FORMATS` lists the suffixes.
        picture: with its metadata, or an array alone.
        drop_metadata: write the samples even when the format cannot keep the ICC profile, Exif or XMP.

    Raises:
        UsageError: the format is unknown, lossy, or cannot hold the picture exactly or keep its metadata; or the file
            cannot be written, and then an old one is as it was.
    """
    if not isinstance(picture, Picture):
        picture = Picture(picture)
    suffix, name = Path(path).suffix.lower(), suffix_format(path)
    if name is None:
        known = ", ".join(s for f in FORMATS.values() if f.lossless for s in f.suffixes)
        raise UsageError(f"{os.fspath(path)}: the suffix {suffix!r} stands for no format; known: {known}")
    known_format = FORMATS[name]
    if not known_format.lossless:
        raise UsageError(
            f"{os.fspath(path)}: midtread does not write {known_format.label} losslessly; to compress with loss use "
            f"`midtread encode --codec {name}`, to keep every sample save as .png, .tiff or .jxl"
        )
    keeps = known_format.attaches if has_boxes(suffix) else frozenset()
    given = {"icc": picture.icc, "exif": picture.exif, "xmp": picture.xmp}
    if drop_metadata:
        given = {key: value if key in keeps else None for key, value in given.items()}
    check_kept(keeps, given, f"a {suffix} file", "pass drop_metadata=True")
    data = encode(name, picture.array, suffix)
    write_bytes(path, attach(name, data, **given))
