"""The front door: arrays to whole files and back, whatever the codec.

    native codec      its own format (.jpg, .avif ...), which other programs open; `wrap` puts it into a midtread file
    any other codec   writes a midtread file by itself

Bytes that come in here are hostile until proven otherwise: sizes are checked before anything is allocated, and native
decoders that can crash run guarded (docs/security.md).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from midtread import container, media
from midtread.container.file import Tag, shape_and_dtype
from midtread.errors import BitstreamError, UsageError
from midtread.media import guard
from midtread.registry import CODECS
from midtread.spec import Limits, open_codec, to_dtype

_METADATA = {"icc": Tag.ICC, "exif": Tag.EXIF, "xmp": Tag.XMP}


def encode(x: np.ndarray, codec: str, /, **options: Any) -> bytes:
    """Compress an array: native bytes for a codec with a native format, else a midtread file.

    Args:
        x: gray [H, W] or [H, W, C], or a tensor of any rank; see `midtread.spec` for both.
        codec: a name from `midtread list codecs`.
        **options: the codec's own, as in `quality=75`.

    Raises:
        UsageError: unknown codec or option, an array the codec does not take, a backend that is not installed.
    """
    return open_codec(codec, **options).encode(x)


def wrap(
    x: np.ndarray,
    codec: str,
    /,
    *,
    icc: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    **options: Any,
) -> bytes:
    """Compress a picture into a midtread file, whatever the codec; ICC profile, Exif and XMP are kept as given."""
    return to_container(x, codec, encode(x, codec, **options), icc=icc, exif=exif, xmp=xmp)


def to_container(
    x: np.ndarray,
    codec: str,
    data: bytes,
    *,
    icc: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
) -> bytes:
    """Put `data`, which `codec` made of `x`, into a midtread file together with the picture's metadata."""
    if container.is_midtread(data):
        file = container.read(data)
    else:
        shape, dtype = shape_and_dtype(x)
        file = container.File(codec, dtype, shape, (container.Chunk(Tag.PAYLOAD, data),))
    given = {"icc": icc, "exif": exif, "xmp": xmp}
    extra = tuple(container.Chunk(_METADATA[kind], blob) for kind, blob in given.items() if blob)
    return container.write(container.File(file.codec, file.dtype, file.shape, file.chunks + extra))


def decode(
    data: bytes,
    *,
    scale: float = 1.0,
    region: tuple[int, int, int, int] | None = None,
    limits: Limits = Limits(),
) -> np.ndarray:
    """The array in any midtread file, or in any native file known by its magic bytes.

    A midtread file decodes to exactly the shape and dtype that its header declares.

    Args:
        data: the file.
        scale: of the sides, for codecs that decode to other sizes: gaussian 0.25 to 8, wavelet 1/2, 1/4 ...
        region: (top, left, height, width) in pixels at that scale, for the same codecs.
        limits: of what is made.

    Raises:
        BitstreamError: damaged, truncated or unknown bytes.
        LimitError: the picture is larger than `limits` allows.
        UsageError: this codec decodes at its own size only, or the region is not inside the picture.
    """
    if scale == 1 and region is None:
        return read(data, limits=limits).array
    return read_part(data, scale=scale, region=region, limits=limits).array


def read_part(
    data: bytes, *, scale: float, region: tuple[int, int, int, int] | None = None, limits: Limits = Limits()
) -> media.Picture:
    """Like `decode` at another size or of a region, with the ICC profile, Exif and XMP that the file carries."""
    if not container.is_midtread(data):
        raise UsageError("only midtread files decode at other sizes or by region; decode it and resize the picture")
    file = _read_known(data, limits)
    x = open_codec(file.codec).decode_part(data, scale=scale, region=region, limits=limits)
    return media.Picture(x, file.find(Tag.ICC), file.find(Tag.EXIF), file.find(Tag.XMP), "midtread", None)


def read(data: bytes, *, limits: Limits = Limits()) -> media.Picture:
    """Like `decode`, with the ICC profile, Exif and XMP that the file carries."""
    if not container.is_midtread(data):
        return media.read(data, limits=limits)
    file = _read_known(data, limits)
    codec = CODECS.get(file.codec)
    if file.dtype not in codec.accepts.dtypes:
        raise BitstreamError(f"this {file.codec} file declares {file.dtype} samples, which that codec never has")
    if codec.native:
        x = _decode_native(file, codec.native, limits)
    else:
        known = open_codec(file.codec)
        x = guard.decode_codec(file.codec, data, limits) if codec.fragile else known.decode_within(data, limits)
    if codec.signal == "picture":
        x = to_dtype(x, np.dtype(file.dtype))
    if x.shape != file.shape or x.dtype.name != file.dtype:
        raise BitstreamError(
            f"this {file.codec} file declares shape {list(file.shape)} of {file.dtype}, "
            f"but holds {list(x.shape)} of {x.dtype}"
        )
    return media.Picture(x, file.find(Tag.ICC), file.find(Tag.EXIF), file.find(Tag.XMP), "midtread", None)


def _read_known(data: bytes, limits: Limits) -> container.File:
    file = container.read(data, limits)
    if file.codec not in CODECS.names():
        raise BitstreamError(f"this file was made by codec {file.codec!r}, which is not installed here")
    return file


def _decode_native(file: container.File, native: str, limits: Limits) -> np.ndarray:
    payload = file.need(Tag.PAYLOAD)
    found = media.sniff(payload)
    if found != native:
        looks = found or "nothing known"
        raise BitstreamError(f"this {file.codec} file should hold {native}, its payload looks like {looks}")
    return media.read(payload, limits=limits).array


def info(data: bytes, *, limits: Limits = Limits()) -> dict[str, Any]:
    """What a file says of itself, without decoding it.

    Returns:
        format, codec, size_bytes, rate_bpp (bits per pixel) or for a tensor rate_bits_per_value (None when it is
        empty), metadata (names of what it carries); for a midtread file version, shape, dtype and chunks (tag and
        size_bytes of each), for a native one height, width and bits (of a sample, where the format declares them).

    Raises:
        BitstreamError: damaged, truncated or unknown bytes.
    """
    if not container.is_midtread(data):
        return _info_native(data, limits)
    file = container.read(data, limits)
    tensor = file.codec in CODECS.names() and CODECS.get(file.codec).signal == "tensor"
    if 0 in file.shape and not tensor:
        raise BitstreamError(f"this {file.codec} file declares the empty shape {list(file.shape)}")
    held = {int(tag): tag.name.lower() for tag in Tag}
    return {
        "format": "midtread",
        "version": container.VERSION,
        "codec": file.codec,
        "shape": list(file.shape),
        "dtype": file.dtype,
        "size_bytes": len(data),
        **rate(len(data), file.shape, tensor),
        "metadata": [kind for kind, tag in _METADATA.items() if file.find(tag) is not None],
        "chunks": [{"tag": held.get(chunk.tag, chunk.tag), "size_bytes": len(chunk.data)} for chunk in file.chunks],
    }


def _info_native(data: bytes, limits: Limits) -> dict[str, Any]:
    name, header, metadata = media.inspect(data, limits)
    codec = next((codec for codec in CODECS.names() if CODECS.get(codec).native == name), None)
    return {
        "format": name,
        "codec": codec,
        "height": header.shape[0],
        "width": header.shape[1],
        "bits": header.bits,
        "size_bytes": len(data),
        "rate_bpp": rate_bpp(len(data), header.shape),
        "metadata": [kind for kind in _METADATA if getattr(metadata, kind) is not None],
    }


def rate(size_bytes: int, shape: tuple[int, ...], tensor: bool) -> dict[str, float | None]:
    """{"rate_bpp": ...} of a picture, {"rate_bits_per_value": ...} of a tensor; None when that has no values."""
    if not tensor:
        return {"rate_bpp": rate_bpp(size_bytes, shape)}
    values = math.prod(shape)
    return {"rate_bits_per_value": 8 * size_bytes / values if values else None}


def rate_bpp(size_bytes: int, shape: tuple[int, ...]) -> float:
    """Bits per pixel of a file: a pixel is one place of the first two axes, however many channels it has.

    Raises UsageError when the array has no pixels.
    """
    pixels = math.prod(shape[:2])
    if pixels == 0:
        raise UsageError(f"an array of shape {list(shape)} has no pixels, so it has no rate")
    return 8 * size_bytes / pixels
