"""The 5/3 wavelet as anybody can follow it: the definition that `wavelet53` must equal, and what small inputs run on.

One level of a plane [h, w] leaves four bands, hl = ceil(h / 2) and wl = ceil(w / 2):

    rows    0 .. hl   LL [hl, wl] │ HL [hl, w - wl]        LL is split again
    rows   hl .. h    LH          │ HH

Along each axis, first x then y, with x[-1] = x[1] and x[n] = x[n - 2] (a length of 1 stays as it is):

    high[k] = x[2k + 1] - floor((x[2k] + x[2k + 2]) / 2)
    low[k]  = x[2k] + floor((high[k - 1] + high[k] + 2) / 4)

Results wrap modulo 2^16 (int16) or 2^32 (int32), so the inverse is exact whatever the samples are.

Source: Le Gall & Tabatabai 1988; ISO/IEC 15444-1 Annex F (the same integers).
"""

import numpy as np


def _neighbours(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices for an axis of n samples: low right of each high; high left and right of each low (mirrored)."""
    high = np.arange(n // 2)
    low = np.arange((n + 1) // 2)
    return np.minimum(high + 1, low[-1]), np.maximum(low - 1, 0), np.minimum(low, n // 2 - 1)


def split(x: np.ndarray, axis: int) -> np.ndarray:
    """One level along one axis: low | high."""
    if x.shape[axis] == 1:
        return x
    x = np.moveaxis(x, axis, -1)
    right_of_high, left, right = _neighbours(x.shape[-1])
    even, odd = x[..., 0::2].astype(np.int64), x[..., 1::2].astype(np.int64)
    high = odd - ((even[..., : odd.shape[-1]] + even[..., right_of_high]) >> 1)
    high = high.astype(x.dtype).astype(np.int64)  # wraps
    low = even + ((high[..., left] + high[..., right] + 2) >> 2)
    return np.moveaxis(np.concatenate([low, high], -1).astype(x.dtype), -1, axis)


def join(z: np.ndarray, axis: int) -> np.ndarray:
    """Undo `split`."""
    if z.shape[axis] == 1:
        return z
    z = np.moveaxis(z, axis, -1)
    x = np.empty_like(z)
    right_of_high, left, right = _neighbours(z.shape[-1])
    low, high = z[..., : left.size].astype(np.int64), z[..., left.size :].astype(np.int64)
    x[..., 0::2] = low - ((high[..., left] + high[..., right] + 2) >> 2)
    even = x[..., 0::2].astype(np.int64)
    x[..., 1::2] = high + ((even[..., : high.shape[-1]] + even[..., right_of_high]) >> 1)
    return np.moveaxis(x, -1, axis)


def forward(x: np.ndarray, z: np.ndarray, levels: int) -> None:
    """Transform planes x [p, h, w] into z, same shape and dtype (int16 or int32)."""
    z[...] = x
    for level in range(levels):
        h, w = ((size - 1 >> level) + 1 for size in z.shape[1:])
        z[:, :h, :w] = split(split(z[:, :h, :w], 2), 1)


def inverse(z: np.ndarray, x: np.ndarray, levels: int, drop: int) -> None:
    """Undo `forward` into x, leaving out the `drop` finest levels; x is [p, h, w] of the size that leaves."""
    work = z.copy()
    for level in range(levels - 1, drop - 1, -1):
        h, w = ((size - 1 >> level) + 1 for size in z.shape[1:])
        work[:, :h, :w] = join(join(work[:, :h, :w], 1), 2)
    x[...] = work[:, : x.shape[1], : x.shape[2]]
