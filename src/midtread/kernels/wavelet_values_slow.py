"""Between float wavelet coefficients and the integers that stand for them, in NumPy. This file is the definition."""

from __future__ import annotations

import numpy as np


def scale(z: np.ndarray, y: np.ndarray, gain: np.float32) -> None:
    """Y [n] int32 = z [n] float32 times gain, rounded to nearest, ties to even."""
    y[:] = np.rint(z * gain).astype(np.int32)


def restore(q: np.ndarray, z: np.ndarray, box: np.ndarray, step: np.float32, shifts: np.ndarray) -> None:
    """A band of z float32 = the integers q, their sizes moved by shifts [3] (of 1, 2 and the rest), times step."""
    plane, top, bottom, left, right = (int(v) for v in box)
    given = q[plane, top:bottom, left:right]
    sizes = np.abs(given)
    made = (sizes.astype(np.float32) + shifts[np.clip(sizes, 1, 3) - 1]) * step
    z[plane, top:bottom, left:right] = np.where(given == 0, np.float32(0), np.where(given < 0, -made, made))


def measure(y: np.ndarray, q: np.ndarray, box: np.ndarray, fraction: int, sums: np.ndarray) -> None:
    """Add to sums [3, 2] int64, for the sizes 1, 2 and the rest: what y is larger than q, and how many they are."""
    plane, top, bottom, left, right = (int(v) for v in box)
    part = (plane, slice(top, bottom), slice(left, right))
    sizes = np.abs(q[part]).astype(np.int64)
    more = np.abs(y[part]).astype(np.int64) - (sizes << fraction)
    for kind in range(3):
        which = np.minimum(sizes, 3) == kind + 1
        sums[kind] += more[which].sum(), which.sum()
