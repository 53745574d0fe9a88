"""Colour transforms as anybody can follow them: the definition that `colour` must equal, and what small inputs run on.

Pixels come interleaved and flat, [3 n]: red, green, blue; what they become is planar, [3, n]. Integer results wrap
modulo the size of their type, which the inverse undoes.

    rule 0, YCoCg-R    Co = R - B;  t = B + floor(Co / 2);  Cg = G - t;  Y = t + floor(Cg / 2)
    rule 1, RCT        U = B - G;   V = R - G;              Y = G + floor((U + V) / 4)

Source: Malvar & Sullivan, JVT-I014, 2003; ISO/IEC 15444-1 Annex G.
"""

import numpy as np


def forward(x: np.ndarray, z: np.ndarray, rule: int) -> None:
    """Integers x [3 n] to z [3, n] int16 or int32: Y, Co, Cg or Y, U, V."""
    r, g, b = x.reshape(-1, 3).T.astype(np.int64)
    if rule == 0:
        z[1] = (r - b).astype(z.dtype)  # wraps; the lines below see what the decoder will see
        t = b + (z[1].astype(np.int64) >> 1)
        z[2] = (g - t).astype(z.dtype)
        z[0] = (t + (z[2].astype(np.int64) >> 1)).astype(z.dtype)
    else:
        z[1], z[2] = (b - g).astype(z.dtype), (r - g).astype(z.dtype)
        z[0] = (g + (z[1].astype(np.int64) + z[2] >> 2)).astype(z.dtype)


def inverse(z: np.ndarray, x: np.ndarray, rule: int, low: int, high: int) -> None:
    """Undo `forward` into x, samples clipped to [low, high]."""
    y, u, v = z.astype(np.int64)
    if rule == 0:
        t = y - (v >> 1)
        g = v + t
        b = t - (u >> 1)
        r = u + b
    else:
        g = y - (u + v >> 2)
        r, b = v + g, u + g
    for c, plane in enumerate((r, g, b)):
        x[c::3] = np.clip(plane, low, high).astype(x.dtype)


def mix(x: np.ndarray, z: np.ndarray, matrix: np.ndarray) -> None:
    """Z [3, n] float32 = matrix [3, 3] times the red, green and blue of x [3 n], summed from the left."""
    r, g, b = x.reshape(-1, 3).T.astype(np.float32)
    for row, plane in zip(matrix, z, strict=True):
        plane[...] = (row[0] * r + row[1] * g) + row[2] * b


def unmix(z: np.ndarray, x: np.ndarray, matrix: np.ndarray) -> None:
    """Red, green and blue of x [3 n] float32 = matrix [3, 3] times z [3, n], summed from the left."""
    for c, row in enumerate(matrix):
        x[c::3] = (row[0] * z[0] + row[1] * z[1]) + row[2] * z[2]


def unmix_round(z: np.ndarray, x: np.ndarray, matrix: np.ndarray, low: np.float32, high: np.float32) -> None:
    """As `unmix`, into integers: rounded to nearest (ties to even) and clipped to [low, high]."""
    for c, row in enumerate(matrix):
        value = (row[0] * z[0] + row[1] * z[1]) + row[2] * z[2]
        x[c::3] = np.clip(np.rint(value), low, high).astype(x.dtype)
