"""field: arrays of numbers with a bound on the error of every value.

    array ──► boxes ──► quantizer ──► prediction ──► bit planes or rANS ──► one chunk for each box
                            └──► values that would break the bound: stored as they are

The array is seen as a volume [Z, Y, X] and cut into boxes that know nothing of each other: they are coded in threads,
and a region is decoded from the boxes that meet it. File layout: docs/formats/field.md.
"""

from __future__ import annotations

import math
import struct
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Literal

import numpy as np

from midtread import container
from midtread.codecs.tensor import field_bound, field_box, field_memory
from midtread.codecs.tensor.field_bound import LINEAR, ORDERED
from midtread.codecs.tensor.field_grid import Grid, cut, fold, meeting, region, whole
from midtread.container import Chunk, File, Reader, varint
from midtread.container.file import Tag, shape_and_dtype
from midtread.entropy.loading import expecting
from midtread.errors import BitstreamError, CodecError, MissingError, UsageError
from midtread.spec import (
    FLOATS,
    INTEGERS,
    Accepts,
    Codec,
    Knob,
    Limits,
    check_choice,
    check_range,
    dtype_of,
    missing,
)

VERSION = 1
MODES = ("fast", "ratio")
DEVICES = ("cpu", "cuda")
_MOST = {"fast": 1 << 20, "ratio": 1 << 18}  # values in a box
_BOUNDS = ("max_error", "max_error_of_range", "max_error_of_value")
_ARENA_BYTES = 1 << 23


@dataclass(frozen=True)
class Field(Codec):
    """|x - decode(encode(x))| <= bound for every finite value, in float64; NaN, infinities and fill values are kept."""

    name: ClassVar[str] = "field"
    summary: ClassVar[str] = "fields with a bound on every value's error: prediction, bit planes or rANS; keeps NaN"
    signal: ClassVar = "tensor"
    accepts: ClassVar[Accepts] = Accepts((*FLOATS, *INTEGERS))
    knob: ClassVar[Knob] = Knob("max_error_of_range", 1e-7, 0.3, "down", meaning="largest error / range", log=True)

    max_error: float | None = None  # in the units of the data; 0: keep every bit
    max_error_of_range: float | None = None  # relative to max - min of the finite values; 1e-3 when no bound is given
    max_error_of_value: float | None = None  # relative to each value; floats only
    mode: str = "ratio"  # or "fast"
    threads: int = 1  # boxes at a time; the bytes do not depend on it
    device: str = "cpu"  # "cuda": arrays in the memory of a GPU, both ways; the bytes do not depend on it

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in _BOUNDS if getattr(self, name) is not None}
        for option, value in given.items():
            most = 0.5 if option == "max_error_of_value" else float(np.finfo(np.float64).max)
            check_range(self.name, option, value.item() if isinstance(value, np.number) else value, 0.0, most)
        if len(given) > 1:
            raise UsageError(f"codec 'field' takes one bound, got {' and '.join(f'{k}={v}' for k, v in given.items())}")
        check_choice(self.name, "mode", self.mode, MODES)
        check_range(self.name, "threads", self.threads, 1, 1024, integer=True)
        check_choice(self.name, "device", self.device, DEVICES)

    def encode(self, x: np.ndarray) -> bytes:
        """An array of any rank -> a midtread file. Where a bound saves nothing, every bit is kept, with a warning."""
        if self.device == "cuda":
            return _gpu().encode(self, x)
        x = self.check(x)
        flat = x.reshape(-1).view()
        flat.flags.writeable = False
        scale = LINEAR if self.max_error_of_value is None else ORDERED
        bound = self.bound(flat)
        grid = cut(fold(x.shape), _MOST[self.mode])
        numbers = range(len(grid) if x.size else 0)
        payloads: list[memoryview] = []
        if numbers:
            plan = field_box.plan(flat, grid, bound, scale, self.mode)
            arena = _Arena()

            def job(number: int) -> memoryview:
                with expecting(x.size):
                    return arena.keep(field_box.encode(flat, grid.place(number), plan))

            payloads = list(_map(job, numbers, self.threads))
            field_memory.release()
            if bound and all(payload[0] == field_box.EXACT for payload in payloads):
                message = (
                    f"codec 'field': a bound of {bound:g} saves nothing on this {x.dtype} array; every bit is kept"
                )
                warnings.warn(message, stacklevel=2)
        parameters = bytes([VERSION, scale]) + struct.pack("<d", bound) + b"".join(map(varint, grid.box))
        chunks = (Chunk(Tag.PARAMETERS, parameters), *(Chunk(Tag.PAYLOAD, payload) for payload in payloads))  # type: ignore[arg-type]
        shape, dtype = shape_and_dtype(x)
        return container.write(File(self.name, dtype, shape, chunks))

    def bound(self, flat: np.ndarray) -> float:
        """The bound for a vector of values: absolute, or relative to each value with `max_error_of_value`."""
        if self.max_error_of_value is not None:
            if not field_bound.kind_of(flat.dtype).floating:
                raise UsageError(
                    f"codec 'field': max_error_of_value takes floats, got {flat.dtype}; give max_error or "
                    "max_error_of_range"
                )
            return float(self.max_error_of_value)
        if self.max_error is not None:
            return float(self.max_error)
        relative = 1e-3 if self.max_error_of_range is None else self.max_error_of_range
        return min(relative * field_bound.spread(flat), float(np.finfo(np.float64).max))

    def decode(self, data: bytes) -> np.ndarray:
        """What `encode` wrote -> the array. Raises BitstreamError or LimitError."""
        return _gpu().decode(data) if self.device == "cuda" else decode(data, threads=self.threads)

    @property
    def lossless(self) -> bool:
        """With a bound of 0."""
        return 0 in (self.max_error, self.max_error_of_range, self.max_error_of_value)


def _gpu() -> Any:
    """What this codec is on a GPU. Raises MissingError, UsageError."""
    if line := missing((("numba_cuda", "pip install 'midtread[gpu]'"),)):
        raise MissingError(f"codec 'field': device='cuda' needs numba-cuda: {line}")
    from numba import cuda

    if not cuda.is_available():
        raise UsageError("codec 'field': device='cuda' found no GPU with CUDA on this machine; leave device='cpu'")
    return import_module("midtread.codecs.tensor.field_cuda")


def decode(
    data: bytes, *, threads: int = 1, limits: Limits = Limits(), errors: Literal["raise", "mask"] = "raise"
) -> np.ndarray:
    """The array of a field file.

    Args:
        data: a whole file.
        threads: boxes at a time.
        limits: checked before anything is allocated.
        errors: "mask" returns a masked array, in which what damaged boxes held is masked.

    Raises:
        BitstreamError, LimitError: damaged bytes (with "mask": only where header or index are), or of something else.
    """
    check_choice("field", "errors", errors, ("raise", "mask"))
    source = _Source(data, limits)
    out = np.empty(source.size, source.dtype)
    grid = source.grid
    damaged: list[int] = []

    def job(number: int) -> None:
        try:
            source.box(number, out)
        except CodecError:
            if errors == "raise":
                raise
            damaged.append(number)

    deque(_map(job, source.numbers, threads), maxlen=0)
    field_memory.release()
    if errors == "raise":
        return out.reshape(source.header.shape)
    mask = np.zeros(source.size, bool)
    for number in damaged:
        place = grid.place(number)
        place.view(mask)[:] = True
        place.view(out)[:] = 0
    return np.ma.MaskedArray(out.reshape(source.header.shape), mask.reshape(source.header.shape))


def decode_region(data: bytes, wanted: tuple[slice, ...], *, threads: int = 1, limits: Limits = Limits()) -> np.ndarray:
    """A part of the array; only the boxes that meet it are read.

    Args:
        data: a whole file.
        wanted: a slice of step 1 for each axis, as in x[2:5, :, 7:].
        threads: boxes at a time.
        limits: checked before anything is allocated.

    Raises:
        UsageError: not so many slices, or other steps.
        BitstreamError, LimitError: damaged bytes where the region lies, or of something else.
    """
    source = _Source(data, limits)
    shape = source.header.shape
    wanted = _checked_region(wanted, shape)
    sizes = tuple(part.stop - part.start for part in wanted)
    if 0 in sizes:
        return np.empty(sizes, source.dtype)
    planes, rows, columns = region(shape, wanted)
    out = np.empty((planes.size, rows.stop - rows.start, columns.stop - columns.start), source.dtype)

    def job(number: int) -> None:
        place = source.grid.place(number)
        values = np.empty(place.size, source.dtype)
        source.box(number, values, alone=True)
        (z, z_to), (y, y_to), (x, x_to) = source.grid.corners(number)
        first, last = np.searchsorted(planes, (z, z_to))
        top, bottom, left, right = (
            max(y, rows.start),
            min(y_to, rows.stop),
            max(x, columns.start),
            min(x_to, columns.stop),
        )
        part = values.reshape(tuple(place.shape))[planes[first:last] - z, top - y : bottom - y, left - x : right - x]
        out[first:last, top - rows.start : bottom - rows.start, left - columns.start : right - columns.start] = part

    deque(_map(job, list(meeting(source.grid, planes, rows, columns)), threads), maxlen=0)
    field_memory.release()
    return out.reshape(sizes)


def _checked_region(wanted: tuple[slice, ...], shape: tuple[int, ...]) -> tuple[slice, ...]:
    if len(wanted) != len(shape) or not all(isinstance(part, slice) for part in wanted):
        raise UsageError(f"a region of shape {list(shape)} takes {len(shape)} slices, got {wanted!r}")
    bounds = [part.indices(size) for part, size in zip(wanted, shape, strict=True)]
    if any(step != 1 for *_, step in bounds):
        raise UsageError(f"a region takes slices of step 1, got {wanted!r}")
    return tuple(slice(start, max(start, stop)) for start, stop, _ in bounds)


class _Arena(threading.local):
    """Memory for coded boxes until the file is written, in pieces that the system backs with large pages.

    Fresh small pages cost more time than the coding itself.
    """

    def __init__(self) -> None:
        self._block, self._used = np.empty(0, np.uint8), 0

    def keep(self, parts: list[bytes | memoryview]) -> memoryview:
        """A copy of the parts, one after the other."""
        size = sum(map(len, parts))
        if self._used + size > self._block.size:
            self._block, self._used = np.empty(max(size, _ARENA_BYTES), np.uint8), 0
        room = self._block.data[self._used : self._used + size]
        self._used += size
        at = 0
        for part in parts:
            room[at : at + len(part)] = part
            at += len(part)
        return room


class _Source:
    """A file whose header and index are read; its boxes are still to be."""

    def __init__(self, data: bytes, limits: Limits) -> None:
        self.data = data
        self.header, spans = container.index(data, limits)
        if self.header.codec != Field.name:
            raise BitstreamError(f"this file was made by codec {self.header.codec!r}, not by 'field'")
        if self.header.dtype not in Field.accepts.dtypes:
            raise BitstreamError(f"this field file declares {self.header.dtype} values, which that codec never has")
        self.dtype = dtype_of(self.header.dtype)
        self.size = math.prod(self.header.shape)
        found = next((span for span in spans if span.tag == Tag.PARAMETERS), None)
        if found is None:
            raise BitstreamError("this field file has no parameters chunk")
        reader = Reader(container.content(data, found, "the parameters chunk"))
        version = reader.uint(1, "version of the field codec", at_most=255)
        if version != VERSION:
            raise BitstreamError(f"this is version {version} of the field codec; this midtread reads {VERSION}")
        self.scale = reader.uint(1, "scale", at_most=ORDERED)
        self.bound = struct.unpack("<d", reader.take(8, "bound"))[0]
        volume = fold(self.header.shape)
        box = [reader.varint(f"side {axis} of a box", at_most=2**40) for axis in "ZYX"]
        reader.end("the parameters chunk")
        if not all(1 <= side <= max(n, 1) for side, n in zip(box, volume, strict=True)):
            raise BitstreamError(f"boxes of {box} do not fit the volume {list(volume)}")
        self.grid = Grid(volume, (box[0], box[1], box[2]))
        self.spans = [span for span in spans if span.tag == Tag.PAYLOAD]
        self.numbers = range(len(self.grid) if self.size else 0)
        if len(self.spans) != len(self.numbers):
            raise BitstreamError(f"this field file has {len(self.spans)} boxes, its grid {len(self.numbers)}")

    def box(self, number: int, out: np.ndarray, *, alone: bool = False) -> None:
        """Fill a box of the vector `out`, which is the whole array or the box alone."""
        what = f"box {number} of {len(self.spans)}"
        place = self.grid.place(number)
        try:
            with expecting(self.size):
                content = container.content(self.data, self.spans[number], what)
                field_box.decode(content, whole(place.shape) if alone else place, self.scale, out)
        except CodecError as error:
            raise type(error)(f"{what} of this field file: {error}") from error


def _map(function: Callable[[int], Any], jobs: range | list[int], threads: int) -> Iterator[Any]:
    if threads == 1 or len(jobs) < 2:
        yield from map(function, jobs)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(function, jobs)
