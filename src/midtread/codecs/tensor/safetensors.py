"""safetensors: a checkpoint, tensor by tensor, every byte kept.

    header, as it is ─► zstd ─► PARAMETERS        u8 version (1) │ varint length │ zstd frame
    each tensor, in the order of its bytes ─► floats, against the tensor of that name in a base ─► PAYLOAD

The array is the bytes of the whole .safetensors file, uint8 [n]; each payload is a `floats` file, whose shape and
dtype are those of the tensor. `Checkpoint` reads one tensor without the others.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from midtread import container
from midtread.codecs.tensor import floats
from midtread.container import Chunk, File, Reader, Span, varint
from midtread.container.file import Tag
from midtread.errors import BitstreamError, CodecError, LimitError, TruncatedError, UsageError
from midtread.media.safetensors import MAX_HEADER, Layout, Tensor, layout
from midtread.spec import Accepts, Codec, Limits, check_choice, check_range, check_tensor, dtype_of

VERSION = 1


@dataclass(frozen=True)
class Safetensors(Codec):
    """decode(encode(x)) is the same .safetensors file, byte for byte."""

    name: ClassVar[str] = "safetensors"
    summary: ClassVar[str] = "lossless: the bytes of a .safetensors checkpoint, tensor by tensor through floats"
    signal: ClassVar = "tensor"
    family: ClassVar[str] = "lossless"
    accepts: ClassVar[Accepts] = Accepts(("uint8",), ranks=(1, 1))

    threads: int = 1  # chunks of a tensor at a time; the bytes do not depend on it

    def __post_init__(self) -> None:
        check_range(self.name, "threads", self.threads, 1, 1024, integer=True)

    def encode(self, x: np.ndarray) -> bytes:
        """The bytes of a .safetensors file, uint8 [n] -> a midtread file."""
        return encode(self.check(x), threads=self.threads)

    def encode_against(self, x: np.ndarray, base: np.ndarray) -> bytes:
        """Tensors as differences to those of the same name, dtype and shape in `base`, bytes of a checkpoint, too."""
        return encode(self.check(x), _checked_base(base), threads=self.threads)

    def decode(self, data: bytes) -> np.ndarray:
        """What `encode` wrote -> the bytes, uint8 [n]. Raises BitstreamError or LimitError."""
        return decode(data, threads=self.threads)

    def decode_against(self, data: bytes, base: np.ndarray, limits: Limits = Limits()) -> np.ndarray:
        """What `encode_against` wrote -> the bytes. Raises MissingError, too: `base` is another one."""
        return decode(data, _checked_base(base), limits=limits, threads=self.threads)

    def decode_within(self, data: bytes, limits: Limits) -> np.ndarray:
        """The same for arrays that `limits` allow."""
        return decode(data, limits=limits, threads=self.threads)

    @property
    def lossless(self) -> bool:
        """Always."""
        return True


def encode(source: np.ndarray, base: np.ndarray | None = None, *, threads: int = 1) -> bytes:
    """Compress a checkpoint.

    Args:
        source: the bytes of a .safetensors file, uint8 [n].
        base: those of an earlier checkpoint; tensors of one name, dtype and shape are stored as differences.
        threads: chunks of a tensor at a time.

    Raises:
        UsageError: one of them is not a .safetensors file.
    """
    found, old = _layout_of(source), {} if base is None else _tensors(base)
    head = source[: found.body].tobytes()
    frame = _zstd().ZstdCompressor(level=9).compress(head)
    chunks = [Chunk(Tag.PARAMETERS, bytes([VERSION]) + varint(len(head)) + frame)]
    for tensor in found.tensors:
        x = _array(source, tensor)
        known = old.get(tensor.name)
        same = known is not None and (known.dtype, known.shape) == (x.dtype, x.shape)
        chunks.append(Chunk(Tag.PAYLOAD, floats.encode(x, known if same else None, threads=threads)))
    return container.write(File(Safetensors.name, "uint8", (source.size,), tuple(chunks)))


def decode(
    data: bytes,
    base: np.ndarray | None = None,
    *,
    limits: Limits = Limits(),
    threads: int = 1,
    errors: Literal["raise", "mask"] = "raise",
) -> np.ndarray:
    """The bytes of the .safetensors file, uint8 [n].

    Args:
        data: a whole file.
        base: the bytes of the checkpoint it was encoded against.
        limits: checked before anything is allocated.
        threads: chunks of a tensor at a time.
        errors: "mask" returns a masked array, in which the bytes of damaged or missing tensors are 0 and masked, and
            warns with their names.

    Raises:
        BitstreamError, LimitError: damaged bytes (with "mask": only those of the header).
        MissingError: a base is needed, and `base` is none or another one.
    """
    check_choice(Safetensors.name, "errors", errors, ("raise", "mask"))
    source = Checkpoint(data, base, limits=limits, threads=threads, cut=errors == "mask")
    out = np.zeros(source.layout.size, np.uint8)
    out[: source.layout.body] = np.frombuffer(source.header, np.uint8)
    damaged = []
    for tensor in source.layout.tensors:
        try:
            x = source[tensor.name]
        except (BitstreamError, LimitError):
            if errors == "raise":
                raise
            damaged.append(tensor)
            continue
        out[tensor.start : tensor.stop] = x.reshape(-1).view(np.uint8)
    if errors == "raise":
        return out
    mask = np.zeros(out.size, bool)
    for tensor in damaged:
        mask[tensor.start : tensor.stop] = True
    if damaged:
        names = ", ".join(repr(tensor.name) for tensor in damaged[:20]) + (" ..." if len(damaged) > 20 else "")
        warnings.warn(f"{len(damaged)} of {len(source)} tensors of this checkpoint are masked: {names}", stacklevel=2)
    return np.ma.MaskedArray(out, mask)


class Checkpoint(Mapping[str, np.ndarray]):
    """The tensors of a compressed checkpoint by name; each is read when it is asked for, and only it.

    Args:
        data: a whole file, as bytes or, so that untouched tensors stay on disk, as an mmap.
        base: the bytes of the .safetensors file it was encoded against.
        limits: for every tensor.
        threads: chunks of a tensor at a time.
        cut: read a file that was cut off, too; TruncatedError comes when one of the tensors that are lost is asked for.

    Raises:
        BitstreamError, LimitError: the header or the index are damaged.
    """

    def __init__(
        self,
        data: bytes,
        base: np.ndarray | None = None,
        *,
        limits: Limits = Limits(),
        threads: int = 1,
        cut: bool = False,
    ) -> None:
        self._data, self._limits, self._threads = data, limits, threads
        self._base = {} if base is None else _tensors(base)
        header, spans = container.index(data, limits, cut=cut)
        if header.codec != Safetensors.name or header.dtype != "uint8" or len(header.shape) != 1:
            raise BitstreamError(f"codec 'safetensors' made no file of codec {header.codec!r} and {header.dtype}")
        if not spans or spans[0].tag != Tag.PARAMETERS:
            raise BitstreamError("this safetensors file does not begin with its parameters")
        self.header = _header(Reader(container.content(data, spans[0], "the parameters chunk")))
        self.layout: Layout = layout(memoryview(self.header), limits, whole=False)
        payloads: list[Span | None] = [span for span in spans if span.tag == Tag.PAYLOAD]
        if len(spans) < header.chunks:
            payloads += [None] * (len(self.layout.tensors) - len(payloads))
        if self.layout.size != header.shape[0] or len(payloads) != len(self.layout.tensors):
            raise BitstreamError(
                f"this file declares {header.shape[0]} bytes and {len(payloads)} tensors, the header in it "
                f"{self.layout.size} and {len(self.layout.tensors)}"
            )
        self._places = {t.name: (t, span) for t, span in zip(self.layout.tensors, payloads, strict=True)}

    def __getitem__(self, name: str) -> np.ndarray:
        """The tensor; KeyError when there is none of that name. Raises as `decode`, with the name in front."""
        tensor, span = self._places[name]
        try:
            if span is None:
                raise TruncatedError("the file ends before it")
            payload = container.content(self._data, span, "its chunk")
            head = container.read_header(payload, self._limits)
            if (head.codec, head.dtype, head.shape) != (floats.Floats.name, tensor.dtype, tensor.array_shape):
                raise BitstreamError(
                    f"{list(head.shape)} of {head.dtype} stands where {tensor.kind} {list(tensor.shape)} should"
                )
            base = self._base.get(name)
            if base is not None and (base.dtype.name, base.shape) != (tensor.dtype, tensor.array_shape):
                base = None
            return floats.decode(payload, base, limits=self._limits, threads=self._threads)
        except CodecError as error:
            raise type(error)(f"tensor {name!r}: {error}") from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def metadata(self) -> dict[str, str]:
        """The `__metadata__` of the checkpoint."""
        return dict(self.layout.metadata)


def _header(reader: Reader) -> bytes:
    """The header of the .safetensors file, with its length in front."""
    version = reader.uint(1, "version of the safetensors codec", at_most=255)
    if version != VERSION:
        raise BitstreamError(f"this is version {version} of the safetensors codec; this midtread reads {VERSION}")
    size = reader.varint("length of the header", at_most=MAX_HEADER + 8)
    frame = bytes(reader.take(reader.left, "header"))
    zstd = _zstd()
    try:
        if zstd.frame_content_size(frame) != size:
            raise BitstreamError(f"the zstd frame of the header does not hold {size} bytes")
        return zstd.ZstdDecompressor().decompress(frame, allow_extra_data=False)
    except zstd.ZstdError as error:
        raise BitstreamError(f"the header is damaged: {error}") from error


def _zstd():  # type: ignore[no-untyped-def]
    import zstandard

    return zstandard


def _checked_base(base: np.ndarray) -> np.ndarray:
    return check_tensor(base, "the base of codec 'safetensors'", Safetensors.accepts)


def _layout_of(source: np.ndarray) -> Layout:
    try:
        return layout(memoryview(source.data).cast("B"))
    except (BitstreamError, LimitError) as error:
        raise UsageError(f"codec 'safetensors' takes the bytes of a .safetensors file: {error}") from error


def _array(source: np.ndarray, tensor: Tensor) -> np.ndarray:
    return source[tensor.start : tensor.stop].view(dtype_of(tensor.dtype)).reshape(tensor.array_shape)


def _tensors(source: np.ndarray) -> dict[str, np.ndarray]:
    return {tensor.name: _array(source, tensor) for tensor in _layout_of(source).tensors}
