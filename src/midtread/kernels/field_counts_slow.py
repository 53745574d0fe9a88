"""Counting symbols, in NumPy: the definition that `field_counts` repeats faster."""

from __future__ import annotations

import numpy as np

NEAR = 2  # scales to both sides that are tried
BIT = 256  # costs are in 1 / BIT bits
COUNTED = 128  # magnitudes that a histogram tells apart
SAMPLED = 1 << 17  # symbols from which every fourth is counted
LARGE = 32  # mean magnitude from which the lowest bits are noise, stored as they are
CLASS_BITS = 3  # of the class of a tile that is not all zeros, about


def histogram(symbols: np.ndarray, contexts: np.ndarray, stride: int, out: np.ndarray) -> None:
    """Magnitudes by context, of every symbol or of every `stride`th.

    Args:
        symbols: int32 [n], above -2**31.
        contexts: uint8 [n].
        stride: 1 or more.
        out: uint32 [contexts, magnitudes], added to; the last column counts all larger ones too.
    """
    magnitudes = np.minimum(np.abs(symbols[::stride].astype(np.int64)), out.shape[1] - 1)
    np.add.at(out, (contexts[::stride], magnitudes), 1)


def unzigzag(residuals: np.ndarray, symbols: np.ndarray) -> None:
    """uint32 0, 1, 2, 3, 4 ... -> int32 0, -1, 1, -2, 2 ..."""
    symbols[:] = (residuals >> np.uint32(1) ^ -(residuals & np.uint32(1))).view(np.int32)


def zigzag(symbols: np.ndarray, residuals: np.ndarray) -> None:
    """Undo `unzigzag`."""
    residuals[:] = (symbols << 1 ^ symbols >> 31).view(np.uint32)


def choose(histogram: np.ndarray, costs: np.ndarray, limits: np.ndarray, chosen: np.ndarray) -> int:
    """The cheapest table for each context, of those near the scale that its mean magnitude suggests.

    Args:
        histogram: uint32 [contexts, magnitudes].
        costs: int32 [2 * scales, magnitudes], of a magnitude under the two tables of each scale.
        limits: int64 [scales - 1]: sums of 64 magnitudes from which the next scale is better.
        chosen: uint8 [contexts], filled; 0 for a context that does not occur.

    Returns:
        Sum of the costs of all contexts.
    """
    total, magnitudes = 0, np.arange(histogram.shape[1])
    for context, row in enumerate(histogram.astype(np.int64)):
        chosen[context] = 0
        if row.any():
            scale = int(np.searchsorted(limits, 64 * int(row @ magnitudes) // int(row.sum()), side="right"))
            first = 2 * max(scale - NEAR, 0)
            sums = costs[first : 2 * (scale + NEAR + 1)].astype(np.int64) @ row
            chosen[context] = first + int(np.argmin(sums))
            total += int(sums.min())
    return total
