"""Scalar quantizers as anybody can follow them: the definition that `quantize` must equal; small inputs run on it.

Flat arrays; every float32 operation is rounded, in the order written.
"""

import numpy as np


def largest(z: np.ndarray) -> float:
    """The largest |z| of float32 samples; infinity or NaN when any sample is."""
    return float(np.abs(z).max(initial=0))


def uniform(z: np.ndarray, symbols: np.ndarray, inverse_step: np.float32) -> None:
    """Symbols = z * inverse_step, rounded to nearest, ties to even."""
    symbols[...] = np.rint(z * inverse_step)


def dead_zone(z: np.ndarray, symbols: np.ndarray, inverse_step: np.float32, rounding: np.float32) -> None:
    """|symbols| = floor(|z| * inverse_step + rounding), with the sign of z."""
    size = np.floor(np.abs(z) * inverse_step + rounding).astype(np.int32)
    symbols[...] = np.where(z < 0, -size, size)


def restore(symbols: np.ndarray, z: np.ndarray, step: np.float32, shift: np.float32) -> None:
    """|z| = (|symbols| + shift) * step, with the sign of the symbol; 0 stays 0."""
    size = (np.abs(symbols.astype(np.int64)).astype(np.float32) + shift) * step
    z[...] = np.where(symbols == 0, np.float32(0), np.where(symbols < 0, -size, size))


def restore_cells(
    symbols: np.ndarray, z: np.ndarray, width: int, bias: int, offsets: np.ndarray, step: np.float32
) -> None:
    """|z| = (cell * width + offsets[cell]) * step, cell = (|symbols| + bias) // width, with the sign of the symbol.

    offsets float32 [k], the last also for cells beyond; offsets[0] is for cell 0, where z is 0 whatever it says.
    """
    cell = (np.abs(symbols.astype(np.int64)) + bias) // width
    offset = offsets[np.minimum(cell, len(offsets) - 1)]
    size = ((cell * width).astype(np.float32) + offset) * step
    z[...] = np.where(cell == 0, np.float32(0), np.where(symbols < 0, -size, size))


def search(z: np.ndarray, symbols: np.ndarray, thresholds: np.ndarray) -> None:
    """Symbols = how many of the sorted thresholds float32 are at most z."""
    symbols[...] = np.searchsorted(thresholds, z, side="right")


def cheapest(
    z: np.ndarray,
    symbols: np.ndarray,
    classes: np.ndarray,
    bits: np.ndarray,
    inverse_step: np.float32,
    shift: np.float32,
    slope: np.float32,
) -> None:
    """The nearest symbol, the next towards 0, or 0: the one whose squared error + slope * bits is least.

    Ties go to the first of the three.

    Errors are in steps, against |symbol| + shift (0 for 0). The cost of |symbol| = k is bits[class, k] (float32
    [classes, n], n >= 2), growing beyond the table as between its last two entries. classes: uint8, one per sample.
    """
    a = np.abs(z) * inverse_step
    nearest = np.rint(a).astype(np.int32)
    last = bits.shape[1] - 1

    def cost(k: np.ndarray) -> np.ndarray:
        inside = np.minimum(k, last)
        row = bits[classes, inside]
        growth = bits[classes, last] - bits[classes, last - 1]
        error = a - np.where(k > 0, k.astype(np.float32) + shift, np.float32(0))
        return error * error + slope * (row + growth * (k - inside).astype(np.float32))

    best, least = nearest.copy(), cost(nearest)
    for candidate in (np.maximum(nearest - 1, 0), np.zeros_like(nearest)):
        price = cost(candidate)
        better = price < least
        best[better], least[better] = candidate[better], price[better]
    symbols[...] = np.where(z < 0, -best, best)
