"""Sums of 2-D Gaussians on a GPU: drawn, compared with a picture, differentiated. `kernels.splat_slow` defines them.

    xy, factor ─► boxes ─► a block for each tile of pixels: the Gaussians that reach it, summed ─► what is left
    what is left ─► a block for each Gaussian: sums over its box

A tile takes the Gaussians in their order, so the result is the same on every run, and no lists are kept in memory: a
group of as many Gaussians as the block has threads is skipped when its common box misses the tile, else its threads
look at one each, and those that reach the tile are put side by side in shared memory. Gaussians that are neighbours in
memory and in space make this fast; any order is right.

    xy, factor, colour   as in `splat_slow`, finite or not: what is not reaches no pixel, or makes pixels NaN
    boxes                int32 [n, 4]: first column, first row, and the ones after the last
    groups               int32 [groups, 4], likewise, of the Gaussians [g * threads, (g + 1) * threads)
    tiles                blocks (column, row) of `side` * `side` threads, a power of two and MOST at most

What is left is float32 [height][wide][channels], flat, `wide` the width in whole strips of the CPU's: the pixels beyond
the picture are zero there, and count in the norms.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from midtread.kernels.cuda.common import cuda, device, float32, kernel, running_sum
from midtread.kernels.jit import int32, uint8, uint64

MOST = 256  # threads of a block
_SCALE = 0.125**0.5  # a, b, c times this: the ellipse ends where u^2 + v^2 = 1
_NUMBERS = 8  # of a Gaussian
_FAR = 2**31 - 1


@device
def _within(value: float, most: int) -> int:
    """The whole number below `value`, in 0..most; 0 for NaN: nothing outside ever becomes an index."""
    if value >= float32(most):
        return int32(most)
    return int32(value) if value > float32(0) else int32(0)


@kernel
def reach(
    count: int, width: int, height: int, xy: np.ndarray, factor: np.ndarray, boxes: np.ndarray, groups: np.ndarray
) -> None:
    """The pixels that each Gaussian and each group may reach, within a picture of this size; a block takes a group."""
    common = cuda.shared.array(4, int32)
    if cuda.threadIdx.x == 0:
        common[0], common[1], common[2], common[3] = _FAR, _FAR, 0, 0
    cuda.syncthreads()
    k = cuda.grid(1)
    if k < count:
        a, b, c = factor[k, 0] * float32(_SCALE), factor[k, 1] * float32(_SCALE), factor[k, 2] * float32(_SCALE)
        across = float32(1) / a
        down = math.sqrt(float32(1) + (b * across) * (b * across)) / c
        x, y = xy[k, 0] + float32(1), xy[k, 1] + float32(1)
        left, right = _within(x - across, width), _within(x + across, width)
        upper, lower = _within(y - down, height), _within(y + down, height)
        boxes[k, 0], boxes[k, 1], boxes[k, 2], boxes[k, 3] = left, upper, right, lower
        if left < right and upper < lower:
            cuda.atomic.min(common, 0, left)
            cuda.atomic.min(common, 1, upper)
            cuda.atomic.max(common, 2, right)
            cuda.atomic.max(common, 3, lower)
    cuda.syncthreads()
    for i in range(cuda.threadIdx.x, 4, cuda.blockDim.x):
        groups[cuda.blockIdx.x, i] = common[i]


@device
def _meets(boxes: np.ndarray, k: int, left: int, upper: int, side: int) -> bool:
    """Whether a box has a pixel in the tile."""
    return boxes[k, 0] < left + side and left < boxes[k, 2] and boxes[k, 1] < upper + side and upper < boxes[k, 3]


@device
def _tile(
    side: int, count: int, boxes: np.ndarray, groups: np.ndarray, xy: np.ndarray, factor: np.ndarray, colour: np.ndarray
) -> Any:
    """The pixel of this thread and its sum: (column, row, red, green, blue), gray in all three."""
    found = cuda.shared.array((2, MOST), int32)
    near = cuda.shared.array((_NUMBERS, MOST), float32)
    threads, me, channels = cuda.blockDim.x, cuda.threadIdx.x, colour.shape[1]
    left, upper = int32(cuda.blockIdx.x * side), int32(cuda.blockIdx.y * side)
    row, column = upper + me // side, left + me % side
    red, green, blue = float32(0), float32(0), float32(0)
    for group in range((count + threads - 1) // threads):
        if _meets(groups, group, left, upper, side):  # the same in all threads
            k = group * threads + me
            hit = k < count and _meets(boxes, k, left, upper, side)
            found[0, me] = 1 if hit else 0
            which = running_sum(found, threads)
            many = found[which, threads - 1]
            if hit:
                at = found[which, me] - 1
                near[0, at], near[1, at] = xy[k, 0], xy[k, 1]
                for i in range(3):
                    near[2 + i, at] = factor[k, i] * float32(_SCALE)
                    near[5 + i, at] = colour[k, min(i, channels - 1)]
            cuda.syncthreads()
            for i in range(many):
                dx, dy = float32(column) - near[0, i], float32(row) - near[1, i]
                u, v = near[2, i] * dx, near[3, i] * dx + near[4, i] * dy
                t = float32(1) - u * u - v * v
                if t > float32(0):
                    t = t * t
                    w = t * t
                    red += near[5, i] * w
                    green += near[6, i] * w
                    blue += near[7, i] * w
    return column, row, red, green, blue


@kernel
def draw(
    side: int, count: int, boxes: np.ndarray, groups: np.ndarray, xy: np.ndarray, factor: np.ndarray,
    colour: np.ndarray, begin: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    """A picture, float32 [height, width, channels]; a block for each tile.

    Args:
        side: of a tile.
        count: Gaussians.
        boxes: as `reach` leaves them.
        groups: as `reach` leaves them.
        xy: centres.
        factor: of the precisions.
        colour: of the Gaussians.
        begin: float32 [channels], what the sum begins with.
        out: filled.
    """
    column, row, red, green, blue = _tile(side, count, boxes, groups, xy, factor, colour)
    if row < out.shape[0] and column < out.shape[1]:
        out[row, column, 0] = begin[0] + red
        if out.shape[2] == 3:
            out[row, column, 1] = begin[1] + green
            out[row, column, 2] = begin[2] + blue


@device
def _byte(value: float) -> int:
    return uint8(int32(min(max(value, float32(0)), float32(1)) * float32(255) + float32(0.5)))


@kernel
def draw_bytes(
    side: int, count: int, boxes: np.ndarray, groups: np.ndarray, xy: np.ndarray, factor: np.ndarray,
    colour: np.ndarray, begin: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    """As `draw`, to uint8: 0 to 1 becomes 0 to 255, rounded to nearest, clipped."""
    column, row, red, green, blue = _tile(side, count, boxes, groups, xy, factor, colour)
    if row < out.shape[0] and column < out.shape[1]:
        out[row, column, 0] = _byte(begin[0] + red)
        if out.shape[2] == 3:
            out[row, column, 1] = _byte(begin[1] + green)
            out[row, column, 2] = _byte(begin[2] + blue)


@kernel
def compare(
    side: int, count: int, boxes: np.ndarray, groups: np.ndarray, xy: np.ndarray, factor: np.ndarray,
    colour: np.ndarray, wanted: np.ndarray, weight: float, wide: int, rest: np.ndarray, energies: np.ndarray,
) -> None:  # fmt: skip
    """What is drawn less `weight` times what is wanted, and its sum of squares; a block for each tile, `wide` across.

    Beside what `draw` takes:
        wanted: float32 [height, width, channels].
        weight: 1, or 0: what is drawn alone.
        wide: columns of `rest`.
        rest: float32 [height * wide * channels], filled.
        energies: float32, one for each tile, row by row; filled.
    """
    column, row, red, green, blue = _tile(side, count, boxes, groups, xy, factor, colour)
    height, width, channels = wanted.shape
    squares = float32(0)
    if row < height and column < wide:
        at = uint64((row * wide + column) * channels)
        for i in range(channels):
            value = float32(0)
            if column < width:
                value = (red if i == 0 else green if i == 1 else blue) - float32(weight) * wanted[row, column, i]
            rest[at + uint64(i)] = value
            squares += value * value
    cells = cuda.shared.array((1, MOST), float32)
    cells[0, cuda.threadIdx.x] = squares
    _add_up(cells, 1)
    if cuda.threadIdx.x == 0:
        energies[cuda.blockIdx.y * cuda.gridDim.x + cuda.blockIdx.x] = cells[0, 0]


@device
def _add_up(cells: np.ndarray, rows: int) -> None:
    """Sums over the threads, in pairs, of the first rows of a shared array [rows, threads]: to their first cells."""
    half, me = cuda.blockDim.x // 2, cuda.threadIdx.x
    cuda.syncthreads()
    while half:
        if me < half:
            for row in range(rows):
                cells[row, me] += cells[row, me + half]
        cuda.syncthreads()
        half //= 2


@device
def _falloff(dx: float, dy: float, a: float, b: float, c: float) -> float:
    """1 - q / 8 of a pixel, 0 where the Gaussian does not reach."""
    u, v = a * dx, b * dx + c * dy
    t = float32(1) - u * u - v * v
    return t if t > float32(0) else float32(0)


@kernel
def moments(
    across: int, channels: int, wide: int, boxes: np.ndarray, xy: np.ndarray, factor: np.ndarray, colour: np.ndarray,
    rest: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    """`splat_slow.moments` of each Gaussian, to out float32 [n, 5 + channels]; a block for each.

    Args:
        across: pixels of a row that the threads of a block take at a time; it divides their number, a power of two.
        channels: 1 or 3.
        wide: columns of `rest`.
        boxes: as `reach` leaves them, within [height, wide].
        xy: centres.
        factor: of the precisions.
        colour: of the Gaussians.
        rest: as `compare` leaves it.
        out: filled.
    """
    k, me, lines = cuda.blockIdx.x, cuda.threadIdx.x, cuda.blockDim.x // across
    cells = cuda.shared.array((_NUMBERS, MOST), float32)
    x, y, a, b, c = _shape(k, xy, factor)
    red, green, blue = colour[k, 0], float32(0), float32(0)
    second, third = uint64(channels // 2), uint64(channels - 1)  # the only one again, where there is one
    if channels == 3:
        green, blue = colour[k, 1], colour[k, 2]
    by_x, by_y, xx, cross, yy = float32(0), float32(0), float32(0), float32(0), float32(0)
    r, g, h = float32(0), float32(0), float32(0)
    for row in range(boxes[k, 1] + me // across, boxes[k, 3], lines):
        dy = float32(row) - y
        for column in range(boxes[k, 0] + me % across, boxes[k, 2], across):
            dx = float32(column) - x
            t = _falloff(dx, dy, a, b, c)
            t3 = t * t * t
            at = uint64((row * wide + column) * channels)
            p, q, s = rest[at], rest[at + second], rest[at + third]
            z = (red * p + green * q + blue * s) * t3
            w = t3 * t
            by_x += z * dx
            by_y += z * dy
            xx += z * dx * dx
            cross += z * dx * dy
            yy += z * dy * dy
            r += w * p
            g += w * q
            h += w * s
    cells[0, me], cells[1, me], cells[2, me], cells[3, me] = by_x, by_y, xx, cross
    cells[4, me], cells[5, me], cells[6, me], cells[7, me] = yy, r, g, h
    _add_up(cells, 5 + channels)
    for i in range(me, 5 + channels, cuda.blockDim.x):
        out[k, i] = cells[i, 0]


@device
def _shape(k: int, xy: np.ndarray, factor: np.ndarray) -> Any:
    """(x, y, a, b, c) of a Gaussian, scaled."""
    scale = float32(_SCALE)
    return xy[k, 0], xy[k, 1], factor[k, 0] * scale, factor[k, 1] * scale, factor[k, 2] * scale


@kernel
def gather(
    across: int, channels: int, wide: int, boxes: np.ndarray, xy: np.ndarray, factor: np.ndarray, rest: np.ndarray,
    out: np.ndarray,
) -> None:  # fmt: skip
    """`splat_slow.gather` of each Gaussian, to out float32 [n, channels + 1], norms last; as `moments`."""
    k, me, lines = cuda.blockIdx.x, cuda.threadIdx.x, cuda.blockDim.x // across
    cells = cuda.shared.array((_NUMBERS, MOST), float32)
    x, y, a, b, c = _shape(k, xy, factor)
    second, third = uint64(channels // 2), uint64(channels - 1)
    r, g, h, norm = float32(0), float32(0), float32(0), float32(0)
    for row in range(boxes[k, 1] + me // across, boxes[k, 3], lines):
        dy = float32(row) - y
        for column in range(boxes[k, 0] + me % across, boxes[k, 2], across):
            t = _falloff(float32(column) - x, dy, a, b, c)
            t = t * t
            w = t * t
            at = uint64((row * wide + column) * channels)
            r += w * rest[at]
            g += w * rest[at + second]
            h += w * rest[at + third]
            norm += w * w
    cells[0, me], cells[1, me], cells[2, me], cells[3, me] = r, g, h, norm
    _add_up(cells, 4)
    if me == 0:
        for i in range(channels):
            out[k, i] = cells[i, 0]
        out[k, channels] = cells[3, 0]
