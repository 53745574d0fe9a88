"""OpenEXR: half and float pictures through the package OpenEXR (extra `exr`), the header by our own parser.

    76 2F 31 01 │ u32 version and flags │ attributes: name 0 type 0 u32 size, value │ 0 │ chunks       (little-endian)

Values are kept as the file has them: scene-linear, alpha premultiplied as OpenEXR defines it.
Source: "OpenEXR File Layout", openexr.com.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from midtread.container.reader import Reader
from midtread.errors import BitstreamError
from midtread.media.header import Header, blame_the_bytes, shape_of
from midtread.spec import Limits

_WHAT = "this OpenEXR file"
_DEEP, _PARTS = 0x800, 0x1000
_ORDER = {("Y",): "Y", ("A", "Y"): "YA", ("B", "G", "R"): "RGB", ("A", "B", "G", "R"): "RGBA"}
_MAX_ATTRIBUTES = 1024


def _name(reader: Reader, what: str) -> bytes:
    name = bytearray()
    while byte := reader.take(1, f"{_WHAT}: {what}")[0]:
        name.append(byte)
        if len(name) > 255:
            raise BitstreamError(f"{_WHAT}: a {what} runs over 255 letters")
    return bytes(name)


def _attributes(data: bytes) -> dict[bytes, Reader]:
    reader = Reader(data)
    if bytes(reader.take(4, "OpenEXR signature")) != b"\x76\x2f\x31\x01":
        raise BitstreamError(f"{_WHAT} does not start with 76 2F 31 01")
    version = reader.uint(4, "OpenEXR version", at_most=2**32)
    if version & 0xFF != 2 or version & (_DEEP | _PARTS):
        raise BitstreamError(f"{_WHAT} has version and flags {version:#x}; midtread reads one flat part of version 2")
    found: dict[bytes, Reader] = {}
    while name := _name(reader, "attribute name"):
        _name(reader, "attribute type")
        size = reader.uint(4, f"{_WHAT}: size of {name!r}", at_most=2**32)
        found[name] = Reader(reader.take(size, f"{_WHAT}: {name!r}"))
        if len(found) > _MAX_ATTRIBUTES:
            raise BitstreamError(f"{_WHAT} has more than {_MAX_ATTRIBUTES} attributes")
    return found


def _layout(data: bytes) -> tuple[Header, str, bool, tuple[int, int]]:
    attributes = _attributes(data)
    if missing := {b"channels", b"dataWindow"} - attributes.keys():
        raise BitstreamError(f"{_WHAT} lacks the attributes {sorted(missing)}")
    window = attributes[b"dataWindow"]
    left, top, right, bottom = (
        int.from_bytes(window.take(4, f"{_WHAT}: data window"), "little", signed=True) for _ in range(4)
    )
    kinds: dict[str, int] = {}
    reader = attributes[b"channels"]
    while name := _name(reader, "channel name"):
        kind = reader.uint(4, f"{_WHAT}: type of channel", at_most=2**32)
        reader.take(4, f"{_WHAT}: channel")
        steps = bytes(reader.take(8, f"{_WHAT}: sampling"))
        kinds[name.decode("ascii", "replace")] = kind if steps == b"\1\0\0\0\1\0\0\0" else 99
    order = _ORDER.get(tuple(sorted(kinds)))
    if order is None or not set(kinds.values()) <= {1, 2}:
        raise BitstreamError(
            f"{_WHAT} has the channels {', '.join(sorted(kinds))}; midtread reads Y, YA, RGB and RGBA, "
            "half or float, not subsampled: extract those first"
        )
    size = max(bottom - top + 1, 0), max(right - left + 1, 0)
    tile = (1, 1)
    if b"tiles" in attributes:
        tile = tuple(attributes[b"tiles"].uint(4, f"{_WHAT}: tile", at_most=2**32) for _ in range(2))  # type: ignore
    floats = 2 in kinds.values()
    return Header(shape_of(*size, len(order))), order, floats, tile


def probe(data: bytes) -> Header:
    """Size of the data window. Raises BitstreamError for several parts, deep pixels and other channels."""
    return _layout(data)[0]


def decode(data: bytes, limits: Limits) -> np.ndarray:
    """float16, or float32 when any channel is."""
    header, order, floats, tile = _layout(data)
    header.check("OpenEXR", limits)
    limits.check_shape((*tile, len(order)), f"a tile of {_WHAT}")
    import OpenEXR

    with tempfile.TemporaryDirectory(prefix="midtread-") as folder, blame_the_bytes("OpenEXR"):
        path = Path(folder, "in.exr")
        path.write_bytes(data)
        with OpenEXR.File(str(path), separate_channels=True) as file:
            planes = {name: channel.pixels for name, channel in file.channels().items()}
            x = np.stack([planes[name] for name in order], axis=-1) if len(order) > 1 else planes["Y"]
            return np.ascontiguousarray(x, dtype=np.float32 if floats else np.float16)


def encode(x: np.ndarray) -> bytes:
    """Lossless (ZIP)."""
    import OpenEXR

    order = {1: "Y", 2: "YA", 3: "RGB", 4: "RGBA"}[x.shape[2] if x.ndim == 3 else 1]
    planes = np.atleast_3d(x)
    channels = {name: np.ascontiguousarray(planes[..., index]) for index, name in enumerate(order)}
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with tempfile.TemporaryDirectory(prefix="midtread-") as folder:
        path = Path(folder, "out.exr")
        OpenEXR.File(header, channels).write(str(path))
        return path.read_bytes()
