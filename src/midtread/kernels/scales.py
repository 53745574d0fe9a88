"""The nearest scale of a list, from integers, compiled: a cell of a lookup table, then a step or two up."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from midtread.kernels.jit import intrinsic, jit, uint32, uint64


@intrinsic
def _leading_zeros(context: Any, value: Any) -> Any:
    """Zero bits above the highest set bit of a uint32; 32 for 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint32(types.uint32), generate


@jit
def index(scales: np.ndarray, first: np.ndarray, limits: np.ndarray, out: np.ndarray) -> None:
    """Fill `out`; see `scales_slow.index`."""
    for i in range(scales.size):
        x = uint32(scales[i])
        length = uint32(32) - _leading_zeros(x)
        cell = (length << uint32(7)) | (uint32((uint64(x) << uint64(8)) >> uint64(length)) & uint32(127))
        k = first[cell]
        while x >= limits[k]:
            k += 1
        out[i] = k
