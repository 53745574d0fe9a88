"""Numbers of different widths, bit after bit, highest bit first: the definition of `bits`."""

from __future__ import annotations

import numpy as np


def pack(values: np.ndarray, widths: np.ndarray, out: np.ndarray) -> None:
    """Write the low widths[i] bits of each number.

    Args:
        values: uint64 [n].
        widths: uint8 [n], 0 to 57.
        out: uint8 [sum(widths) / 8, rounded up], zeros.
    """
    ends = np.cumsum(widths, dtype=np.int64)
    bits = np.zeros(8 * out.size, dtype=np.uint8)
    for i in range(int(widths.max(initial=0))):
        has = widths > i
        bits[ends[has] - 1 - i] = (values[has] >> np.uint64(i)) & np.uint64(1)
    out[:] = np.packbits(bits)


def unpack(data: np.ndarray, start: int, widths: np.ndarray, out: np.ndarray) -> None:
    """Read numbers that begin at bit `start` and follow each other.

    Args:
        data: uint8, with 8 more bytes after the last that is needed.
        start: of the first number, in bits.
        widths: uint8 [n], 0 to 56.
        out: uint64 [n], filled.
    """
    bits = np.unpackbits(data)
    starts = start + np.cumsum(widths, dtype=np.int64) - widths
    out[:] = 0
    for i in range(int(widths.max(initial=0))):
        has = widths > i
        out[has] = out[has] << np.uint64(1) | bits[starts[has] + i]
