"""What the CUDA kernels share: how they are compiled, exact products, a running sum over a block, places in boxes.

A box is found by its number in two tables, `starts` int64 [boxes] (in the vector of values) and `sizes` int32 [boxes,
3]; all have `pitch_z` and `pitch_y` in common, from plane to plane and from row to row in values. Values are worked on
in tiles of TILE that follow each other in C order; tile t of all is tile t % per of box t // per.
"""

from __future__ import annotations

import os
from typing import Any

import numba
import numpy as np
from numba import cuda as _cuda

from midtread.kernels.jit import int32, int64

# Numba's own objects; Any, because the type checker takes what kernels do with them for that of the host.
cuda: Any = _cuda
float32: Any = numba.float32
float64: Any = numba.float64

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")

MOST = 1 << 20  # values of a box
TILE = 1 << 12  # values
BLOCK = 1 << 5  # values that share a width
BLOCKS = TILE // BLOCK
LARGEST = float(1 << 30)  # of a symbol, as in kernels.field_lorenzo_slow
_NEAREST = 6755399441055744.0  # 1.5 * 2**52: adding and subtracting it rounds to nearest, ties to even
_SHIFT = 40  # of reciprocals: exact for numbers and divisors up to MOST

if SIMULATED:

    def product(a: float, b: float) -> float:
        """The product, in float64 (`product32`: float32), rounded before anything is added to it."""
        return a * b

    product32 = product
else:
    # An ordinary product may become one operation with the sum after it, which rounds otherwise than a CPU.
    from numba.cuda import libdevice

    product, product32 = libdevice.dmul_rn, libdevice.fmul_rn


def kernel(function: Any) -> Any:
    """For kernels: what the host starts."""
    return cuda.jit(function)


def device(function: Any) -> Any:
    """For functions that kernels call."""
    return cuda.jit(device=True)(function)


@device
def reciprocal(divisor: int) -> int:
    """What `divided` takes."""
    return ((int64(1) << _SHIFT) + divisor - 1) // divisor


@device
def divided(number: int, by: int) -> int:
    """The quotient, rounded down, for both up to MOST and `by` from `reciprocal`."""
    return (number * by) >> _SHIFT


@device
def layout(box: int, starts: Any, sizes: Any, pitch_z: int, pitch_y: int) -> Any:
    """(values, width, height, ...) of a box: what `place` and `row_of` take."""
    depth, height, width = int64(sizes[box, 0]), int64(sizes[box, 1]), int64(sizes[box, 2])
    by_width, by_height = reciprocal(width), reciprocal(height)
    return depth * height * width, width, height, starts[box], int64(pitch_z), int64(pitch_y), by_width, by_height


@device
def row_of(k: int, where: Any) -> Any:
    """(z * height + y, z) of value k of a box."""
    row = divided(k, where[6])
    return row, divided(row, where[7])


@device
def place(k: int, where: Any) -> int:
    """Where value k of a box is in the vector."""
    row, z = row_of(k, where)
    return where[3] + z * where[4] + (row - z * where[2]) * where[5] + (k - row * where[1])


@device
def walk(k: int, step: int, where: Any) -> Any:
    """Where to start and how to go on from value to value, `step` at a time: ((x, y, z, at), what `onward` takes).

    `at` is the place in the vector. That needs no division for each value, which would take longer than all else.
    """
    row, z = row_of(k, where)
    x, y = k - row * where[1], row - z * where[2]
    at = where[3] + z * where[4] + y * where[5] + x
    rows = step // where[1]
    dx, dz = step - rows * where[1], rows // where[2]
    dy = rows - dz * where[2]
    ahead = dz * where[4] + dy * where[5] + dx
    wraps = (where[5] - where[1], where[4] - where[2] * where[5])
    sides = (int32(where[1]), int32(where[2]))
    return (int32(x), int32(y), int32(z), at), (int32(dx), int32(dy), int32(dz), ahead, wraps[0], wraps[1], sides)


@device
def onward(here: Any, pace: Any) -> Any:
    """The next (x, y, z, at)."""
    x, y, z, at = here
    dx, dy, dz, ahead, wrap_x, wrap_y, sides = pace
    x, y, z, at = int32(x + dx), int32(y + dy), int32(z + dz), at + ahead
    if x >= sides[0]:
        x, y, at = int32(x - sides[0]), int32(y + int32(1)), at + wrap_x
    if y >= sides[1]:
        y, z, at = int32(y - sides[1]), int32(z + int32(1)), at + wrap_y
    return x, y, z, at


@device
def symbol(value: float, inverse: float) -> float:
    """The symbol of a value as float64, 0 when it is too large or NaN."""
    scaled = product(float64(value), inverse)
    rounded = (scaled + _NEAREST) - _NEAREST
    return rounded if abs(scaled) < LARGEST else 0.0


@device
def close(value: float, rounded: float, step: float, bound: float) -> bool:
    """Whether the decoder's value of a symbol is as near as promised; never for NaN."""
    return abs(float64(np.float32(rounded * step)) - float64(value)) <= bound


@device
def bit_length(value: int) -> int:
    """Bits of a number from 0 to 2**32 - 1."""
    length = int32(0)
    while (int64(value) >> length) != 0:
        length += int32(1)
    return length


@device
def running_sum(cells: Any, count: int) -> int:
    """Inclusive sums of a shared array [2, count], the numbers in cells[0] -> in which of the two rows they are.

    All threads of a block take part; they are synchronised before and after.
    """
    source, reach = 0, 1
    cuda.syncthreads()
    while reach < count:
        for i in range(cuda.threadIdx.x, count, cuda.blockDim.x):
            cells[1 - source, i] = cells[source, i] + (cells[source, i - reach] if i >= reach else 0)
        source = 1 - source
        reach *= 2
        cuda.syncthreads()
    return source
