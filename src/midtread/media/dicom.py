"""DICOM, read only, through the package pydicom (extra `dicom`): one frame, the stored values.

    128 bytes of anything │ "DICM" │ group 0002, explicit little-endian, says how the rest is coded │ the data set

Stored values are returned untouched: no rescale slope, no window, no inversion of MONOCHROME1; signed ones are int16.
Source: DICOM PS3.5 sec. 7 and PS3.10 sec. 7.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from midtread.container.reader import Reader
from midtread.errors import BitstreamError
from midtread.media.header import Header, Metadata, blame_the_bytes, shape_of
from midtread.spec import Limits

_WHAT = "this DICOM file"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_COLOURS = ("MONOCHROME1", "MONOCHROME2", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")
_LONG = (b"OB", b"OW", b"SQ", b"UN", b"UT", b"OD", b"OF", b"OL", b"UC", b"UR")


def _transfer_syntax(data: bytes) -> str:
    """What group 0002 says; read by hand because pydicom would inflate a deflated file without any limit."""
    reader = Reader(data)
    reader.take(128, "DICOM preamble")
    if bytes(reader.take(4, "DICOM signature")) != b"DICM":
        raise BitstreamError(f"{_WHAT} has no DICM at byte 128")
    while reader.left:
        group = reader.uint(2, "DICOM group", at_most=65535)
        if group != 2:
            break
        element = reader.uint(2, "DICOM element", at_most=65535)
        if bytes(reader.take(2, "DICOM type")) in _LONG:
            reader.take(2, "DICOM reserved bytes")
            length = reader.uint(4, "DICOM length", at_most=2**32)
        else:
            length = reader.uint(2, "DICOM length", at_most=65535)
        value = reader.take(length, "DICOM value")
        if element == 0x10:
            return bytes(value).rstrip(b"\0 ").decode("ascii", "replace")
    raise BitstreamError(f"{_WHAT} does not say how it is coded: no transfer syntax in group 0002")


def _dataset(data: bytes, *, pixels: bool) -> Any:
    if _transfer_syntax(data) == _DEFLATED:
        raise BitstreamError(f"{_WHAT} is deflated as a whole, which midtread does not read; re-save it plain")
    import pydicom

    with blame_the_bytes("DICOM"):
        return pydicom.dcmread(io.BytesIO(data), stop_before_pixels=not pixels)


def _layout(data: bytes) -> tuple[Header, Any]:
    dataset = _dataset(data, pixels=True)
    with blame_the_bytes("DICOM"):
        height, width, samples = int(dataset.Rows), int(dataset.Columns), int(dataset.SamplesPerPixel)
        frames, colour = int(dataset.get("NumberOfFrames") or 1), str(dataset.PhotometricInterpretation)
        stored, allocated = int(dataset.BitsStored), int(dataset.BitsAllocated)
    if frames != 1:
        raise BitstreamError(f"{_WHAT} holds {frames} frames; midtread reads single pictures: extract one first")
    if colour not in _COLOURS or samples not in (1, 3) or allocated not in (8, 16):
        raise BitstreamError(
            f"{_WHAT} has {samples} samples of {allocated} bits in {colour}; midtread reads gray and colour of 8 or 16"
        )
    return Header(shape_of(height, width, samples), stored), dataset


def probe(data: bytes) -> Header:
    """Size of the frame. Raises BitstreamError for several frames, palettes and deflated files."""
    return _layout(data)[0]


def decode(data: bytes, limits: Limits) -> np.ndarray:
    """The stored values; colour is converted to RGB."""
    header, dataset = _layout(data)
    header.check("DICOM", limits)
    from pydicom.pixels import pixel_array

    with blame_the_bytes("DICOM"):
        x: np.ndarray = pixel_array(dataset)
    return np.ascontiguousarray(x, dtype=x.dtype.newbyteorder("="))


def metadata(data: bytes) -> Metadata:
    """The significant bits; patient data is not metadata of a picture and never leaves the file."""
    return Metadata(bits=_layout(data)[0].bits)
