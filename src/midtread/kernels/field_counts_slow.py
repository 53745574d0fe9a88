"""Counting symbols, in NumPy: the definition that `field_counts` repeats faster."""

from __future__ import annotations

import numpy as np


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


def tile_sums(symbols: np.ndarray, out: np.ndarray) -> None:
    """Sum of magnitudes of each 64 symbols: int32 [64 * tiles] -> int64 [tiles]."""
    out[:] = np.abs(symbols.astype(np.int64)).reshape(-1, 64).sum(axis=1)


def unzigzag(residuals: np.ndarray, symbols: np.ndarray) -> None:
    """uint32 0, 1, 2, 3, 4 ... -> int32 0, -1, 1, -2, 2 ..."""
    symbols[:] = (residuals >> np.uint32(1) ^ -(residuals & np.uint32(1))).view(np.int32)


def zigzag(symbols: np.ndarray, residuals: np.ndarray) -> None:
    """Undo `unzigzag`."""
    residuals[:] = (symbols << 1 ^ symbols >> 31).view(np.uint32)


def quiet_tiles(contexts: np.ndarray, first: int, out: np.ndarray) -> int:
    """Which tiles of 64 have no other context than `first`: uint8 [n] -> uint8 [n // 64], returns how many."""
    out[:] = (contexts[: 64 * out.size].reshape(-1, 64) == first).all(axis=1)
    return int(out.sum(dtype=np.int64))


def gather_tiles(values: np.ndarray, kept: np.ndarray, out: np.ndarray) -> int:
    """The values of the kept tiles of 64 and those behind the last tile, one after the other.

    Args:
        values: [n] of any type.
        kept: uint8 [n // 64], not 0 for the tiles to keep.
        out: filled from the front.

    Returns:
        How many there are.
    """
    whole = values[: 64 * kept.size].reshape(-1, 64)[kept > 0].reshape(-1)
    together = np.concatenate([whole, values[64 * kept.size :]])
    out[: together.size] = together
    return int(together.size)


def scatter_tiles(values: np.ndarray, kept: np.ndarray, out: np.ndarray) -> None:
    """Undo `gather_tiles`: fill `out`, zeros in all other tiles."""
    tiles = out[: 64 * kept.size].reshape(-1, 64)
    count = 64 * int(np.count_nonzero(kept))
    tiles[:] = 0
    tiles[kept > 0] = values[:count].reshape(-1, 64)
    out[64 * kept.size :] = values[count : count + out.size - 64 * kept.size]


def translate(contexts: np.ndarray, table_of: np.ndarray, out: np.ndarray) -> None:
    """table_of[contexts]: uint8 [n], all below the size of the table."""
    out[:] = table_of[contexts]
