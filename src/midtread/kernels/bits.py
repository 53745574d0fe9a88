"""Numbers of different widths, bit after bit, compiled; `bits_slow` says what it does, and is the definition."""

from __future__ import annotations

import numpy as np

from midtread.kernels.jit import jit, uint8, uint64


@jit
def pack(values: np.ndarray, widths: np.ndarray, out: np.ndarray) -> None:
    """Write the low widths[i] bits of each number; see `bits_slow.pack`."""
    held, count, at = uint64(0), uint64(0), 0
    for i in range(values.size):
        width = uint64(widths[i])
        held = (held << width) | (values[i] & ((uint64(1) << width) - uint64(1)))
        count += width
        while count >= uint64(8):
            count -= uint64(8)
            out[at] = uint8(held >> count)
            at += 1
    if count:
        out[at] = uint8(held << (uint64(8) - count))


@jit
def unpack(data: np.ndarray, start: int, widths: np.ndarray, out: np.ndarray) -> None:
    """Read numbers that follow each other; see `bits_slow.unpack`."""
    at = uint64(start)
    for i in range(out.size):
        width, first = uint64(widths[i]), at >> uint64(3)
        held = uint64(0)
        for k in range(8):
            held = (held << uint64(8)) | uint64(data[first + uint64(k)])
        held = (held << (at & uint64(7))) >> uint64(8)  # at least 56 bits from the number on, below 8 zeros
        out[i] = held >> (uint64(56) - width)
        at += width
