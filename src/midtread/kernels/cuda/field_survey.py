"""What must be known of an array before it is quantized, on the GPU: bound, steps of the boxes, the best difference.

    survey ──► limits ──► inspect ──► steps ──► trial ──► choose            nothing returns to the host between them

The same numbers as `codecs.tensor.field_bound` and `field_box.plan` find. The last boxes of the tables are the samples
that tell which order of differences is best; the array proper has the `real` ones before them. Float32 only.
"""

from __future__ import annotations

import math

import numpy as np

from midtread.kernels.cuda.common import (
    BLOCK,
    TILE,
    bit_length,
    close,
    cuda,
    device,
    float64,
    kernel,
    layout,
    onward,
    place,
    row_of,
    symbol,
    walk,
)
from midtread.kernels.jit import int32, int64, uint64

# Columns of `stats`, int32 [boxes, COLUMNS]. Keys order floats as whole numbers: the bits, or -1 - bits if negative.
LOW, HIGH, MOST, UNIT, ODD, MISSED, WIDEST, COLUMNS = range(8)
# Entries of `plan`, float64: what the host reads back.
BOUND, LIMIT, ENTRIES = range(3)
NOTHING = (2**31 - 1, -(2**31), 0, 2**30, 0, 0, 0)  # stats of a box of which nothing is known yet
ROW = 64  # values looked at for a common unit
ORDERS = 3
WIDTHS = 33
_INFINITY = 0x7F800000
_MAGNITUDE = 0x7FFFFFFF
_MANTISSA = 23
_FLOAT32_MOST = 3.4028234663852886e38
_FLOAT64_MOST = 1.7976931348623157e308


@device
def _value_of(key: int) -> float:
    """The float of a key, as float64."""
    bits = key if key >= 0 else -1 - key
    value = float64(np.int32(bits).view(np.float32))
    return value if key >= 0 else -value


@device
def _key_of(bits: int) -> int:
    """The key of a float."""
    magnitude = int32(bits & _MAGNITUDE)
    return int32(-1 - magnitude) if bits < 0 else magnitude


@kernel
def survey(
    x: np.ndarray, starts: np.ndarray, sizes: np.ndarray, pitch_z: int, pitch_y: int, per: int, stats: np.ndarray
) -> None:
    """Lowest and highest finite number and largest finite magnitude of each box; a block takes a tile.

    Args:
        x: float32 vector.
        starts: int64 [boxes].
        sizes: int32 [boxes, 3].
        pitch_z: from plane to plane in x, in values.
        pitch_y: from row to row.
        per: tiles of a box at most.
        stats: int32 [boxes, COLUMNS], as NOTHING says at first.
    """
    box, first = cuda.blockIdx.x // per, cuda.blockIdx.x % per * TILE
    where = layout(box, starts, sizes, pitch_z, pitch_y)
    stop = min(first + TILE, where[0])
    if first >= stop:
        return
    shared = cuda.shared.array(3, int32)
    if cuda.threadIdx.x == 0:
        shared[0], shared[1], shared[2] = 2**31 - 1, -(2**31), 0
    cuda.syncthreads()
    low, high, most = int32(2**31 - 1), int32(-(2**31)), int32(0)
    here, pace = walk(first + cuda.threadIdx.x, cuda.blockDim.x, where)
    for _ in range(first + cuda.threadIdx.x, stop, cuda.blockDim.x):
        bits = x[uint64(here[3])].view(np.int32)  # an unsigned place: numba does not look for negative ones
        magnitude = int32(bits & _MAGNITUDE)
        if magnitude < _INFINITY:
            key = _key_of(bits)
            low, high, most = min(low, key), max(high, key), max(most, magnitude)
        here = onward(here, pace)
    cuda.atomic.min(shared, 0, low)
    cuda.atomic.max(shared, 1, high)
    cuda.atomic.max(shared, 2, most)
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        cuda.atomic.min(stats, (box, LOW), shared[0])
        cuda.atomic.max(stats, (box, HIGH), shared[1])
        cuda.atomic.max(stats, (box, MOST), shared[2])


@kernel
def others(x: np.ndarray, first: int, last: int, out: np.ndarray) -> None:
    """Of the finite values of a float32 vector whose keys are not from `first` to `last`: least and largest key.

    To out, int32 [3], and how many the keys from `first` to `last` have.
    """
    least, most, count = int32(2**31 - 1), int32(-(2**31)), int32(0)
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        bits = x[i].view(np.int32)
        if int32(bits & _MAGNITUDE) < _INFINITY:
            key = _key_of(bits)
            if first <= key <= last:
                count += int32(1)
            else:
                least, most = min(least, key), max(most, key)
    cuda.atomic.min(out, 0, least)
    cuda.atomic.max(out, 1, most)
    cuda.atomic.add(out, 2, count)


@kernel
def mask(x: np.ndarray, fills: np.ndarray, out: np.ndarray) -> None:
    """A copy of a float32 vector with NaN for each value that is one of the fills, float32."""
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        value = x[i]
        for j in range(fills.size):
            if x[i] == fills[j]:
                value = np.float32(math.nan)
        out[i] = value


@kernel
def limits(
    x: np.ndarray, starts: np.ndarray, sizes: np.ndarray, pitch_z: int, pitch_y: int, real: int,
    absolute: float, of_range: float, stats: np.ndarray, plan: np.ndarray,
) -> None:  # fmt: skip
    """The bound, the limit from which magnitudes do not count, and the unit of each box's middle row; a block a box.

    Beside what `survey` takes:
        real: boxes that are no samples.
        absolute: the bound, or less than 0 where `of_range` counts.
        of_range: bound relative to the range.
        plan: float64 [ENTRIES], filled.
    """
    box = cuda.blockIdx.x
    depth, height, width = int64(sizes[box, 0]), int64(sizes[box, 1]), int64(sizes[box, 2])
    at = starts[box] + depth // 2 * pitch_z + height // 2 * pitch_y
    for i in range(cuda.threadIdx.x, min(width, ROW), cuda.blockDim.x):
        magnitude = int64(x[at + i].view(np.int32) & _MAGNITUDE)
        if 0 < magnitude < _INFINITY:
            exponent, mantissa = max(magnitude >> _MANTISSA, 1), magnitude & ((1 << _MANTISSA) - 1)
            if magnitude >> _MANTISSA:
                mantissa |= 1 << _MANTISSA
            zeros = bit_length(mantissa & -mantissa) - 1
            cuda.atomic.min(stats, (box, UNIT), int32(exponent - 127 - _MANTISSA + zeros))
    if box:
        return
    shared = cuda.shared.array(2, int32)
    if cuda.threadIdx.x == 0:
        shared[0], shared[1] = 2**31 - 1, -(2**31)
    cuda.syncthreads()
    for i in range(cuda.threadIdx.x, real, cuda.blockDim.x):
        cuda.atomic.min(shared, 0, stats[i, LOW])
        cuda.atomic.max(shared, 1, stats[i, HIGH])
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        bound = absolute
        if absolute < 0.0:
            spread = 0.0
            if shared[0] <= shared[1]:
                spread = min(_value_of(shared[1]) - _value_of(shared[0]), _FLOAT64_MOST)
            bound = min(of_range * spread, _FLOAT64_MOST)
        plan[BOUND] = bound
        plan[LIMIT] = float64(np.float32(min(bound * 2.0 ** (_MANTISSA - 1), _FLOAT32_MOST)))


@device
def _power(exponent: int) -> float:
    """2 to the power of a number from -1022 to 1023."""
    return np.int64((int64(exponent) + 1023) << 52).view(np.float64)


@device
def _unit(stats: np.ndarray, box: int) -> float:
    """The power of two that the looked-at values of a box are multiples of, 0 when none was finite and not 0."""
    return _power(stats[box, UNIT]) if stats[box, UNIT] < NOTHING[UNIT] else 0.0


@device
def _step(bound: float, most: int) -> float:
    """Twice the bound, less what rounding to float32 may add in a box whose largest magnitude has these bits."""
    exponent = max((int64(most) >> _MANTISSA) - 127, -126) if most else int64(-1)
    return 2.0 * bound - _power(exponent - _MANTISSA)


@kernel
def inspect(
    x: np.ndarray, starts: np.ndarray, sizes: np.ndarray, pitch_z: int, pitch_y: int, per: int, tiles: int,
    plan: np.ndarray, stats: np.ndarray, again: np.ndarray,
) -> None:  # fmt: skip
    """What few boxes need: the largest magnitude below the limit, and whether all values are multiples of the unit.

    Sets ODD where a value is no multiple. Beside what `limits` takes:
        tiles: of all boxes; blocks take them in turns.
        again: int32 [boxes], the magnitude's bits, 0 at first.
    """
    limit, bound = plan[LIMIT], plan[BOUND]
    for tile in range(cuda.blockIdx.x, tiles, cuda.gridDim.x):
        box, first = tile // per, tile % per * TILE
        over, unit = _value_of(stats[box, MOST]) >= limit, _unit(stats, box)
        whole = unit > 0.0 and 32.0 * unit >= bound
        if over or whole:
            where = layout(box, starts, sizes, pitch_z, pitch_y)
            stop, most, odd = min(first + TILE, where[0]), int32(0), int32(0)
            for k in range(first + cuda.threadIdx.x, stop, cuda.blockDim.x):
                value = x[place(k, where)]
                magnitude = int32(value.view(np.int32) & _MAGNITUDE)
                if abs(float64(value)) < limit:
                    most = max(most, magnitude)
                if whole and magnitude < _INFINITY:
                    count = np.float32(value / np.float32(unit))
                    odd = int32(1) if count != math.floor(count) and not math.isinf(count) else odd
            cuda.atomic.max(again, box, most)
            cuda.atomic.max(stats, (box, ODD), odd)


@kernel
def steps(plan: np.ndarray, stats: np.ndarray, again: np.ndarray, out: np.ndarray) -> None:
    """Width of the steps of each box: float64 [boxes], 0 when the bound is too fine; as `field_bound.steps_of`."""
    for box in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        bound = plan[BOUND]
        most = stats[box, MOST] if _value_of(stats[box, MOST]) < plan[LIMIT] else again[box]
        plain, unit = _step(bound, most), _unit(stats, box)
        step = plain
        if unit > 0.0 and unit >= step / 16.0 and stats[box, ODD] == 0:
            odd = unit * (2.0 * math.floor(bound / unit) + 1.0)
            step = odd if odd > 0.75 * step else step
        good = bound > 0.0 and plain > 0.5 * bound and 2.0**-1000 < plain < 2.0**1000
        out[box] = step if good else 0.0


@kernel
def trial(
    x: np.ndarray, starts: np.ndarray, sizes: np.ndarray, pitch_z: int, pitch_y: int, first_sample: int,
    plan: np.ndarray, steps: np.ndarray, stats: np.ndarray, counts: np.ndarray,
) -> None:  # fmt: skip
    """Count the widths that each sample has under each order of differences.

    Blocks are numbered [sample, order, part]; a thread takes whole blocks of 32 values. MISSED counts exceptions.

    Beside what `limits` takes:
        first_sample: number of the first sample's box.
        steps: float64 [boxes].
        counts: int32 [samples * ORDERS, WIDTHS], zeros at first.
    """
    row = cuda.blockIdx.x
    box, order = first_sample + row // ORDERS, row % ORDERS + 1
    where, step = layout(box, starts, sizes, pitch_z, pitch_y), steps[box]
    if step == 0.0:
        return
    inverse, bound = 1.0 / step, plan[BOUND]
    size, width, height = where[0], where[1], where[2]
    first, pitch = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x, cuda.gridDim.y * cuda.blockDim.x
    for block in range(first, (size + BLOCK - 1) // BLOCK, pitch):
        union, missed = int64(0), int32(0)
        for k in range(block * BLOCK, min((block + 1) * BLOCK, size)):
            line, z = row_of(k, where)
            column, y, at = k - line * width, line - z * height, place(k, where)
            value = symbol(x[at], inverse)
            missed += int32(0) if close(x[at], value, step, bound) else int32(1)
            d = int64(value)
            if order == 1:
                d -= int64(symbol(x[place(k - 1, where)], inverse)) if k else 0
            else:
                d -= int64(symbol(x[at - 1], inverse)) if column else 0
                if order == 2:
                    d -= _along_x(x, place(k - width, where), column, inverse) if line else 0
                else:
                    d -= _along_x(x, at - pitch_y, column, inverse) if y else 0
                    if z:
                        d -= _along_x(x, at - pitch_z, column, inverse)
                        d += _along_x(x, at - pitch_z - pitch_y, column, inverse) if y else 0
            d = int64(int32(d))
            union |= ((d << 1) ^ (d >> 31)) & 0xFFFFFFFF
        cuda.atomic.add(counts, (row, bit_length(union)), 1)
        if missed:
            cuda.atomic.add(stats, (box, MISSED), missed)


@device
def _along_x(x: np.ndarray, at: int, column: int, inverse: float) -> int:
    """Difference along x."""
    return int64(symbol(x[at], inverse)) - (int64(symbol(x[at - 1], inverse)) if column else 0)


@kernel
def choose(samples: int, orders: int, counts: np.ndarray, planes: np.ndarray, order: np.ndarray) -> None:
    """The order whose samples take the fewest planes, the lowest on ties; one thread.

    Args:
        samples: how many.
        orders: 1 to ORDERS, those that the array has axes for.
        counts: as `trial` leaves them.
        planes: int32 [samples * ORDERS], filled: planes of 32 values.
        order: int32 [1], filled.
    """
    best = int64(-1)
    for tried in range(1, orders + 1):
        total = int64(0)
        for sample in range(samples):
            row, widest, sum_ = sample * ORDERS + tried - 1, 0, int64(0)
            for width in range(1, WIDTHS):
                widest = width if counts[row, width] else widest
            base = max(0, widest - 15)
            for width in range(1, WIDTHS):
                sum_ += int64(counts[row, width]) * (max(width, base + 1) if base else width)
            planes[row] = sum_
            total += sum_
        if best < 0 or total < best:
            best = total
            order[0] = tried
