"""Residuals as tiles of 64 with classes, compiled; `field_tiles_slow` says what it does, and is the definition."""

from __future__ import annotations

from typing import Any

import numpy as np

from midtread.kernels.field_tiles_slow import TILE
from midtread.kernels.jit import inlined, int32, int64, jit, uint8, uint32, uint64


@inlined
def _symbol(residual: Any, shift: Any) -> Any:
    return int32((residual >> uint32(1)) ^ (~(residual & uint32(1)) + uint32(1))) >> int32(shift)


@inlined
def _magnitude(residual: Any, shift: Any) -> Any:
    """uint32: of -2**31, too."""
    s = _symbol(residual, shift)
    return uint32(s if s >= int32(0) else -s)


@jit
def mean(residuals: np.ndarray, stride: int) -> int:
    """Mean magnitude of some residuals; see `field_tiles_slow.mean`."""
    total, count = int64(0), 0
    for i in range(0, residuals.size, stride):
        total += int64(_magnitude(residuals[i], 0))
        count += 1
    return total // count


@jit
def classify(
    residuals: np.ndarray, shift: int, limits: np.ndarray, zero: np.ndarray, more: np.ndarray, classes: np.ndarray
) -> int:
    """The class of each tile; see `field_tiles_slow.classify`."""
    cost = int64(0)
    for tile in range(classes.size):
        start, total = uint64(TILE * tile), int64(0)
        for i in range(start, min(start + uint64(TILE), uint64(residuals.size))):
            total += int64(_magnitude(residuals[i], shift))
        low, high = 0, limits.size  # limits[:low] <= total < limits[high:]
        while low < high:
            middle = (low + high) // 2
            if limits[middle] <= total:
                low = middle + 1
            else:
                high = middle
        classes[tile] = int32(low + 1) if total else int32(0)
        cost += zero[low] + total * more[low] if total else int64(0)
    return cost


@jit
def take(residuals: np.ndarray, shift: int, classes: np.ndarray, at: int, coded: np.ndarray, which: np.ndarray) -> int:
    """Symbols of the tiles that are not all zero; see `field_tiles_slow.take`."""
    at = uint64(at)
    for tile in range(classes.size):
        if classes[tile]:
            start, table = uint64(TILE * tile), uint8(2 * (classes[tile] - 1))
            count = min(uint64(TILE), uint64(residuals.size) - start)
            for i in range(count):
                coded[at + i] = _symbol(residuals[start + i], shift)
            for i in range(count, uint64(TILE)):
                coded[at + i] = int32(0)
            for i in range(uint64(TILE)):
                which[at + i] = table
            at += uint64(TILE)
    return at


@jit
def put(coded: np.ndarray, classes: np.ndarray, symbols: np.ndarray) -> None:
    """Undo `take`; see `field_tiles_slow.put`."""
    at = uint64(0)
    for tile in range(classes.size):
        start = uint64(TILE * tile)
        count = min(uint64(TILE), uint64(symbols.size) - start)
        if classes[tile]:
            for i in range(count):
                symbols[start + i] = coded[at + i]
            at += uint64(TILE)
        else:
            for i in range(count):
                symbols[start + i] = int32(0)
