"""Interpolation between the known points of a grid, compiled; `field_levels_slow` says what it does: the definition.

A row at a time goes through all steps while it is in the fastest cache: interpolated, quantized, checked, its contexts
taken from the magnitudes beside it. Rows are places in arrays, not slices of them: numba counts a reference to each
slice, which takes longer than a short row. All places are uint64, for which numba does not look for negative ones.

An array of a box of n values holds them in symbol order, and then, twice m long, the known points of a level and of the
next finer one ("near"); m is the size of the second finest level.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from midtread.kernels.field_levels_slow import CONTEXTS, CORNER, FAR, LARGEST
from midtread.kernels.jit import inlined, int32, jit, uint8, uint16, uint64

_KINDS = (1, 2, 4, 3, 5, 6, 7)


@inlined
def _between_rows(x: Any, before: Any, left: Any, right: Any, after: Any, fore: Any, aft: Any, add: Any, at: Any,
                  width: Any) -> None:  # fmt: skip
    """Interpolate row `at` between rows `left` and `right`; `fore` and `aft`, up to 2, say how many there are."""
    number = x.dtype.type
    if fore == uint64(2) and aft == uint64(2):
        for k in range(width):
            value = (number(9) * (x[left + k] + x[right + k]) - (x[before + k] + x[after + k])) * number(0.0625)
            x[at + k] = x[at + k] + value if add else value
    elif aft > uint64(0):
        for k in range(width):
            value = (x[left + k] + x[right + k]) * number(0.5)
            x[at + k] = x[at + k] + value if add else value
    elif fore == uint64(2):
        for k in range(width):
            value = x[left + k] * number(1.5) - x[before + k] * number(0.5)
            x[at + k] = x[at + k] + value if add else value
    else:
        for k in range(width):
            x[at + k] = x[at + k] + x[left + k] if add else x[left + k]


@inlined
def _in_row(x: Any, near: Any, size: Any, add: Any, at: Any, width: Any) -> None:
    """Interpolate row `at` between the points of the row `near`, of `size` points."""
    number, one = x.dtype.type, uint64(1)
    value = x[near]
    if size > one:
        value = (x[near] + x[near + one]) * number(0.5)
    x[at] = x[at] + value if add else value
    inner = min(width, size - uint64(2)) if size > uint64(3) else one
    for k in range(one, inner):
        left = near + k
        value = (number(9) * (x[left] + x[left + one]) - (x[left - one] + x[left + uint64(2)])) * number(0.0625)
        x[at + k] = x[at + k] + value if add else value
    for k in range(max(inner, one), width):
        left = near + k
        if k + one < size:
            value = (x[left] + x[left + one]) * number(0.5)
        else:
            value = x[left] * number(1.5) - x[left - one] * number(0.5)
        x[at + k] = x[at + k] + value if add else value


@inlined
def _predict_row(x: Any, starts: Any, dims: Any, odd: Any, along: Any, z: Any, y: Any, at: Any, width: Any) -> None:
    """The sum of the interpolations of row (z, y) of a kind along some of its odd axes, not yet averaged, at `at`."""
    one, two = uint64(1), uint64(2)
    before_z, before_y = z - one if z else z, y - one if y else y
    if along & uint64(4):
        near = odd ^ uint64(4)
        last, pitch, from_ = dims[near, 0] - one, dims[near, 1] * width, starts[near] + y * width
        _between_rows(
            x, from_ + before_z * pitch, from_ + z * pitch, from_ + min(z + one, last) * pitch,
            from_ + min(z + two, last) * pitch, min(z + one, two), min(last - z, two), False, at, width,
        )  # fmt: skip
    if along & uint64(2):
        near = odd ^ uint64(2)
        last, from_ = dims[near, 1] - one, starts[near] + z * dims[near, 1] * width
        _between_rows(
            x, from_ + before_y * width, from_ + y * width, from_ + min(y + one, last) * width,
            from_ + min(y + two, last) * width, min(y + one, two), min(last - y, two), (along & uint64(4)) != 0, at,
            width,
        )  # fmt: skip
    if along & uint64(1):
        near = odd ^ uint64(1)
        size = dims[near, 2]
        _in_row(x, starts[near] + (z * dims[near, 1] + y) * size, size, (along & uint64(6)) != 0, at, width)


@inlined
def contexts_row(sizes: Any, starts: Any, dims: Any, odd: Any, along: Any, first: Any, z: Any, y: Any, total: Any,
                 out: Any, at: Any, width: Any) -> None:  # fmt: skip
    """Contexts of row (z, y) of a kind, to out[at:]. `total`: uint16 [at least a row], for its own use."""
    one = uint64(1)
    for k in range(width):
        total[k] = uint16(1)
    if along & uint64(4):
        near = odd ^ uint64(4)
        pitch, from_ = dims[near, 1] * width, starts[near] + y * width
        a, b = from_ + z * pitch, from_ + min(z + one, dims[near, 0] - one) * pitch
        for k in range(width):
            total[k] += uint16(sizes[a + k]) + uint16(sizes[b + k])
    if along & uint64(2):
        near = odd ^ uint64(2)
        from_ = starts[near] + z * dims[near, 1] * width
        a, b = from_ + y * width, from_ + min(y + one, dims[near, 1] - one) * width
        for k in range(width):
            total[k] += uint16(sizes[a + k]) + uint16(sizes[b + k])
    if along & uint64(1):
        near = odd ^ uint64(1)
        size = dims[near, 2]
        a = starts[near] + (z * dims[near, 1] + y) * size
        for k in range(min(width, size - one)):
            total[k] += uint16(sizes[a + k]) + uint16(sizes[a + one + k])
        if size == width:
            total[width - one] += uint16(2) * uint16(sizes[a + width - one])
    for k in range(width):  # CONTEXT_OF[total - 1]: twice the exponent of a float, and its first bit below
        out[at + k] = uint8((np.float32(total[k]).view(np.int32) >> int32(22)) - int32(254) + int32(first))


@inlined
def _quantize_row(values: Any, x_hat: Any, weight: Any, step: Any, nearly: Any, shift: Any, symbols: Any, sizes: Any,
                  at: Any, width: Any) -> Any:  # fmt: skip
    """Quantize a row against x_hat * weight, which becomes what the decoder knows; how many may break the bound."""
    number = x_hat.dtype.type
    inverse, wide, largest, close = number(1.0 / step), number(step), number(LARGEST), number(nearly)
    # Adding and subtracting 1.5 * 2**(bits of the mantissa) rounds to nearest, ties to even.
    nearest = number(12582912.0 if x_hat.itemsize == 4 else 6755399441055744.0)
    mean, bad = number(weight), int32(0)
    for k in range(at, at + width):
        predicted = x_hat[k] * mean
        scaled = (values[k] - predicted) * inverse
        rounded = (scaled + nearest) - nearest
        rounded = rounded if abs(scaled) < largest else number(0)
        known = predicted + rounded * wide
        x_hat[k] = known
        symbols[k] = int32(rounded)
        bad += int32(0) if abs(known - values[k]) <= close else int32(1)
    for k in range(at, at + width):
        high = symbols[k] >> int32(shift)
        sizes[k] = uint8(min(max(high, int32(-high)), int32(FAR)))
    return bad


@jit
def _split(
    x: np.ndarray, start: int, step_z: int, step_y: int, axes: int, dims: np.ndarray, starts: np.ndarray,
    out: np.ndarray,
) -> None:  # fmt: skip
    """Take the kinds of points of the volume at x[start] to their places in `out`."""
    one, two = uint64(1), uint64(2)
    by_z, by_y, by_x = uint64(axes >> 6 & 1), uint64(axes >> 5 & 1), axes >> 4 & 1
    for z in range(dims[0, 0] + dims[4, 0]):
        for y in range(dims[0, 1] + dims[2, 1]):
            even = (z & by_z) << two | (y & by_y) << one
            here, source = (z >> by_z) * dims[even, 1] + (y >> by_y), start + z * step_z + y * step_y
            some, more = dims[even, 2], dims[even | one, 2]
            left, right = starts[even] + here * some, starts[even | one] + here * more
            if by_x:
                for k in range(more):
                    out[left + k] = x[source + two * k]
                    out[right + k] = x[source + two * k + one]
                if some > more:
                    out[left + more] = x[source + two * more]
            else:
                for k in range(some):
                    out[left + k] = x[source + k]


@jit
def weave(
    parts: np.ndarray, axes: int, starts: np.ndarray, dims: np.ndarray, out: np.ndarray, start: int, step_z: int,
    step_y: int,
) -> None:  # fmt: skip
    """Undo `_split`: all points of a level in their places, from out[start] on."""
    one, two = uint64(1), uint64(2)
    by_z, by_y, by_x = uint64(axes >> 6 & 1), uint64(axes >> 5 & 1), axes >> 4 & 1
    for z in range(dims[0, 0] + dims[4, 0]):
        for y in range(dims[0, 1] + dims[2, 1]):
            even = (z & by_z) << two | (y & by_y) << one
            here, target = (z >> by_z) * dims[even, 1] + (y >> by_y), start + z * step_z + y * step_y
            some, more = dims[even, 2], dims[even | one, 2]
            left, right = starts[even] + here * some, starts[even | one] + here * more
            if by_x:
                for k in range(more):
                    out[target + two * k] = parts[left + k]
                    out[target + two * k + one] = parts[right + k]
                if some > more:
                    out[target + two * more] = parts[left + more]
            else:
                for k in range(some):
                    out[target + k] = parts[left + k]


@jit
def layout(shape: np.ndarray, axes: int, level: int, dims: np.ndarray, starts: np.ndarray) -> int:
    """Sizes uint64 [8, 3] and starts uint64 [8] of the kinds of a level -> where its complete volume goes."""
    one, level = uint64(1), uint64(level)
    known, n, m = one, one, one
    for axis in range(3):
        whole, bit = uint64(shape[axis]), 4 >> axis
        size = (whole + (one << level) - one) >> level
        n *= whole
        known *= size + one >> one if axes >> 4 & bit else whole
        m *= whole + one >> one if axes >> 4 & bit else whole
        for odd in range(8):
            if axes >> 4 & bit:
                dims[odd, axis] = size >> one if odd & bit else size + one >> one
            else:
                dims[odd, axis] = uint64(0) if odd & bit else whole
    starts[0] = n + (level & one) * m
    for i in range(7):
        odd = _KINDS[i]
        starts[odd] = known
        known += dims[odd, 0] * dims[odd, 1] * dims[odd, 2]
    return n + (~level & one) * m


@jit
def depth(shape: np.ndarray, axes: int) -> int:
    """Number of levels above the corner."""
    most = 1
    for axis in range(3):
        most = max(most, shape[axis] if axes >> 4 & 4 >> axis else 1)
    level = 0
    while (most - 1) >> level > 0:
        level += 1
    return level


@jit
def corner(shape: np.ndarray, axes: int) -> tuple[int, int, int]:
    """See `field_levels_slow.corner`."""
    return (
        1 if axes >> 6 & 1 else shape[0],
        1 if axes >> 5 & 1 else shape[1],
        1 if axes >> 4 & 1 else shape[2],
    )


@inlined
def first_context(level: Any, odd: Any) -> Any:
    """The first context of a kind: groups of the finest level and of all others, by the number of odd axes."""
    return CONTEXTS * ((3 if level else 0) + (odd >> 2) + (odd >> 1 & 1) + (odd & 1) - 1)


@inlined
def along_of(odd: Any, axes: Any) -> Any:
    """The axes along which a kind is interpolated."""
    return odd & axes if odd & axes else odd


@inlined
def _weight_of(along: Any) -> Any:
    """1 / number of axes."""
    count = (along >> 2) + (along >> 1 & 1) + (along & 1)
    return 1.0 if count == 1 else 0.5 if count == 2 else 1 / 3


@jit
def _split_all(
    x: np.ndarray, start: int, strides: np.ndarray, shape: np.ndarray, axes: int, values: np.ndarray
) -> None:
    """The box in symbol order."""
    dims, starts = np.empty((8, 3), np.uint64), np.empty(8, np.uint64)
    planes, rows, columns = corner(shape, axes)
    at = uint64(0)
    for z in range(planes):
        for y in range(rows):
            source = uint64(start + z * strides[0] + y * strides[1])
            for k in range(uint64(columns)):
                values[at] = x[source + k]
                at += uint64(1)
    source = uint64(0)
    for level in range(depth(shape, axes)):
        layout(shape, axes, level, dims, starts)
        if level == 0:
            _split(x, uint64(start), uint64(strides[0]), uint64(strides[1]), axes, dims, starts, values)
        else:
            rows, columns = dims[0, 1] + dims[2, 1], dims[0, 2] + dims[1, 2]
            _split(values, source, rows * columns, columns, axes, dims, starts, values)
        source = starts[0]


@jit
def forward(
    x: np.ndarray, start: int, strides: np.ndarray, shape: np.ndarray, step: float, bound: float, axes: int, shift: int,
    symbols: np.ndarray, contexts: np.ndarray, found: np.ndarray,
    scratch: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> int:  # fmt: skip
    """Quantize a box against its interpolation; see `field_levels_slow`. `scratch`: values, x_hat, magnitudes."""
    # Of float32 the difference is rounded: what is surely inside passes, what is not so sure is looked at in float64.
    nearly = bound * (1 - 2.0**-20) if x.itemsize == 4 else bound
    values, x_hat, sizes = scratch
    dims, starts = np.empty((8, 3), np.uint64), np.empty(8, np.uint64)
    total, split = np.empty(shape[2], np.uint16), axes >> 4
    _split_all(x, start, strides, shape, axes, values)
    planes, rows, columns = corner(shape, axes)
    count, complete = 0, layout(shape, axes, depth(shape, axes), dims, starts)
    for z in range(planes):
        for y in range(rows):
            at, width = uint64((z * rows + y) * columns), uint64(columns)
            for k in range(at, at + width):
                x_hat[k], contexts[k] = 0, uint8(CORNER)
            if _quantize_row(values, x_hat, 1.0, step, nearly, shift, symbols, sizes, at, width):
                count = _note(values, x_hat, at, width, bound, (z * shape[1] + y) * shape[2], 1, found, count)
            for k in range(at, at + width):
                x_hat[complete + k], sizes[complete + k] = x_hat[k], sizes[k]
    for level in range(depth(shape, axes) - 1, -1, -1):
        complete = layout(shape, axes, level, dims, starts)
        for i in range(7):
            odd = uint64(_KINDS[i])
            along = along_of(_KINDS[i], axes)
            first, weight, width = first_context(level, _KINDS[i]), _weight_of(along), dims[odd, 2]
            for z in range(dims[odd, 0] if width else uint64(0)):
                for y in range(dims[odd, 1]):
                    at = starts[odd] + (z * dims[odd, 1] + y) * width
                    _predict_row(x_hat, starts, dims, odd, uint64(along), z, y, at, width)
                    contexts_row(sizes, starts, dims, odd, uint64(along), first, z, y, total, contexts, at, width)
                    if _quantize_row(values, x_hat, weight, step, nearly, shift, symbols, sizes, at, width):
                        place = _coordinate(int(z), _KINDS[i] >> 2, split >> 2 & 1, level) * shape[1]
                        place = (place + _coordinate(int(y), _KINDS[i] >> 1 & 1, split >> 1 & 1, level)) * shape[2]
                        place, pitch = place + ((_KINDS[i] & 1) << level), 2 << level if split & 1 else 1
                        count = _note(values, x_hat, at, width, bound, place, pitch, found, count)
        if level:
            height, width = dims[0, 1] + dims[2, 1], dims[0, 2] + dims[1, 2]
            weave(x_hat, axes, starts, dims, x_hat, complete, height * width, width)
            weave(sizes, axes, starts, dims, sizes, complete, height * width, width)
    return count


@inlined
def _coordinate(i: Any, odd: Any, split: Any, level: Any) -> Any:
    """Of point i of a kind, in the box."""
    return (2 * i + odd) << level if split else i


@jit
def _note(values: np.ndarray, x_hat: np.ndarray, at: int, width: int, bound: float, place: int, pitch: int,
          found: np.ndarray, count: int) -> int:  # fmt: skip
    """Note the places of the values that break the bound."""
    for k in range(width):
        if not abs(np.float64(x_hat[at + k]) - np.float64(values[at + k])) <= bound:
            found[count] = int32(place + int(k) * pitch)
            count += 1
    return count


@inlined
def _restore_row(symbols: Any, weight: Any, step: Any, x_hat: Any, at: Any, width: Any) -> None:
    number = x_hat.dtype.type
    mean, wide = number(weight), number(step)
    for k in range(at, at + width):
        x_hat[k] = x_hat[k] * mean + number(symbols[k]) * wide


@jit
def restore(
    symbols: np.ndarray, step: float, axes: int, start: int, strides: np.ndarray, shape: np.ndarray, out: np.ndarray,
    x_hat: np.ndarray,
) -> None:  # fmt: skip
    """Fill a box of `out`; see `field_levels_slow.restore`."""
    dims, starts = np.empty((8, 3), np.uint64), np.empty(8, np.uint64)
    planes, rows, columns = corner(shape, axes)
    complete = layout(shape, axes, depth(shape, axes), dims, starts)
    for z in range(planes):
        for y in range(rows):
            at, width = uint64((z * rows + y) * columns), uint64(columns)
            for k in range(at, at + width):
                x_hat[k] = 0
            _restore_row(symbols, 1.0, step, x_hat, at, width)
            target = uint64(start + z * strides[0] + y * strides[1])
            for k in range(width):
                x_hat[complete + at + k] = x_hat[at + k]
                out[target + k] = x_hat[at + k]
    for level in range(depth(shape, axes) - 1, -1, -1):
        complete = layout(shape, axes, level, dims, starts)
        for i in range(7):
            odd = uint64(_KINDS[i])
            along = along_of(_KINDS[i], axes)
            weight, width = _weight_of(along), dims[odd, 2]
            for z in range(dims[odd, 0] if width else uint64(0)):
                for y in range(dims[odd, 1]):
                    at = starts[odd] + (z * dims[odd, 1] + y) * width
                    _predict_row(x_hat, starts, dims, odd, uint64(along), z, y, at, width)
                    _restore_row(symbols, weight, step, x_hat, at, width)
        if level:
            height, width = dims[0, 1] + dims[2, 1], dims[0, 2] + dims[1, 2]
            weave(x_hat, axes, starts, dims, x_hat, complete, height * width, width)
        else:
            weave(x_hat, axes, starts, dims, out, uint64(start), uint64(strides[0]), uint64(strides[1]))
