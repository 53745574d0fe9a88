"""The integer arithmetic between the networks of the `learned` codec and the tables: the same on every machine.

Units: activations, and latents as the networks see them, are sixteenths; means come out of the networks as 64ths,
scales as eighths of an octave; gains are 256ths of an octave, log2 of symbols per unit of a latent. Symbols count
quantizer steps, and decoded latents are kept in sixteenths of a step.
"""

from __future__ import annotations

import numpy as np

from midtread.entropy import exact_math

LOWEST_SCALE = -26  # of table 0, eighths of an octave
STEPS = 16  # of a symbol, and of an activation
MOST_GAIN = 14 * 256  # either way
_BITS = 16  # behind the point of a gain
_LN2 = float.fromhex("0x1.62e42fefa39efp-1")
_POWERS = np.rint(exact_math.exp(_LN2 * np.arange(256) / 256.0) * 2.0**30).astype(np.int64)


def gain(log_gain: np.ndarray) -> np.ndarray:
    """2**(log_gain / 256) in units of 2**-16, int64, rounded down."""
    clipped = np.clip(log_gain, -MOST_GAIN, MOST_GAIN)
    return _POWERS[clipped & 255] >> (30 - _BITS - (clipped >> 8))


def means(heads: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Means in 64ths of a latent's unit [n, c], and the gain -> sixteenths of a step, int32."""
    return ((heads * gain + (1 << _BITS + 1)) >> (_BITS + 2)).astype(np.int32)


def table_indices(scales: np.ndarray, log_gain: np.ndarray, tables: int) -> np.ndarray:
    """Scales in eighths of an octave [n, c], and the gain -> the table of each symbol, uint8."""
    return np.clip(scales + (((log_gain + 16) >> 5) - LOWEST_SCALE), 0, tables - 1).astype(np.uint8)


def as_activations(decoded: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Decoded latents in sixteenths of a step [n, c] -> int8 sixteenths of their own unit, as the networks see them.

    `gain` is that of the opposite `log_gain`: units per step.
    """
    wide = (decoded * gain + (1 << _BITS - 1)) >> _BITS
    return np.clip(wide, -128, 127).astype(np.int8)


def checkerboard(height: int, width: int, padded: int) -> tuple[np.ndarray, np.ndarray]:
    """Places (row * padded + column) of the even and of the odd squares of a grid, int64, row by row."""
    rows, columns = np.arange(height)[:, None], np.arange(width)
    places, odd = rows * padded + columns, (rows + columns) % 2 == 1
    return places[~odd].astype(np.int64), places[odd].astype(np.int64)
