"""A layer of Gaussians to and from one stream: which columns it has, and what chooses the probabilities of each.

    cells ──► levels, sizes ──► colours ──► rings, turns, parts ──► places ──► rows of codebooks

Whatever was told before, of a Gaussian and of its neighbours, counts for what comes next. As in `splat_coder_slow`,
every function walks both ways: it writes the columns, or fills them in. These functions are the definition and the
source of `splat_layer`, which compiles them as they stand on the compiled columns of `splat_coder`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from midtread.kernels.splat_coder_slow import (
    angles,
    cells,
    finish,
    finished,
    length,
    magnitudes,
    order,
    shares,
    signs,
    start,
    uniform,
)
from midtread.kernels.splat_counts import (
    ABOVE,
    HALF_OCTAVES,
    LEVELS,
    MARGIN,
    SIZES,
    SMALLEST,
    YCC,
    factors,
    places,
    precision,
    turns,
)

__all__ = ["Columns", "Fields", "Layout", "Models", "dequantize", "order", "read", "write"]

BITS, MOST_BITS = 6, 12  # of columns that are learned as a whole; of codebooks
SPANS = 16
SIZE_ROWS, SECOND_ROWS, THIRD_ROWS = 12, 12, 8
FINE, NO_LAYER, WRONG_LEVELS, WRONG_COLOUR, WRONG_END = range(5)  # what `read` says


class Columns(NamedTuple):
    """Symbols of n Gaussians, int32, C-contiguous."""

    cells: np.ndarray  # [n, 2]
    size: np.ndarray  # [n], as are those without a shape
    colour: np.ndarray  # [n, C]
    part: np.ndarray
    ring: np.ndarray
    turn: np.ndarray
    parts_xy: np.ndarray  # [n, 2]
    shape_rows: np.ndarray  # [n, stages]
    colour_rows: np.ndarray  # [n, stages]


class Models(NamedTuple):
    """Decisions, uint16, see `splat_coder_slow`."""

    cells: np.ndarray
    levels: np.ndarray
    sizes: np.ndarray
    second: np.ndarray
    third: np.ndarray
    second_sign: np.ndarray
    third_sign: np.ndarray
    rings: np.ndarray
    turns: np.ndarray
    shape: np.ndarray  # a row for each stage
    colour: np.ndarray


class Fields(NamedTuple):
    """What was told in each block: int32 [blocks, 2], see `splat_coder_slow`."""

    sizes: np.ndarray
    second: np.ndarray
    third: np.ndarray
    second_sign: np.ndarray
    third_sign: np.ndarray
    turns: np.ndarray  # int32 [blocks, 3]


class Layout(NamedTuple):
    """What all layers of a file share."""

    width: int  # cells
    height: int
    cell_log2: int  # pixels
    block_log2: int  # cells
    across: int  # blocks of fields in a row
    down: int
    level: int  # of Gaussians whose colours do not tell
    precise: bool  # whether colours tell how finely the rest is told
    shapes: bool  # whether sizes, rings, turns and parts are told
    colours: bool
    shape_entries: np.ndarray  # int32 [stages], rows of codebooks
    colour_entries: np.ndarray


def write(data: np.ndarray, models: Models, fields: Fields, columns: Columns, layout: Layout) -> int:
    """Write a layer.

    Args:
        data: uint8, with room for it.
        models: changed, as are the fields.
        fields: of the layers before.
        columns: each number one that it can have.
        layout: of the file.

    Returns:
        Bytes of `data` that are the stream.
    """
    state = np.array([0, 0xFFFFFFFF, 0, 0], np.uint64)
    _walk(state, data, models, fields, columns, layout)
    return finish(state, data)


def read(data: np.ndarray, models: Models, fields: Fields, columns: Columns, layout: Layout) -> int:
    """Fill in `columns`; returns FINE, or what says that no encoder wrote these bytes."""
    state = np.empty(4, np.uint64)
    if not start(state, data):
        return NO_LAYER
    wrong = _walk(state, data, models, fields, columns, layout)
    return wrong if wrong or finished(state, data) else WRONG_END


def dequantize(columns: Columns, layout: Layout, step: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is drawn: xy float32 [n, 2], factor float32 [n, 3], colour float32 [n, C]; last bits differ by machine."""
    n, channels = columns.colour.shape
    xy, factor, colour = np.empty((n, 2), np.float32), np.empty((n, 3), np.float32), np.empty((n, channels), np.float32)
    cell = 1 << layout.cell_log2
    for i in range(n):
        size, ring, turn = columns.size[i], columns.ring[i], columns.turn[i]
        level = level_of(columns.colour[i]) if layout.precise else layout.level
        parts, ratio_step, _ = precision(level)
        count = turns(ring, ratio_step)
        across, down = places(level, size, ring * ratio_step, turn, count, layout.cell_log2)
        xy[i, 0] = (columns.cells[i, 0] + (columns.parts_xy[i, 0] + 0.5) / across) * cell - MARGIN
        xy[i, 1] = (columns.cells[i, 1] + (columns.parts_xy[i, 1] + 0.5) / down) * cell - MARGIN
        factor[i, 0], factor[i, 1], factor[i, 2] = factors(
            size, columns.part[i], parts, ring * ratio_step, turn, count
        )  # fmt: skip
        unit = step * HALF_OCTAVES[size - SMALLEST] if layout.precise else step
        if channels == 3:
            for channel in range(3):
                told = YCC[0, channel] * columns.colour[i, 0]
                told += YCC[1, channel] * columns.colour[i, 1] + YCC[2, channel] * columns.colour[i, 2]
                colour[i, channel] = unit * told
        else:
            colour[i, 0] = unit * columns.colour[i, 0]
    return xy, factor, colour


def _walk(
    state: np.ndarray, data: np.ndarray, models: Models, fields: Fields, columns: Columns, layout: Layout
) -> int:  # fmt: skip
    """All columns, in their order."""
    n = len(columns.size)
    cells(state, data, models.cells, columns.cells, layout.width, layout.height)
    blocks, level = np.empty(n, np.int32), np.full(n, layout.level, np.int32)
    for i in range(n):
        x, y = columns.cells[i, 0] >> layout.block_log2, columns.cells[i, 1] >> layout.block_log2
        blocks[i] = (y + 1) * layout.across + x + 1
    if layout.colours and not _levels(state, data, models, columns.colour, level):
        return WRONG_LEVELS
    if layout.shapes:
        _sizes(state, data, models, fields, columns.size, layout, blocks, level)
    if layout.colours and not _colours(state, data, models, fields, columns.colour, layout, blocks, level):
        return WRONG_COLOUR
    if not layout.precise:
        level = np.full(n, layout.level, np.int32)
    _shapes_and_places(state, data, models, fields, columns, layout, blocks, level)
    _rows(state, data, models.shape, columns.shape_rows, layout.shape_entries)
    _rows(state, data, models.colour, columns.colour_rows, layout.colour_entries)
    return FINE


def _levels(state: np.ndarray, data: np.ndarray, models: Models, colour: np.ndarray, level: np.ndarray) -> bool:
    """Levels of all Gaussians, as differences to the lowest; False when they contradict each other."""
    n, none = level.size, np.zeros((0, 2), np.int32)
    ends = np.zeros(2, np.int32)
    if state[3] == 0 and n:
        for i in range(n):
            level[i] = level_of(colour[i])
        ends[0], ends[1] = level.min(), level.max()
    uniform(state, data, ends, np.full(2, LEVELS, np.int32))
    lowest, span = ends[0], ends[1] - ends[0]
    if span < 0:
        return False
    level -= lowest
    rows, counts = np.full(n, min(span, SPANS - 1), np.int32), np.full(n, span + 1, np.int32)
    shares(state, data, models.levels, rows, level, counts, BITS, rows, none, 0)
    level += lowest
    return True


def level_of(colour: np.ndarray) -> int:
    """The nearest integer to log2 of the sum of squares of int32 [C] that are not all 0."""
    squares = 0
    for value in colour:
        squares += int(value) * int(value)
    lower = length(squares) - 1
    return lower + int(squares >= ABOVE[lower])


def _sizes(
    state: np.ndarray, data: np.ndarray, models: Models, fields: Fields, size: np.ndarray, layout: Layout,
    blocks: np.ndarray, level: np.ndarray,
) -> None:  # fmt: skip
    size -= np.int32(SMALLEST)
    rows = np.minimum(level >> 1, SIZE_ROWS - 1).astype(np.int32)
    counts = np.full(size.size, SIZES, np.int32)
    shares(state, data, models.sizes, rows, size, counts, BITS, blocks, fields.sizes, layout.across)
    size += np.int32(SMALLEST)


def _colours(
    state: np.ndarray, data: np.ndarray, models: Models, fields: Fields, colour: np.ndarray, layout: Layout,
    blocks: np.ndarray, level: np.ndarray,
) -> bool:  # fmt: skip
    """Colours of known levels: chroma, then what luma there can be besides; False when there can be none."""
    n, across = level.size, layout.across
    sizes, minus = np.empty((colour.shape[1], n), np.int32), np.empty((colour.shape[1], n), np.int32)
    for i in range(n):
        for axis in range(colour.shape[1]):
            sizes[axis, i], minus[axis, i] = abs(colour[i, axis]), colour[i, axis] < 0
    counts, least = _chroma(state, data, models, fields, sizes, across, blocks, level)
    for i in range(n):
        if counts[i] < 1:
            return False
    sizes[0] -= least
    uniform(state, data, sizes[0], counts)
    sizes[0] += least
    uniform(state, data, minus[0], np.full(n, 2, np.int32))
    if colour.shape[1] == 3:
        _signs(state, data, models.second_sign, sizes[1], minus[0], minus[1], blocks, fields.second_sign, across)
        _signs(state, data, models.third_sign, sizes[2], minus[0], minus[2], blocks, fields.third_sign, across)
    for i in range(n):
        for axis in range(colour.shape[1]):
            colour[i, axis] = -sizes[axis, i] if minus[axis, i] else sizes[axis, i]
    return True


def _chroma(
    state: np.ndarray, data: np.ndarray, models: Models, fields: Fields, sizes: np.ndarray, across: int,
    blocks: np.ndarray, level: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Tell magnitudes but those of luma -> how many there can be of these, and the least, int32 [n]."""
    n = level.size
    rows, bounds, least = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int32)
    left = np.empty(n, np.int64)
    for i in range(n):
        rows[i] = min(level[i] >> 1, SECOND_ROWS - 1)
        left[i] = ABOVE[level[i]] - 1
        bounds[i] = root(left[i])
    if len(sizes) == 3:
        magnitudes(state, data, models.second, rows, sizes[1], bounds, blocks, fields.second, across)
        for i in range(n):
            left[i] -= int(sizes[1, i]) ** 2
            rows[i] = min(length(bounds[i]) - length(sizes[1, i]), THIRD_ROWS - 1)
            bounds[i] = root(left[i])
        magnitudes(state, data, models.third, rows, sizes[2], bounds, blocks, fields.third, across)
    for i in range(n):
        if len(sizes) == 3:
            left[i] -= int(sizes[2, i]) ** 2
        missing = (ABOVE[level[i] - 1] if level[i] else 1) - (ABOVE[level[i]] - 1 - left[i])
        least[i] = root(missing - 1) + 1 if missing > 0 else 0
        bounds[i] = root(left[i]) - least[i] + 1
    return bounds, least


def root(x: int) -> int:
    """The square root rounded down, of x below 2**52."""
    return int(math.sqrt(x))


def _signs(
    state: np.ndarray, data: np.ndarray, model: np.ndarray, sizes: np.ndarray, first: np.ndarray, minus: np.ndarray,
    blocks: np.ndarray, field: np.ndarray, across: int,
) -> None:  # fmt: skip
    """Of numbers that are not 0, whether their signs are others than the first's."""
    count, near, other = 0, np.empty(sizes.size, np.int32), np.empty(sizes.size, np.int32)
    for i in range(sizes.size):
        if sizes[i]:
            near[count], other[count] = blocks[i], first[i] ^ minus[i]
            count += 1
    signs(state, data, model, other[:count], near[:count], field, across)
    count = 0
    for i in range(sizes.size):
        if sizes[i]:
            minus[i] = first[i] ^ other[count]
            count += 1


def _shapes_and_places(
    state: np.ndarray, data: np.ndarray, models: Models, fields: Fields, columns: Columns, layout: Layout,
    blocks: np.ndarray, level: np.ndarray,
) -> None:  # fmt: skip
    n, none = level.size, np.zeros((0, 2), np.int32)
    parts, rings, ratios = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int32)
    counts, pairs = np.empty(n, np.int32), np.empty(2 * n, np.int32)
    for i in range(n):
        parts[i], ratios[i], rings[i] = precision(level[i])
    if layout.shapes:
        magnitudes(state, data, models.rings, level, columns.ring, rings, blocks, none, 0)
    for i in range(n):
        counts[i] = turns(columns.ring[i], ratios[i])
        ratios[i] *= columns.ring[i]
    if layout.shapes:
        angles(state, data, models.turns, columns.turn, counts, ratios, blocks, fields.turns, layout.across)
        uniform(state, data, columns.part, parts)
    for i in range(n):
        pairs[2 * i], pairs[2 * i + 1] = places(
            level[i], columns.size[i], ratios[i], columns.turn[i], counts[i], layout.cell_log2
        )
    uniform(state, data, columns.parts_xy.reshape(2 * n), pairs)


def _rows(state: np.ndarray, data: np.ndarray, model: np.ndarray, rows: np.ndarray, entries: np.ndarray) -> None:
    """Rows of codebooks, stage after stage."""
    n, none = len(rows), np.zeros((0, 2), np.int32)
    for stage in range(entries.size):
        which, counts = np.full(n, stage, np.int32), np.full(n, entries[stage], np.int32)
        column = np.empty(n, np.int32)
        for i in range(n):
            column[i] = rows[i, stage]
        shares(state, data, model, which, column, counts, MOST_BITS, which, none, 0)
        for i in range(n):
            rows[i, stage] = column[i]
