"""field: arrays of numbers with a bound on the error of every value.

    array ──► boxes ──► quantizer ──► prediction ──► bit planes or rANS ──► one chunk for each box
                            └──► values that would break the bound: stored as they are

The array is seen as a volume [Z, Y, X] and cut into boxes that know nothing of each other: they are coded in threads,
and a region is decoded from the boxes that meet it. File layout: docs/formats/field.md. Decoding: `field_file`.
"""

from __future__ import annotations

import dataclasses
import math
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import numpy as np

from midtread import container
from midtread.codecs.tensor import field_bound, field_box, field_memory
from midtread.codecs.tensor.field_bound import LINEAR, ORDERED
from midtread.codecs.tensor.field_file import Layout, decode, decode_region, in_order, parameters
from midtread.codecs.tensor.field_grid import Box, Grid
from midtread.container import Chunk, Header
from midtread.container.file import Parts, Tag, shape_and_dtype
from midtread.entropy.loading import expecting
from midtread.errors import UsageError
from midtread.kernels import cuda
from midtread.spec import FLOATS, INTEGERS, Accepts, Codec, Knob, Limits, check_choice, check_range

__all__ = ["Field", "decode", "decode_region"]

MODES = ("fast", "ratio", "archive")
DEVICES = ("cpu", "cuda")
MOST = {"fast": 1 << 20, "ratio": 1 << 18, "archive": 1 << 24}  # values in a box
_BOUNDS = ("max_error", "max_error_of_range", "max_error_of_std", "max_error_of_value")
_TARGETS = ("psnr_db", "ratio", "size_bytes")
_ARENA_BYTES = 1 << 23

Pieces = list[bytes | memoryview]  # of one content


@dataclass(frozen=True)
class Field(Codec):
    """|x - decode(encode(x))| <= bound for every finite value, in float64; NaN, infinities and fill values are kept.

    At most one bound or target is given; without any, max_error_of_range is 1e-3. Complex: both parts keep it.
    """

    name: ClassVar[str] = "field"
    summary: ClassVar[str] = "fields with a bound on every value's error: prediction, bit planes or rANS; keeps NaN"
    signal: ClassVar = "tensor"
    accepts: ClassVar[Accepts] = Accepts((*FLOATS, *INTEGERS, "complex64", "complex128"))
    knob: ClassVar[Knob] = Knob("max_error_of_range", 1e-7, 0.3, "down", meaning="largest error / range", log=True)

    max_error: float | None = None  # in the units of the data; 0: keep every bit
    max_error_of_range: float | None = None  # relative to max - min of the finite values, fill values left out
    max_error_of_std: float | None = None  # relative to their standard deviation
    max_error_of_value: float | None = None  # relative to each value; floats only
    psnr_db: float | None = None  # the coarsest bound with at least this PSNR (peak: the range)
    ratio: float | None = None  # the finest bound whose file is at most 1 / ratio of the array
    size_bytes: int | None = None  # the finest bound whose file is at most this long
    axis: int | None = None  # range and standard deviation are those of each index along it, not of the whole array
    fill_value: float | None = None  # of no meaning, kept as it is; large ones as 1e20 are found without
    mode: str = "ratio"  # "fast": 5 times as fast, larger; "archive": the smallest of all that is tried, slow
    threads: int = 1  # boxes at a time; the bytes do not depend on it
    device: str = "cpu"  # "cuda": arrays in the memory of a GPU, both ways; the bytes do not depend on it

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in (*_BOUNDS, *_TARGETS) if getattr(self, name) is not None}
        for option, value in given.items():
            most = 0.5 if option == "max_error_of_value" else float(np.finfo(np.float64).max)
            check_range(self.name, option, value.item() if isinstance(value, np.number) else value, 0.0, most)
        if len(given) > 1:
            raise UsageError(f"codec 'field' takes one bound, got {' and '.join(f'{k}={v}' for k, v in given.items())}")
        if self.axis is not None:
            check_range(self.name, "axis", self.axis, -15, 14, integer=True)
            if not given.keys() <= {"max_error_of_range", "max_error_of_std"}:
                raise UsageError(
                    f"codec 'field': axis says where max_error_of_range and max_error_of_std are taken, it does not go "
                    f"with {next(iter(given))}; leave axis out"
                )
        check_choice(self.name, "mode", self.mode, MODES)
        check_range(self.name, "threads", self.threads, 1, 1024, integer=True)
        check_choice(self.name, "device", self.device, DEVICES)

    def encode(self, x: np.ndarray) -> bytes:
        """An array of any rank -> a midtread file. Where a bound saves nothing, every bit is kept, with a warning."""
        if self._target:
            return self._to_target(x)
        if self.device == "cuda":
            return _gpu().encode(self, x)
        header, chunks = self._chunks(x)
        data = container.write_each(header, chunks, np.asarray(x).nbytes)
        if self.mode == "archive":  # a choice for each small box can be better than one for all
            return min(data, dataclasses.replace(self, mode="ratio").encode(x), key=len)
        return data

    def pieces(self, x: np.ndarray, progress: Callable[[float], None] | None = None) -> Iterator[bytes | memoryview]:
        """The bytes of `encode` while they are made; of a memory map a few boxes are in memory.

        Targets, the GPU and mode="archive" need the whole file at once.
        """
        if self._target or self.device == "cuda" or self.mode == "archive":
            yield self.encode(x)
        else:
            yield from container.pieces(*self._chunks(x, progress))

    def _chunks(
        self, x: np.ndarray, progress: Callable[[float], None] | None = None
    ) -> tuple[Header, Iterator[Chunk | Parts]]:
        x = self.check(x)
        shape, dtype = shape_and_dtype(x)
        layout = Layout(x.shape, x.dtype, self._axis(x.ndim))
        flat = layout.flatten(x)
        usual = [field_bound.usual(flat[part], self.fill_value) for part in layout.slices]
        bounds = [self.bound(flat[part], known) for part, known in zip(layout.slices, usual, strict=True)]
        fills = tuple(sorted({fill for known in usual for fill in known.fills}))
        grid = layout.grid(MOST[self.mode])
        count = len(grid) if x.size else 0
        scale = LINEAR if self.max_error_of_value is None else ORDERED

        def chunks() -> Iterator[Chunk | Parts]:
            yield Chunk(Tag.PARAMETERS, parameters(scale, self._axis(x.ndim), bounds, grid))
            exact = True
            for number, payload in enumerate(
                self._boxes(flat, grid, bounds, fills, scale, layout.inner) if count else ()
            ):
                exact = exact and payload[0][0] == field_box.EXACT
                yield Parts(Tag.PAYLOAD, payload)
                if progress is not None:
                    progress((number + 1) / count)
            if exact and count and any(bounds):
                what = f"codec 'field': a bound of {max(bounds):g} saves nothing on this {x.dtype} array"
                # The caller of `encode` stands behind the container.
                warnings.warn(f"{what}; every bit is kept", stacklevel=6)

        return Header(self.name, dtype, shape, 1 + count), chunks()

    def _boxes(
        self,
        flat: np.ndarray,
        grid: Grid,
        bounds: list[float],
        fills: tuple[float, ...],
        scale: int,
        inner: tuple[int, ...],
    ) -> Iterator[Pieces]:
        """The payload of each box, valid until the next is asked for."""
        plan = field_box.plan(flat, grid, max(bounds), scale, self.mode, fills)
        plans = [plan._replace(bound=bound) for bound in bounds]
        arena = _Arena() if self.threads > 1 else None
        encode = field_box.encode
        if self.mode == "archive":
            from midtread.codecs.tensor import field_archive  # of codecs that other modes have nothing of

            def encode(x: np.ndarray, box: Box, plan: field_box.Plan) -> Pieces:
                return field_archive.encode(x, box, plan, inner if grid.each == 1 else box.sides)

        def job(number: int) -> Pieces:
            with expecting(flat.size):
                parts = encode(flat, grid.place(number), plans[number // grid.each])
                return parts if arena is None else [arena.keep(parts)]

        yield from in_order(job, range(len(grid)), self.threads)
        field_memory.release()

    def _axis(self, ndim: int) -> int | None:
        if self.axis is None:
            return None
        if not -ndim <= self.axis < ndim:
            raise UsageError(f"codec 'field': axis={self.axis} is none of this array's {ndim} axes")
        return self.axis % ndim

    def bound(self, flat: np.ndarray, known: field_bound.Usual | None = None) -> float:
        """The bound for a vector of values: absolute, or relative to each value with `max_error_of_value`.

        `known`: what `field_bound.usual` says of the vector, where it has been asked.
        """
        if self.max_error_of_value is not None:
            if not field_bound.kind_of(flat.dtype).floating:
                raise UsageError(
                    f"codec 'field': max_error_of_value takes floats, got {flat.dtype}; give max_error or "
                    "max_error_of_range"
                )
            return float(self.max_error_of_value)
        if self.max_error is not None:
            return float(self.max_error)
        known = known or field_bound.usual(flat, self.fill_value)
        if self.max_error_of_std is not None:
            relative, unit = self.max_error_of_std, field_bound.deviation(flat, known)
        else:
            relative, unit = 1e-3 if self.max_error_of_range is None else self.max_error_of_range, known.spread
        return float(min(relative * unit, np.finfo(np.float64).max))

    @property
    def _target(self) -> bool:
        return any(getattr(self, target) is not None for target in _TARGETS)

    def _to_target(self, x: np.ndarray) -> bytes:
        from midtread.codecs.target import encode_to

        x = self.check(x)
        options = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in _TARGETS}
        options = {key: value for key, value in options.items() if value is not None}
        if self.psnr_db is not None:
            return encode_to(x, self.name, options, psnr_db=self.psnr_db).data
        size = self.size_bytes if self.ratio is None else math.floor(x.nbytes / self.ratio) if self.ratio > 0 else 0
        return encode_to(x, self.name, options, size_bytes=size).data

    def decode(self, data: bytes) -> np.ndarray:
        """What `encode` wrote -> the array. Raises BitstreamError or LimitError."""
        return _gpu().decode(data) if self.device == "cuda" else decode(data, threads=self.threads)

    def decode_within(self, data: bytes, limits: Limits) -> np.ndarray:
        """The same for arrays that `limits` allow."""
        return decode(data, threads=self.threads, limits=limits)

    def decode_into(
        self, data: bytes, out: np.ndarray, limits: Limits, progress: Callable[[float], None] | None = None
    ) -> None:
        """Fill `out`, which may be a memory map, box by box."""
        decode(data, threads=self.threads, limits=limits, out=out, progress=progress)

    @property
    def lossless(self) -> bool:
        """With a bound of 0."""
        return any(getattr(self, bound) == 0 for bound in _BOUNDS)


def _gpu() -> Any:
    """What this codec is on a GPU. Raises MissingError, UsageError."""
    cuda.require("codec 'field'")
    return import_module("midtread.codecs.tensor.field_cuda")


class _Arena(threading.local):
    """Memory for coded boxes until the file is written, in pieces that the system backs with large pages.

    Fresh small pages cost more time than the coding itself.
    """

    def __init__(self) -> None:
        self._block, self._used = np.empty(0, np.uint8), 0

    def keep(self, parts: Pieces) -> memoryview:
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
