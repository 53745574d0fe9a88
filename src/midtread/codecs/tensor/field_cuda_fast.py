"""Fast mode of the field codec on a GPU: float32 arrays to packed boxes and back, all of it in device memory.

    x ──► steps of the boxes, order of differences ──► planes ──► Packed ──► sums ──► x_hat

The kernels follow each other without the host; only what is rare (values beyond the bound, widths over 15 bits, samples
that say nothing) makes it look and start some of them again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from midtread.codecs.tensor import field_bound, field_box
from midtread.codecs.tensor.field_bound import LINEAR
from midtread.codecs.tensor.field_grid import Box, Grid, whole
from midtread.kernels.cuda import field_pack, field_survey, field_unpack
from midtread.kernels.cuda.common import BLOCKS, SIMULATED, TILE, cuda

THREADS = 4 if SIMULATED else 256  # of a block; the results do not depend on it
_MANY = 4 if SIMULATED else 512  # of kernels of one block
_BLOCKS = 4 if SIMULATED else 2048  # of kernels whose blocks take their work in turns
_GROUP = 1 << 23  # values decoded at a time: what one kernel leaves is in the cache when the next needs it
_NARROW = 15  # bits that a stored width can say

FLOAT32 = np.dtype(np.float32)


def tables(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """(starts int64 [boxes], sizes int32 [boxes, 3]) of all boxes of a grid."""
    lows = [np.arange(count, dtype=np.int64) * side for count, side in zip(grid.counts, grid.box, strict=True)]
    sizes = [np.minimum(low + side, n) - low for low, side, n in zip(lows, grid.box, grid.volume, strict=True)]
    z, y, x = (part.reshape(-1) for part in np.meshgrid(*lows, indexing="ij"))
    shapes = np.stack([part.reshape(-1) for part in np.meshgrid(*sizes, indexing="ij")], axis=1)
    _, height, width = grid.volume
    return (z * height + y) * width + x, shapes.astype(np.int32)


def tiles_of(grid: Grid) -> int:
    """Tiles of a whole box."""
    return -(-grid.box[0] * grid.box[1] * grid.box[2] // TILE)


@dataclass
class Packed:
    """An encoded array in device memory.

    `orders`, `steps` and `bases` have one entry for each box; order 0 means that a box is not in here. Boxes have the
    same number of tiles, those at the far ends some that are empty.
    """

    grid: Grid
    orders: Any  # int32 [boxes]
    steps: Any  # float64 [boxes]
    bases: Any  # int32 [boxes]
    nibbles: Any  # uint8 [tiles * BLOCKS / 2], widths
    words: Any  # uint32, the planes of all tiles
    residuals: Any  # int32, of boxes that are not packed
    residuals_at: Any  # int64 [boxes], where theirs are, or -1


def placed(starts: np.ndarray, sizes: np.ndarray, grid: Grid) -> tuple[Any, Any, int, int]:
    """What kernels find boxes by: (starts and sizes on the device, pitch_z, pitch_y)."""
    _, height, width = grid.volume
    return cuda.to_device(starts), cuda.to_device(sizes), height * width, width


class Survey:
    """What must be known of float32 arrays of one grid before they are encoded: bound, fill values, steps."""

    def __init__(self, grid: Grid, *, max_error: float | None, max_error_of_range: float | None) -> None:
        """Just one of the bounds is given."""
        starts, sizes = tables(grid)
        self.grid, self.boxes = grid, len(grid)
        numbers = sorted({0, len(grid) // 2, len(grid) - 1})
        self.samples = [grid.place(number).middle(field_box.TRIED) for number in numbers]
        starts = np.concatenate([starts, [box.start for box in self.samples]]).astype(np.int64)
        sizes = np.concatenate([sizes, [box.shape for box in self.samples]]).astype(np.int32)
        self.sizes, self.per = sizes[: self.boxes].astype(np.int64).prod(axis=1), tiles_of(grid)
        self._absolute = -1.0 if max_error is None else max_error
        self._of_range = 0.0 if max_error_of_range is None else max_error_of_range
        self.place = placed(starts, sizes, grid)
        every = starts.size
        nothing = np.tile(np.array(field_survey.NOTHING, np.int32), (every, 1))
        self._nothing, self._stats = cuda.to_device(nothing), cuda.to_device(nothing)
        self._zeros = cuda.to_device(np.zeros(every, np.int32))
        self._again = cuda.device_array_like(self._zeros)
        self._plan = cuda.device_array(field_survey.ENTRIES, np.float64)
        self._steps = cuda.device_array(every, np.float64)

    def survey(self, x: Any, absolute: float, stream: Any = 0) -> None:
        """Start the kernels that find bound and steps; `absolute`: the bound, or less than 0."""
        plan, stats, every = self._plan, self._stats, self.boxes + len(self.samples)
        self._stats.copy_to_device(self._nothing, stream=stream)
        self._again.copy_to_device(self._zeros, stream=stream)
        field_survey.survey[every * self.per, THREADS, stream](x, *self.place, self.per, stats)
        field_survey.limits[every, THREADS, stream](x, *self.place, self.boxes, absolute, self._of_range, stats, plan)
        blocks = min(every * self.per, _BLOCKS)
        field_survey.inspect[blocks, THREADS, stream](
            x, *self.place, self.per, every * self.per, plan, stats, self._again
        )
        field_survey.steps[-(-every // THREADS), THREADS, stream](plan, stats, self._again, self._steps)

    def settle(self, x: Any) -> tuple[Any, tuple[float, ...]]:
        """Survey an array and wait: (what is to be quantized, the values that fill in, as NaN in it)."""
        self.survey(x, self._absolute)
        usual = self._usual(x, self._stats.copy_to_host())
        if usual.fills:
            x = _masked(x, usual.fills)
            self.survey(x, self._bound_of(usual))
        return x, usual.fills

    def steps(self) -> tuple[float, np.ndarray, np.ndarray]:
        """(bound, steps of the boxes, those for what is no multiple of them), float64; as `field_bound.steps_of`."""
        bound, limit = self._plan.copy_to_host().tolist()
        most = self._stats.copy_to_host()[: self.boxes, field_survey.MOST]
        below = most.view(np.float32) < limit
        most = np.where(below, most, self._again.copy_to_host()[: self.boxes])
        exponents = np.where(most, np.maximum((most >> 23) - 127, -126), -1)
        return bound, self._steps.copy_to_host()[: self.boxes], 2.0 * bound - np.ldexp(1.0, exponents - 23)

    def _bound_of(self, usual: field_bound.Usual) -> float:
        relative = min(self._of_range * usual.spread, float(np.finfo(np.float64).max))
        return relative if self._absolute < 0 else self._absolute

    def _usual(self, x: Any, stats: np.ndarray) -> field_bound.Usual:
        """As `field_bound.usual`; most arrays are known to have no fill values by the extremes of their boxes."""
        low, high = int(stats[:, field_survey.LOW].min()), int(stats[:, field_survey.HIGH].max())
        if low > high:
            return field_bound.Usual(0.0, 0.0, ())
        known = field_bound.Usual(_value(low), _value(high), ())
        keys = stats[stats[:, field_survey.LOW] <= stats[:, field_survey.HIGH], : field_survey.HIGH + 1]
        ends = np.unique([_value(int(key)) for key in np.unique(keys)])  # of boxes; the first and the last: of all
        for end, rest in ((high, ends[:-1]), (low, ends[1:])):
            far = known.most - known.least > field_bound.FILL_DISTANCE * (np.ptp(rest) if rest.size else 0.0)
            if far or known.fills:
                known = self._without(x, end, known)
                x = _masked(x, known.fills) if known.fills else x
        return known

    def _without(self, x: Any, end: int, known: field_bound.Usual) -> field_bound.Usual:
        """What is usual when the values with the key `end`, if they fill in, are left out."""
        value = _value(end)
        first, last = (end, end) if value else (-1, 0)  # both zeros are equal
        found = cuda.to_device(np.array([2**31 - 1, -(2**31), 0], np.int32))
        field_survey.others[_BLOCKS, THREADS](x, first, last, found)
        low, high, count = found.copy_to_host().tolist()
        least, most = (_value(low), _value(high)) if low <= high else (0.0, 0.0)
        distance = field_bound.FILL_DISTANCE * ((most - least) or abs(most))
        if count > 1 and 0 < distance < min(abs(value - least), abs(value - most)):
            return field_bound.Usual(least, most, (*known.fills, value))
        return known


class Encoder(Survey):
    """Buffers for float32 arrays of one grid, and the kernels that fill them."""

    def __init__(self, grid: Grid, *, max_error: float | None, max_error_of_range: float | None, axes: int) -> None:
        """`axes`: along how many differences may be taken; just one of the bounds is given."""
        super().__init__(grid, max_error=max_error, max_error_of_range=max_error_of_range)
        self.axes, every = axes, len(self.place[0])
        self.tiles = self.boxes * self.per
        trials = len(self.samples) * field_survey.ORDERS
        self._no_counts = cuda.to_device(np.zeros((trials, field_survey.WIDTHS), np.int32))
        self._counts = cuda.device_array_like(self._no_counts)
        self._planes = cuda.device_array(trials, np.int32)
        self._order, self._bases = cuda.to_device(np.ones(1, np.int32)), cuda.to_device(np.zeros(every, np.int32))
        self._symbols, self._written = cuda.to_device(np.zeros(1, np.int32)), cuda.to_device(np.full(every, -1))
        self._slots = cuda.device_array(self.tiles * TILE, np.uint32)
        self._nibbles = cuda.device_array(self.tiles * BLOCKS // 2, np.uint8)
        self._words = cuda.device_array(self.tiles * TILE, np.uint32)
        self._in_tile = cuda.device_array(self.tiles, np.int32)
        self._offsets = cuda.device_array(self.tiles + 1, np.int64)

    def run(self, x: Any, stream: Any = 0) -> None:
        """Start all kernels for a float32 vector in device memory, and return without waiting.

        What it writes stays until the next call; `finish` says what it is. `stream`: numba's, 0 for the default one.
        """
        self._run(x, self._absolute, stream)

    def _run(self, x: Any, absolute: float, stream: Any = 0) -> None:
        self._counts.copy_to_device(self._no_counts, stream=stream)
        self.survey(x, absolute, stream)
        field_survey.trial[(len(self.samples) * field_survey.ORDERS, 2 if SIMULATED else 8), 64, stream](
            x, *self.place, self.boxes, self._plan, self._steps, self._stats, self._counts
        )
        field_survey.choose[1, 1, stream](len(self.samples), self.axes, self._counts, self._planes, self._order)
        self._pack(x, stream)

    def _pack(self, x: Any, stream: Any = 0) -> None:
        field_pack.pack[self.tiles, THREADS, stream](
            x, *self.place, self.per, self._plan, self._steps, self._order, self._bases, self._symbols, self._written,
            self._stats, self._slots, self._nibbles, self._in_tile,
        )  # fmt: skip
        field_pack.offsets[1, _MANY, stream](self._in_tile, self._offsets)
        field_pack.compact[self.tiles, THREADS, stream](self._slots, self._offsets, self._words)

    def finish(self, x: Any) -> Result:
        """Wait for `run` on the default stream, and start again what needs it."""
        usual, work = self._usual(x, self._stats.copy_to_host()), x
        if usual.fills:
            work = _masked(x, usual.fills)
            self._run(work, self._bound_of(usual))
        plan, steps = self._plan.copy_to_host(), self._steps.copy_to_host()[: self.boxes]
        bound, found = float(plan[field_survey.BOUND]), [np.empty(0, np.int64)] * self.boxes
        values = [np.empty(0, np.float32)] * self.boxes
        stats = self._stats.copy_to_host()
        if bound > 0 and self._undecided(stats):
            self._order.copy_to_device(np.array([self._order_by_host(x, bound, usual.fills)], np.int32))
            self._pack(work)
            stats = self._stats.copy_to_host()
        missed = np.flatnonzero(stats[: self.boxes, field_survey.MISSED])
        if missed.size:
            self._mend(x, work, missed, found, values)
            stats[:, field_survey.WIDEST] = 0
            self._stats.copy_to_device(stats)
            self._pack(work)
            stats = self._stats.copy_to_host()
        bases = np.maximum(stats[:, field_survey.WIDEST] - _NARROW, 0).astype(np.int32)
        if bases.any():
            self._bases.copy_to_device(bases)
            self._pack(work)
        if missed.size or bases.any():  # what the next run starts from
            self._written.copy_to_device(np.full(bases.size, -1))
        order = int(self._order.copy_to_host()[0])
        orders = np.where(steps > 0, order, 0).astype(np.int32)
        packed = Packed(
            self.grid, cuda.to_device(orders), self._steps[: self.boxes], cuda.to_device(bases[: self.boxes]),
            self._nibbles, self._words, self._symbols, self._written[: self.boxes],
        )  # fmt: skip
        if bases.any():
            self._bases.copy_to_device(np.zeros(bases.size, np.int32))
        starts = self._offsets.copy_to_host()[:: self.per]
        return Result(packed, bound, order, steps, bases[: self.boxes], starts, found, values)

    def _undecided(self, stats: np.ndarray) -> bool:
        """Whether the samples have values or sizes that only the CPU's way of counting does justice to."""
        if self.axes == 1:
            return False
        steps = self._steps.copy_to_host()[self.boxes :]
        planes = self._planes.copy_to_host().reshape(len(self.samples), -1)[:, : self.axes]
        sizes = np.array([box.size for box in self.samples])
        bytes_ = 11 + (-(-sizes // 32) + 1) // 2 + 4 * planes.max(axis=1)
        return bool((steps == 0).any() or stats[self.boxes :, field_survey.MISSED].any() or (bytes_ > 2 * sizes).any())

    def _order_by_host(self, x: Any, bound: float, fills: tuple[float, ...]) -> int:
        """As `field_box.plan` chooses, from copies of the samples."""
        copies = [fetch(x, self.place, self.boxes + i, box) for i, box in enumerate(self.samples)]
        totals = []
        for kind in range(field_box.PACKED, field_box.PACKED + self.axes):
            trial = field_box.Plan(FLOAT32, bound, LINEAR, (kind,), fills=fills)
            parts = [field_box.encode(copy.reshape(-1), whole(copy.shape), trial) for copy in copies]
            totals.append((sum(sum(map(len, part)) for part in parts), kind))
        return min(totals)[1] - field_box.PACKED + 1

    def _mend(self, x: Any, work: Any, missed: np.ndarray, found: list[np.ndarray], values: list[np.ndarray]) -> None:
        """Write down the symbols of boxes with exceptions; where these are and what they hold to `found`, `values`."""
        room = self.per * TILE
        written = np.full(self.boxes + len(self.samples), -1)
        written[missed] = np.arange(missed.size) * room
        self._written.copy_to_device(written)
        self._symbols = cuda.device_array(missed.size * room, np.int32)
        bad = cuda.to_device(np.zeros(missed.size * room, np.uint8))
        rows = self.grid.box[0] * self.grid.box[1]
        blocks = min(-(-self.boxes * rows // THREADS), _BLOCKS)
        field_pack.mend[blocks, THREADS](
            work, *self.place, rows, self._plan, self._steps, self._written, self._symbols, bad
        )
        counts = cuda.device_array(missed.size * self.per, np.int32)
        offsets = cuda.device_array(missed.size * self.per + 1, np.int64)
        field_pack.count_exceptions[counts.size, THREADS](bad, counts)
        field_pack.offsets[1, _MANY](counts, offsets)
        total = int(offsets[-1:].copy_to_host()[0])
        places, raw = cuda.device_array(total, np.int64), cuda.device_array(total, np.float32)
        field_pack.list_exceptions[blocks, THREADS](bad, offsets, places)
        boxes = cuda.to_device(missed.astype(np.int32))
        field_pack.take[blocks, THREADS](x, *self.place, room, boxes, places, raw)
        at, what = places.copy_to_host(), raw.copy_to_host()
        ends = np.searchsorted(at, (np.arange(missed.size) + 1) * room)
        for i, (start, stop) in enumerate(zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)):
            found[missed[i]], values[missed[i]] = at[start:stop] - i * room, what[start:stop]


def _masked(x: Any, fills: tuple[float, ...]) -> Any:
    """A copy with NaN for what fills in for missing values."""
    out = cuda.device_array(x.size, np.float32)
    field_survey.mask[_BLOCKS, THREADS](x, cuda.to_device(np.array(fills, np.float32)), out)
    return out


def _value(key: int) -> float:
    """The float of a key of `field_survey`."""
    value = float(np.array(key if key >= 0 else -1 - key, np.int32).view(np.float32))
    return value if key >= 0 else -value


@dataclass
class Result:
    """What the host has to know of an encoded array."""

    packed: Packed
    bound: float
    order: int
    steps: np.ndarray  # float64 [boxes]; 0: the bound is too fine for a box
    bases: np.ndarray  # int32 [boxes]
    starts: np.ndarray  # int64 [boxes + 1], of the planes of each box among all words
    found: list[np.ndarray]  # places of the exceptions of each box, int64
    values: list[np.ndarray]  # these, float32


def fetch(x: Any, place: tuple[Any, ...], number: int, box: Box) -> np.ndarray:
    """A box of a float32 vector in device memory, copied to the host."""
    out = cuda.device_array(box.size, np.float32)
    field_pack.fetch[min(-(-box.size // THREADS), _BLOCKS), THREADS](x, *place, number, out)
    copy = out.copy_to_host()
    copy.flags.writeable = False
    return copy.reshape(box.sides)


class Decoder:
    """Buffers for arrays of one grid, and the kernels that decode into them."""

    def __init__(self, grid: Grid) -> None:
        self.boxes, self.per = len(grid), tiles_of(grid)
        self.tiles = self.boxes * self.per
        self.place = placed(*tables(grid), grid)
        depth, height, width = grid.box
        size = depth * height * width
        by_rows = max(field_unpack.REGION // width, 1)
        self._regions = (-(-size // field_unpack.REGION), -(-depth * height // by_rows), depth)
        self._plane = height * width
        self._group = max(_GROUP // size, 1)
        self._lasts = cuda.device_array((self.boxes * max(self._regions[:2]), width), np.int32)
        self._before = cuda.device_array(self.tiles * BLOCKS, np.uint32)
        self._in_tile = cuda.device_array(self.tiles, np.int32)
        self._offsets = cuda.device_array(self.tiles + 1, np.int64)

    def run(self, packed: Packed, kinds: tuple[int, ...], out: Any, stream: Any = 0) -> None:
        """Start all kernels that fill `out`, a float32 vector, and return without waiting.

        Args:
            packed: what `Encoder` made, or of a file.
            kinds: orders that occur in it.
            out: float32 vector in device memory.
            stream: numba's, 0 for the default one.
        """
        sums = out.view(np.int32)
        field_unpack.measure[self.tiles, THREADS, stream](
            packed.nibbles, packed.bases, self.per, self._before, self._in_tile
        )
        field_pack.offsets[1, _MANY, stream](self._in_tile, self._offsets)
        regions = max(self._regions[order - 1] for order in kinds)
        few = max((self._regions[order - 1] for order in kinds if order < 3), default=1)
        for first in range(0, self.boxes, self._group):
            count = min(self._group, self.boxes - first)
            field_unpack.sums[count * regions, THREADS, stream](
                packed.nibbles, packed.words, self._offsets, self._before, packed.bases, packed.residuals,
                packed.residuals_at, packed.orders, *self.place, self.per, first, regions, few, sums, self._lasts,
            )  # fmt: skip
            if 3 in kinds:
                blocks = -(-count * self._plane // THREADS)
                field_unpack.along[blocks, THREADS, stream](
                    packed.orders, packed.steps, *self.place, first, count, self._plane, sums, out
                )
            if kinds != (3,):
                field_unpack.carries[count, THREADS, stream](packed.orders, first, few, self._lasts)
                field_unpack.carried[count * self.per, THREADS, stream](
                    packed.orders, packed.steps, *self.place, self.per, first, few, self._lasts, sums, out
                )
