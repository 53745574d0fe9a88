"""The integer arithmetic between the networks of the `learned` codec and the tables: the same on every machine.

Units: activations, and latents as the networks see them, are sixteenths; means come out of the networks as 64ths,
scales as eighths of an octave; gains are 256ths of an octave, log2 of symbols per unit of a latent. Symbols count
quantizer steps, and decoded latents are kept in sixteenths of a step.
"""

from __future__ import annotations

import numpy as np

from midtread.entropy import exact_math
from midtread.kernels.latents_slow import GAIN_BITS, STEPS, as_activations, means, table_indices

__all__ = ["MOST_GAIN", "STEPS", "as_activations", "checkerboard", "gain", "means", "table_indices"]

MOST_GAIN = 14 * 256  # either way
_LN2 = float.fromhex("0x1.62e42fefa39efp-1")
_POWERS = np.rint(exact_math.exp(_LN2 * np.arange(256) / 256.0) * 2.0**30).astype(np.int64)


def gain(log_gain: np.ndarray) -> np.ndarray:
    """2**(log_gain / 256) in units of 2**-16, int64, rounded down."""
    clipped = np.clip(log_gain, -MOST_GAIN, MOST_GAIN)
    return _POWERS[clipped & 255] >> (30 - GAIN_BITS - (clipped >> 8))


def checkerboard(height: int, width: int, padded: int) -> tuple[np.ndarray, np.ndarray]:
    """Places (row * padded + column) of the even and of the odd squares of a grid, int64, row by row."""
    rows, columns = np.arange(height)[:, None], np.arange(width)
    places, odd = rows * padded + columns, (rows + columns) % 2 == 1
    return places[~odd].astype(np.int64), places[odd].astype(np.int64)
