"""How often each symbol occurs under each index: the definition of `count`."""

from __future__ import annotations

import numpy as np


def count(symbols: np.ndarray, indices: np.ndarray | None, low: int, span: int, out: np.ndarray) -> None:
    """Add to a table of counts.

    Args:
        symbols: int32 [n].
        indices: unsigned [n], or None for row 0.
        low: symbol of the first column.
        span: columns for symbols; the one after them counts every symbol outside.
        out: int64 [rows, span + 1], added to.
    """
    column = symbols.astype(np.int64) - low
    column[(column < 0) | (column >= span)] = span
    if indices is not None:
        column += indices.astype(np.int64) * (span + 1)
    out += np.bincount(column, minlength=out.size).reshape(out.shape)
