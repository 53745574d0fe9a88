"""The 9/7 wavelet on planes of float32, any size, any depth, in place in the plane (Mallat's layout).

`wavelet97_slow` defines it, to the last bit: float32 operations in the same order, none fused. Rows are handled as in
`wavelet53`.
"""

import numpy as np

from midtread.kernels.jit import jit

# The four lifting steps (Daubechies & Sweldens 1998, table of the 9-7 filters).
ALPHA = np.float32(-1.586134342059924)
BETA = np.float32(-0.052980118572961)
GAMMA = np.float32(0.882911075530934)
DELTA = np.float32(0.443506852043971)


@jit
def _scale(out: np.ndarray, x: np.ndarray, gain: np.float32) -> None:
    for i in range(x.size):
        out[i] = gain * x[i]


@jit
def _lift(x: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.float32) -> None:
    """Add c * (a + b) to x."""
    for i in range(x.size):
        x[i] += c * (a[i] + b[i])


@jit
def _lift_high(low: np.ndarray, high: np.ndarray, c: np.float32) -> None:
    """high[k] += c * (low[k] + low[k + 1]), low repeated at its end."""
    n = min(high.size, low.size - 1)
    _lift(high[:n], low, low[1:], c)
    if n < high.size:
        high[n] += c * (low[n] + low[n])


@jit
def _lift_low(low: np.ndarray, high: np.ndarray, c: np.float32) -> None:
    """low[k] += c * (high[k - 1] + high[k]), high repeated at both ends."""
    n = high.size
    low[0] += c * (high[0] + high[0])
    _lift(low[1:n], high, high[1:], c)
    if n < low.size:
        low[n] += c * (high[n - 1] + high[n - 1])


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
        _lift_high(low, high, ALPHA)
        _lift_low(low, high, BETA)
        _lift_high(low, high, GAMMA)
        _lift_low(low, high, DELTA)


@jit
def _row_inverse(row: np.ndarray, out: np.ndarray) -> None:
    """Join row = low | high into `out`; `row` is overwritten."""
    wl, wh = (row.size + 1) // 2, row.size // 2
    low, high = row[:wl], row[wl:]
    if wh > 0:
        _lift_low(low, high, -DELTA)
        _lift_high(low, high, -GAMMA)
        _lift_low(low, high, -BETA)
        _lift_high(low, high, -ALPHA)
    for i in range(wh):
        out[2 * i] = low[i]
        out[2 * i + 1] = high[i]
    if wl > wh:
        out[2 * wh] = low[wh]


@jit
def _level_forward(src: np.ndarray, low: np.ndarray, z: np.ndarray, gains: np.ndarray, t: np.ndarray) -> None:
    """One level of `src` [h, w]: LL goes to `low`, the other bands to z[:h, :w], each times its gain."""
    h, w = src.shape
    hl, hh, wl = (h + 1) // 2, h // 2, (w + 1) // 2
    odd, d1, d2 = t[0, :w], t[1, :w], t[2, :w]  # odd rows: of pair k, k - 1 and k - 2
    here, after, s1 = t[3, :w], t[4, :w], t[5, :w]  # even rows: of pair k, k + 1 and k - 1
    for k in range(hl + 1):
        for r in range(2 * k + min(k, 1), min(2 * k + 3, h)):
            _row_forward(src[r], odd if r % 2 else (after if r else here))
        if k < hh:
            _lift(odd, here, after if 2 * k + 2 < h else here, ALPHA)
        if k < hl and hh > 0:
            _lift(here, d1 if k else odd, odd if k < hh else d1, BETA)
        if k > 0:  # pair k - 1 has all it needs
            if k <= hh:
                _lift(d1, s1, here if k < hl else s1, GAMMA)
                _scale(z[hl + k - 1], d1[:wl], gains[2])
                _scale(z[hl + k - 1, wl:], d1[wl:], gains[3])
            if hh > 0:
                _lift(s1, d2 if k > 1 else d1, d1 if k <= hh else d2, DELTA)
            _scale(low[k - 1], s1[:wl], gains[0])
            _scale(z[k - 1, wl:], s1[wl:], gains[1])
        odd, d1, d2 = d2, odd, d1
        here, after, s1 = after, s1, here


@jit
def _level_inverse(low: np.ndarray, z: np.ndarray, out: np.ndarray, gains: np.ndarray, t: np.ndarray) -> None:
    """Undo one level: LL from `low`, the other bands from z[:h, :w], each times its gain, into `out` [h, w]."""
    h, w = out.shape
    hl, hh, wl = (h + 1) // 2, h // 2, (w + 1) // 2
    d0, d1, d2 = t[0, :w], t[1, :w], t[2, :w]  # odd rows: of pair k, k - 1 and k - 2
    s0, s1, s2 = t[3, :w], t[4, :w], t[5, :w]  # even rows: the same
    for k in range(hl + 2):
        if k < hh:
            _scale(d0, z[hl + k, :wl], gains[2])
            _scale(d0[wl:], z[hl + k, wl:w], gains[3])
        if k < hl:
            _scale(s0, low[k, :wl], gains[0])
            _scale(s0[wl:], z[k, wl:w], gains[1])
            if hh > 0:
                _lift(s0, d1 if k else d0, d0 if k < hh else d1, -DELTA)
        if 0 < k <= hh:
            _lift(d1, s1, s0 if k < hl else s1, -GAMMA)
        if 0 < k <= hl and hh > 0:
            _lift(s1, d2 if k > 1 else d1, d1 if k <= hh else d2, -BETA)
        if 2 <= k < hh + 2:
            _lift(d2, s2, s1 if k <= hl else s2, -ALPHA)
        for r in range(max(2 * k - 4, 0), min(2 * k - 2, h)):
            _row_inverse(d2 if r % 2 else s2, out[r])
        d0, d1, d2 = d2, d0, d1
        s0, s1, s2 = s2, s0, s1


@jit
def forward(x: np.ndarray, z: np.ndarray, gains: np.ndarray) -> None:
    """Transform planes x [p, h, w] float32 into z, same shape, C-contiguous, not the same memory.

    gains [levels, 4] float32 multiply LL, HL, LH, HH of each level, finest first; LL is split again after its gain.
    levels >= 1; 0 writes nothing.
    """
    planes, _, width = x.shape
    levels = gains.shape[0]
    t = np.empty((6, width), x.dtype)
    for p in range(planes):
        src = x[p]
        for level in range(levels):
            h, w = src.shape
            low = z[p] if level == levels - 1 else np.empty(((h + 1) // 2, (w + 1) // 2), x.dtype)
            _level_forward(src, low, z[p], gains[level], t)
            src = low


@jit
def inverse(z: np.ndarray, x: np.ndarray, gains: np.ndarray, drop: int) -> None:
    """Undo `forward` into x, leaving out the `drop` finest levels; x is [p, h, w] of the size that leaves.

    gains [levels, 4] are those of `forward` inverted. drop < levels; otherwise nothing is written.
    """
    planes, height, width = z.shape
    t = np.empty((6, x.shape[2]), x.dtype)
    for p in range(planes):
        low = z[p]
        for level in range(gains.shape[0] - 1, drop - 1, -1):
            h = ((height - 1) >> level) + 1
            w = ((width - 1) >> level) + 1
            out = x[p] if level == drop else np.empty((h, w), x.dtype)
            _level_inverse(low, z[p], out, gains[level], t)
            low = out
