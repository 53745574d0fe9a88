"""The small steps that drawing Gaussians is made of: which pixels one reaches, and how strongly. `splat_slow` defines.

A strip is 16 columns, one vector of float32. Down a strip the terms of dx are constant, so they are computed once, and
the rows that an ellipse reaches there are known in closed form. Indices are uint64 (no test for wrapping around), and
the innermost loops have a constant count: so they become vectors.
"""

from __future__ import annotations

import math

import numpy as np

from midtread.kernels.jit import float32, inlined, inlined_fused, int32, int64, uint64

LANES = 16  # as in `splat_slow`
SCALE = 0.125**0.5  # a, b, c times this: the ellipse ends where u^2 + v^2 = 1

Three = tuple[float, float, float]


@inlined
def _clamp(value: float, high: int) -> int:
    """The whole number below `value`, in 0..high; 0 for NaN: nothing outside ever becomes an index."""
    if value >= high:
        return int64(high)
    return int64(value) if value > 0 else int64(0)


@inlined
def columns_reached(x: float, half: float, chunks: int) -> tuple[int, int]:
    """The strips that x - half to x + half touch: the first, and the one after the last."""
    step = float32(1 / LANES)
    return _clamp((x - half) * step, chunks), _clamp((x + half) * step + float32(1), chunks)


@inlined
def _edge(dx: float, a: float, b: float, c: float) -> float:
    """How far below its centre the ellipse ends in the column dx: the larger root of u^2 + v^2 = 1."""
    return (math.sqrt(max(float32(1) - (a * dx) * (a * dx), float32(0))) - b * dx) / c


@inlined
def rows_reached(left: float, y: float, a: float, b: float, c: float, rows: int) -> tuple[int, int]:
    """The rows that an ellipse reaches in the 16 columns from `left` of its centre: the first, the one after the last.

    Its lower edge is concave with the top at dx = apex, so the strip's extreme is there or at an end of the strip. The
    upper edge is the lower one, turned about the centre.
    """
    half = float32(1) / a
    apex = -b * half / math.sqrt(a * a + b * b)
    start, stop = max(left, -half), min(left + float32(LANES - 1), half)
    above, below = _edge(min(max(apex, -stop), -start), a, b, c), _edge(min(max(apex, start), stop), a, b, c)
    return _clamp(y - above + float32(1), rows), _clamp(y + below + float32(1), rows)


@inlined_fused
def falloff(lane: int, across: Three, shift: float) -> float:
    """max(0, 1 - q / 8) of a pixel. The terms of dx are the same in each row: the compiler computes them once."""
    left, a, b = across
    dx = left + float32(int32(lane))
    u, v = a * dx, b * dx + shift
    return max(float32(1) - u * u - v * v, float32(0))


@inlined_fused
def total(sums: np.ndarray, which: int) -> float:
    """The sum over the 16 lanes of one of the sums."""
    total = float32(0)
    for lane in range(LANES):
        total += sums[uint64(which * 16) + uint64(lane)]
    return total


@inlined_fused
def add_strip(down: np.ndarray, left: float, sums: np.ndarray) -> None:
    """Add what a strip gave, sums of z, z dy, z dy^2 and w res per lane, to the moments per lane."""
    for lane in range(LANES):
        i = uint64(lane)
        dx, z, zy = left + float32(int32(lane)), down[i], down[i + uint64(16)]
        sums[i] += z * dx
        sums[i + uint64(16)] += zy
        sums[i + uint64(32)] += z * dx * dx
        sums[i + uint64(48)] += zy * dx
        sums[i + uint64(64)] += down[i + uint64(32)]
        sums[i + uint64(80)] += down[i + uint64(48)]
        sums[i + uint64(96)] += down[i + uint64(64)]
        sums[i + uint64(112)] += down[i + uint64(80)]
