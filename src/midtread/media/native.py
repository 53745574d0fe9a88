"""Native bytes -> samples: our probe first, then the decoder, in this process and with nothing else around it."""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from midtread.errors import BitstreamError, MissingError, TruncatedError, UnknownNameError
from midtread.media import (
    avif,
    bmp,
    dicom,
    exr,
    hdf5,
    jpeg,
    jpeg2000,
    jpegxl,
    jpegxr,
    netcdf,
    npy,
    png,
    pnm,
    qoi,
    safetensors,
    tiff,
    webp,
    y4m,
)
from midtread.media.formats import FORMATS, Format
from midtread.media.header import Header, blame_the_bytes, to_full_scale
from midtread.registry import nearest
from midtread.spec import Limits

# Formats whose pixels imagecodecs decodes as they are: our probe, and its function.
_IMAGECODECS: dict[str, tuple[Callable[[bytes], Header], str]] = {
    "jpeg": (jpeg.probe, "jpeg8_decode"),
    "png": (png.probe, "png_decode"),
    "webp": (webp.probe, "webp_decode"),
    "avif": (avif.probe, "avif_decode"),
    "jpegxl": (jpegxl.probe, "jpegxl_decode"),
    "jpeg2000": (jpeg2000.probe, "jpeg2k_decode"),
    "htj2k": (jpeg2000.probe, "htj2k_decode"),
    "jpegls": (jpeg.probe_jpegls, "jpegls_decode"),
    "jpegxr": (jpegxr.probe, "jpegxr_decode"),
    "qoi": (qoi.probe, "qoi_decode"),
}
_PREPARE: dict[str, Callable[[bytes], bytes | memoryview]] = {
    "jpeg2000": jpeg2000.without_profile,
    "htj2k": jpeg2000.codestream,
}
# Formats whose samples pass through a module of ours.
_OURS: dict[str, tuple[Callable[[bytes], Header], Callable[[bytes, Limits], np.ndarray]]] = {
    "tiff": (tiff.probe, tiff.decode),
    "pnm": (pnm.probe, pnm.decode),
    "bmp": (bmp.probe, bmp.decode),
    "exr": (exr.probe, exr.decode),
    "dicom": (dicom.probe, dicom.decode),
    "npy": (npy.probe, npy.decode),
    "netcdf": (netcdf.probe, netcdf.decode),
    "hdf5": (hdf5.probe, hdf5.decode),
    "safetensors": (safetensors.probe, safetensors.decode),
    "y4m": (y4m.probe, y4m.decode),
}


@contextmanager
def _keep_none_alive(name: str) -> Iterator[None]:
    """Give back the reference to None that imagecodecs' png_decode (2026.3.6) loses whenever it fails.

    Some 10,000 bad files otherwise abort the interpreter ("deallocating None"). From Python 3.12 on None is immortal;
    one reference too many never hurts.
    """
    try:
        yield
    except Exception:
        if name == "png":
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(None))
        raise


def check_format(name: str) -> Format:
    """The format called `name`. Raises UnknownNameError, or MissingError when its package is not installed."""
    if name not in FORMATS:
        raise UnknownNameError(f"unknown format {name!r}{nearest(name, FORMATS)}")
    for module, line in FORMATS[name].needs:
        if importlib.util.find_spec(module) is None:
            raise MissingError(f"{FORMATS[name].label} files need the package {module}; install it with: {line}")
    return FORMATS[name]


def probe(name: str, data: bytes) -> Header:
    """What the file claims, read by midtread's own parser. Raises BitstreamError, LimitError."""
    check_format(name)
    return (_IMAGECODECS.get(name) or _OURS[name])[0](data)


def decode(name: str, data: bytes, limits: Limits = Limits()) -> np.ndarray:
    """Decode one native format, as fast as its library does it: unguarded, without metadata, not turned upright.

    Args:
        name: a format in `FORMATS`.
        data: a whole file.
        limits: compared with the size that the file claims before a decoder sees it.

    Returns:
        [H, W] or [H, W, C], see `midtread.spec`. Where a format declares fewer bits than the dtype has (AVIF of 10
        bits, JPEG of 12), white is 255 or 65535 all the same: samples are rescaled, rounded to nearest.

    Raises:
        BitstreamError: the bytes are damaged, cut short, or hold something that midtread does not read.
        LimitError: the picture is larger than `limits` allows.
        UnknownNameError, MissingError: no such format, or its package is not installed.
    """
    label = check_format(name).label
    data = bytes(data)
    if not data:
        raise TruncatedError(f"there are no bytes to decode as {label}")
    if name in _OURS:
        return _OURS[name][1](data, limits)
    read_header, function = _IMAGECODECS[name]
    header = read_header(data)
    header.check(label, limits)
    import imagecodecs

    with blame_the_bytes(label), _keep_none_alive(name):
        x: np.ndarray = getattr(imagecodecs, function)(_PREPARE[name](data) if name in _PREPARE else data)
    if x.ndim == 3 and x.shape[1:] == header.shape[:2]:
        x = np.ascontiguousarray(np.moveaxis(x, 0, -1))  # OpenJPH hands two planes over one after the other
    if x.shape[:2] != header.shape[:2] or x.ndim not in (2, 3):
        raise BitstreamError(f"this {label} file claims {list(header.shape)} but decodes to {list(x.shape)}")
    return to_full_scale(x, header.bits)
