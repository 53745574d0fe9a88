"""Latents between the integer networks and the entropy coder, compiled; `latents_slow` says what each function does.

The same integers, and the same float32 operations in the same order, so that an encoder writes the same bytes.
"""

from __future__ import annotations

import numpy as np

from midtread.kernels.jit import float32, int8, int16, int32, int64, jit, uint8
from midtread.kernels.latents_slow import GAIN_BITS, KEPT, LOWEST_SCALE, STEPS

_LEAST, _MOST = KEPT
_HALF_MEAN, _HALF = 1 << GAIN_BITS + 1, 1 << GAIN_BITS - 1


@jit
def predict(heads: np.ndarray, gain: np.ndarray, log_gain: np.ndarray, tables: int) -> tuple[np.ndarray, np.ndarray]:
    """See `latents_slow.predict`."""
    channels = gain.size
    mean, which = np.empty((len(heads), channels), np.int32), np.empty((len(heads), channels), np.uint8)
    more, most = np.empty(channels, np.int32), int32(tables - 1)
    for j in range(channels):
        more[j] = ((log_gain[j] + 16) >> 5) - LOWEST_SCALE
    for i in range(len(heads)):
        for j in range(channels):
            mean[i, j] = int32((int64(heads[i, j]) * gain[j] + _HALF_MEAN) >> (GAIN_BITS + 2))
        for j in range(channels):
            which[i, j] = uint8(min(max(int32(heads[i, channels + j] + more[j]), int32(0)), most))
    return mean, which


@jit
def keep(
    symbols: np.ndarray, mean: np.ndarray, places: np.ndarray, first: int, gain: np.ndarray, decoded: np.ndarray,
    seen: np.ndarray,
) -> None:  # fmt: skip
    """See `latents_slow.keep`."""
    values = np.empty(gain.size, np.int32)
    for i in range(places.size):  # a loop for each width of integers: so they become vectors
        whole, part = decoded[places[i], first : first + gain.size], seen[places[i]]
        for j in range(gain.size):
            values[j] = symbols[i, j] * int32(STEPS) + mean[i, j]
        for j in range(gain.size):
            whole[j] = int16(min(max(values[j], int32(_LEAST)), int32(_MOST)))
        for j in range(gain.size):
            part[j] = int8(min(max((int64(values[j]) * gain[j] + _HALF) >> GAIN_BITS, int64(-128)), int64(127)))


@jit
def choose(
    y: np.ndarray, places: np.ndarray, first: int, mean: np.ndarray, tables: np.ndarray, bits: np.ndarray,
    price: np.ndarray | None, lone: int, farthest: int,
) -> np.ndarray:  # fmt: skip
    """See `latents_slow.choose`."""
    out, reach, end = np.empty(mean.shape, np.int32), float32(bits.shape[1] // 2), float32(farthest)
    exact, rounded = np.empty(mean.shape[1], np.float32), np.empty(mean.shape[1], np.float32)
    for i in range(places.size):  # loops of few kinds of work each, which the compiler turns into vectors
        row = y[places[i], first : first + exact.size]
        for j in range(exact.size):
            exact[j] = row[j] - float32(mean[i, j]) / float32(STEPS)
            rounded[j] = np.rint(exact[j])
        if price is not None:  # numba drops this branch when there is no price
            for j in range(exact.size):
                near = rounded[j]
                if near != 0 and abs(near) <= reach:
                    nearer = near - np.sign(near)
                    saved = bits[tables[i, j], int64(near + reach)] - bits[tables[i, j], int64(nearer + reach)]
                    before, after = exact[j] - near, exact[j] - nearer
                    if saved > (after * after - before * before) * price[j]:
                        rounded[j] = nearer
        for j in range(exact.size):
            symbol = rounded[j]
            symbol = end if symbol > end else symbol
            symbol = -end if symbol < -end else symbol
            dropped = (tables[i, j] == 0) & (abs(symbol) <= lone)
            out[i, j] = int32(0) if dropped else int32(symbol)
    return out


@jit
def pack(values: np.ndarray, tables: np.ndarray) -> np.ndarray:
    """See `latents_slow.pack`."""
    flat, which, out, n = values.reshape(-1), tables.reshape(-1), np.empty(values.size + 1, values.dtype), 0
    for i in range(flat.size):
        out[n] = flat[i]  # always written, kept only where the table is not 0: no branch to mispredict
        n += which[i] > 0
    return out[:n]


@jit
def unpack(packed: np.ndarray, tables: np.ndarray) -> np.ndarray:
    """See `latents_slow.unpack`."""
    out, which, n, last = np.empty(tables.shape, np.int32), tables.reshape(-1), 0, packed.size - 1
    flat = out.reshape(-1)
    if last < 0:
        flat[:] = 0
        return out
    for i in range(flat.size):
        value = packed[min(n, last)]  # read in any case: no branch to mispredict
        flat[i] = value if which[i] > 0 else int32(0)
        n += which[i] > 0
    return out
