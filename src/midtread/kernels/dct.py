"""Block transforms: many columns at once down the rows of a tile, then the tile turned, and the same again.

`dct_slow` defines them, to the last bit: the same operations in the same order, none fused.
"""

import numpy as np

from midtread.kernels.jit import jit

SHIFT = 20  # as in `dct_slow` (a test compares them)
TILE = 256  # columns worked on at once: a tile stays in the cache


@jit
def _copy(out: np.ndarray, x: np.ndarray) -> None:
    for i in range(x.size):
        out[i] = x[i]


@jit
def _turn(out: np.ndarray, tile: np.ndarray, rows: int, n: int, x0: int, count: int) -> None:
    """Sample j of block b of row y, at tile[y, x0 + b * n + j], goes to out[j, y * count + b]."""
    for y in range(rows):
        source = tile[y, x0:]
        for j in range(n):
            target = out[j, y * count :]
            for b in range(count):
                target[b] = source[b * n + j]


@jit
def _turn_back(tile: np.ndarray, turned: np.ndarray, rows: int, n: int, x0: int, count: int) -> None:
    """Undo `_turn`."""
    for y in range(rows):
        target = tile[y, x0:]
        for j in range(n):
            source = turned[j, y * count :]
            for b in range(count):
                target[b * n + j] = source[b]


@jit
def _product(matrix: np.ndarray, s: np.ndarray, t: np.ndarray, width: int) -> None:
    """T = matrix @ s over the first `width` columns, summed from the first row of s to the last."""
    n = matrix.shape[0]
    for i in range(n):
        out = t[i, :width]
        c0, s0 = matrix[i, 0], s[0]
        for k in range(width):
            out[k] = c0 * s0[k]
        for j in range(1, n - 1, 2):
            c0, c1, s0, s1 = matrix[i, j], matrix[i, j + 1], s[j], s[j + 1]
            for k in range(width):
                out[k] = (out[k] + c0 * s0[k]) + c1 * s1[k]
        if n % 2 == 0:
            c0, s0 = matrix[i, n - 1], s[n - 1]
            for k in range(width):
                out[k] += c0 * s0[k]


@jit
def _steps(program: np.ndarray, t: np.ndarray, width: int, sign: int) -> None:
    """Run a program over the first `width` columns of t int32; sign -1 undoes it."""
    half = np.int64(1) << (SHIFT - 1)
    for k in range(program.shape[0]):
        row = program[k if sign > 0 else program.shape[0] - 1 - k]
        target, source, c = t[row[0], :width], t[row[1]], row[2]
        if c != 0:
            for q in range(width):
                target[q] += sign * ((c * source[q] + half) >> SHIFT)
        elif row[0] != row[1]:
            for q in range(width):
                target[q], source[q] = source[q], target[q]
        else:
            for q in range(width):
                target[q] = -target[q]


@jit
def multiply(x: np.ndarray, z: np.ndarray, n: int, full: np.ndarray, bottom: np.ndarray, right: np.ndarray) -> None:
    """Multiply the blocks of x [p, h, w] float32 by a matrix, down the columns, then along the rows, into z."""
    planes, height, width = x.shape
    span = n * max(TILE // n, 1)
    s, t, turned = np.empty((n, span), x.dtype), np.empty((n, span), x.dtype), np.empty((n, span), x.dtype)
    for p in range(planes):
        for y0 in range(0, height, n):
            rows = min(n, height - y0)
            for x0 in range(0, width, span):
                columns = min(span, width - x0)
                for y in range(rows):
                    _copy(s[y], x[p, y0 + y, x0 : x0 + columns])
                _product(full if rows == n else bottom, s, t, columns)
                for part in range(2):  # the whole blocks, then the one that is cut
                    size = columns % n if part else n
                    count = min(size, 1) if part else columns // n
                    start = columns - size if part else 0
                    if count > 0:
                        _turn(turned, t, rows, size, start, count)
                        _product(right if part else full, turned, s, rows * count)
                        _turn_back(t, s, rows, size, start, count)
                for y in range(rows):
                    _copy(z[p, y0 + y, x0:], t[y, :columns])


@jit
def rotate(
    x: np.ndarray, z: np.ndarray, n: int, full: np.ndarray, bottom: np.ndarray, right: np.ndarray, sign: int
) -> None:
    """Run the blocks of x [p, h, w] int32 through the lifting steps of a program into z; sign -1 undoes them."""
    planes, height, width = x.shape
    span = n * max(TILE // n, 1)
    t, turned = np.empty((n, span), x.dtype), np.empty((n, span), x.dtype)
    for p in range(planes):
        for y0 in range(0, height, n):
            rows = min(n, height - y0)
            for x0 in range(0, width, span):
                columns = min(span, width - x0)
                for y in range(rows):
                    _copy(t[y], x[p, y0 + y, x0 : x0 + columns])
                if sign > 0:
                    _steps(full if rows == n else bottom, t, columns, 1)
                for part in range(2):  # the whole blocks, then the one that is cut
                    size = columns % n if part else n
                    count = min(size, 1) if part else columns // n
                    start = columns - size if part else 0
                    if count > 0:
                        _turn(turned, t, rows, size, start, count)
                        _steps(right if part else full, turned, rows * count, sign)
                        _turn_back(t, turned, rows, size, start, count)
                if sign < 0:
                    _steps(full if rows == n else bottom, t, columns, -1)
                for y in range(rows):
                    _copy(z[p, y0 + y, x0:], t[y, :columns])
