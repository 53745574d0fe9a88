"""Between float wavelet coefficients and integers, compiled; `wavelet_values_slow` is the definition."""

from __future__ import annotations

import numpy as np

from midtread.kernels.jit import int32, int64, jit
from midtread.kernels.wavelet_contexts import row_of


@jit
def scale(z: np.ndarray, y: np.ndarray, gain: np.float32) -> None:
    """Y [n] int32 = z [n] float32 times gain, rounded to nearest."""
    for i in range(y.size):
        y[i] = int32(np.rint(z[i] * gain))


@jit
def _restore_row(q: np.ndarray, z: np.ndarray, step: np.float32, shifts: np.ndarray) -> None:
    one, two, more = shifts[0], shifts[1], shifts[2]
    for i in range(q.size):
        size = abs(q[i])
        shift = one if size == 1 else (two if size == 2 else more)
        made = np.float32(np.float32(size) + shift) * step
        z[i] = np.float32(0) if q[i] == 0 else (-made if q[i] < 0 else made)


@jit
def restore(q: np.ndarray, z: np.ndarray, box: np.ndarray, step: np.float32, shifts: np.ndarray) -> None:
    """A band of z float32 = the integers q moved by shifts [3] (of sizes 1, 2 and the rest), times step."""
    for r in range(box[2] - box[1]):
        _restore_row(row_of(q, box, r), row_of(z, box, r), step, shifts)


@jit
def _measure_row(y: np.ndarray, q: np.ndarray, fraction: int, sums: np.ndarray) -> None:
    one, two, more, ones, twos, mores = int64(0), int64(0), int64(0), int64(0), int64(0), int64(0)
    for j in range(q.size):  # without branches, for the sake of vector units
        size = abs(q[j])
        over = int64(abs(y[j]) - (size << int32(fraction)))
        one += over if size == 1 else int64(0)
        two += over if size == 2 else int64(0)
        more += over if size > 2 else int64(0)
        ones += size == 1
        twos += size == 2
        mores += size > 2
    sums[0, 0] += one
    sums[0, 1] += ones
    sums[1, 0] += two
    sums[1, 1] += twos
    sums[2, 0] += more
    sums[2, 1] += mores


@jit
def measure(y: np.ndarray, q: np.ndarray, box: np.ndarray, fraction: int, sums: np.ndarray) -> None:
    """Add to sums [3, 2] int64, for the sizes 1, 2 and the rest: what y is larger than q, and how many they are."""
    for r in range(box[2] - box[1]):
        _measure_row(row_of(y, box, r), row_of(q, box, r), fraction, sums)
