"""Prediction from neighbours as anybody can follow it: the definition that `predict` must equal.

A sample x is predicted from samples of its plane that come before it in raster order:

              NN  NNE
        NW    N   NE
    WW  W     x

Outside the plane: the rows above the first are 0; whatever lies left of a row is the sample above its first one; right
of the last sample, NE is N and NNE is NN. The residual is x - prediction, modulo 2^32.
"""

from collections.abc import Callable

import numpy as np

Rule = Callable[[int, int, int, int, int, int, int, int], int]


def med(w: int, n: int, nw: int, ne: int, ww: int, nn: int, nne: int, scale: int) -> int:
    """The median of W, N and W + N - NW. Source: Weinberger, Seroussi & Sapiro, LOCO-I, 2000."""
    if nw >= max(w, n):
        return min(w, n)
    if nw <= min(w, n):
        return max(w, n)
    return w + n - nw


def paeth(w: int, n: int, nw: int, ne: int, ww: int, nn: int, nne: int, scale: int) -> int:
    """The nearest to W + N - NW among W, N, NW; earlier named wins. Source: PNG specification, section 9.4."""
    of_w, of_n, of_nw = abs(n - nw), abs(w - nw), abs(w + n - 2 * nw)
    if of_w <= of_n and of_w <= of_nw:
        return w
    return n if of_n <= of_nw else nw


def gradient(w: int, n: int, nw: int, ne: int, ww: int, nn: int, nne: int, scale: int) -> int:
    """W at a sharp horizontal edge, N at a vertical one, mixtures between; thresholds times `scale`.

    Source: Wu & Memon, "Context-based, adaptive, lossless image coding" (CALIC), 1997, gradient-adjusted prediction;
    divisions round down.
    """
    vertical = abs(w - nw) + abs(n - nn) + abs(ne - nne)
    horizontal = abs(w - ww) + abs(n - nw) + abs(n - ne)
    excess = vertical - horizontal
    if excess > 80 * scale:
        return w
    if excess < -80 * scale:
        return n
    mean = ((w + n) >> 1) + ((ne - nw) >> 2)
    if excess > 32 * scale:
        return (mean + w) >> 1
    if excess > 8 * scale:
        return (3 * mean + w) >> 2
    if excess < -32 * scale:
        return (mean + n) >> 1
    if excess < -8 * scale:
        return (3 * mean + n) >> 2
    return mean


def _predictions(rule: Rule, scale: int, up2: list[int], up: list[int], row: list[int], x: int) -> int:
    """What `rule` says about sample x of a row whose samples before x are known."""
    last = len(row) - 1
    n, nn = up[x], up2[x]
    w, nw = (row[x - 1], up[x - 1]) if x > 0 else (n, n)
    ww = row[x - 2] if x > 1 else up[0]
    ne, nne = (up[x + 1], up2[x + 1]) if x < last else (n, nn)
    return rule(w, n, nw, ne, ww, nn, nne, scale)


def _wrap(value: int) -> int:
    return (value + 2**31) % 2**32 - 2**31


def _each_row(rule: Rule, given: np.ndarray, made: np.ndarray, scale: int, *, inverse: bool) -> None:
    for source, target in zip(given, made, strict=True):
        up2 = up = [0] * given.shape[2]
        for y in range(given.shape[1]):
            values = source[y].tolist()
            row = [0] * len(values) if inverse else values
            out = []
            for x, value in enumerate(values):
                prediction = _predictions(rule, scale, up2, up, row, x)
                out.append(_wrap(value + prediction if inverse else value - prediction))
                if inverse:
                    row[x] = out[x]
            target[y] = out
            up2, up = up, row


def forward(x: np.ndarray, z: np.ndarray, rule: int, scale: int) -> None:
    """Residuals z of planes x [p, h, w] int32 under rule 0 (med), 1 (paeth) or 2 (gradient)."""
    _each_row((med, paeth, gradient)[rule], x, z, scale, inverse=False)


def inverse(z: np.ndarray, x: np.ndarray, rule: int, scale: int) -> None:
    """Undo `forward`."""
    _each_row((med, paeth, gradient)[rule], z, x, scale, inverse=True)
