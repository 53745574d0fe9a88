"""Samples -> native bytes, losslessly: what `save` writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from midtread.errors import CodecError, UsageError
from midtread.media import bmp, exr, jpeg2000, npy, pnm, safetensors, tiff
from midtread.media.formats import FORMATS
from midtread.media.native import check_format

_OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "png": ("png_encode", {}),
    "webp": ("webp_encode", {"lossless": True}),
    "jpegxl": ("jpegxl_encode", {"lossless": True}),
    "jpeg2000": ("jpeg2k_encode", {"level": 0, "reversible": True, "codecformat": "j2k"}),
    "htj2k": ("htj2k_encode", {"reversible": True}),
    "jpegls": ("jpegls_encode", {"level": 0}),
    "qoi": ("qoi_encode", {}),
}
_OURS: dict[str, Callable[[np.ndarray], bytes]] = {
    "tiff": tiff.encode,
    "bmp": bmp.encode,
    "exr": exr.encode,
    "npy": npy.encode,
    "safetensors": safetensors.encode,
}
_BARE = (".j2k", ".j2c", ".jhc")  # codestreams without boxes: no room for metadata


def has_boxes(suffix: str) -> bool:
    """Whether a file of this suffix has room for metadata, as far as its suffix decides that."""
    return suffix not in _BARE


def encode(name: str, x: np.ndarray, suffix: str = "") -> bytes:
    """A whole file of format `name`. Raises UsageError for arrays it cannot hold.

    Args:
        name: a format with `lossless`.
        x: a picture; for npy an array of any shape, for safetensors the bytes of such a file.
        suffix: of the file to be, where one format has several flavours (.ppm and .pam, .jp2 and .j2k).
    """
    known = check_format(name)
    x = _checked(name, x)
    try:
        if name == "pnm":
            return pnm.encode(x, suffix or ".pnm")
        if name in _OURS:
            return _OURS[name](x)
        import imagecodecs

        function, options = _OPTIONS[name]
        if name == "jpegls":  # its own guess of the room needed is too small for noise
            options = {**options, "out": 2 * x.nbytes + 65536}
        data = bytes(getattr(imagecodecs, function)(x, **options))
    except CodecError:
        raise
    except Exception as error:
        raise UsageError(f"a {known.label} file cannot hold this picture of shape {list(x.shape)}: {error}") from error
    if name in ("jpeg2000", "htj2k") and has_boxes(suffix):
        return jpeg2000.wrap(data, b"jp2 " if name == "jpeg2000" else b"jph ")
    return data


def _checked(name: str, x: np.ndarray) -> np.ndarray:
    """`x` contiguous in native byte order, if the format can hold it exactly."""
    accepts, label = FORMATS[name].accepts, FORMATS[name].label
    assert accepts is not None
    if not isinstance(x, np.ndarray):
        raise UsageError(f"a picture is a NumPy array, got {type(x).__name__}; convert it with numpy.asarray")
    native = x.astype(x.dtype.newbyteorder("="), copy=False)
    if name in ("npy", "safetensors"):
        return native
    channels = x.shape[2] if x.ndim == 3 else 1
    if x.ndim not in (2, 3) or 0 in x.shape or (x.ndim == 3 and channels not in (2, 3, 4)):
        raise UsageError(f"a picture has shape [H, W] or [H, W, 2 to 4], got {list(x.shape)}; .npy holds any array")
    if channels not in accepts.channels or x.dtype.name not in accepts.dtypes:
        others = [
            other.name for other in FORMATS.values()
            if other.accepts and channels in other.accepts.channels and x.dtype.name in other.accepts.dtypes
        ]  # fmt: skip
        kinds = {1: "gray", 2: "gray with alpha", 3: "RGB", 4: "RGBA"}
        raise UsageError(
            f"a {label} file cannot hold {kinds[channels]} of {x.dtype.name} exactly; "
            f"{', '.join(others) or 'no format here'} can"
        )
    return np.ascontiguousarray(native)
