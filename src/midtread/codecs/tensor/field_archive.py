"""A box of mode="archive": the smallest of all predictions along all axes, and of other codecs that hold the bound.

A box made by another codec is that codec's chunks without the frame of its file, and the values that it misses:

    u8 kind 8 │ exceptions │ u8 codec │ u8 rank │ varint shape ... │ u8 chunks │ (u8 tag │ varint length │ bytes) ...

Its decoder trusts its input, so it works in a helper process.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from midtread import container
from midtread.codecs.tensor import field_box
from midtread.codecs.tensor.field_bound import LINEAR
from midtread.codecs.tensor.field_grid import Box
from midtread.container import Chunk, File, Reader, varint
from midtread.errors import BitstreamError, CodecError
from midtread.media import guard
from midtread.registry import CODECS
from midtread.spec import Limits, open_codec

_BOUNDED, _LOSSLESS = ("sz3", "sperr", "zfp", "lerc", "bitround"), ("pcodec", "blosc2", "zstd")
# The place in this list is what files hold: append only.
_NAMES = ("sz3", "sperr", "zfp", "lerc", "pcodec", "bitround", "blosc2", "zstd")
_MISSES = 50  # one value in so many may be an exception


def encode(x: np.ndarray, box: Box, plan: field_box.Plan, shape: tuple[int, ...]) -> list[bytes | memoryview]:
    """The box of a read-only vector as the smallest payload that is found.

    Args:
        x: the vector.
        box: in it.
        plan: the axes and kinds to choose from are widened here.
        shape: of the box, as other codecs are to see it; as many values.
    """
    found: bytes | None = None
    for candidate in (*_own(x, box, plan), *_others(x, box, plan, shape)):
        if found is None or len(candidate) < len(found):
            found = candidate
    assert found is not None
    return [found]


def _own(x: np.ndarray, box: Box, plan: field_box.Plan) -> Iterator[bytes]:
    """The box by each kind alone, and by interpolation along all sets of axes."""
    active = sum(1 << axis for axis, n in enumerate(reversed(box.sides)) if n > 1) or 1
    subsets = [axes for axes in range(1, 8) if axes & active == axes]
    ways = [(kind, plan.axes) for kind in plan.kinds if kind != field_box.INTERPOLATED]
    if field_box.INTERPOLATED in plan.kinds:
        ways += [(field_box.INTERPOLATED, axes | active << 4) for axes in subsets]
        ways += [(field_box.INTERPOLATED, axes | axes << 4) for axes in subsets if axes != active]
    for kind, axes in ways:
        parts = field_box.encode(x, box, plan._replace(kinds=(kind,), axes=axes))
        yield b"".join(bytes(part) for part in parts)


def _others(x: np.ndarray, box: Box, plan: field_box.Plan, shape: tuple[int, ...]) -> Iterator[bytes]:
    """The box by each codec that takes it."""
    if plan.scale != LINEAR:
        return
    values = np.ascontiguousarray(box.view(x)).reshape(shape)
    for name in _BOUNDED if plan.bound else _LOSSLESS:
        if values.dtype.name not in CODECS.get(name).accepts.dtypes:
            continue
        try:
            codec = open_codec(name, **({"max_error": plan.bound} if plan.bound else {}))
            file = container.read(codec.encode(values))
            x_hat = codec.decode(container.write(file))
        except CodecError:  # it says that it cannot do this one
            continue
        with np.errstate(all="ignore"):
            error = np.abs(x_hat.astype(np.float64) - values.astype(np.float64))
            missed = np.flatnonzero(~((error <= plan.bound) | (_bits(x_hat) == _bits(values))))
        if plan.fills:
            missed = np.union1d(missed, np.flatnonzero(np.isin(values, plan.fills)))
        if missed.size <= values.size // _MISSES:
            exceptions = field_box.write_exceptions(missed, values.reshape(-1)[missed])
            yield b"".join([bytes([field_box.NESTED]), exceptions, *_unframed(file)])


def _bits(x: np.ndarray) -> np.ndarray:
    return x.view(f"u{x.itemsize}")


def _unframed(file: File) -> list[bytes]:
    shape = (bytes([len(file.shape)]), *map(varint, file.shape))
    parts = [bytes([_NAMES.index(file.codec)]), *shape, bytes([len(file.chunks)])]
    for chunk in file.chunks:
        parts += [bytes([chunk.tag]), varint(len(chunk.data)), chunk.data]
    return parts


def decode(reader: Reader, size: int, dtype: np.dtype) -> np.ndarray:
    """The values [n] of a box made by another codec. Raises BitstreamError, LimitError."""
    name = _NAMES[reader.uint(1, "codec of the box", at_most=len(_NAMES) - 1)]
    shape = tuple(
        reader.varint("shape of the box", at_most=size) for _ in range(reader.uint(1, "rank of the box", at_most=15))
    )
    if int(np.prod(shape, dtype=object)) != size:
        raise BitstreamError(f"a box of {size} values holds a {name} array of shape {list(shape)}")
    chunks = []
    for number in range(reader.uint(1, "chunks of the box", at_most=4)):
        tag = reader.uint(1, f"tag of chunk {number} of the box", at_most=127)
        length = reader.varint(f"length of chunk {number} of the box", at_most=2**48)
        chunks.append(Chunk(tag, bytes(reader.take(length, f"chunk {number} of the box"))))
    if any(chunk.tag not in container.Tag.__members__.values() for chunk in chunks):
        raise BitstreamError("a box of another codec has a chunk of no known tag")
    data = container.write(File(name, dtype.name, shape, tuple(chunks)))
    x = guard.decode_codec(name, data, Limits(max_elements=max(size, 1)))
    if x.size != size or x.dtype != dtype:
        raise BitstreamError(f"a box of {size} values of {dtype} holds {x.size} of {x.dtype}")
    return x.reshape(-1)
