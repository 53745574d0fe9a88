"""Residuals as tiles of 64, each with a class that says how large they are, in NumPy: the definition.

Residuals are in zigzag (0, -1, 1, -2 ... are 0, 1, 2, 3 ...). Class 0: all zero; class c: scale c - 1.
"""

from __future__ import annotations

import numpy as np

TILE = 64


def _symbols(residuals: np.ndarray, shift: int) -> np.ndarray:
    """int32 without their low bits."""
    return (residuals >> np.uint32(1) ^ -(residuals & np.uint32(1))).view(np.int32) >> shift


def mean(residuals: np.ndarray, stride: int) -> int:
    """Mean magnitude of every `stride`th of uint32 [n], rounded down."""
    some = np.abs(_symbols(residuals[::stride], 0).astype(np.int64))
    return int(some.sum()) // some.size


def classify(
    residuals: np.ndarray, shift: int, limits: np.ndarray, zero: np.ndarray, more: np.ndarray, classes: np.ndarray
) -> int:
    """The class of each tile.

    Args:
        residuals: uint32 [n]; the last tile is filled with zeros.
        shift: low bits that do not count.
        limits: int64 [scales - 1]: sums of magnitudes from which the next scale is better.
        zero: int64 [scales], cost of a tile of zeros.
        more: int64 [scales], what each 1 of magnitude adds.
        classes: int32 [ceil(n / 64)], filled.

    Returns:
        Cost of the tiles that are not all zero.
    """
    padded = np.zeros(classes.size * TILE, np.int64)
    padded[: residuals.size] = np.abs(_symbols(residuals, shift).astype(np.int64))
    sums = padded.reshape(-1, TILE).sum(axis=1)
    scales = np.searchsorted(limits, sums, side="right")
    classes[:] = np.where(sums == 0, 0, scales + 1)
    return int((zero[scales] + sums * more[scales])[sums > 0].sum())


def take(residuals: np.ndarray, shift: int, classes: np.ndarray, at: int, coded: np.ndarray, which: np.ndarray) -> int:
    """Symbols of the tiles that are not all zero.

    Args:
        residuals: uint32 [n].
        shift: low bits that are left out.
        classes: int32 [ceil(n / 64)].
        at: where to put the first.
        coded: int32, filled.
        which: uint8, filled: 2 (class - 1) of each.

    Returns:
        Where the last one ends.
    """
    padded = np.zeros(classes.size * TILE, np.int32)
    padded[: residuals.size] = _symbols(residuals, shift)
    used = classes > 0
    symbols = padded.reshape(-1, TILE)[used].reshape(-1)
    coded[at : at + symbols.size] = symbols
    which[at : at + symbols.size] = np.repeat(2 * (classes[used] - 1), TILE)
    return at + symbols.size


def put(coded: np.ndarray, classes: np.ndarray, symbols: np.ndarray) -> None:
    """Undo `take` but for the low bits: fill symbols, int32 [n]."""
    padded = np.zeros((classes.size, TILE), np.int32)
    padded[classes > 0] = coded.reshape(-1, TILE)
    symbols[:] = padded.reshape(-1)[: symbols.size]
