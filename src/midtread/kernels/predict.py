"""Prediction from neighbours, row by row. `predict_slow` defines it."""

import numpy as np

from midtread.kernels.jit import inlined, jit

PAD = 2  # rows are copied into buffers with two samples before and one after, so that inner loops have no borders


@inlined
def _med(w: int, n: int, nw: int) -> int:
    low, high = min(w, n), max(w, n)
    return min(max(w + n - nw, low), high)


@inlined
def _paeth(w: int, n: int, nw: int) -> int:
    of_w, of_n, of_nw = abs(n - nw), abs(w - nw), abs(w + n - 2 * nw)
    second = n if of_n <= of_nw else nw
    return w if of_w <= of_n and of_w <= of_nw else second


@inlined
def _gradient(w: int, n: int, nw: int, ne: int, ww: int, nn: int, nne: int, scale: int) -> int:
    excess = abs(w - nw) + abs(n - nn) + abs(ne - nne) - (abs(w - ww) + abs(n - nw) + abs(n - ne))
    mean = ((w + n) >> 1) + ((ne - nw) >> 2)
    side = w if excess > 0 else n
    size = abs(excess)
    near = (mean + side) >> 1 if size > 32 * scale else ((3 * mean + side) >> 2 if size > 8 * scale else mean)
    return side if size > 80 * scale else near


@inlined
def _predict(rule: int, row: np.ndarray, up: np.ndarray, up2: np.ndarray, x: int, scale: int) -> int:
    """Prediction of sample x; rows are seen through views that start PAD samples early."""
    w, n, nw = row[x + 1], up[x + 2], up[x + 1]
    if rule == 0:
        return _med(w, n, nw)
    if rule == 1:
        return _paeth(w, n, nw)
    return _gradient(w, n, nw, up[x + 3], row[x], up2[x + 2], up2[x + 3], scale)


@inlined
def _open_row(row: np.ndarray, up: np.ndarray) -> None:
    """What lies left of a new row is its N."""
    row[0] = up[PAD]
    row[1] = up[PAD]


@inlined
def _close_row(row: np.ndarray, width: int) -> None:
    """For the rows below: NW of their first sample is their N, NE of their last is their N."""
    row[0] = row[PAD]
    row[1] = row[PAD]
    row[width + PAD] = row[width + PAD - 1]


@inlined
def _forward(x: np.ndarray, z: np.ndarray, rule: int, scale: int) -> None:
    planes, height, width = x.shape
    rows = np.empty((3, width + PAD + 1), x.dtype)
    for p in range(planes):
        up2, up, row = rows[0], rows[1], rows[2]
        up2[:] = 0
        up[:] = 0
        for y in range(height):
            source, out = x[p, y], z[p, y]
            for i in range(width):
                row[i + PAD] = source[i]
            _open_row(row, up)
            for i in range(width):
                out[i] = row[i + PAD] - _predict(rule, row, up, up2, i, scale)
            _close_row(row, width)
            up2, up, row = up, row, up2


@inlined
def _inverse(z: np.ndarray, x: np.ndarray, rule: int, scale: int) -> None:
    planes, height, width = x.shape
    rows = np.empty((3, width + PAD + 1), x.dtype)
    for p in range(planes):
        up2, up, row = rows[0], rows[1], rows[2]
        up2[:] = 0
        up[:] = 0
        for y in range(height):
            source, out = z[p, y], x[p, y]
            _open_row(row, up)
            for i in range(width):
                row[i + PAD] = source[i] + _predict(rule, row, up, up2, i, scale)
                out[i] = row[i + PAD]
            _close_row(row, width)
            up2, up, row = up, row, up2


@jit
def forward(x: np.ndarray, z: np.ndarray, rule: int, scale: int) -> None:
    """Residuals z of planes x [p, h, w] int32 under rule 0 (med), 1 (paeth) or 2 (gradient)."""
    if rule == 0:
        _forward(x, z, 0, 0)
    elif rule == 1:
        _forward(x, z, 1, 0)
    else:
        _forward(x, z, 2, scale)


@jit
def inverse(z: np.ndarray, x: np.ndarray, rule: int, scale: int) -> None:
    """Undo `forward`."""
    if rule == 0:
        _inverse(z, x, 0, 0)
    elif rule == 1:
        _inverse(z, x, 1, 0)
    else:
        _inverse(z, x, 2, scale)
