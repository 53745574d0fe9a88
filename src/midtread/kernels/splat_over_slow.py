"""2-D Gaussians painted one over the other, and that undone, as anybody can follow it: what `splat_over` must equal.

The kernel w, the strips and the arrays of Gaussians are those of `splat_slow`; `opacity` float32 [n] is added, each in
(0, 0.99]. The first Gaussian is painted first, over what the buffer holds:

    alpha = opacity * w                         C_k = C_(k-1) + alpha (colour - C_(k-1))

The way back needs no list of what was painted: C_(k-1) = (C_k - alpha colour) / (1 - alpha). Dividing by at least 0.01
enlarges the rounding error of C by as much as the same step reduces the gradient of C, so their product stays good.

Callers refuse what those of `splat_slow` refuse, and an opacity outside (0, 0.99].

Source: Porter & Duff, "Compositing Digital Images", SIGGRAPH 1984 (over); Kerbl et al., "3D Gaussian Splatting", ACM
Trans. Graph. 42(4), 2023 (the way back).
"""

from __future__ import annotations

import numpy as np

from midtread.kernels.splat_slow import LANES, from_strips, to_strips, windows


def draw(
    out: np.ndarray, rows: int, chunks: int, channels: int, top: int,
    xy: np.ndarray, factor: np.ndarray, colour: np.ndarray, opacity: np.ndarray,
) -> None:  # fmt: skip
    """Paint Gaussians over a picture of the rows `top` to `top + rows`.

    Args:
        out: float32 strips of that many rows, chunks and channels, painted over.
        rows: rows of the buffer.
        chunks: strips of the buffer.
        channels: 1 or 3.
        top: row of the picture that the first row of the buffer is.
        xy: centres; rows count from the top of the picture, not of the buffer.
        factor: of the precisions.
        colour: of the Gaussians.
        opacity: of the Gaussians at their centres.
    """
    picture = from_strips(out, rows, chunks * LANES, channels).transpose(2, 0, 1).copy()
    for k, at in enumerate(windows(rows, chunks, top, xy, factor)):
        if at is not None:
            part = picture[:, at.rows, at.columns]
            part += (colour[k, :, None, None] - part) * (opacity[k] * np.square(np.square(at.t)))
    out[:] = to_strips(picture.transpose(1, 2, 0))


def undo(
    picture: np.ndarray, gradient: np.ndarray, rows: int, chunks: int, channels: int, top: int,
    xy: np.ndarray, factor: np.ndarray, colour: np.ndarray, opacity: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    """Take the Gaussians off again, last to first, and sum up the gradients of any L of the picture.

    With z = opacity * max(0, 1 - q / 8)^3 dL/dalpha it is dL/dq = -z / 2: the moments of z give the gradients of
    centres and factors as in `splat_slow.moments`.

    Args:
        picture: float32 strips as `draw` left them; become what they were before, up to rounding.
        gradient: float32 strips of dL/dpicture; become dL/d(what was painted over).
        rows: rows of the buffers.
        chunks: strips of the buffers.
        channels: 1 or 3.
        top: row of the picture that the first row of the buffers is.
        xy: centres.
        factor: of the precisions.
        colour: of the Gaussians.
        opacity: of the Gaussians.
        out: float32 [n, 6 + channels], filled with the sums <z dx>, <z dy>, <z dx^2>, <z dx dy>, <z dy^2>,
            <alpha gradient> (dL/dcolour) and <w dL/dalpha> (dL/dopacity).
    """
    shape = (rows, chunks * LANES, channels)
    seen, g = (from_strips(x, *shape).transpose(2, 0, 1).copy() for x in (picture, gradient))
    for k, at in reversed(list(enumerate(windows(rows, chunks, top, xy, factor)))):
        out[k] = 0
        if at is not None:
            t3 = at.t * at.t * at.t
            w = t3 * at.t
            alpha = opacity[k] * w
            part, slope = seen[:, at.rows, at.columns], g[:, at.rows, at.columns]
            part -= alpha * colour[k, :, None, None]
            part /= 1 - alpha
            by_alpha = (slope * (colour[k, :, None, None] - part)).sum(0)
            z = opacity[k] * t3 * by_alpha
            by_column, by_row = z.sum(0), z.sum(1)
            out[k, :5] = (
                by_column @ at.dx, by_row @ at.dy, by_column @ np.square(at.dx), at.dy @ z @ at.dx,
                by_row @ np.square(at.dy),
            )  # fmt: skip
            out[k, 5:-1] = (slope * alpha).sum((1, 2))
            out[k, -1] = (w * by_alpha).sum()
            slope *= 1 - alpha
    picture[:], gradient[:] = (to_strips(x.transpose(1, 2, 0)) for x in (seen, g))
