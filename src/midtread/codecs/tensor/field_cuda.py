"""The field codec on a GPU: arrays in device memory to midtread files and back, the same bytes as on a CPU.

Only compressed bytes, tables with an entry for each box, samples and what is stored bit by bit cross to the host. Boxes
that the kernels do not take, as bit-exact ones, go through the codec of the CPU, and so do files of other types than
float32: every file can be decoded here.
"""

from __future__ import annotations

import math
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np

from midtread import container
from midtread.codecs.tensor import field, field_box, field_cuda_fast, field_file, field_residual
from midtread.codecs.tensor.field_bound import LINEAR
from midtread.codecs.tensor.field_cuda_code import Coder
from midtread.codecs.tensor.field_cuda_fast import (
    FLOAT32,
    THREADS,
    Decoder,
    Encoder,
    Packed,
    fetch,
    placed,
    tables,
    tiles_of,
)
from midtread.codecs.tensor.field_cuda_ratio import Interpolated, Tiled
from midtread.codecs.tensor.field_grid import cut, fold, whole
from midtread.container import Chunk, File, Reader
from midtread.container.file import Tag
from midtread.errors import BitstreamError, CodecError, UsageError
from midtread.kernels.cuda import field_pack, field_unpack
from midtread.kernels.cuda.common import BLOCKS, MOST, cuda
from midtread.spec import Limits

_ON_CPU = ("max_error_of_std", "max_error_of_value", "axis", "fill_value")


def device_array(x: Any) -> Any:
    """A numba device array of the same memory. Raises UsageError.

    Args:
        x: on the device, C-contiguous: anything with `copy_to_host`, `__cuda_array_interface__` or `__dlpack__`.
    """
    if hasattr(x, "copy_to_host"):
        array = x
    elif hasattr(x, "__cuda_array_interface__"):
        array = cuda.as_cuda_array(x)
    elif hasattr(x, "__dlpack__") and not isinstance(x, np.ndarray):
        from cuda.core.utils import StridedMemoryView  # of cuda-core, which numba-cuda needs

        view = StridedMemoryView.from_dlpack(x, -1)
        described = {
            "version": 3, "shape": tuple(view.shape), "typestr": np.dtype(view.dtype).str, "data": (view.ptr, False),
            "strides": view.strides and tuple(step * np.dtype(view.dtype).itemsize for step in view.strides),
        }  # fmt: skip
        array = cuda.as_cuda_array(SimpleNamespace(__cuda_array_interface__=described, keep=view))
    else:
        raise UsageError(
            "codec 'field': device='cuda' takes arrays in device memory (of torch, CuPy, JAX, numba: with "
            f"__cuda_array_interface__ or __dlpack__), got {type(x).__name__}; copy it there, or leave device='cpu'"
        )
    if not array.is_c_contiguous():
        raise UsageError("codec 'field': device='cuda' takes C-contiguous arrays; make a contiguous copy first")
    return array


@contextmanager
def _quietly() -> Iterator[None]:
    """Without numba's warning that few blocks leave a GPU idle: that is how it is with small arrays."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Grid size")
        yield


def encode(codec: field.Field, x: Any) -> bytes:
    """A float32 array in device memory -> the file that `codec` makes of it on a CPU. Raises UsageError."""
    given = {name: getattr(codec, name) for name in _ON_CPU if getattr(codec, name) is not None}
    if codec.mode == "archive" or given:
        options = ", ".join(f"{name}={value!r}" for name, value in {"mode": codec.mode, **given}.items())
        raise UsageError(
            f"codec 'field': device='cuda' encodes in modes 'ratio' and 'fast' with max_error or "
            f"max_error_of_range, got {options}; encode a copy of the array on the CPU"
        )
    array = device_array(x)
    if array.dtype != FLOAT32 or array.ndim == 0 or array.size == 0:
        raise UsageError(
            f"codec 'field': device='cuda' encodes float32 arrays with at least one axis and one value, got "
            f"{array.dtype} of shape {list(array.shape)}; encode others on the CPU"
        )
    shape = tuple(int(n) for n in array.shape)
    flat = array.reshape(array.size)
    grid = cut(fold(shape), field.MOST[codec.mode])
    relative = None if codec.max_error is not None else codec.max_error_of_range
    relative = 1e-3 if codec.max_error is None and relative is None else relative
    with _quietly():
        if codec.mode == "fast":
            axes = 1 + sum(n > 1 for n in grid.volume[:2])
            encoder = Encoder(grid, max_error=codec.max_error, max_error_of_range=relative, axes=axes)
            encoder.run(flat)
            result = encoder.finish(flat)
            bound, payloads = result.bound, _payloads(encoder, result, flat)
        else:
            coder = Coder(grid, flat, max_error=codec.max_error, max_error_of_range=relative)
            bound, payloads = coder.bound, coder.payloads()
    if bound and all(payload[0] == field_box.EXACT for payload in payloads):
        warnings.warn(
            f"codec 'field': a bound of {bound:g} saves nothing on this float32 array; every bit is kept",
            stacklevel=3,
        )
    head = Chunk(Tag.PARAMETERS, field_file.parameters(LINEAR, None, [bound], grid))
    chunks = (head, *(Chunk(Tag.PAYLOAD, payload) for payload in payloads))
    return container.write(File(codec.name, "float32", shape, chunks))


def _payloads(encoder: Encoder, result: field_cuda_fast.Result, x: Any) -> list[bytes]:
    """The bytes of each box."""
    offsets = result.starts
    words = result.packed.words[: int(offsets[-1])].copy_to_host() if offsets[-1] else np.empty(0, np.uint32)
    words, nibbles = words.astype("<u4", copy=False), result.packed.nibbles.copy_to_host().reshape(encoder.boxes, -1)
    payloads = []
    for number in range(encoder.boxes):
        size, step = int(encoder.sizes[number]), float(result.steps[number])
        if step > 0:
            found, values = result.found[number], result.values[number]
            blocks = -(-size // 32)
            parts = [
                bytes([result.order]), field_box.write_exceptions(found, values), struct.pack("<d", step),
                bytes([result.bases[number]]), nibbles[number, : (blocks + 1) // 2].tobytes(),
                words[offsets[number] : offsets[number + 1]].tobytes(),
            ]  # fmt: skip
            length = sum(map(len, parts))
            if found.size < size and length <= 0.5 * size * 4:
                payloads.append(b"".join(parts))
                continue
        exact = _exact(encoder, x, number)
        payloads.append(exact if step == 0 or len(exact) < length else b"".join(parts))
    return payloads


def _exact(encoder: Encoder, x: Any, number: int) -> bytes:
    values = fetch(x, encoder.place, number, encoder.grid.place(number))
    plan = field_box.Plan(FLOAT32, 0.0, LINEAR, (field_box.EXACT,))
    return b"".join(bytes(part) for part in field_box.encode(values.reshape(-1), whole(values.shape), plan))


def decode(data: bytes, *, limits: Limits = Limits()) -> Any:
    """The array of a field file, as a numba device array (with `__cuda_array_interface__`).

    Args:
        data: a whole file, on the host.
        limits: checked before anything is allocated.

    Raises:
        BitstreamError, LimitError: damaged bytes, or of something else.
    """
    source = field_file.Source(data, limits)
    large = math.prod(source.grid.box) > MOST
    if source.dtype != FLOAT32 or source.scale != LINEAR or not source.size or source.layout.count > 1 or large:
        return cuda.to_device(field_file.decode(data, limits=limits))
    out = cuda.device_array(source.size, np.float32)
    with _quietly():
        boxes = Boxes(source)
        boxes.prepare(out)(0)
        boxes.finish(out)
    return out.reshape(source.header.shape)


class Boxes:
    """What the payloads of a file hold, ready for the device; boxes that are bit-exact are decoded."""

    def __init__(self, source: field_file.Source) -> None:
        self._grid, count = source.grid, len(source.grid)
        self._per = tiles_of(source.grid)
        self.orders, self._decoded = np.zeros(count, np.int32), dict[int, np.ndarray]()
        self._interpolated, self._tiled = Interpolated(), Tiled()
        self._steps, self._bases = np.ones(count), np.zeros(count, np.int32)
        self._residuals_at = np.full(count, -1, np.int64)
        self._widths = np.zeros((count, self._per * BLOCKS), np.uint8)
        self._words: list[np.ndarray] = []
        self._places: list[np.ndarray] = []
        self._values: list[np.ndarray] = []
        starts, self._sizes = tables(source.grid)
        self._place = placed(starts, self._sizes, source.grid)
        for number in source.numbers:
            what = f"box {number} of {count}"
            try:
                self._read(number, container.content(source.data, source.spans[number], what))
            except CodecError as error:
                raise type(error)(f"{what} of this field file: {error}") from error

    def prepare(self, out: Any) -> Callable[[Any], None]:
        """Copy all to the device; what starts all kernels that fill `out`, a float32 vector, on a stream of numba's."""
        starts: list[Callable[[Any], None]] = []
        if kinds := tuple(sorted({int(order) for order in self.orders if order})):
            residuals = cuda.device_array(1, np.int32)
            if self._tiled.numbers:
                residuals, start = self._tiled.prepare()
                starts.append(start)
            decoder, packed = Decoder(self._grid), self._packed(residuals)
            starts.append(lambda stream: decoder.run(packed, kinds, out, stream))
        if self._interpolated.numbers:
            starts.append(self._interpolated.prepare(*self._place[2:], out))

        def start_all(stream: Any) -> None:
            for start in starts:
                start(stream)

        return start_all

    def finish(self, out: Any) -> None:
        """Wait for the kernels and put the rest in its place. Raises BitstreamError."""
        for coded in (self._tiled, self._interpolated):
            coded.check(len(self._grid))
        for number, values in self._decoded.items():
            blocks = -(-values.size // THREADS)
            field_pack.spread[blocks, THREADS](cuda.to_device(values), *self._place, number, out)
        if self._places:
            places, raw = np.concatenate(self._places), np.concatenate(self._values)
            blocks = -(-places.size // THREADS)
            field_unpack.put[blocks, THREADS](cuda.to_device(places), cuda.to_device(raw), out.view(np.int32))

    def _packed(self, residuals: Any) -> Packed:
        words = np.concatenate([*self._words, np.zeros(1, np.uint32)])
        even = self._widths.reshape(-1)
        nibbles = even[::2] | even[1::2] << 4
        orders, steps, bases = (cuda.to_device(part) for part in (self.orders, self._steps, self._bases))
        coded = cuda.to_device(nibbles), cuda.to_device(words), residuals, cuda.to_device(self._residuals_at)
        return Packed(self._grid, orders, steps, bases, *coded)

    def _read(self, number: int, content: bytes | memoryview) -> None:
        reader = Reader(content)
        kind = reader.uint(1, "kind of box", at_most=255)
        size, place = math.prod(self._sizes[number].tolist()), self._grid.place(number)
        if not field_box.PACKED <= kind <= field_box.INTERPOLATED:
            values = np.empty(size, np.float32)
            field_box.decode(content, whole(place.shape), LINEAR, values)
            self._decoded[number] = values
            return
        places, raw = field_box.read_exceptions(reader, size, FLOAT32)
        step = struct.unpack("<d", reader.take(8, "step"))[0]
        if not 0 < step < float("inf"):
            raise BitstreamError(f"the step of the quantizer is {step}; it is a positive number")
        if kind == field_box.INTERPOLATED:
            self._interpolated.add(number, reader, place, step)
        else:
            self.orders[number], self._steps[number] = (kind - 1) % 3 + 1, step
            if kind >= field_box.CODED:
                self._residuals_at[number] = self._tiled.add(number, reader, place)
            else:
                self._bases[number], widths, words = field_residual.read(reader, size)
                reader.end("the box")
                self._widths[number, : widths.size] = widths
                self._words.append(words)
        if places.size:
            z, y, x = np.unravel_index(places, place.sides)
            self._places.append(place.start + z * place.strides[0] + y * place.strides[1] + x)
            self._values.append(raw.view(np.int32))
