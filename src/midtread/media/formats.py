"""The file formats that midtread opens: one entry each, and which format a file name asks for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from types import MappingProxyType

from midtread.spec import Accepts

_INTEGERS = ("uint8", "uint16")
_HALF = ("float16", "float32")
_ANY = (1, 2, 3, 4)
_METADATA = frozenset({"icc", "exif", "xmp"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """What midtread can do with one file format."""

    name: str
    label: str  # for people
    suffixes: tuple[str, ...]
    accepts: Accepts | None = None  # what `save` writes, always losslessly; None: `save` does not write this format
    attaches: frozenset[str] = frozenset()  # which of icc, exif, xmp `attach` and `save` put into a file
    needs: tuple[tuple[str, str], ...] = ()  # (module, install line) beyond the base install
    fragile: bool = False  # `read` decodes it in a helper process, see guard.py and docs/security.md

    @property
    def lossless(self) -> bool:
        """Whether `save` writes this format; what it writes is lossless."""
        return self.accepts is not None

    @property
    def keeps(self) -> frozenset[str]:
        """Which of icc, exif, xmp and alpha `save` keeps."""
        if self.accepts is None:
            return frozenset()
        alpha = {"alpha"} if {2, 4} & set(self.accepts.channels) else set()
        return self.attaches | alpha


_LIST = (
    Format(name="jpeg", label="JPEG", suffixes=(".jpg", ".jpeg", ".jpe", ".jfif"), attaches=_METADATA),
    Format(name="png", label="PNG", suffixes=(".png",), accepts=Accepts(_INTEGERS, _ANY), attaches=_METADATA),
    Format(name="webp", label="WebP", suffixes=(".webp",), accepts=Accepts(("uint8",), (3, 4)), attaches=_METADATA),
    Format(name="avif", label="AVIF", suffixes=(".avif",), attaches=_METADATA),
    Format(
        name="jpegxl", label="JPEG XL", suffixes=(".jxl",), accepts=Accepts((*_INTEGERS, *_HALF), _ANY),
        attaches=_METADATA - {"icc"},
    ),
    Format(
        name="jpeg2000", label="JPEG 2000", suffixes=(".jp2", ".jpx", ".j2k", ".j2c"), attaches=_METADATA,
        accepts=Accepts(_INTEGERS, _ANY),
    ),
    Format(
        name="htj2k", label="HTJ2K", suffixes=(".jph", ".jhc"), attaches=_METADATA,
        accepts=Accepts(_INTEGERS, (1, 3, 4)), fragile=True,
    ),
    Format(name="jpegls", label="JPEG-LS", suffixes=(".jls",), accepts=Accepts(_INTEGERS, (1, 3, 4)), fragile=True),
    Format(name="jpegxr", label="JPEG XR", suffixes=(".jxr", ".wdp", ".hdp"), fragile=True),
    Format(
        name="tiff", label="TIFF", suffixes=(".tif", ".tiff"), attaches=_METADATA,
        accepts=Accepts((*_INTEGERS, *_HALF, "float64"), _ANY),
    ),
    Format(
        name="pnm", label="PNM", suffixes=(".pnm", ".pgm", ".ppm", ".pam", ".pfm", ".pbm"),
        accepts=Accepts((*_INTEGERS, "float32"), _ANY),
    ),
    Format(name="bmp", label="BMP", suffixes=(".bmp", ".dib"), accepts=Accepts(("uint8",), (1, 3, 4))),
    Format(name="qoi", label="QOI", suffixes=(".qoi",), accepts=Accepts(("uint8",), (3, 4))),
    Format(
        name="exr", label="OpenEXR", suffixes=(".exr",), accepts=Accepts(_HALF, _ANY), fragile=True,
        needs=(("OpenEXR", "pip install 'midtread[exr]'"),),
    ),
    Format(
        name="dicom", label="DICOM", suffixes=(".dcm", ".dicom"), fragile=True,
        needs=(("pydicom", "pip install 'midtread[dicom]'"),),
    ),
    Format(
        name="npy", label="NumPy", suffixes=(".npy",),
        accepts=Accepts((*_INTEGERS, *_HALF, "float64", "uint32", "uint64", "int8", "int16", "int32", "int64"), _ANY),
    ),
    Format(name="netcdf", label="NetCDF classic", suffixes=(".nc", ".nc3", ".cdf")),
    Format(
        name="hdf5", label="HDF5", suffixes=(".h5", ".hdf5", ".he5", ".nc4"), fragile=True,
        needs=(("h5py", "pip install 'midtread[science]'"),),
    ),
    Format(name="safetensors", label="safetensors", suffixes=(".safetensors",), accepts=Accepts(("uint8",), ())),
    Format(name="y4m", label="Y4M", suffixes=(".y4m",)),
)  # fmt: skip

FORMATS: Mapping[str, Format] = MappingProxyType({format.name: format for format in _LIST})

_BY_SUFFIX = {suffix: format.name for format in _LIST for suffix in format.suffixes}


def suffix_format(path: str | os.PathLike[str]) -> str | None:
    """The format that the end of a file name asks for, or None; `.JPG` is `.jpg`."""
    return _BY_SUFFIX.get(PurePath(path).suffix.lower())
