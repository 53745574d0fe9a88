"""Memory of one thread for the arrays of one box, used again for the next: fresh memory would cost more than the work.

`begin` starts a box; what `empty` gave before is then up for reuse. The first box of a thread shows how much is needed.
"""

from __future__ import annotations

import math
import threading

import numpy as np

_ALIGNED = 64  # bytes
_SMALL = 1 << 13  # values; fewer are not worth the bookkeeping


class _Memory(threading.local):
    def __init__(self) -> None:
        self.block, self.wanted = np.empty(0, np.uint8), 0


_memory = _Memory()


def begin() -> None:
    """Start a box: all arrays of the one before are given up."""
    if _memory.wanted > _memory.block.size:
        _memory.block = np.empty(_memory.wanted, np.uint8)  # large, so that the system backs it with large pages
    _memory.wanted = 0


def release() -> None:
    """Give the memory of this thread back."""
    _memory.block, _memory.wanted = np.empty(0, np.uint8), 0


def empty(shape: int | tuple[int, ...], dtype: type | np.dtype) -> np.ndarray:
    """An array of any content, valid until the next `begin` in this thread."""
    count = shape if isinstance(shape, int) else math.prod(shape)
    if count < _SMALL:
        return np.empty(shape, dtype)
    memory, size = _memory, count * np.dtype(dtype).itemsize
    start = memory.wanted
    memory.wanted = start + -(-size // _ALIGNED) * _ALIGNED
    if start + size > memory.block.size:
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, memory.block.data, start)
