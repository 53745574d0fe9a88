"""Colour transforms between interleaved pixels and planes. `colour_slow` defines them."""

import numpy as np

from midtread.kernels.jit import inlined, jit


@jit
def forward(x: np.ndarray, z: np.ndarray, rule: int) -> None:
    """Integers x [3 n] to z [3, n] int16 or int32: Y, Co, Cg (rule 0) or Y, U, V (rule 1)."""
    y, u, v = z[0], z[1], z[2]
    if rule == 0:
        for i in range(y.size):
            r, g, b = x[3 * i], x[3 * i + 1], x[3 * i + 2]
            u[i] = np.int64(r) - b
            t = b + (u[i] >> 1)
            v[i] = g - t
            y[i] = t + (v[i] >> 1)
    else:
        for i in range(y.size):
            r, g, b = x[3 * i], x[3 * i + 1], x[3 * i + 2]
            u[i] = np.int64(b) - g
            v[i] = np.int64(r) - g
            y[i] = g + ((u[i] + v[i]) >> 2)


@inlined
def _clip(value: int, low: int, high: int) -> int:
    return min(max(value, low), high)


@jit
def inverse(z: np.ndarray, x: np.ndarray, rule: int, low: int, high: int) -> None:
    """Undo `forward` into x, samples clipped to [low, high]."""
    y, u, v = z[0], z[1], z[2]
    if rule == 0:
        for i in range(y.size):
            t = y[i] - (v[i] >> 1)
            b = t - (u[i] >> 1)
            x[3 * i] = _clip(u[i] + b, low, high)
            x[3 * i + 1] = _clip(v[i] + t, low, high)
            x[3 * i + 2] = _clip(b, low, high)
    else:
        for i in range(y.size):
            g = y[i] - ((u[i] + v[i]) >> 2)
            x[3 * i] = _clip(v[i] + g, low, high)
            x[3 * i + 1] = _clip(g, low, high)
            x[3 * i + 2] = _clip(u[i] + g, low, high)


@jit
def mix(x: np.ndarray, z: np.ndarray, matrix: np.ndarray) -> None:
    """Z [3, n] float32 = matrix [3, 3] times the red, green and blue of x [3 n], summed from the left."""
    m00, m01, m02 = matrix[0, 0], matrix[0, 1], matrix[0, 2]
    m10, m11, m12 = matrix[1, 0], matrix[1, 1], matrix[1, 2]
    m20, m21, m22 = matrix[2, 0], matrix[2, 1], matrix[2, 2]
    a, b, c = z[0], z[1], z[2]
    for i in range(a.size):
        red, green, blue = np.float32(x[3 * i]), np.float32(x[3 * i + 1]), np.float32(x[3 * i + 2])
        a[i] = (m00 * red + m01 * green) + m02 * blue
        b[i] = (m10 * red + m11 * green) + m12 * blue
        c[i] = (m20 * red + m21 * green) + m22 * blue


@jit
def unmix(z: np.ndarray, x: np.ndarray, matrix: np.ndarray) -> None:
    """Red, green and blue of x [3 n] float32 = matrix [3, 3] times z [3, n], summed from the left."""
    m00, m01, m02 = matrix[0, 0], matrix[0, 1], matrix[0, 2]
    m10, m11, m12 = matrix[1, 0], matrix[1, 1], matrix[1, 2]
    m20, m21, m22 = matrix[2, 0], matrix[2, 1], matrix[2, 2]
    a, b, c = z[0], z[1], z[2]
    for i in range(a.size):
        x[3 * i] = (m00 * a[i] + m01 * b[i]) + m02 * c[i]
        x[3 * i + 1] = (m10 * a[i] + m11 * b[i]) + m12 * c[i]
        x[3 * i + 2] = (m20 * a[i] + m21 * b[i]) + m22 * c[i]


@inlined
def _round(value: np.float32, low: np.float32, high: np.float32) -> np.float32:
    nearest = np.rint(value)
    nearest = low if nearest < low else nearest
    return high if nearest > high else nearest


@jit
def unmix_round(z: np.ndarray, x: np.ndarray, matrix: np.ndarray, low: np.float32, high: np.float32) -> None:
    """As `unmix`, into integers: rounded to nearest (ties to even) and clipped to [low, high]."""
    m00, m01, m02 = matrix[0, 0], matrix[0, 1], matrix[0, 2]
    m10, m11, m12 = matrix[1, 0], matrix[1, 1], matrix[1, 2]
    m20, m21, m22 = matrix[2, 0], matrix[2, 1], matrix[2, 2]
    a, b, c = z[0], z[1], z[2]
    for i in range(a.size):
        x[3 * i] = np.int32(_round((m00 * a[i] + m01 * b[i]) + m02 * c[i], low, high))
        x[3 * i + 1] = np.int32(_round((m10 * a[i] + m11 * b[i]) + m12 * c[i], low, high))
        x[3 * i + 2] = np.int32(_round((m20 * a[i] + m21 * b[i]) + m22 * c[i], low, high))
