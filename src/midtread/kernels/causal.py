"""Contexts from six decoded neighbours, compiled; `causal_slow` says what it does, and is the definition.

Also the pattern for other kernels that decode with contexts: `rans.get` in the loop, a state per lane, p checked at the
end of a row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from midtread.kernels.causal_slow import CONTEXTS
from midtread.kernels.jit import inlined, int64, intrinsic, jit, uint8, uint64
from midtread.kernels.packed import Packed
from midtread.kernels.rans import get, get_escape


@intrinsic
def _leading_zeros(context: Any, value: Any) -> Any:
    """Zero bits above the highest set bit of a uint64; 64 for 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), generate


@inlined
def _level(activity: Any) -> Any:
    """Context of an activity (uint64)."""
    bits = uint64(64) - _leading_zeros(activity | uint64(1))
    second = (activity << uint64(1)) >> (bits - uint64(1)) & uint64(1)  # of 1 alone: 0
    context = min(uint64(2) * bits - uint64(1) + second * uint64(bits > uint64(1)), uint64(CONTEXTS - 1))
    return context if activity else uint64(0)


@jit
def _from_above(planes: np.ndarray, i: int, y: int, above: np.ndarray) -> None:
    """above[x] = 2|N| + |NW| + |NE| + |NN| of row y; above [width] is uint64."""
    width = planes.shape[2]
    above[:] = uint64(0)
    if y > 0:
        row = planes[i, y - 1]
        for x in range(width):
            above[x] += uint64(2) * uint64(abs(int64(row[x])))
        for x in range(1, width):
            above[x] += uint64(abs(int64(row[x - 1])))
        for x in range(width - 1):
            above[x] += uint64(abs(int64(row[x + 1])))
    if y > 1:
        row = planes[i, y - 2]
        for x in range(width):
            above[x] += uint64(abs(int64(row[x])))


@jit
def contexts(planes: np.ndarray, out: np.ndarray) -> None:
    """Context of every symbol; see `causal_slow.contexts`."""
    width = planes.shape[2]
    above = np.empty(width, np.uint64)
    for i in range(planes.shape[0]):
        for y in range(planes.shape[1]):
            _from_above(planes, i, y, above)
            row, result = planes[i, y], out[i, y]
            west = west_west = uint64(0)
            for x in range(width):
                result[x] = uint8(_level(above[x] + uint64(2) * west + west_west))
                west, west_west = uint64(abs(int64(row[x]))), west


@jit
def decode(
    planes: np.ndarray, used: np.ndarray, packed: Packed, begin: int, stop: int, states: np.ndarray,
    words: np.ndarray, p: int, end: int,
) -> int:  # fmt: skip
    """Decode the symbols `begin` to `stop` of all planes; see `causal_slow.decode`."""
    height, width = planes.shape[1], planes.shape[2]
    p, end, lanes = uint64(p), uint64(end), uint64(states.size - 1)  # a mask
    above = np.empty(width, np.uint64)
    at = begin
    while at < stop and p <= end:
        i, y, first = at // (height * width), at // width % height, at % width
        row, result = planes[i, y], used[i, y]
        last = min(width, first + stop - at)
        _from_above(planes, i, y, above)
        west = uint64(abs(int64(row[first - 1]))) if first > 0 else uint64(0)
        west_west = uint64(abs(int64(row[first - 2]))) if first > 1 else uint64(0)
        for x in range(first, last):
            context = _level(above[x] + uint64(2) * west + west_west)
            lane = uint64(at - begin) & lanes
            symbol, escaped, state, p = get(states[lane], p, words, end, context, packed)
            if escaped:
                symbol, state, p = get_escape(state, p, words, end)
            states[lane] = state
            row[x] = symbol
            result[x] = uint8(context)
            west, west_west = uint64(abs(int64(symbol))), west
            at += 1
    return int64(p) if p <= end else int64(-1)
