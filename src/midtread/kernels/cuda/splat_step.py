"""Fitted Gaussians on a GPU: their parameters become shapes and colours, and take a step of Adam.

The same numbers, to float rounding, as `transforms.gaussians_fit` has them on a CPU: parameters float32 [n, 5 + C] are
x, y, log a, b / a, log c and colour; a state [3, n, 5 + C] is those and Adam's two moments. A thread for each Gaussian.
"""

from __future__ import annotations

import math

import numpy as np

from midtread.kernels.cuda.common import cuda, float32, kernel

_PLACE, _SHAPE = 2, 5  # columns of x and y, and of all that is not colour
_COLUMNS = 8
_LEAST = 1e-12  # of the divisor


@kernel
def parts(state: np.ndarray, xy: np.ndarray, factor: np.ndarray, colour: np.ndarray) -> None:
    """Parameters to what `splat` draws; fills the last three."""
    k = cuda.grid(1)
    if k < state.shape[1]:
        xy[k, 0], xy[k, 1] = state[0, k, 0], state[0, k, 1]
        a = float32(math.exp(state[0, k, 2]))
        factor[k, 0], factor[k, 1], factor[k, 2] = a, state[0, k, 3] * a, float32(math.exp(state[0, k, 4]))
        for i in range(colour.shape[1]):
            colour[k, i] = state[0, k, _SHAPE + i]


@kernel
def step(
    moments: np.ndarray, factor: np.ndarray, rate: float, rates: np.ndarray, memory1: float, memory2: float,
    low: np.ndarray, high: np.ndarray, age: np.ndarray, state: np.ndarray,
) -> None:  # fmt: skip
    """One step of Adam; NaN stays NaN.

    Args:
        moments: as `splat.moments` leaves them.
        factor: that they belong to.
        rate: of now, times `rates`.
        rates: float32 [6]: x, y in sigmas; log a, b / a, log c; colour.
        memory1: of the first moment.
        memory2: of the second.
        low: float32 [5], the least x, y, log a, b / a and log c.
        high: float32 [5], the largest.
        age: float32 [n, 1], steps taken; one more.
        state: changed.
    """
    k = cuda.grid(1)
    if k >= state.shape[1]:
        return
    gradient = cuda.local.array(_COLUMNS, float32)
    a, b, c, one = factor[k, 0], factor[k, 1], factor[k, 2], float32(1)
    size = one / float32(math.sqrt(a * c))
    across, by_b = b * moments[k, 0] + c * moments[k, 1], -(b * moments[k, 2] + c * moments[k, 3])
    gradient[0], gradient[1] = (a * a * moments[k, 0] + b * across) * size, c * across * size
    gradient[2], gradient[3] = b * by_b - a * a * moments[k, 2], a * by_b
    gradient[4] = -c * (b * moments[k, 3] + c * moments[k, 4])
    for i in range(_SHAPE, state.shape[2]):
        gradient[i] = moments[k, i]
    age[k, 0] += one
    seen1 = one - float32(float32(memory1) ** age[k, 0])
    seen2 = one - float32(float32(memory2) ** age[k, 0])
    for i in range(state.shape[2]):
        g = gradient[i]
        m = state[1, k, i] + (one - float32(memory1)) * (g - state[1, k, i])
        v = state[2, k, i] + (one - float32(memory2)) * (g * g - state[2, k, i])
        state[1, k, i], state[2, k, i] = m, v
        pace = float32(rate) * rates[min(i, _SHAPE)] * (size if i < _PLACE else one)
        p = state[0, k, i] - pace * (m / seen1) / (float32(math.sqrt(v / seen2)) + float32(_LEAST))
        if i < _SHAPE:
            p = low[i] if p < low[i] else high[i] if p > high[i] else p
        state[0, k, i] = p
