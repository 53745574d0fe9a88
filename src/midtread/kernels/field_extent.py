"""Extremes of floats by their bits, compiled; `field_extent_slow` says what it does, and is the definition."""

from __future__ import annotations

import numpy as np

from midtread.kernels.jit import jit


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
