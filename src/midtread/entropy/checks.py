"""What every coder asks of its arguments."""

from __future__ import annotations

import numpy as np

from midtread.entropy.tables import Tables
from midtread.errors import UsageError


def int32(symbols: np.ndarray) -> np.ndarray:
    """`symbols` as a read-only contiguous int32 vector, without a copy where possible. Raises UsageError."""
    symbols = np.asarray(symbols)
    if symbols.dtype.kind not in "iu" and symbols.size:
        raise UsageError(f"symbols are integers, got {symbols.dtype}; quantize them first")
    if symbols.dtype.itemsize >= 4 and symbols.dtype != np.int32 and symbols.size:
        low, high = int(symbols.min()), int(symbols.max())
        if low < -(2**31) or high > 2**31 - 1:
            raise UsageError(f"symbols are int32, got values from {low} to {high}")
    return read_only(symbols.astype(np.int32, copy=False))


def indices(which: np.ndarray | None, count: int, tables: Tables) -> np.ndarray | None:
    """`which` as a read-only uint8 or uint16 vector, None for a single table. Raises UsageError."""
    if which is None:
        if len(tables) != 1:
            raise UsageError(f"there are {len(tables)} tables: say with `indices` which one each symbol takes")
        return None
    which = np.asarray(which)
    if which.size != count or (which.dtype.kind not in "iu" and count):
        raise UsageError(f"{count} symbols need {count} integer indices, got {which.size} of {which.dtype}")
    dtype = np.dtype(np.uint8 if len(tables) <= 256 else np.uint16)
    always = which.dtype.kind == "u" and 8 * which.dtype.itemsize <= (len(tables)).bit_length() - 1
    if count and not always:
        low, high = int(which.min()), int(which.max())
        if low < 0 or high >= len(tables):
            raise UsageError(f"indices of tables run from {low} to {high}; there are {len(tables)} tables")
    return None if len(tables) == 1 else read_only(which.astype(dtype, copy=False))


def need_tables(name: str, tables: Tables | None) -> Tables:
    """`tables`. Raises UsageError when there are none."""
    if tables is None:
        raise UsageError(f"coder {name!r} needs frequency tables; fit them with Tables or take a family's")
    return tables


def read_only(x: np.ndarray) -> np.ndarray:
    """A contiguous read-only vector of `x` in native order: one type for the compiler, whatever came in."""
    x = np.ascontiguousarray(x.astype(x.dtype.newbyteorder("="), copy=False)).reshape(-1)
    x = x[:]
    x.flags.writeable = False
    return x
