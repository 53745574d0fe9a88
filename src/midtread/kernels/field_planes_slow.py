"""Whole numbers as bit planes in NumPy: the definition that `field_planes` repeats faster.

Each block stands for itself:

32 numbers ──► width = bits of the largest ──► `width` words; bit i of word p is bit p of number i
"""

from __future__ import annotations

import numpy as np

_LANES = np.arange(32, dtype=np.uint32)


def widths(values: np.ndarray, out: np.ndarray) -> int:
    """Bits of the largest of each 32 values.

    Args:
        values: uint32 [32 * blocks].
        out: uint8 [blocks], filled.

    Returns:
        The largest of them.
    """
    union = np.bitwise_or.reduce(values.reshape(-1, 32), axis=1)
    out[:] = np.frexp(union.astype(np.float64))[1]
    return int(out.max(initial=0))


def pack(values: np.ndarray, width: np.ndarray, base: int, words: np.ndarray) -> int:
    """Blocks of 32 values -> planes.

    Args:
        values: uint32 [32 * blocks].
        width: uint8 [blocks]: 0 for a block of zeros, which has no planes; else the block has base + width planes.
        base: 0 to 32.
        words: uint32, filled from the front.

    Returns:
        Words written.
    """
    blocks, q = values.reshape(-1, 32), 0
    for block in np.flatnonzero(width):
        for plane in range(base + int(width[block])):
            words[q] = np.bitwise_or.reduce((blocks[block] >> np.uint32(plane) & np.uint32(1)) << _LANES)
            q += 1
    return q


def unpack(words: np.ndarray, width: np.ndarray, base: int, values: np.ndarray) -> None:
    """Undo `pack`: fill `values`; `words` holds what `width` and `base` ask for."""
    blocks, q = values.reshape(-1, 32), 0
    for block in range(width.size):
        blocks[block] = 0
        for plane in range(base + int(width[block]) if width[block] else 0):
            blocks[block] |= (words[q] >> _LANES & np.uint32(1)) << np.uint32(plane)
            q += 1
