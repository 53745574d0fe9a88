"""2-D Gaussians painted one over the other, and that undone. `splat_over_slow` defines the functions."""

from __future__ import annotations

import numpy as np

from midtread.kernels.jit import float32, inlined_fused, jit_fused, uint64
from midtread.kernels.splat_parts import LANES, SCALE, Three, add_strip, columns_reached, falloff, rows_reached, total


@jit_fused
def draw(
    out: np.ndarray, rows: int, chunks: int, channels: int, top: int,
    xy: np.ndarray, factor: np.ndarray, colour: np.ndarray, opacity: np.ndarray,
) -> None:  # fmt: skip
    """See `splat_over_slow.draw`."""
    scale = float32(SCALE)
    for k in range(xy.shape[0]):
        a, b, c = factor[k, 0] * scale, factor[k, 1] * scale, factor[k, 2] * scale
        x, y = xy[k, 0], xy[k, 1] - float32(top)
        colours = colour[k, 0], colour[k, channels // 2], colour[k, channels - 1]
        begin, end = columns_reached(x, float32(1) / a, chunks)
        for chunk in range(begin, end):
            left = float32(chunk * LANES) - x
            first, last = rows_reached(left, y, a, b, c, rows)
            for row in range(first, last):
                p = uint64((chunk * rows + row) * channels * LANES)
                _paint_row(out, p, channels, (left, a, b), c * (float32(row) - y), colours, opacity[k])


@inlined_fused
def _paint_row(
    out: np.ndarray, p: int, channels: int, across: Three, shift: float, colour: Three, opacity: float
) -> None:
    """Paint one Gaussian over the row of a strip that begins at p."""
    red, green, blue = colour
    if channels == 3:
        for lane in range(LANES):
            i = uint64(lane)
            t = falloff(lane, across, shift)
            t = t * t
            alpha = opacity * (t * t)
            r0, r1, r2 = out[p + i], out[p + i + uint64(16)], out[p + i + uint64(32)]
            out[p + i] = r0 + (red - r0) * alpha
            out[p + i + uint64(16)] = r1 + (green - r1) * alpha
            out[p + i + uint64(32)] = r2 + (blue - r2) * alpha
    else:
        for lane in range(LANES):
            i = uint64(lane)
            t = falloff(lane, across, shift)
            t = t * t
            r0 = out[p + i]
            out[p + i] = r0 + (red - r0) * (opacity * (t * t))


@jit_fused
def undo(
    picture: np.ndarray, gradient: np.ndarray, rows: int, chunks: int, channels: int, top: int,
    xy: np.ndarray, factor: np.ndarray, colour: np.ndarray, opacity: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    """See `splat_over_slow.undo`."""
    scale = float32(SCALE)
    sums, down = np.empty(8 * LANES, np.float32), np.empty(6 * LANES, np.float32)
    by_opacity = np.empty(LANES, np.float32)
    for k in range(xy.shape[0] - 1, -1, -1):
        a, b, c = factor[k, 0] * scale, factor[k, 1] * scale, factor[k, 2] * scale
        x, y = xy[k, 0], xy[k, 1] - float32(top)
        colours = colour[k, 0], colour[k, channels // 2], colour[k, channels - 1]
        sums[:] = float32(0)
        by_opacity[:] = float32(0)
        begin, end = columns_reached(x, float32(1) / a, chunks)
        for chunk in range(begin, end):
            left = float32(chunk * LANES) - x
            first, last = rows_reached(left, y, a, b, c, rows)
            down[:] = float32(0)
            for row in range(first, last):
                dy = float32(row) - y
                p = uint64((chunk * rows + row) * channels * LANES)
                if channels == 3:
                    _lift_row(picture, gradient, p, (left, a, b), c * dy, dy, colours, opacity[k], down, by_opacity)
                else:
                    _lift_gray(picture, gradient, p, (left, a, b), c * dy, dy, colours[0], opacity[k], down, by_opacity)
            add_strip(down, left, sums)
        for which in range(5 + channels):
            out[k, which] = total(sums, which)
        out[k, 5 + channels] = total(by_opacity, 0)


@inlined_fused
def _lift_row(
    picture: np.ndarray, gradient: np.ndarray, p: int, across: Three, shift: float, dy: float, colour: Three,
    opacity: float, down: np.ndarray, by_opacity: np.ndarray,
) -> None:  # fmt: skip
    """Take one Gaussian off the row of a strip that begins at p; add z, z dy, z dy^2, alpha g to the sums per lane."""
    red, green, blue = colour
    for lane in range(LANES):
        i = uint64(lane)
        j, k = i + uint64(16), i + uint64(32)
        t = falloff(lane, across, shift)
        t3 = t * t * t
        w = t3 * t
        alpha = opacity * w
        kept = float32(1) - alpha
        back = float32(1) / kept
        r0 = (picture[p + i] - alpha * red) * back
        r1 = (picture[p + j] - alpha * green) * back
        r2 = (picture[p + k] - alpha * blue) * back
        g0, g1, g2 = gradient[p + i], gradient[p + j], gradient[p + k]
        by_alpha = g0 * (red - r0) + g1 * (green - r1) + g2 * (blue - r2)
        z = opacity * t3 * by_alpha
        zy = z * dy
        down[i] += z
        down[j] += zy
        down[k] += zy * dy
        down[i + uint64(48)] += alpha * g0
        down[i + uint64(64)] += alpha * g1
        down[i + uint64(80)] += alpha * g2
        by_opacity[i] += w * by_alpha
        picture[p + i], picture[p + j], picture[p + k] = r0, r1, r2
        gradient[p + i], gradient[p + j], gradient[p + k] = g0 * kept, g1 * kept, g2 * kept


@inlined_fused
def _lift_gray(
    picture: np.ndarray, gradient: np.ndarray, p: int, across: Three, shift: float, dy: float, colour: float,
    opacity: float, down: np.ndarray, by_opacity: np.ndarray,
) -> None:  # fmt: skip
    """As `_lift_row`, of one channel."""
    for lane in range(LANES):
        i = uint64(lane)
        t = falloff(lane, across, shift)
        t3 = t * t * t
        w = t3 * t
        alpha = opacity * w
        kept = float32(1) - alpha
        r0, g0 = (picture[p + i] - alpha * colour) / kept, gradient[p + i]
        by_alpha = g0 * (colour - r0)
        z = opacity * t3 * by_alpha
        zy = z * dy
        down[i] += z
        down[i + uint64(16)] += zy
        down[i + uint64(32)] += zy * dy
        down[i + uint64(48)] += alpha * g0
        by_opacity[i] += w * by_alpha
        picture[p + i] = r0
        gradient[p + i] = g0 * kept
