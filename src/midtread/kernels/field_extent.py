"""Extremes of floats by their bits, compiled; `field_extent_slow` says what it does, and is the definition."""

from __future__ import annotations

import numpy as np

from midtread.kernels.jit import int64, jit


@jit
def extent(bits: np.ndarray, infinity: int) -> tuple[int, int]:
    """Lowest and highest finite number; see `field_extent_slow.extent`."""
    number = bits.dtype.type
    ones = number(np.iinfo(bits.dtype).max)
    low, high = ones, number(-1) - ones
    for i in range(bits.size):
        b = bits[i]
        magnitude = number(b & ones)
        key = number(number(-1) - magnitude) if b < 0 else magnitude
        finite = magnitude < number(infinity)
        low = min(low, key if finite else ones)
        high = max(high, key if finite else number(number(-1) - ones))
    return low, high


@jit
def largest(bits: np.ndarray, start: int, strides: np.ndarray, shape: np.ndarray, limit: int) -> int:
    """Largest magnitude below a limit in a box; see `field_extent_slow.largest`."""
    number = bits.dtype.type
    ones, most, bound = number(np.iinfo(bits.dtype).max), number(0), number(limit)
    for z in range(shape[0]):
        for y in range(shape[1]):
            at = start + z * strides[0] + y * strides[1]
            row = bits[at : at + shape[2]]
            for i in range(row.size):
                magnitude = number(row[i] & ones)
                most = max(most, magnitude if magnitude < bound else number(0))
    return most


@jit
def roughness(x: np.ndarray, start: int, strides: np.ndarray, shape: np.ndarray, step: float, out: np.ndarray) -> None:
    """Second differences along each axis; see `field_extent_slow.roughness`."""
    pitch = (strides[0], strides[1], 1)
    scale = 16.0 / step
    for axis in range(3):
        total, count = int64(0), 0
        low = (int(axis == 0), int(axis == 1), int(axis == 2))
        for z in range(low[0], shape[0] - low[0]):
            for y in range(low[1], shape[1] - low[1]):
                for i in range(low[2], shape[2] - low[2]):
                    at = start + z * strides[0] + y * strides[1] + i
                    a, b, c = x[at - pitch[axis]] * scale, x[at] * scale, x[at + pitch[axis]] * scale
                    if abs(a) < 2.0**30 and abs(b) < 2.0**30 and abs(c) < 2.0**30:
                        total += int64(abs(2 * np.rint(b) - np.rint(a) - np.rint(c)))
                        count += 1
        out[axis] = total // count if count else int64(0)
