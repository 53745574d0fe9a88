"""Sums of 2-D Gaussians, drawn and differentiated, as anybody can follow them: the definition that `splat` must equal.

Pixel (column, row) of a picture, centres at integers, is the sum over Gaussians of colour * w, with

    dx = column - x     u = a dx              q = u^2 + v^2
    dy = row - y        v = b dx + c dy       w = max(0, 1 - q / 8)^4

(a, b, c) is the lower triangular factor of the precision. w follows exp(-q / 2) but ends at q = 8, so a Gaussian has
a last pixel, and needs no function that differs between machines. As a density it has 2/3 of the covariance of a
Gaussian: the means of u^2, u v and v^2 under w are 2/3, 0 and 2/3. Its integral is 8 pi / (5 a c).

A picture is a flat float32 buffer of strips, 16 columns wide: [chunks][rows][channels][16]. A strip is worked down its
rows, which lie side by side in memory. The last strip is filled up: `draw` writes there too, and whoever calls
`gather` or `moments` keeps zeros there.

    xy      float32 [n, 2]         x, y of the centres in pixels, anywhere
    factor  float32 [n, 3]         a, b, c per pixel; a and c positive
    colour  float32 [n, channels]  any sign, channels 1 or 3

Callers refuse numbers that are not finite, and a or c <= 0: the pixels are meaningless then, though nothing outside the
buffer is read or written and no loop is longer than the picture.

Source: Zhang et al., "GaussianImage", ECCV 2024 (sums without order). Wendland, "Piecewise polynomial ... radial basis
functions", Adv. Comput. Math. 4, 1995 (truncated powers in place of the exponential).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

LANES = 16  # columns of a strip


def to_strips(x: np.ndarray) -> np.ndarray:
    """Pixels float32 [H, W, channels] as strips, flat; zeros fill the last one."""
    height, width, channels = x.shape
    chunks = -(-width // LANES)
    filled = np.zeros((height, chunks * LANES, channels), np.float32)
    filled[:, :width] = x
    return np.ascontiguousarray(filled.reshape(height, chunks, LANES, channels).transpose(1, 0, 3, 2)).reshape(-1)


def from_strips(strips: np.ndarray, height: int, width: int, channels: int) -> np.ndarray:
    """Undo `to_strips`: float32 [height, width, channels]."""
    grid = strips.reshape(-(-width // LANES), height, channels, LANES).transpose(1, 0, 3, 2)
    return np.ascontiguousarray(grid.reshape(height, -1, channels)[:, :width])


def draw(
    out: np.ndarray, rows: int, chunks: int, channels: int, top: int,
    xy: np.ndarray, factor: np.ndarray, colour: np.ndarray,
) -> None:  # fmt: skip
    """Add Gaussians to a picture of the rows `top` to `top + rows`.

    Args:
        out: float32 strips of that many rows, chunks and channels, added to.
        rows: rows of the buffer.
        chunks: strips of the buffer.
        channels: 1 or 3.
        top: row of the picture that the first row of the buffer is.
        xy: centres; rows count from the top of the picture, not of the buffer.
        factor: of the precisions.
        colour: of the Gaussians.
    """
    picture = from_strips(out, rows, chunks * LANES, channels).transpose(2, 0, 1).copy()
    for k, at in enumerate(windows(rows, chunks, top, xy, factor)):
        if at is not None:
            w = np.square(np.square(at.t))
            picture[:, at.rows, at.columns] += colour[k, :, None, None] * w
    out[:] = to_strips(picture.transpose(1, 2, 0))


def gather(
    res: np.ndarray, rows: int, chunks: int, channels: int, top: int, first: int, last: int,
    xy: np.ndarray, factor: np.ndarray, out: np.ndarray, norms: np.ndarray,
) -> None:  # fmt: skip
    """Sums of a picture under each Gaussian: with `draw`, the two halves of least-squares colours.

    Args:
        res: float32 strips, as `draw` has them: often the residual.
        rows: rows of the buffer.
        chunks: strips of the buffer.
        channels: 1 or 3.
        top: row of the picture that the first row of the buffer is.
        first: the first Gaussian wanted; those before it keep what `out` and `norms` hold.
        last: the one after the last wanted, at most n.
        xy: centres.
        factor: of the precisions.
        out: float32 [n, channels], filled with the sums of w * res.
        norms: float32 [n], filled with the sums of w^2.
    """
    picture = from_strips(res, rows, chunks * LANES, channels).transpose(2, 0, 1).copy()
    for k, at in enumerate(windows(rows, chunks, top, xy[first:last], factor[first:last]), first):
        out[k], norms[k] = 0, 0
        if at is not None:
            w = np.square(np.square(at.t))
            out[k] = (picture[:, at.rows, at.columns] * w).sum((1, 2))
            norms[k] = np.square(w).sum()


def moments(
    res: np.ndarray, rows: int, chunks: int, channels: int, top: int, first: int, last: int,
    xy: np.ndarray, factor: np.ndarray, colour: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    """Moments of a residual under each Gaussian, from which follow the gradients of L = |res|^2 / 2 in any terms.

    With g the sum over channels of colour * res: dL/dq = -z / 2, where z = max(0, 1 - q / 8)^3 g. So, for the factor,

        dL/da = -a  <z dx^2>                          dL/dx = (a^2 + b^2) <z dx> + b c <z dy>
        dL/db = -(b <z dx^2> + c <z dx dy>)           dL/dy = b c <z dx> + c^2 <z dy>
        dL/dc = -(b <z dx dy> + c <z dy^2>)           dL/dcolour = <w res>

    Args:
        res: float32 strips, as `draw` has them: the drawn picture less the wanted one, zeros where it is not wanted.
        rows: rows of the buffer.
        chunks: strips of the buffer.
        channels: 1 or 3.
        top: row of the picture that the first row of the buffer is.
        first: the first Gaussian wanted; those before it keep what `out` holds.
        last: the one after the last wanted, at most n.
        xy: centres.
        factor: of the precisions.
        colour: of the Gaussians.
        out: float32 [n, 5 + channels], filled with the sums <z dx>, <z dy>, <z dx^2>, <z dx dy>, <z dy^2>, <w res>.
    """
    picture = from_strips(res, rows, chunks * LANES, channels).transpose(2, 0, 1).copy()
    for k, at in enumerate(windows(rows, chunks, top, xy[first:last], factor[first:last]), first):
        out[k] = 0
        if at is not None:
            part = picture[:, at.rows, at.columns]
            t3 = at.t * at.t * at.t
            z = np.tensordot(colour[k], part, 1) * t3
            by_column, by_row = z.sum(0), z.sum(1)
            out[k, :5] = (
                by_column @ at.dx, by_row @ at.dy, by_column @ np.square(at.dx), at.dy @ z @ at.dx,
                by_row @ np.square(at.dy),
            )  # fmt: skip
            out[k, 5:] = (part * (t3 * at.t)).sum((1, 2))


def to_bytes(strips: np.ndarray, rows: int, width: int, channels: int, out: np.ndarray) -> None:
    """Strips to 8-bit samples: 0 to 1 becomes 0 to 255, rounded to nearest (halves up), clipped.

    Args:
        strips: float32, as `draw` has them, finite.
        rows: rows of the buffer.
        width: columns wanted: all but what fills the last strip.
        channels: 1 or 3.
        out: uint8 [rows * width * channels], filled with pixels row by row, their channels side by side.
    """
    samples = from_strips(strips, rows, width, channels)
    out[:] = (np.clip(samples, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8).reshape(-1)


class Window(NamedTuple):
    """The pixels that a Gaussian reaches: where they are, how far from its centre, and t = max(0, 1 - q / 8)."""

    rows: slice
    columns: slice
    dx: np.ndarray
    dy: np.ndarray
    t: np.ndarray


def windows(rows: int, chunks: int, top: int, xy: np.ndarray, factor: np.ndarray) -> Iterator[Window | None]:
    """The window of each Gaussian in turn, None where it reaches no pixel."""
    a, b, c = factor.astype(np.float64).T * 8**-0.5
    half = np.stack([1 / a, np.hypot(1, b / a) / c], 1)  # of the ellipse's box, in pixels
    centre = xy - np.array([0, top], np.float64)
    size = np.array([chunks * LANES, rows])
    low = np.clip(np.ceil(centre - half), 0, size).astype(np.int64)
    high = np.clip(np.floor(centre + half) + 1, 0, size).astype(np.int64)
    column, row = np.arange(size[0], dtype=np.float32), np.arange(size[1], dtype=np.float32)
    scaled = (factor * np.float32(8**-0.5)).tolist()
    for k, ((x, y), (left, upper), (right, lower)) in enumerate(
        zip(centre.tolist(), low.tolist(), high.tolist(), strict=True)
    ):
        if left >= right or upper >= lower:
            yield None
            continue
        dx, dy = column[left:right] - np.float32(x), row[upper:lower] - np.float32(y)
        v = (scaled[k][1] * dx) + (scaled[k][2] * dy)[:, None]
        np.multiply(v, v, out=v)
        t = np.subtract(1 - np.square(scaled[k][0] * dx), v, out=v)
        yield Window(slice(upper, lower), slice(left, right), dx, dy, np.maximum(t, 0, out=t))
