"""Columns of numbers to and from one arithmetic-coded stream, compiled; `splat_coder_slow` is the definition."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir

from midtread.kernels.cabac import move, shift, shortest
from midtread.kernels.jit import inlined, int32, int64, intrinsic, jit, uint8, uint16, uint32, uint64
from midtread.kernels.splat_coder_slow import (
    CLASSES,
    COSINES,
    DIRECTIONS,
    EIGHTH_BITS,
    END,
    HALVES,
    LIMIT,
    LONGEST,
    OCTAVES,
    RATES,
    ROWS_OF_SIGNS,
    ROWS_OF_TURNS,
    SINES,
    UNIT,
)


@intrinsic
def length(typing: Any, value: Any) -> Any:
    """Bits of an int64 from 0 on: 64 less its leading zeros, one instruction."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        zeros = builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))
        return builder.sub(ir.Constant(ir.IntType(64), 64), zeros)

    return int64(int64), generate


ONE, PAIR, TRIPLE = uint64(1), uint64(2), uint64(3)  # numbers of a block, where fields are flat

# A coder is the tuple (low or code, width, byte to go on at, whether it decodes); `data` is what it reads or writes.
# Models and fields are flat here, `row` is where a row of a model begins: slices are slow, numba counts references.


@inlined
def _open(state: Any) -> Any:
    return state[0], state[1], int64(state[2]), state[3] != 0


@inlined
def _save(state: Any, coder: Any) -> None:
    state[0], state[1], state[2] = coder[0], coder[1], uint64(coder[2])


@inlined
def _moved(low: Any, width: Any, at: Any, decoding: Any, data: Any) -> Any:
    if decoding:
        low, width, at = move(low, width, at, data)
    else:
        low, width, at = shift(low, width, data, at)
    return low, width, at, decoding


@inlined
def _row(model: Any, row: Any) -> Any:
    return uint64(row) * uint64(model.shape[1] * 2)


@inlined
def _decide(coder: Any, data: Any, flat: Any, row: Any, decision: Any, yes: Any) -> Any:
    """One decision -> (yes, coder)."""
    low, width, at, decoding = coder
    here = row + uint64(2) * uint64(decision)  # numba looks for negative indices in others
    no, met = uint64(flat[here]), flat[here + uint64(1)]
    part = (width >> uint64(16)) * no
    if decoding:
        yes = low >= part
    # No branches: which way a decision goes is what a processor cannot predict.
    mask = uint64(0) - uint64(yes)
    step = part & mask
    low = low - step if decoding else low + step
    width = (part & ~mask) | ((width - part) & mask)
    moved = (((no & mask) | ((uint64(65536) - no) & ~mask)) * RATES[met]) >> uint64(16)
    flat[here] = uint16(no + ((moved ^ mask) - mask))
    flat[here + uint64(1)] = uint16(met + (met < LIMIT))
    return yes, _moved(low, width, at, decoding, data)


@inlined
def _uniform(coder: Any, data: Any, value: Any, count: Any) -> Any:
    """One of `count` equally likely values -> (value, coder)."""
    if count == 1:
        return int64(0), coder
    low, width, at, decoding = coder
    part = uint64(uint32(width) // uint32(count))
    if decoding:
        value = min(int64(uint32(low) // uint32(part)), int64(count) - 1)
        low -= uint64(value) * part
    else:
        low += uint64(value) * part
    return int64(value), _moved(low, part, at, decoding, data)


@inlined
def _share(coder: Any, data: Any, flat: Any, row: Any, value: Any, count: Any, bits: Any) -> Any:
    """-> (value, coder); see `splat_coder_slow`."""
    whole = count <= 1 << bits
    low, high, part = 0, count if whole else 1 << bits, value
    if not (whole or coder[3]):
        part = (value << bits) // count
    while high - low > 1:
        middle = (low + high) >> 1
        yes, coder = _decide(coder, data, flat, row, middle, part >= middle)
        low, high = middle if yes else low, high if yes else middle
    if whole:
        return low, coder
    up = (1 << bits) - 1
    first = (low * count + up) >> bits
    rest, coder = _uniform(coder, data, value - first, ((high * count + up) >> bits) - first)
    return first + rest, coder


@inlined
def _magnitude(coder: Any, data: Any, flat: Any, row: Any, value: Any, bound: Any) -> Any:
    """-> (value, octave, coder); see `splat_coder_slow`."""
    octave, least = 0, (1 << length(bound)) >> 1
    while least:
        lower, coder = _decide(coder, data, flat, row, octave, value < least)
        if not lower:
            break
        octave += 1
        least >>= 1
    count = min(2 * least - 1, bound) - least + 1
    if count < 2:
        return least, octave, coder
    half = OCTAVES + min(octave, HALVES - 1)
    rest, coder = _share(coder, data, flat, row + uint64(2 * half), value - least, count, 1)
    return least + rest, octave, coder


@jit
def uniform(state: np.ndarray, data: np.ndarray, values: np.ndarray, counts: np.ndarray) -> None:
    """Numbers that are all equally likely; see `splat_coder_slow.uniform`."""
    coder = _open(state)
    for i in range(values.size):
        value, coder = _uniform(coder, data, int64(values[i]), counts[i])
        values[i] = int32(value)
    _save(state, coder)


@inlined
def _around(field: Any, at: Any, row: Any) -> Any:
    """See `splat_coder_slow`; `at` is the place of a block's sum in a flat field."""
    return int64(field[at - row]) + 2 * int64(field[at]) + int64(field[at + row])


@inlined
def _grow(field: Any, at: Any, beside: Any, value: Any) -> None:
    """See `splat_coder_slow`."""
    field[at - beside] = int32(field[at - beside] + value)
    field[at] = int32(field[at] + 2 * value)
    field[at + beside] = int32(field[at + beside] + value)


@inlined
def _quotient(x: Any, by: Any) -> Any:
    """Of numbers from 0 to 2**32: 64-bit division is slow."""
    return int64(uint32(x) // uint32(by))


@inlined
def class_of(total: Any, weight: Any) -> Any:
    """See `splat_coder_slow.class_of`; comparisons, for division is slow."""
    found = int64(1)
    for k in range(2, CLASSES):
        found += int64(total >= k * weight)
    return found if weight else int64(0)


@jit
def shares(
    state: np.ndarray, data: np.ndarray, model: np.ndarray, rows: np.ndarray, values: np.ndarray, counts: np.ndarray,
    bits: int, blocks: np.ndarray, field: np.ndarray, across: int,
) -> None:  # fmt: skip
    """Numbers of which the first bits are learned; see `splat_coder_slow.shares`."""
    coder, flat, sums, line = _open(state), model.reshape(-1), field.reshape(-1), PAIR * uint64(across)
    for i in range(values.size):
        at, row = PAIR * uint64(blocks[i]), int64(rows[i])
        if sums.size:
            row = row * CLASSES + class_of(_around(sums, at, line), _around(sums, at + ONE, line))
        value, coder = _share(coder, data, flat, _row(model, row), int64(values[i]), int64(counts[i]), bits)
        values[i] = int32(value)
        if sums.size:
            _grow(sums, at, PAIR, value >> 1)
            _grow(sums, at + ONE, PAIR, 1)
    _save(state, coder)


@jit
def magnitudes(
    state: np.ndarray, data: np.ndarray, model: np.ndarray, rows: np.ndarray, values: np.ndarray, bounds: np.ndarray,
    blocks: np.ndarray, field: np.ndarray, across: int,
) -> None:  # fmt: skip
    """Numbers of which the order of magnitude is learned; see `splat_coder_slow.magnitudes`."""
    coder, flat, sums, line = _open(state), model.reshape(-1), field.reshape(-1), PAIR * uint64(across)
    for i in range(values.size):
        at, row = PAIR * uint64(blocks[i]), int64(rows[i])
        if sums.size:
            row = row * CLASSES + class_of(_around(sums, at, line), _around(sums, at + ONE, line))
        value, octave, coder = _magnitude(coder, data, flat, _row(model, row), int64(values[i]), int64(bounds[i]))
        values[i] = int32(value)
        if sums.size:
            _grow(sums, at, PAIR, octave)
            _grow(sums, at + ONE, PAIR, 1)
    _save(state, coder)


@inlined
def direction(x: Any, y: Any) -> Any:
    """See `splat_coder_slow.direction`."""
    across, along, near = abs(x), abs(y), 0
    for i in range(1, DIRECTIONS // 2, 2):
        near += int64(along * COSINES[i] > across * SINES[i])
    near = DIRECTIONS // 2 - near if x < 0 else near
    return (DIRECTIONS - near) % DIRECTIONS if y < 0 else near


@inlined
def row_of_turn(x: Any, y: Any, weight: Any) -> Any:
    """See `splat_coder_slow.row_of_turn`."""
    if weight == 0:
        return ROWS_OF_TURNS - 1
    square, unit, row = 9 * (x * x + y * y), weight * UNIT, 0
    for k in range(1, ROWS_OF_TURNS - 1):
        row += int64(square >= (k * unit) * (k * unit))
    return row


@jit
def angles(
    state: np.ndarray, data: np.ndarray, model: np.ndarray, values: np.ndarray, counts: np.ndarray, ratios: np.ndarray,
    blocks: np.ndarray, field: np.ndarray, across: int,
) -> None:  # fmt: skip
    """Angles, from what those around are on average; see `splat_coder_slow.angles`."""
    coder, flat, sums, line = _open(state), model.reshape(-1), field.reshape(-1), TRIPLE * uint64(across)
    for i in range(values.size):
        count, at = int64(counts[i]), TRIPLE * uint64(blocks[i])
        x, y = _around(sums, at, line), _around(sums, at + ONE, line)
        first = (count * (direction(x, y) - 2)) // DIRECTIONS  # -count / 16 to 29/32 count
        row = _row(model, row_of_turn(x, y, _around(sums, at + PAIR, line)))
        value = int64(values[i]) - first
        value += count if value < 0 else -count if value >= count else 0
        value, coder = _share(coder, data, flat, row, value, count, EIGHTH_BITS)
        value += first
        value += count if value < 0 else -count if value >= count else 0
        values[i] = int32(value)
        angle, length = _quotient((2 * value + 1) * DIRECTIONS, count), min(int64(ratios[i]), int64(LONGEST))
        _grow(sums, at, TRIPLE, (COSINES[angle] * length) >> 16)
        _grow(sums, at + ONE, TRIPLE, (SINES[angle] * length) >> 16)
        _grow(sums, at + PAIR, TRIPLE, 1)
    _save(state, coder)


@inlined
def row_of_sign(agreed: Any, weight: Any) -> Any:
    """See `splat_coder_slow.row_of_sign`."""
    found = int64(0)
    for k in range(1, ROWS_OF_SIGNS - 1):
        found += int64(5 * (agreed + weight) >= k * (2 * weight + 1))
    return found if weight else int64(ROWS_OF_SIGNS - 1)


@jit
def signs(
    state: np.ndarray, data: np.ndarray, model: np.ndarray, values: np.ndarray, blocks: np.ndarray, field: np.ndarray,
    across: int,
) -> None:  # fmt: skip
    """Zeros and ones, of which those around tell which is likely; see `splat_coder_slow.signs`."""
    coder, flat, sums, line = _open(state), model.reshape(-1), field.reshape(-1), PAIR * uint64(across)
    for i in range(values.size):
        at = PAIR * uint64(blocks[i])
        row = _row(model, row_of_sign(_around(sums, at, line), _around(sums, at + ONE, line)))
        one, coder = _decide(coder, data, flat, row, 1, values[i] == 1)
        values[i] = int32(one)
        _grow(sums, at, PAIR, 2 * int64(one) - 1)
        _grow(sums, at + ONE, PAIR, 1)
    _save(state, coder)


@jit
def row_of_count(count: int) -> int:
    """See `splat_coder_slow.row_of_count`."""
    return min(count, 8 + (count > 15) + (count > 63) + (count > 255)) - 2


@jit
def cells(state: np.ndarray, data: np.ndarray, model: np.ndarray, where: np.ndarray, width: int, height: int) -> None:
    """An unordered set of cells; see `splat_coder_slow.cells`."""
    coder, flat, at, left = _open(state), model.reshape(-1), 0, 1
    boxes = np.empty((64, 5), np.int64)
    boxes[0] = 0, width, 0, height, where.shape[0]
    while left:
        left -= 1
        x, right, y, bottom, count = boxes[left]
        wide, high = right - x, bottom - y
        if count == 0:
            continue
        if count == 1 or wide * high == 1:
            cell_x, coder = _uniform(coder, data, where[at, 0] - x, wide)
            cell_y, coder = _uniform(coder, data, where[at, 1] - y, high)
            for _ in range(count):
                where[at, 0], where[at, 1] = int32(x + cell_x), int32(y + cell_y)
                at += 1
            continue
        axis = int64(high > wide)
        middle = (y + bottom) >> 1 if axis else (x + right) >> 1
        first = 0
        if not coder[3]:
            while first < count and where[at + first, axis] < middle:
                first += 1
        row = _row(model, row_of_count(count))
        first, coder = _share(coder, data, flat, row, first, count + 1, EIGHTH_BITS)
        boxes[left, 0], boxes[left, 1], boxes[left, 2], boxes[left, 3] = x, right, y, bottom
        boxes[left, 2 * axis], boxes[left, 4] = middle, count - first
        left += 1
        boxes[left, 0], boxes[left, 1], boxes[left, 2], boxes[left, 3] = x, right, y, bottom
        boxes[left, 2 * axis + 1], boxes[left, 4] = middle, first
        left += 1
    _save(state, coder)


@jit
def order(where: np.ndarray, width: int, height: int) -> np.ndarray:
    """Ranks of cells in the order of `cells`; see `splat_coder_slow.order`."""
    ranks = np.empty(where.shape[0], np.int64)
    for i in range(ranks.size):
        left, right, top, bottom, rank = 0, int64(width), 0, int64(height), 0
        steps = length(int64(width) - 1) + length(int64(height) - 1)
        for _ in range(steps):
            if bottom - top > right - left:
                middle = (top + bottom) >> 1
                second = where[i, 1] >= middle
                top, bottom = (middle, bottom) if second else (top, middle)
            else:
                middle = (left + right) >> 1
                second = where[i, 0] >= middle
                left, right = (middle, right) if second else (left, middle)
            rank = 2 * rank + int64(second)
        ranks[i] = rank
    return ranks


@jit
def finish(state: np.ndarray, data: np.ndarray) -> int:
    """Write the end mark; see `splat_coder_slow.finish`."""
    _, (low, width, at, _) = _uniform(_open(state), data, int64(END), int64(256))
    size, value = shortest(low, width)
    low, width, at = shift(value, uint64(1) << uint64(32), data, at)
    for i in range(size):
        data[at + i] = uint8(low >> uint64(24 - 8 * i))
    return at + size


@jit
def start(state: np.ndarray, data: np.ndarray) -> bool:
    """Begin to decode; see `splat_coder_slow.start`."""
    code = uint64(0)
    for i in range(4):
        code = (code << uint64(8)) | (uint64(data[i]) if i < data.size else uint64(0))
    state[0], state[1], state[2], state[3] = code, uint64(0xFFFFFFFF), uint64(4), uint64(1)
    return code < uint64(0xFFFFFFFF)


@jit
def finished(state: np.ndarray, data: np.ndarray) -> bool:
    """Read the end mark; see `splat_coder_slow.finished`."""
    value, (code, width, at, _) = _uniform(_open(state), data, int64(0), int64(256))
    number = uint64(0)
    for i in range(at - 4, at):
        number = (number << uint64(8)) | (uint64(data[i]) if i < data.size else uint64(0))
    size, last = shortest((number - code) & uint64(0xFFFFFFFF), width)
    return value == END and data.size == at - 4 + size and (last & uint64(0xFFFFFFFF)) == number
