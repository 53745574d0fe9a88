"""How often each symbol occurs under each index, compiled; `count_slow` says what it does, and is the definition."""

from __future__ import annotations

import numpy as np

from midtread.kernels.jit import int32, int64, jit, uint32, uint64


@jit
def count(symbols: np.ndarray, indices: np.ndarray | None, low: int, span: int, out: np.ndarray) -> None:
    """Add to a table of counts; see `count_slow.count`."""
    first, most = int32(low), uint32(span)
    for i in range(symbols.size):
        column = min(uint32(int32(symbols[i] - first)), most)
        row = uint64(0) if indices is None else uint64(indices[i])
        out[row, uint64(column)] += int64(1)
