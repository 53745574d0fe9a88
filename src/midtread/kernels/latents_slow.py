"""Latents of the `learned` codec between its integer networks and the entropy coder, in NumPy: the definition.

Units (docs/formats/learned.md): heads are 64ths of a latent's unit and eighths of an octave, gains 2**-16 steps per
unit or units per step, means and decoded latents sixteenths of a step, activations int8 sixteenths of a unit.
"""

from __future__ import annotations

import numpy as np

LOWEST_SCALE = -26  # of table 0, eighths of an octave
STEPS = 16  # of a symbol, and of an activation
GAIN_BITS = 16  # behind the point of a gain
KEPT = -(2**15), 2**15 - 1  # sixteenths of a step: what is kept of a decoded latent


def means(heads: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Means in 64ths of a latent's unit [n, c], and the gain -> sixteenths of a step, int32."""
    return ((heads * gain + (1 << GAIN_BITS + 1)) >> (GAIN_BITS + 2)).astype(np.int32)


def table_indices(scales: np.ndarray, log_gain: np.ndarray, tables: int) -> np.ndarray:
    """Scales in eighths of an octave [n, c], and the gain in 256ths -> the table of each symbol, uint8."""
    return np.clip(scales + (((log_gain + 16) >> 5) - LOWEST_SCALE), 0, tables - 1).astype(np.uint8)


def as_activations(decoded: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Decoded latents in sixteenths of a step [n, c] -> int8 sixteenths of their own unit, as the networks see them.

    `gain` is that of the opposite `log_gain`: units per step.
    """
    wide = (decoded * gain + (1 << GAIN_BITS - 1)) >> GAIN_BITS
    return np.clip(wide, -128, 127).astype(np.int8)


def predict(heads: np.ndarray, gain: np.ndarray, log_gain: np.ndarray, tables: int) -> tuple[np.ndarray, np.ndarray]:
    """What a prior says about a group.

    Args:
        heads: int32 [n, 2 c], the means of c latents and then their scales.
        gain: int64 [c], steps per unit.
        log_gain: int32 [c], the same in 256ths of an octave.
        tables: how many there are, at most 256.

    Returns:
        Means int32 [n, c] and tables uint8 [n, c].
    """
    channels = gain.size
    return means(heads[:, :channels], gain), table_indices(heads[:, channels:], log_gain, tables)


def keep(
    symbols: np.ndarray, mean: np.ndarray, places: np.ndarray, first: int, gain: np.ndarray, decoded: np.ndarray,
    seen: np.ndarray,
) -> None:  # fmt: skip
    """Put what a group decodes to where it belongs.

    Args:
        symbols: int32 [n, c], less than 2**21 from 0.
        mean: int32 [n, c].
        places: int64 [n], rows of `decoded` and `seen`.
        first: channel of `decoded`.
        gain: int64 [c], units per step.
        decoded: int16 [all places, all channels]; updated, clipped.
        seen: int8 [all places, c], activations; updated.
    """
    part = symbols * STEPS + mean
    decoded[places, first : first + gain.size] = np.clip(part, *KEPT)
    seen[places] = as_activations(part, gain)


def choose(
    y: np.ndarray, places: np.ndarray, first: int, mean: np.ndarray, tables: np.ndarray, bits: np.ndarray,
    price: np.ndarray | None, lone: int, farthest: int,
) -> np.ndarray:  # fmt: skip
    """Symbols of a group, for an encoder.

    Args:
        y: float32 [all places, all channels], quantizer steps.
        places: int64 [n], rows of `y`.
        first: channel of `y`.
        mean: sixteenths of a step, int32 [n, c].
        tables: uint8 [n, c].
        bits: float32 [tables, 2 r + 1], what the symbols -r ... r cost.
        price: float32 [c], bits that a squared error of one step is worth: a symbol nearer to 0 is taken where it saves
            more; None: each is rounded.
        lone: symbols up to it are dropped under table 0.
        farthest: distance of a symbol from 0, at most.

    Returns:
        int32 [n, c].
    """
    exact = y[places, first : first + mean.shape[1]] - mean.astype(np.float32) / np.float32(STEPS)
    symbols, reach = np.rint(exact), bits.shape[1] // 2
    if price is not None:
        some = np.flatnonzero((symbols != 0) & (np.abs(symbols) <= reach))
        which, near, real = tables.reshape(-1)[some], symbols.reshape(-1)[some], exact.reshape(-1)[some]
        nearer = near - np.sign(near)
        saved = bits[which, near.astype(np.int64) + reach] - bits[which, nearer.astype(np.int64) + reach]
        worse = (real - nearer) ** 2 - (real - near) ** 2
        take = saved > worse * np.broadcast_to(price, exact.shape).reshape(-1)[some]
        symbols.reshape(-1)[some[take]] = nearer[take]
    symbols[(tables == 0) & (np.abs(symbols) <= lone)] = 0
    return np.clip(symbols, -farthest, farthest).astype(np.int32)


def pack(values: np.ndarray, tables: np.ndarray) -> np.ndarray:
    """The values (any [n, c]) whose table is not 0, in order."""
    return values[tables > 0]


def unpack(packed: np.ndarray, tables: np.ndarray) -> np.ndarray:
    """int32 [n, c] with the values of `pack` in their places, and 0 elsewhere."""
    out = np.zeros(tables.shape, np.int32)
    out[tables > 0] = packed
    return out
