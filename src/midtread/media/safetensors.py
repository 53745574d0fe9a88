"""safetensors: named tensors of a model's checkpoint; as an array, the bytes of the whole file.

    u64 length of the header │ header, JSON: {name: {"dtype", "shape", "data_offsets"}, "__metadata__": {text: text}}
    tensors, little-endian, without gaps

Source: huggingface/safetensors, README ("Format"). A file whose header leaves gaps, overlaps, names a tensor twice or
disagrees with itself is refused, as its authors ask.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from midtread.container.reader import Reader
from midtread.errors import BitstreamError, LimitError, TruncatedError, UsageError
from midtread.media.header import Header
from midtread.spec import Limits

MAX_HEADER = 2**25  # bytes; 100,000 tensors need 10 MB
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F16": 16, "BF16": 16, "F32": 32, "F64": 64,
    "C64": 64, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
}  # fmt: skip
_NUMPY = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32", "I32": "int32",
    "U64": "uint64", "I64": "int64", "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tensor:
    """Where a tensor stands in its file, and what its bytes mean."""

    name: str
    kind: str  # as the file has it, "BF16"
    shape: tuple[int, ...]
    start: int  # in the file
    stop: int

    @property
    def dtype(self) -> str:
        """Name of the NumPy dtype; uint8 for kinds that NumPy lacks: their bytes."""
        return _NUMPY.get(self.kind, "uint8")

    @property
    def array_shape(self) -> tuple[int, ...]:
        """`shape`, or the number of bytes for kinds that NumPy lacks."""
        return self.shape if self.kind in _NUMPY else (self.stop - self.start,)


@dataclass(frozen=True, slots=True)
class Layout:
    """What the header of a file says."""

    tensors: tuple[Tensor, ...]  # in the order of their bytes
    metadata: dict[str, str]
    size: int  # of the whole file, bytes
    body: int  # where the tensors begin


def layout(data: bytes | memoryview, limits: Limits = Limits(), *, whole: bool = True) -> Layout:
    """Parse and check a header.

    Args:
        data: a whole file, or with `whole=False` at least its header.
        limits: for the elements of each tensor.
        whole: whether `data` has to hold all the tensors, and nothing else.

    Raises:
        BitstreamError, TruncatedError, LimitError: not a safetensors file, or one that disagrees with itself.
    """
    reader = Reader(data)
    length = reader.uint(8, "length of the safetensors header", at_most=MAX_HEADER)
    entries = _parse(bytes(reader.take(length, "safetensors header")))
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise BitstreamError("the __metadata__ of this safetensors file is not a table of texts")
    tensors = sorted(
        (_tensor(*item, reader.offset, limits) for item in entries.items()), key=lambda t: (t.start, t.stop)
    )
    end = reader.offset
    for tensor in tensors:
        if tensor.start != end:
            raise BitstreamError(f"tensor {tensor.name!r} begins at byte {tensor.start}, the one before ends at {end}")
        end = tensor.stop
    if whole and len(data) != end:
        kind = TruncatedError if len(data) < end else BitstreamError
        raise kind(f"the tensors of this safetensors file end at byte {end}, the file at {len(data)}")
    return Layout(tuple(tensors), metadata, end, reader.offset)


def probe(data: bytes) -> Header:
    """The size of the file as a vector of bytes."""
    return Header((layout(data).size,))


def decode(data: bytes, limits: Limits) -> np.ndarray:
    """The bytes of the file, uint8 [n], once its header was found in order."""
    limits.check_shape((len(data),), "this safetensors file")
    layout(data, limits)
    return np.frombuffer(data, np.uint8).copy()


def encode(x: np.ndarray) -> bytes:
    """The file whose bytes `x` holds, uint8 [n]."""
    data = x.tobytes()
    try:
        layout(data)
    except (BitstreamError, LimitError) as error:
        raise UsageError(f"the array is not the bytes of a safetensors file: {error}") from error
    return data


def header_bytes(tensors: dict[str, tuple[str, tuple[int, ...], int]], metadata: dict[str, str] | None = None) -> bytes:
    """The header of a file of tensors, name -> (kind, shape, bytes), padded to 8 bytes; their bytes follow in order."""
    entries: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    at = 0
    for name, (kind, shape, size) in tensors.items():
        entries[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _parse(text: bytes) -> dict[str, Any]:
    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no JSON")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) != len(pairs):
            raise ValueError("a name occurs twice")
        return table

    if text[:1] != b"{":
        raise BitstreamError("the header of a safetensors file begins with {, this one does not")
    try:
        entries = json.loads(text.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise BitstreamError(f"the header of this safetensors file is not as it should be: {error}") from error
    assert isinstance(entries, dict), "it began with {"
    return entries


def _tensor(name: str, entry: Any, body: int, limits: Limits) -> Tensor:
    what = f"tensor {name!r} of this safetensors file"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise BitstreamError(f"{what} is not described by dtype, shape and data_offsets")
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(kind, str) or kind not in _BITS:
        raise BitstreamError(f"{what} has dtype {kind!r}; known: {', '.join(_BITS)}")
    if not _sizes(shape) or len(shape) > 15 or not _sizes(offsets) or len(offsets) != 2:
        raise BitstreamError(f"{what} has shape {shape!r} and data_offsets {offsets!r}; whole numbers are wanted")
    limits.check_shape(tuple(shape), what)
    start, stop = offsets
    if 8 * (stop - start) != prod(shape) * _BITS[kind]:
        raise BitstreamError(f"{what} has {stop - start} bytes from {start} on, {shape} of {kind} have another number")
    return Tensor(name, kind, tuple(shape), body + start, body + stop)


def _sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(size) is int and 0 <= size < 2**62 for size in value)
