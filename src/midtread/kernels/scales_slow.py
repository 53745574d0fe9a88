"""The nearest scale of a list, by binary search: the definition of `scales`, and the lookup table that it uses."""

from __future__ import annotations

import numpy as np


def lookup(thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tables for `scales.index`: the cell of a scale x is its bit length and the 7 bits after the highest.

    Args:
        thresholds: int64 [T - 1], increasing, from 1 to 2**31 - 1.

    Returns:
        (first, limits): uint16 [32 * 128], index of the smallest scale of each cell; uint32 [T], the thresholds and
        then 2**32 - 1.
    """
    cells = np.arange(32 * 128, dtype=np.int64)
    length, next_bits = cells >> 7, cells & 127
    smallest = np.where(length > 0, ((128 + next_bits) << length) >> 8, 0)
    first = np.searchsorted(thresholds, smallest, side="right")
    return first.astype(np.uint16), np.append(thresholds, 2**32 - 1).astype(np.uint32)


def index(scales: np.ndarray, first: np.ndarray, limits: np.ndarray, out: np.ndarray) -> None:
    """Fill `out` with the number of thresholds at or below each scale.

    Args:
        scales: int32 [n], at least 0.
        first: of `lookup`.
        limits: of `lookup`.
        out: uint8 or uint16 [n].
    """
    out[:] = np.searchsorted(limits[:-1], scales, side="right")
