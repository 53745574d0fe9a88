"""Counting symbols, compiled; `field_counts_slow` says what it does, and is the definition."""

from __future__ import annotations

import numpy as np

from midtread.kernels.field_counts_slow import NEAR
from midtread.kernels.jit import int32, int64, jit, uint8, uint32, uint64


@jit
def histogram(symbols: np.ndarray, contexts: np.ndarray, stride: int, out: np.ndarray) -> None:
    """Magnitudes by context; see `field_counts_slow.histogram`."""
    most = int32(out.shape[1] - 1)
    for i in range(0, symbols.size, stride):
        s = symbols[i]
        out[uint64(contexts[i]), uint64(min(max(s, int32(-s)), most))] += uint32(1)


@jit
def unzigzag(residuals: np.ndarray, symbols: np.ndarray) -> None:
    """uint32 0, 1, 2, 3, 4 ... -> int32 0, -1, 1, -2, 2 ...; see `field_counts_slow.unzigzag`."""
    for i in range(residuals.size):
        r = residuals[i]
        symbols[i] = int32((r >> uint32(1)) ^ (~(r & uint32(1)) + uint32(1)))


@jit
def zigzag(symbols: np.ndarray, residuals: np.ndarray) -> None:
    """Undo `unzigzag`."""
    for i in range(symbols.size):
        residuals[i] = uint32((symbols[i] << int32(1)) ^ (symbols[i] >> int32(31)))


@jit
def choose(histogram: np.ndarray, costs: np.ndarray, limits: np.ndarray, chosen: np.ndarray) -> int:
    """The cheapest table for each context; see `field_counts_slow.choose`."""
    total = int64(0)
    for context in range(histogram.shape[0]):
        row, count, weighted, used = histogram[context], int64(0), int64(0), 0
        for m in range(row.size):
            count += int64(row[m])
            weighted += int64(row[m]) * m
            used = m + 1 if row[m] else used
        chosen[context] = uint8(0)
        if count:
            mean, scale = 64 * weighted // count, 0
            while scale < limits.size and limits[scale] <= mean:
                scale += 1
            best = int64(-1)
            for t in range(2 * max(scale - NEAR, 0), min(2 * (scale + NEAR + 1), costs.shape[0])):
                bits = int64(0)
                for m in range(used):
                    bits += int64(row[m]) * int64(costs[t, m])
                if best < 0 or bits < best:
                    best = bits
                    chosen[context] = uint8(t)
            total += best
    return total
