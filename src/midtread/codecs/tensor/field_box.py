"""One box of a field as bytes: quantized and predicted, or bit-exact, with its exceptions beside it.

    u8 kind │ exceptions │ f64 step │ body                            (docs/formats/field.md)

Whatever the decoder will say is compared with the value in float64 while encoding; a value that it misses by more than
the bound is an exception and stored as it is.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import zstandard

from midtread.codecs.tensor import field_bound, field_memory, field_residual, field_symbols, field_tables, floats
from midtread.codecs.tensor import field_interpolation as interpolation
from midtread.codecs.tensor.field_bound import LINEAR
from midtread.codecs.tensor.field_grid import Box, Grid, whole
from midtread.container import Reader, varint
from midtread.entropy.loading import kernel
from midtread.errors import BitstreamError
from midtread.spec import stage

# Kinds of boxes. PACKED, PACKED + 1, PACKED + 2: Lorenzo differences along 1, 2 or 3 axes; CODED likewise.
EXACT, PACKED, CODED, INTERPOLATED, NESTED = 0, 1, 4, 7, 8
TRIED = 1 << 14  # values of a box that are tried to find its predictor
_ZSTD_LEVEL = 3
_LOOKED_AT = 1 << 13  # values of a box whose roughness along its axes is looked at
_ROUGHER = 2  # times the least: too rough to interpolate along
_EXCEPTION_COST = 10 * field_tables.BIT  # for each byte of the value: it and its place


class Plan(NamedTuple):
    """What all boxes of an array are encoded with."""

    dtype: np.dtype
    bound: float  # 0: bit-exact
    scale: int  # LINEAR: the bound is absolute; ORDERED: relative to each value
    kinds: tuple[int, ...]  # to choose from, box by box
    axes: int = 0x77  # along which interpolation goes: see `kernels.field_levels_slow`
    fills: tuple[float, ...] = ()  # values to be kept as they are


def plan(x: np.ndarray, grid: Grid, bound: float, scale: int, mode: str, fills: tuple[float, ...] = ()) -> Plan:
    """How the boxes of a read-only vector are to be encoded; one kind (fast mode) or axes for all, from samples."""
    orders = range(1 + sum(n > 1 for n in grid.volume[:2]))
    base = Plan(x.dtype, bound, scale, (EXACT,), fills=fills)
    if bound <= 0:
        return base._replace(bound=0.0)
    if mode == "fast":
        return _cheapest(x, grid, [base._replace(kinds=(PACKED + order,)) for order in orders], TRIED)
    base = base._replace(kinds=(*(CODED + order for order in orders), INTERPOLATED))
    return base if mode == "archive" else _with_axes(x, grid, base)


def _cheapest(x: np.ndarray, grid: Grid, plans: list[Plan], most: int) -> Plan:
    """The plan that makes the fewest bytes of samples of at most so many values."""
    if len(plans) == 1:
        return plans[0]
    parts = [grid.place(number).middle(most) for number in _some(grid)]
    return min(plans, key=lambda plan: sum(_size(encode(x, part, plan)) for part in parts))


def _some(grid: Grid) -> list[int]:
    return sorted({0, len(grid) // 2, len(grid) - 1})


def _with_axes(x: np.ndarray, grid: Grid, plan: Plan) -> Plan:
    """The plan with the axes along which interpolation goes: those that are not much rougher than the smoothest."""
    total, found = np.zeros(3, np.int64), np.empty(3, np.int64)
    for number in _some(grid):
        field_memory.begin()
        work, place = _work(x, grid.place(number).middle(_LOOKED_AT), plan)
        step = 2.0 * plan.bound if plan.scale == LINEAR else field_bound.relative_step(plan.dtype, plan.bound)
        if step:
            run = kernel("field_extent", x.size, ("roughness", work.dtype.str))
            run.roughness(work, place.start, place.strides, place.shape, step, found)
            total += found
    axes = [axis for axis in range(3) if grid.volume[axis] > 2]
    active = sum(4 >> axis for axis in axes) or 1
    least = min((int(total[axis]) for axis in axes), default=0)
    smooth = sum(4 >> axis for axis in axes if total[axis] <= _ROUGHER * least) or active
    choices = {active | active << 4: None, smooth | active << 4: None, smooth | smooth << 4: None}
    plans = [plan._replace(kinds=(INTERPOLATED,), axes=axes) for axes in choices]
    return plan._replace(axes=_cheapest(x, grid, plans, min(TRIED, max(1 << 12, x.size >> 3))).axes)


def _work(x: np.ndarray, box: Box, plan: Plan) -> tuple[np.ndarray, Box]:
    """(what is quantized, the box in it); NaN for what is to be kept as it is."""
    native = plan.scale == LINEAR and field_bound.kind_of(plan.dtype).native
    if native and not plan.fills:
        return x, box
    values = _values(x, box)
    work = values if native else field_bound.to_work(values, plan.scale)
    if plan.fills:
        work = np.where(np.isin(values, plan.fills), work.dtype.type(np.nan), work)
    return _frozen(work), whole(box.shape)


def encode(x: np.ndarray, box: Box, plan: Plan) -> list[bytes | memoryview]:
    """Pieces of the bytes of a box of a read-only vector x; they live until the next call in this thread."""
    field_memory.begin()
    if plan.bound <= 0:
        return [_exact(x, box)]
    native = plan.scale == LINEAR and field_bound.kind_of(plan.dtype).native
    work, place = _work(x, box, plan)
    if plan.scale == LINEAR:
        steps, slack = field_bound.steps_of(work, place, plan.dtype, plan.bound), plan.bound
    else:
        steps = (field_bound.relative_step(plan.dtype, plan.bound),) * 2
        slack = steps[0] / 2
    if steps[0] == 0.0:
        return [_exact(x, box)]
    with stage("predict"):
        kind, shift, coded = _try(work, place, steps, slack, plan)
        step = steps[kind == INTERPOLATED]
        if not native:
            found, body = _predict_masked(_values(x, box), work, place, step, slack, plan, kind, shift)
        elif coded is None:
            coded = _predict(work, place, step, slack, kind, plan.axes, shift)
    with stage("code"):
        if coded is not None and native:
            found, body = coded.found, coded.encode()
        parts = [bytes([kind]), _exceptions(x, box, found), struct.pack("<d", step), *body]
    size = _size(parts)
    if found.size == box.size or size > 0.5 * box.size * x.itemsize:
        exact = _exact(x, box)
        if len(exact) < size:
            return [exact]
    return parts


def _size(parts: list[bytes | memoryview]) -> int:
    return sum(map(len, parts))


class _Coded(NamedTuple):
    """A box, or the middle of one, predicted."""

    found: np.ndarray  # places of exceptions
    cost: int
    shift: int  # low bits that are not coded
    encode: Callable[[], list[bytes | memoryview]]  # -> pieces of the body


def _try(
    x: np.ndarray, box: Box, steps: tuple[float, float], bound: float, plan: Plan
) -> tuple[int, int, _Coded | None]:
    """(the kind that costs least as the middle of the box tells, shift, all of the box when that was tried)."""
    kinds = plan.kinds
    # The arithmetic of interpolation is that of the values.
    if x.dtype == np.float32 and not 2.0**-100 < steps[1] < 2.0**100:
        kinds = tuple(kind for kind in kinds if kind != INTERPOLATED)
    if len(kinds) == 1 and kinds[0] != INTERPOLATED:
        return kinds[0], 0, None
    if not kinds:
        return CODED, 0, None
    part = box if box.size <= 2 * TRIED else box.middle(TRIED)
    tried = [_predict(x, part, steps[kind == INTERPOLATED], bound, kind, plan.axes, None) for kind in kinds]
    best = min(range(len(kinds)), key=lambda i: tried[i].cost + tried[i].found.size * _EXCEPTION_COST * x.itemsize)
    return kinds[best], tried[best].shift, tried[best] if part is box else None


def _values(x: np.ndarray, box: Box) -> np.ndarray:
    """The box as a vector, read-only."""
    values = field_memory.empty(box.sides, x.dtype)
    values[:] = box.view(x)
    return _frozen(values.reshape(-1))


def _exact(x: np.ndarray, box: Box) -> bytes:
    with stage("lossless"):
        return bytes([EXACT]) + floats.encode_values(_values(x, box))


def _predict(x: np.ndarray, box: Box, step: float, bound: float, kind: int, axes: int, shift: int | None) -> _Coded:
    """A box of a vector, with `shift` low bits stored as they are; None: to be found, as Lorenzo always does."""
    if kind == INTERPOLATED:
        low = shift or 0
        symbols, contexts, found = interpolation.quantize(x, box, step, bound, axes, low)
        if shift is None and (low := field_symbols.shift_of(symbols)):
            symbols, contexts, found = interpolation.quantize(x, box, step, bound, axes, low)
        by_context = field_symbols.Contexts(symbols, contexts, box.sides, axes, low)
        return _Coded(found, by_context.cost, low, by_context.encode)
    residuals, found = field_residual.difference(x, box, (kind - 1) % 3 + 1, step, bound)
    if kind < CODED:
        return _Coded(found, 0, 0, lambda: field_residual.pack(residuals))
    by_tile = field_symbols.Tiles(residuals[: box.size])
    return _Coded(found, by_tile.cost, by_tile.shift, by_tile.encode)


def _predict_masked(
    values: np.ndarray,
    work: np.ndarray,
    box: Box,
    step: float,
    bound: float,
    plan: Plan,
    kind: int,
    shift: int,
) -> tuple[np.ndarray, list[bytes | memoryview]]:
    """The same where float64 `work` is quantized instead of the values: what misses the bound as a value is masked."""
    with np.errstate(invalid="ignore"):  # a signalling NaN
        own, allowed = values.astype(np.float64), field_bound.allowed(values, plan.bound, plan.scale)
    decoded = np.empty(box.size, np.float64)
    while True:
        coded = _predict(work, box, step, bound, kind, plan.axes, shift)
        found, missed = coded.found, np.isnan(work)
        body: list[bytes | memoryview] = [bytes(part) for part in coded.encode()]
        missed[found] = True
        _reconstruct(kind, Reader(b"".join(body)), step, box, decoded)
        x_hat = field_bound.from_work(decoded, plan.dtype, plan.scale, step)
        with np.errstate(all="ignore"):
            missed |= ~(np.abs(x_hat.astype(np.float64) - own) <= allowed)
        if np.count_nonzero(missed) == found.size:
            return np.flatnonzero(missed), body
        work = _frozen(np.where(missed, np.nan, work))


def _frozen(x: np.ndarray) -> np.ndarray:
    """Read-only: one type for the compiler, wherever it comes from."""
    x.flags.writeable = False
    return x


def _exceptions(x: np.ndarray, box: Box, found: np.ndarray) -> bytes:
    return write_exceptions(found, _values(x, box)[found]) if found.size else b"\0"


def write_exceptions(found: np.ndarray, values: np.ndarray) -> bytes:
    """The exceptions of a box as files hold them: their places in it, ascending, and the values there."""
    if found.size == 0:
        return b"\0"
    steps = np.diff(found, prepend=0).astype("<u4")
    raw = values.view(f"u{values.itemsize}").astype(f"<u{values.itemsize}")
    data = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(steps.tobytes() + raw.tobytes())
    return varint(found.size) + varint(len(data)) + data


def read_exceptions(reader: Reader, size: int, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """(places int64, values) of the exceptions of a box of `size` values. Raises BitstreamError."""
    count = reader.varint("number of exceptions", at_most=size)
    if count == 0:
        return np.empty(0, np.int64), np.empty(0, dtype)
    data = bytes(reader.take(reader.varint("length of the exceptions", at_most=2**40), "exceptions"))
    length = count * (4 + dtype.itemsize)
    try:
        claimed = zstandard.frame_content_size(data)  # zstandard allocates what the frame claims
        if claimed != length:
            raise BitstreamError(f"{count} exceptions take {length} bytes, these claim {claimed}")
        raw = zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise BitstreamError(f"the exceptions are damaged: {error}") from error
    places = np.cumsum(np.frombuffer(raw, "<u4", count), dtype=np.int64)
    if places[-1] >= size or (np.diff(places) <= 0).any():
        raise BitstreamError(f"the exceptions lie outside the box of {size} values or do not ascend")
    bits = np.frombuffer(raw, f"<u{dtype.itemsize}", count, 4 * count)
    return places, bits.astype(f"u{dtype.itemsize}").view(dtype)


def decode(data: bytes | memoryview, box: Box, scale: int, out: np.ndarray) -> None:
    """Fill a box of the vector `out`. Raises BitstreamError, LimitError."""
    field_memory.begin()
    reader = Reader(data)
    kind = reader.uint(1, "kind of box", at_most=255)
    if kind == EXACT:
        values = np.empty(box.size, out.dtype)
        floats.decode_values(reader, values)
        box.view(out)[:] = values.reshape(box.sides)
    elif kind == NESTED:
        from midtread.codecs.tensor import field_archive  # of codecs that most files have nothing of

        places, raw = read_exceptions(reader, box.size, out.dtype)
        box.view(out)[:] = field_archive.decode(reader, box.size, out.dtype).reshape(box.sides)
        if places.size:
            box.view(out)[np.unravel_index(places, box.sides)] = raw
    elif kind <= INTERPOLATED:
        places, raw = read_exceptions(reader, box.size, out.dtype)
        step = struct.unpack("<d", reader.take(8, "step"))[0]
        if not 0 < step < float("inf"):
            raise BitstreamError(f"the step of the quantizer is {step}; it is a positive number")
        if scale == LINEAR and field_bound.kind_of(out.dtype).native:
            _reconstruct(kind, reader, step, box, out)
        else:
            values = np.empty(box.size, np.float64)
            _reconstruct(kind, reader, step, whole(box.shape), values)
            box.view(out)[:] = field_bound.from_work(values, out.dtype, scale, step).reshape(box.sides)
        if places.size:
            box.view(out)[np.unravel_index(places, box.sides)] = raw
    else:
        raise BitstreamError(f"a box of kind {kind} is not known to this version of midtread")
    reader.end("the box")


def _reconstruct(kind: int, reader: Reader, step: float, box: Box, out: np.ndarray) -> None:
    if kind == INTERPOLATED:
        interpolation.restore(reader, box, step, out)
    else:
        if kind < CODED:
            residuals = field_residual.unpack(reader, box.size)
        else:
            residuals = field_symbols.decode_by_tile(reader, box.size)
        field_residual.integrate(residuals, box, (kind - 1) % 3 + 1, step, out)
