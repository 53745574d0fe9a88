"""Zarr, format 3: arrays whose chunks are midtread files, with a bound on the error of every value, or without loss.

    z = zarr.create_array("rho.zarr", shape=x.shape, dtype=x.dtype, chunks=(128, 128, 128),
                          serializer=midtread.zarr.Field(max_error=0.01), compressors=None)
    z[:] = x

Whoever reads needs midtread installed, not imported: `zarr.open("rho.zarr")` finds the codec by its name in zarr.json.
`compressors=None` matters: Zarr would add zstd, which finds nothing to save and hides what is inside a chunk: a small
read would decode all of it, and nothing could watch over writes. How this is stored: docs/formats/zarr.md.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from zarr.abc.codec import ArrayBytesCodec, ArrayBytesCodecPartialDecodeMixin, ArrayBytesCodecPartialEncodeMixin

from midtread import container
from midtread.codecs.tensor import field
from midtread.codecs.tensor.chunked import one_of_many, open_for_chunks, stored_options
from midtread.errors import BitstreamError, UsageError
from midtread.spec import Limits

if TYPE_CHECKING:
    from zarr.abc.store import ByteGetter, ByteSetter
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer, NDBuffer

__all__ = ["Field", "Floats"]

Shape = tuple[int, ...]


class _Serializer(ArrayBytesCodec, ArrayBytesCodecPartialDecodeMixin, ArrayBytesCodecPartialEncodeMixin):
    """A codec of ours as the one that turns chunks into bytes.

    A chunk at the far end of the array, or one not written to its end, is stored without what is missing there: that is
    fill value. Values that lie in a chunk are never coded a second time, which would add up their errors.
    """

    is_fixed_size = False
    codec_name: ClassVar[str]

    def __init__(self, **options: Any) -> None:
        self.codec = open_for_chunks(self.codec_name, options)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.codec == other.codec

    def __hash__(self) -> int:
        return hash(self.codec)

    def __repr__(self) -> str:
        options = ", ".join(f"{key}={value!r}" for key, value in stored_options(self.codec).items())
        return f"midtread.zarr.{type(self).__name__}({options})"

    def to_dict(self) -> dict[str, Any]:
        return {"name": f"midtread.{self.codec_name}", "configuration": stored_options(self.codec)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        configuration = data.get("configuration") or {}
        if not isinstance(configuration, dict):
            raise UsageError(f"the configuration of midtread.{cls.codec_name} is {configuration!r}, not a table")
        return cls(**configuration)

    def validate(self, *, shape: Shape, dtype: Any, chunk_grid: Any) -> None:
        name, takes = dtype.to_native_dtype().name, self.codec.accepts
        if name not in takes.dtypes or len(shape) > takes.ranks[1]:
            raise UsageError(
                f"midtread.{self.codec_name} takes {', '.join(takes.dtypes)} of up to {takes.ranks[1]} axes; "
                f"got {name} of {len(shape)}"
            )

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        raise NotImplementedError  # it depends on the values

    async def _encode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        data = await asyncio.to_thread(self._encoded, chunk_data.as_numpy_array())
        return chunk_spec.prototype.buffer.from_bytes(data)

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        return await self._read(chunk_data, _everything(chunk_spec), chunk_spec)

    async def _decode_partial_single(
        self, byte_getter: ByteGetter, selection: Any, chunk_spec: ArraySpec
    ) -> NDBuffer | None:
        data = await byte_getter.get(prototype=chunk_spec.prototype)
        return None if data is None else await self._read(data, selection, chunk_spec)

    async def _read(self, data: Buffer, selection: Any, spec: ArraySpec) -> NDBuffer:
        x = await asyncio.to_thread(self._selected, _bytes(data), selection, spec)
        return spec.prototype.nd_buffer.from_numpy_array(x)

    async def _encode_partial_single(
        self, byte_setter: ByteSetter, chunk_array: NDBuffer, selection: Any, chunk_spec: ArraySpec
    ) -> None:
        sizes = _from_the_origin(selection, chunk_spec.shape)
        old = None if sizes == chunk_spec.shape else await byte_setter.get(prototype=chunk_spec.prototype)
        old_bytes = None if old is None else _bytes(old)
        where = getattr(byte_setter, "path", "of a shard")
        value = chunk_array.as_numpy_array()
        data = await asyncio.to_thread(self._merged, value, selection, sizes, old_bytes, chunk_spec, where)
        if data is not None:
            await byte_setter.set(chunk_spec.prototype.buffer.from_bytes(data))
        elif old is not None or sizes == chunk_spec.shape:
            await byte_setter.delete()

    def _merged(
        self,
        value: np.ndarray,
        selection: Any,
        sizes: Shape | None,
        old: memoryview | None,
        spec: ArraySpec,
        where: str,
    ) -> bytes | None:
        """The bytes of a chunk once `value` was written to `selection`; None when all of it is fill value."""
        before = None if old is None else self._shape(old, spec)
        if sizes is not None and (before is None or _within(before, sizes)):
            chunk = np.broadcast_to(value, sizes) if value.ndim == 0 else value.reshape(sizes)
        else:
            if before is not None and not self.codec.lossless:
                raise UsageError(
                    f"chunk {where} already holds values, and this write covers only a part of them: coding the rest a "
                    f"second time would add up its errors. Write whole chunks, here {list(spec.shape)}, or make the "
                    "array with max_error=0, which keeps every bit"
                )
            if old is not None:
                chunk = self._selected(old, _everything(spec), spec)
            else:
                chunk = np.full(spec.shape, _fill(spec), spec.dtype.to_native_dtype())
            chunk[selection] = value if value.ndim == 0 else value.reshape(chunk[selection].shape)
        if not spec.config.write_empty_chunks and _is_all(chunk, _fill(spec)):
            return None
        return self._encoded(np.asarray(chunk, dtype=spec.dtype.to_native_dtype()))

    def _encoded(self, x: np.ndarray) -> bytes:
        with one_of_many(x.size):
            return self.codec.encode(x)

    def _shape(self, data: memoryview, spec: ArraySpec) -> Shape:
        """The shape that the file of a chunk declares, once it is known to fit the array."""
        header = container.read_header(data, Limits(max_elements=2**63))  # compared with the chunk's shape right here
        dtype = spec.dtype.to_native_dtype()
        fits = len(header.shape) == len(spec.shape) and _within(header.shape, spec.shape)
        if not fits or header.dtype != dtype.name or header.codec != self.codec_name:
            raise BitstreamError(
                f"this chunk is a file of codec {header.codec!r} with {header.dtype} {list(header.shape)}, where the "
                f"array should have one of codec {self.codec_name!r} with {dtype.name} {list(spec.shape)}"
            )
        return header.shape

    def _selected(self, data: memoryview, selection: Any, spec: ArraySpec) -> np.ndarray:
        """What numpy gives for chunk[selection], decoding little more than that."""
        shape = self._shape(data, spec)
        spans = _spans(selection, spec.shape)
        if spans is None:  # lists of indices: they may lie anywhere
            spans, inner = _everything(spec), selection
        else:
            inner = tuple(slice(None, None, part.step) if isinstance(part, slice) else 0 for part in selection)
        inside = tuple(slice(min(s.start, n), min(s.stop, n)) for s, n in zip(spans, shape, strict=True))
        with one_of_many(math.prod(part.stop - part.start for part in inside)):
            x = self._region(data, inside, shape)
        wanted = tuple(s.stop - s.start for s in spans)
        if x.shape != wanted:
            part, x = x, np.full(wanted, _fill(spec), x.dtype)
            x[tuple(slice(0, size) for size in part.shape)] = part
        return np.asarray(x[inner])

    def _region(self, data: memoryview, inside: tuple[slice, ...], shape: Shape) -> np.ndarray:
        limits = Limits(max_elements=2**63)  # the header's shape has been compared with that of the chunk
        return self.codec.decode_within(data, limits)[inside]  # type: ignore[arg-type]  # any buffer will do


class Field(_Serializer):
    """Error-bounded chunks: |x - z[...]| <= max_error for every value; NaN, infinities and fill values are kept.

    Args:
        **options: those of codec `field`: `max_error` in the units of the data (0 keeps every bit) or
            `max_error_of_value`, `mode`, ...

    Raises:
        UsageError: as codec `field`; and for goals that every chunk would read in another way, `max_error_of_range`.
    """

    codec_name = "field"

    def _region(self, data: memoryview, inside: tuple[slice, ...], shape: Shape) -> np.ndarray:
        if all(part.stop - part.start == size for part, size in zip(inside, shape, strict=True)):
            return super()._region(data, inside, shape)
        limits = Limits(max_elements=2**63)
        return field.decode_region(data, inside, limits=limits)  # type: ignore[arg-type]  # any buffer will do


class Floats(_Serializer):
    """Lossless chunks: every bit is kept, NaN payloads and negative zeros included. See codec `floats`."""

    codec_name = "floats"


def _bytes(buffer: Buffer) -> memoryview:
    """What lies in a buffer of Zarr, not a copy."""
    return np.ascontiguousarray(buffer.as_numpy_array()).data


def _within(inner: Shape, outer: Shape) -> bool:
    return all(a <= b for a, b in zip(inner, outer, strict=True))


def _everything(spec: ArraySpec) -> tuple[slice, ...]:
    return tuple(slice(0, size) for size in spec.shape)


def _spans(selection: Any, shape: Shape) -> tuple[slice, ...] | None:
    """The smallest box, slices of step 1, around a selection of numbers and (forward) slices; None for any other."""
    spans = []
    for part, size in zip(selection, shape, strict=False):
        if isinstance(part, slice):
            start, stop, _ = part.indices(size)
            spans.append(slice(start, max(start, stop)))
        elif isinstance(part, int | np.integer):
            spans.append(slice(int(part), int(part) + 1))
    return tuple(spans) if len(spans) == len(shape) else None


def _from_the_origin(selection: Any, shape: Shape) -> Shape | None:
    """The sizes of a selection that is a box without gaps at the start of the chunk; None for any other."""
    spans = _spans(selection, shape)
    gaps = any(isinstance(part, slice) and part.step not in (None, 1) for part in selection)
    if spans is None or gaps or any(span.start for span in spans):
        return None
    return tuple(span.stop for span in spans)


def _fill(spec: ArraySpec) -> Any:
    return spec.dtype.default_scalar() if spec.fill_value is None else spec.fill_value


def _is_all(x: np.ndarray, fill: Any) -> bool:
    """Whether every value is the fill value, signs of zeros included; nearly always the first one tells."""
    fill = np.asarray(fill, x.dtype)

    def same(part: np.ndarray) -> np.ndarray:
        if np.isnan(fill):
            return np.isnan(part)
        equal = part == fill
        return equal & (np.signbit(part) == np.signbit(fill)) if x.dtype.kind == "f" else equal

    return bool(x.size and same(x[(0,) * x.ndim]) and same(x).all())
