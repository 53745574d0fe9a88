"""Files of the field codec: how arrays become volumes and back, and reading them, whole or in part.

parameters   u8 version │ u8 scale │ varint axis + 1 │ f64 bound ... │ varint box side Z │ Y │ X
"""

from __future__ import annotations

import math
import struct
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np

from midtread import container
from midtread.codecs.tensor import field_box, field_memory
from midtread.codecs.tensor.field_bound import ORDERED
from midtread.codecs.tensor.field_grid import Grid, cut, fold, meeting, region, whole
from midtread.container import Reader, varint
from midtread.container.file import Tag
from midtread.entropy.loading import expecting
from midtread.errors import BitstreamError, CodecError, TruncatedError, UsageError
from midtread.spec import FLOATS, INTEGERS, Limits, check_choice, dtype_of

VERSION = 1
_REAL = {"complex64": "float32", "complex128": "float64"}  # the type of the parts


class Layout:
    """An array as volumes one after the other: one for each index along an axis, and of both parts of complex numbers.

    Args:
        shape: of the array.
        dtype: of the array.
        axis: along which each index is a volume of its own; None: all is one.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype, axis: int | None) -> None:
        self.shape, self.dtype, self._axis = tuple(shape), dtype, axis
        self.values = np.dtype(_REAL.get(dtype.name, dtype))  # what the volumes hold
        self._complex = dtype.name in _REAL
        self.inner = tuple(n for i, n in enumerate(shape) if i != axis)  # of the array in one volume
        self.count = (1 if axis is None else shape[axis]) * (2 if self._complex else 1)  # volumes
        self.size = math.prod(self.inner) * self.count

    @property
    def slices(self) -> list[slice]:
        """Of the vector: each volume."""
        each = math.prod(self.inner)
        return [slice(i * each, (i + 1) * each) for i in range(self.count)]

    def grid(self, most: int) -> Grid:
        """Boxes of at most so many values."""
        return cut(fold(self.inner), most, self.count)

    def flatten(self, x: np.ndarray) -> np.ndarray:
        """The array as a read-only vector of volumes; a copy only of complex numbers, or where an axis is moved."""
        if self._axis is not None:
            x = np.moveaxis(x, self._axis, 0)
        if self._complex:
            x = np.stack([x.real, x.imag])
        flat = np.ascontiguousarray(x).reshape(-1).view()
        flat.flags.writeable = False
        return flat

    def meeting(self, wanted: tuple[slice, ...]) -> tuple[list[int], tuple[slice, ...]]:
        """(the volumes that hold something of a region, the region in each of them)."""
        if self._axis is None:
            along, inner = range(1), wanted
        else:
            along = range(wanted[self._axis].start, wanted[self._axis].stop)
            inner = wanted[: self._axis] + wanted[self._axis + 1 :]
        half = self.count // 2
        return [*along, *(half + i for i in along)] if self._complex else list(along), inner

    def restore(self, flat: np.ndarray, sizes: tuple[int, ...] | None = None) -> np.ndarray:
        """Undo `flatten`, for the array or a region of these sizes; bools are where a number is masked."""
        sizes = self.shape if sizes is None else sizes
        if self._axis is not None:
            sizes = (sizes[self._axis], *sizes[: self._axis], *sizes[self._axis + 1 :])
        if not self._complex:
            x = flat.reshape(sizes)
        elif flat.dtype == bool:
            x = np.logical_or(*flat.reshape(2, *sizes))
        else:
            real, imaginary = flat.reshape(2, *sizes)
            x = np.empty(sizes, self.dtype)
            x.view(flat.dtype).reshape(*sizes, 2)[..., 0] = real
            x.view(flat.dtype).reshape(*sizes, 2)[..., 1] = imaginary
        return x if self._axis is None else np.ascontiguousarray(np.moveaxis(x, 0, self._axis))


def parameters(scale: int, axis: int | None, bounds: list[float], grid: Grid) -> bytes:
    """The parameters chunk; a bound for each volume."""
    head = bytes([VERSION, scale]) + varint(0 if axis is None else axis + 1)
    return head + struct.pack(f"<{len(bounds)}d", *bounds) + b"".join(map(varint, grid.box))


class Source:
    """A file whose header and index are read; its boxes are still to be."""

    def __init__(self, data: bytes, limits: Limits, *, cut: bool = False) -> None:
        self.data = data
        self.header, spans = container.index(data, limits, cut=cut)
        if self.header.codec != "field":
            raise BitstreamError(f"this file was made by codec {self.header.codec!r}, not by 'field'")
        if self.header.dtype not in (*FLOATS, *INTEGERS, *_REAL):
            raise BitstreamError(f"this field file declares {self.header.dtype} values, which that codec never has")
        found = next((span for span in spans if span.tag == Tag.PARAMETERS), None)
        if found is None:
            raise BitstreamError("this field file has no parameters chunk")
        reader = Reader(container.content(data, found, "the parameters chunk"))
        version = reader.uint(1, "version of the field codec", at_most=255)
        if version != VERSION:
            raise BitstreamError(f"this is version {version} of the field codec; this midtread reads {VERSION}")
        self.scale = reader.uint(1, "scale", at_most=ORDERED)
        axis = reader.varint("axis", at_most=len(self.header.shape)) - 1
        self.layout = Layout(self.header.shape, dtype_of(self.header.dtype), None if axis < 0 else axis)
        count = self.layout.count
        reader.take(8 * count, "bounds")  # for people
        box = [reader.varint(f"side {axis} of a box", at_most=2**40) for axis in "ZYX"]
        reader.end("the parameters chunk")
        volume = fold(self.layout.inner)
        if not all(1 <= side <= max(n, 1) for side, n in zip(box, volume, strict=True)):
            raise BitstreamError(f"boxes of {box} do not fit the volume {list(volume)}")
        self.grid = Grid(volume, (box[0], box[1], box[2]), count)
        self.spans = [span for span in spans if span.tag == Tag.PAYLOAD]
        self.numbers = range(len(self.grid) if self.layout.size else 0)
        if len(self.spans) > len(self.numbers) or (len(self.spans) < len(self.numbers) and not cut):
            raise BitstreamError(f"this field file has {len(self.spans)} boxes, its grid {len(self.numbers)}")

    @property
    def dtype(self) -> np.dtype:
        """Of the values in the volumes."""
        return self.layout.values

    @property
    def size(self) -> int:
        """Values in all volumes."""
        return self.layout.size

    def box(self, number: int, out: np.ndarray, *, alone: bool = False) -> None:
        """Fill a box of the vector `out`, which is that of all volumes or the box alone."""
        what = f"box {number} of {len(self.numbers)}"
        if number >= len(self.spans):
            raise TruncatedError(f"{what} of this field file is missing: the file was cut off")
        place = self.grid.place(number)
        try:
            with expecting(self.size):
                content = container.content(self.data, self.spans[number], what)
                field_box.decode(content, whole(place.shape) if alone else place, self.scale, out)
        except CodecError as error:
            raise type(error)(f"{what} of this field file: {error}") from error


def in_order(function: Callable[[int], Any], jobs: range | list[int], threads: int) -> Iterator[Any]:
    """The results of all jobs, in order; no more than a few wait for whoever takes them."""
    if threads == 1 or len(jobs) < 2:
        yield from map(function, jobs)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Any] = deque()
        for number in jobs:
            waiting.append(pool.submit(function, number))
            if len(waiting) >= 4 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def decode(
    data: bytes,
    *,
    threads: int = 1,
    limits: Limits = Limits(),
    errors: Literal["raise", "mask"] = "raise",
    out: np.ndarray | None = None,
    progress: Callable[[float], None] | None = None,
) -> np.ndarray:
    """The array of a field file.

    Args:
        data: a whole file, or a memory map of one.
        threads: boxes at a time.
        limits: checked before anything is allocated.
        errors: "mask" returns a masked array, in which what damaged or missing boxes held is masked, and warns with
            their numbers.
        out: filled and returned: an array of the file's shape and dtype, C order; a memory map for the largest.
        progress: called with the part that is done, 0 to 1, now and then.

    Raises:
        BitstreamError, LimitError: damaged bytes (with "mask": only where header or index are), or of something else.
        UsageError: `out` does not fit.
    """
    check_choice("field", "errors", errors, ("raise", "mask"))
    source = Source(data, limits, cut=errors == "mask")
    layout = source.layout
    direct = out is not None and layout.count == 1
    if out is not None and (out.shape != layout.shape or out.dtype != layout.dtype or not out.flags.c_contiguous):
        raise UsageError(
            f"codec 'field': out is to be a C-contiguous {layout.dtype} array of shape {list(layout.shape)}, got "
            f"{out.dtype} of shape {list(out.shape)}"
        )
    flat = out.reshape(-1) if out is not None and direct else np.empty(source.size, source.dtype)
    damaged: list[int] = []

    def job(number: int) -> int:
        try:
            source.box(number, flat)
        except CodecError:
            if errors == "raise":
                raise
            damaged.append(number)
        return number

    for number in in_order(job, source.numbers, threads):
        if progress is not None:
            progress((number + 1) / len(source.numbers))
    field_memory.release()
    x = layout.restore(flat)
    if out is not None and not direct:
        out[...] = x
    x = x if out is None else out
    if errors == "raise":
        return x
    return _masked(source, sorted(damaged), flat, x)


def _masked(source: Source, damaged: list[int], flat: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The array x, which was made of `flat`, with what damaged boxes held masked."""
    mask = np.zeros(source.size, bool)
    for number in damaged:
        place = source.grid.place(number)
        place.view(mask)[:] = True
        place.view(flat)[:] = 0
    if damaged:
        many = ", ".join(map(str, damaged[:20])) + (" ..." if len(damaged) > 20 else "")
        what = f"{len(damaged)} of {len(source.numbers)} boxes of this field file are masked: {many}"
        warnings.warn(what, stacklevel=3)
        x = source.layout.restore(flat)
    return np.ma.MaskedArray(x, source.layout.restore(mask))


def decode_region(data: bytes, wanted: tuple[slice, ...], *, threads: int = 1, limits: Limits = Limits()) -> np.ndarray:
    """A part of the array; only the boxes that meet it are read.

    Args:
        data: a whole file, or a memory map of one.
        wanted: a slice of step 1 for each axis, as in x[2:5, :, 7:].
        threads: boxes at a time.
        limits: checked before anything is allocated.

    Raises:
        UsageError: not so many slices, or other steps.
        BitstreamError, LimitError: damaged bytes where the region lies, or of something else.
    """
    source = Source(data, limits)
    layout, grid = source.layout, source.grid
    wanted = _checked_region(wanted, layout.shape)
    sizes = tuple(part.stop - part.start for part in wanted)
    if 0 in sizes:
        return np.empty(sizes, layout.dtype)
    volumes, inner = layout.meeting(wanted)
    planes, rows, columns = region(layout.inner, inner)
    out = np.empty((len(volumes), planes.size, rows.stop - rows.start, columns.stop - columns.start), source.dtype)
    jobs = [(i, number) for i in range(len(volumes)) for number in meeting(grid, planes, rows, columns)]

    def job(which: int) -> None:
        i, number = jobs[which]
        number += volumes[i] * grid.each
        place = grid.place(number)
        values = np.empty(place.size, source.dtype)
        source.box(number, values, alone=True)
        (z, z_to), (y, y_to), (x, x_to) = grid.corners(number)
        first, last = np.searchsorted(planes, (z, z_to))
        top, bottom = max(y, rows.start), min(y_to, rows.stop)
        left, right = max(x, columns.start), min(x_to, columns.stop)
        part = values.reshape(tuple(place.shape))[planes[first:last] - z, top - y : bottom - y, left - x : right - x]
        out[i, first:last, top - rows.start : bottom - rows.start, left - columns.start : right - columns.start] = part

    deque(in_order(job, range(len(jobs)), threads), maxlen=0)
    field_memory.release()
    return layout.restore(out.reshape(-1), sizes)


def _checked_region(wanted: tuple[slice, ...], shape: tuple[int, ...]) -> tuple[slice, ...]:
    if len(wanted) != len(shape) or not all(isinstance(part, slice) for part in wanted):
        raise UsageError(f"a region of shape {list(shape)} takes {len(shape)} slices, got {wanted!r}")
    bounds = [part.indices(size) for part, size in zip(wanted, shape, strict=True)]
    if any(step != 1 for *_, step in bounds):
        raise UsageError(f"a region takes slices of step 1, got {wanted!r}")
    return tuple(slice(start, max(start, stop)) for start, stop, _ in bounds)
