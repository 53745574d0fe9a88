"""The reversible 5/3 wavelet on planes of int16 or int32, any size, any depth, in place in the plane (Mallat's layout).

`wavelet53_slow` defines it. Here a few rows are held in the cache, so that every sample is read once and written once
per level, and rows are handed on as 1-D views, because only such loops become vector code.
"""

import numpy as np

from midtread.kernels.jit import jit

# floor((a + b) / 2) is written (a & b) + ((a ^ b) >> 1): it needs no wider integer, so twice as many fit a vector.


@jit
def _copy(out: np.ndarray, x: np.ndarray) -> None:
    for i in range(x.size):
        out[i] = x[i]


@jit
def _add_half(x: np.ndarray, a: np.ndarray, b: np.ndarray, sign: int) -> None:
    """Add sign * floor((a + b) / 2) to x."""
    for i in range(x.size):
        x[i] += sign * ((a[i] & b[i]) + ((a[i] ^ b[i]) >> 1))


@jit
def _add_quarter(x: np.ndarray, a: np.ndarray, b: np.ndarray, sign: int) -> None:
    """Add sign * floor((a + b + 2) / 4) to x."""
    for i in range(x.size):
        x[i] += sign * (((a[i] & b[i]) + ((a[i] ^ b[i]) >> 1) + 1) >> 1)


@jit
def _lift_high(low: np.ndarray, high: np.ndarray, sign: int) -> None:
    """high[k] += sign * floor((low[k] + low[k + 1]) / 2), low repeated at its end."""
    n = min(high.size, low.size - 1)
    _add_half(high[:n], low, low[1:], sign)
    if n < high.size:
        high[n] += sign * low[n]


@jit
def _lift_low(low: np.ndarray, high: np.ndarray, sign: int) -> None:
    """low[k] += sign * floor((high[k - 1] + high[k] + 2) / 4), high repeated at both ends."""
    n = high.size
    low[0] += sign * ((high[0] + 1) >> 1)
    _add_quarter(low[1:n], high, high[1:], sign)
    if n < low.size:
        low[n] += sign * ((high[n - 1] + 1) >> 1)


@jit
def _row_forward(row: np.ndarray, out: np.ndarray) -> None:
    """Split one row into out = low | high."""
    wl, wh = (row.size + 1) // 2, row.size // 2
    low, high = out[:wl], out[wl : row.size]
    for i in range(wh):
        low[i] = row[2 * i]
        high[i] = row[2 * i + 1]
    if wl > wh:
        low[wh] = row[2 * wh]
    if wh > 0:
        _lift_high(low, high, -1)
        _lift_low(low, high, 1)


@jit
def _row_inverse(row: np.ndarray, out: np.ndarray) -> None:
    """Join row = low | high into `out`; `row` is overwritten."""
    wl, wh = (row.size + 1) // 2, row.size // 2
    low, high = row[:wl], row[wl:]
    if wh > 0:
        _lift_low(low, high, -1)
        _lift_high(low, high, 1)
    for i in range(wh):
        out[2 * i] = low[i]
        out[2 * i + 1] = high[i]
    if wl > wh:
        out[2 * wh] = low[wh]


@jit
def _level_forward(src: np.ndarray, low: np.ndarray, z: np.ndarray, t: np.ndarray) -> None:
    """One level of `src` [h, w]: LL goes to `low`, the other bands to z[:h, :w]; t [4, >= w] is scratch."""
    h, w = src.shape
    hl, hh, wl = (h + 1) // 2, h // 2, (w + 1) // 2
    before, here, odd, after = t[0, :w], t[1, :w], t[2, :w], t[3, :w]
    for k in range(hl):  # `here` is row 2k before lifting, low[k] after it; `odd` row 2k + 1, then high[k]
        for r in range(2 * k + min(k, 1), min(2 * k + 3, h)):
            _row_forward(src[r], odd if r % 2 else (after if r else here))
        if k < hh:
            _add_half(odd, here, after if 2 * k + 2 < h else here, -1)
            _copy(z[hl + k], odd)
        if hh > 0:
            _add_quarter(here, before if k else odd, odd if k < hh else before, 1)
        _copy(low[k], here[:wl])
        _copy(z[k, wl:], here[wl:])
        before, odd = odd, before
        here, after = after, here


@jit
def _level_inverse(low: np.ndarray, z: np.ndarray, out: np.ndarray, t: np.ndarray) -> None:
    """Undo one level: LL from `low`, the other bands from z[:h, :w], into `out` [h, w]."""
    h, w = out.shape
    hl, hh, wl = (h + 1) // 2, h // 2, (w + 1) // 2
    before, odd, here, after = t[0, :w], t[1, :w], t[2, :w], t[3, :w]
    for k in range(hl + 1):  # `after` becomes row 2k; then `before`, row 2k - 1, is known, and `here`, row 2k - 2, free
        if k < hh:
            _copy(odd, z[hl + k, :w])
        if k < hl:
            _copy(after, low[k, :wl])
            _copy(after[wl:], z[k, wl:w])
        if k < hl and hh > 0:
            _add_quarter(after, before if k else odd, odd if k < hh else before, -1)
        if 0 < k <= hh:
            _add_half(before, here, after if k < hl else here, 1)
        for r in range(2 * k - 2, min(2 * k, h)):
            if r >= 0:
                _row_inverse(before if r % 2 else here, out[r])
        before, odd = odd, before
        here, after = after, here


@jit
def forward(x: np.ndarray, z: np.ndarray, levels: int) -> None:
    """Transform planes x [p, h, w] into z, same shape and dtype (int16 or int32), C-contiguous, not the same memory.

    levels >= 1; 0 writes nothing.
    """
    planes, _, width = x.shape
    t = np.empty((4, width), x.dtype)
    for p in range(planes):
        src = x[p]
        for level in range(levels):
            h, w = src.shape
            low = z[p] if level == levels - 1 else np.empty(((h + 1) // 2, (w + 1) // 2), x.dtype)
            _level_forward(src, low, z[p], t)
            src = low


@jit
def inverse(z: np.ndarray, x: np.ndarray, levels: int, drop: int) -> None:
    """Undo `forward` into x, leaving out the `drop` finest levels; x is [p, h, w] of the size that leaves.

    drop < levels; otherwise nothing is written.
    """
    planes, height, width = z.shape
    t = np.empty((4, x.shape[2]), x.dtype)
    for p in range(planes):
        low = z[p]
        for level in range(levels - 1, drop - 1, -1):
            h = ((height - 1) >> level) + 1
            w = ((width - 1) >> level) + 1
            out = x[p] if level == drop else np.empty((h, w), x.dtype)
            _level_inverse(low, z[p], out, t)
            low = out
