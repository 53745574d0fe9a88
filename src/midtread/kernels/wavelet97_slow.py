"""The 9/7 wavelet as anybody can follow it: the definition that `wavelet97` must equal, and what small inputs run on.

Layout, order of the axes and mirrored borders are those of `wavelet53_slow`. Along each axis, low = the even samples,
high = the odd ones, then four lifting steps in float32, each product and each sum rounded:

    high[k] += ALPHA * (low[k] + low[k + 1])        low[k] += BETA * (high[k - 1] + high[k])
    high[k] += GAMMA * (low[k] + low[k + 1])        low[k] += DELTA * (high[k - 1] + high[k])

No scaling of its own: the caller gives one gain per band. With all gains 1, a constant c becomes 1.2302 c in low.

Source: Cohen, Daubechies & Feauveau 1992; lifting: Daubechies & Sweldens, J. Fourier Anal. Appl. 4(3), 1998.
"""

import numpy as np

from midtread.kernels.wavelet53_slow import _neighbours

# As in `wavelet97` (a test compares them): this module must not import numba.
ALPHA = np.float32(-1.586134342059924)
BETA = np.float32(-0.052980118572961)
GAMMA = np.float32(0.882911075530934)
DELTA = np.float32(0.443506852043971)


def split(x: np.ndarray, axis: int) -> np.ndarray:
    """One level along one axis, without gains: low | high."""
    if x.shape[axis] == 1:
        return x
    x = np.moveaxis(x, axis, -1)
    right_of_high, left, right = _neighbours(x.shape[-1])
    low, high = x[..., 0::2].copy(), x[..., 1::2].copy()
    for of_high, of_low in ((ALPHA, BETA), (GAMMA, DELTA)):
        high += of_high * (low[..., : high.shape[-1]] + low[..., right_of_high])
        low += of_low * (high[..., left] + high[..., right])
    return np.moveaxis(np.concatenate([low, high], -1), -1, axis)


def join(z: np.ndarray, axis: int) -> np.ndarray:
    """Undo `split`."""
    if z.shape[axis] == 1:
        return z
    z = np.moveaxis(z, axis, -1)
    right_of_high, left, right = _neighbours(z.shape[-1])
    low, high = z[..., : left.size].copy(), z[..., left.size :].copy()
    for of_high, of_low in ((GAMMA, DELTA), (ALPHA, BETA)):
        low -= of_low * (high[..., left] + high[..., right])
        high -= of_high * (low[..., : high.shape[-1]] + low[..., right_of_high])
    x = np.empty_like(z)
    x[..., 0::2], x[..., 1::2] = low, high
    return np.moveaxis(x, -1, axis)


def _quarters(z: np.ndarray, h: int, w: int) -> list[np.ndarray]:
    """Views of LL, HL, LH, HH of a level whose input is [h, w]."""
    hl, wl = (h + 1) // 2, (w + 1) // 2
    return [z[:, :hl, :wl], z[:, :hl, wl:w], z[:, hl:h, :wl], z[:, hl:h, wl:w]]


def forward(x: np.ndarray, z: np.ndarray, gains: np.ndarray) -> None:
    """Transform planes x [p, h, w] float32 into z; gains [levels, 4] multiply LL, HL, LH, HH, finest level first."""
    z[...] = x
    for level, level_gains in enumerate(gains):
        h, w = ((size - 1 >> level) + 1 for size in z.shape[1:])
        z[:, :h, :w] = split(split(z[:, :h, :w], 2), 1)
        for band, gain in zip(_quarters(z, h, w), level_gains, strict=True):
            band *= gain


def inverse(z: np.ndarray, x: np.ndarray, gains: np.ndarray, drop: int) -> None:
    """Undo `forward` with the inverted gains, leaving out the `drop` finest levels; x is of the size that leaves."""
    work = z.copy()
    for level in range(len(gains) - 1, drop - 1, -1):
        h, w = ((size - 1 >> level) + 1 for size in z.shape[1:])
        for band, gain in zip(_quarters(work, h, w), gains[level], strict=True):
            band *= gain
        work[:, :h, :w] = join(join(work[:, :h, :w], 1), 2)
    x[...] = work[:, : x.shape[1], : x.shape[2]]
