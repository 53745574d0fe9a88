"""What every wrapped codec for arrays of numbers shares: a midtread file around the library's bytes, and fences.

    PARAMETERS   u8 version (1) │ u8 mode │ what the codec adds
    PAYLOAD      mode 0: the library's bytes │ mode 1: the one value that all have; nothing for an empty array

The libraries crash or answer nonsense on ordinary inputs (empty arrays, single values, NaN, foreign byte order); what
they cannot do is refused or done here before they see it. Their decoders trust their input: the front door runs them in
a helper process (`fragile`).
"""

from __future__ import annotations

from abc import abstractmethod
from math import prod
from typing import ClassVar

import numpy as np

from midtread import container
from midtread.container import Chunk, File, Reader
from midtread.container.file import Tag, shape_and_dtype
from midtread.errors import BitstreamError, CodecError, UsageError
from midtread.media.header import blame_the_bytes
from midtread.spec import Codec, Limits, dtype_of, stage

VERSION = 1
CODED, CONSTANT = 0, 1


class Peer(Codec):
    """Somebody else's codec of arrays; subclasses say how the library is called."""

    signal: ClassVar = "tensor"
    family: ClassVar[str] = "conventional"
    fragile: ClassVar[bool] = True

    @abstractmethod
    def _encode(self, x: np.ndarray) -> tuple[bytes, bytes]:
        """A checked array of at least two different values -> (what `_decode` needs beside the payload, payload)."""

    @abstractmethod
    def _decode(self, payload: bytes, shape: tuple[int, ...], dtype: np.dtype, extra: Reader) -> np.ndarray:
        """The array, any shape of as many values."""

    def encode(self, x: np.ndarray) -> bytes:
        """An array of any rank -> a midtread file."""
        x = self.check(x)
        if is_constant(x):
            head, payload = bytes([VERSION, CONSTANT]), x.reshape(-1)[:1].tobytes()
        else:
            with stage("encode"):
                try:
                    extra, payload = self._encode(x)
                except (CodecError, MemoryError):
                    raise
                except Exception as error:
                    raise UsageError(f"codec {self.name!r}: the library refuses this array: {error}") from error
            head = bytes([VERSION, CODED]) + extra
        shape, dtype = shape_and_dtype(x)
        chunks = (Chunk(Tag.PARAMETERS, head), Chunk(Tag.PAYLOAD, payload))
        return container.write(File(self.name, dtype, shape, chunks))

    def decode(self, data: bytes) -> np.ndarray:
        """What `encode` wrote -> the array. Raises BitstreamError or LimitError.

        The library decodes in this process: give it no bytes from strangers, `midtread.decode` is for those.
        """
        return self.decode_within(data, Limits())

    def decode_within(self, data: bytes, limits: Limits) -> np.ndarray:
        """The same for arrays that `limits` allow."""
        file = container.read(data, limits)
        if file.codec != self.name or file.dtype not in self.accepts.dtypes:
            raise BitstreamError(f"codec {self.name!r} made no file of codec {file.codec!r} and dtype {file.dtype}")
        reader, payload = Reader(file.need(Tag.PARAMETERS)), file.need(Tag.PAYLOAD)
        version, mode = (reader.uint(1, what, at_most=255) for what in ("version", "mode"))
        if version != VERSION or mode not in (CODED, CONSTANT):
            raise BitstreamError(f"version {version}, mode {mode}: not of this version of midtread")
        dtype = dtype_of(file.dtype)
        if mode == CONSTANT:
            return _constant(payload, file.shape, dtype)
        if 0 in file.shape:
            raise BitstreamError(f"an array of shape {list(file.shape)} has nothing to code")
        with stage("decode"), blame_the_bytes(self.name):
            x = np.asarray(self._decode(payload, file.shape, dtype, reader))
        reader.end("the parameters chunk")
        if x.size != prod(file.shape) or x.dtype != dtype:
            raise BitstreamError(
                f"this {self.name} file declares {list(file.shape)} of {dtype}, it holds {list(x.shape)} of {x.dtype}"
            )
        return np.ascontiguousarray(x).reshape(file.shape)


def is_constant(x: np.ndarray) -> bool:
    """Whether all values are the same number (or the same NaN), or there are none."""
    flat = x.reshape(-1)
    if flat.size < 2:
        return True
    if flat[0] != flat[1] and flat[0] == flat[0]:  # nearly every array leaves here
        return False
    bits = flat.view(f"u{x.dtype.itemsize}")
    return bool((bits == bits[0]).all() or (flat == flat[0]).all())


def _constant(payload: bytes, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    if len(payload) != (dtype.itemsize if prod(shape) else 0):
        raise BitstreamError(f"{len(payload)} bytes are not the one value of {list(shape)} of {dtype}")
    return np.full(shape, np.frombuffer(payload, dtype)[0], dtype) if payload else np.empty(shape, dtype)


def fold(shape: tuple[int, ...], most: int, *, least: int = 1, squeeze: bool = False) -> tuple[int, ...]:
    """The shape of the same values with `least` to `most` axes: the first ones are merged, or ones put in front.

    Args:
        shape: of an array in C order, no axis empty.
        most: axes that the library takes.
        least: axes that it needs.
        squeeze: leave out axes of length 1 first.
    """
    if squeeze:
        shape = tuple(size for size in shape if size > 1)
    if len(shape) > most:
        merged = len(shape) - most + 1
        shape = (prod(shape[:merged]), *shape[merged:])
    return (1,) * (least - len(shape)) + shape
