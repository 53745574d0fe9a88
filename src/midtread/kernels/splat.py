"""Sums of 2-D Gaussians, drawn and differentiated. `splat_slow` defines the functions and the strips they work on."""

from __future__ import annotations

import numpy as np

from midtread.kernels.jit import float32, inlined_fused, int32, jit_fused, uint8, uint64
from midtread.kernels.splat_parts import LANES, SCALE, Three, add_strip, columns_reached, falloff, rows_reached, total

_FAR = 1e18  # its square is within float32


@jit_fused
def draw(
    out: np.ndarray, rows: int, chunks: int, channels: int, top: int,
    xy: np.ndarray, factor: np.ndarray, colour: np.ndarray,
) -> None:  # fmt: skip
    """See `splat_slow.draw`."""
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
                _add_row(out, p, channels, (left, a, b), c * (float32(row) - y), colours)


@inlined_fused
def _add_row(out: np.ndarray, p: int, channels: int, across: Three, shift: float, colour: Three) -> None:
    """Add one Gaussian to the row of a strip that begins at p."""
    red, green, blue = colour
    if channels == 3:
        for lane in range(LANES):
            i = uint64(lane)
            t = falloff(lane, across, shift)
            t = t * t
            w = t * t
            out[p + i] += red * w
            out[p + i + uint64(16)] += green * w
            out[p + i + uint64(32)] += blue * w
    else:
        for lane in range(LANES):
            i = uint64(lane)
            t = falloff(lane, across, shift)
            t = t * t
            out[p + i] += red * (t * t)


@jit_fused
def gather(
    res: np.ndarray, rows: int, chunks: int, channels: int, top: int, first: int, last: int,
    xy: np.ndarray, factor: np.ndarray, out: np.ndarray, norms: np.ndarray,
) -> None:  # fmt: skip
    """See `splat_slow.gather`."""
    scale = float32(SCALE)
    down, sums = np.empty(4 * LANES, np.float32), np.empty(4 * LANES, np.float32)
    for k in range(first, last):
        a, b, c = factor[k, 0] * scale, factor[k, 1] * scale, factor[k, 2] * scale
        x, y = xy[k, 0], xy[k, 1] - float32(top)
        sums[:] = float32(0)
        begin, end = columns_reached(x, float32(1) / a, chunks)
        for chunk in range(begin, end):
            left = float32(chunk * LANES) - x
            upper, lower = rows_reached(left, y, a, b, c, rows)
            down[:] = float32(0)  # sums per strip lose less to rounding than one sum over a large Gaussian
            for row in range(upper, lower):
                across, shift = (left, a, b), c * (float32(row) - y)
                p = uint64((chunk * rows + row) * channels * LANES)
                green, blue = p + uint64(channels // 2 * 16), p + uint64(channels // 2 * 32)  # or the only one again
                for lane in range(LANES):
                    i = uint64(lane)
                    t = falloff(lane, across, shift)
                    t = t * t
                    w = t * t
                    down[i] += res[p + i] * w
                    down[i + uint64(16)] += res[green + i] * w
                    down[i + uint64(32)] += res[blue + i] * w
                    down[i + uint64(48)] += w * w
            for i in range(4 * LANES):
                sums[uint64(i)] += down[uint64(i)]
        for channel in range(channels):
            out[k, channel] = total(sums, channel)
        norms[k] = total(sums, 3)


@jit_fused
def moments(
    res: np.ndarray, rows: int, chunks: int, channels: int, top: int, first: int, last: int,
    xy: np.ndarray, factor: np.ndarray, colour: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    """See `splat_slow.moments`."""
    scale = float32(SCALE)
    sums, down = np.empty(8 * LANES, np.float32), np.empty(6 * LANES, np.float32)
    for k in range(first, last):
        a, b, c = factor[k, 0] * scale, factor[k, 1] * scale, factor[k, 2] * scale
        x, y = xy[k, 0], xy[k, 1] - float32(top)
        colours = colour[k, 0], colour[k, channels // 2], colour[k, channels - 1]
        sums[:] = float32(0)
        begin, end = columns_reached(x, float32(1) / a, chunks)
        for chunk in range(begin, end):
            left = float32(chunk * LANES) - x
            upper, lower = rows_reached(left, y, a, b, c, rows)
            down[:] = float32(0)
            for row in range(upper, lower, 2):  # two rows for each change of the sums
                dy = float32(row) - y
                p = uint64((chunk * rows + row) * channels * LANES)
                q, next_shift = p + uint64(channels * LANES), c * (dy + float32(1))
                if row + 1 == lower:  # the last row has no partner: itself, so far off that it weighs nothing
                    q, next_shift = p, float32(_FAR)
                _moments_of_rows(res, p, q, channels, (left, a, b), c * dy, next_shift, dy, colours, down)
            add_strip(down, left, sums)
        for which in range(5 + channels):
            out[k, which] = total(sums, which)


@inlined_fused
def _moments_of_rows(
    res: np.ndarray, p: int, q: int, channels: int, across: Three, shift: float, next_shift: float, dy: float,
    colour: Three, down: np.ndarray,
) -> None:  # fmt: skip
    """Add two rows of a strip, which begin at p and q, to the sums of z, z dy, z dy^2 and w res per lane."""
    red, green, blue = colour
    ey = dy + float32(1)
    if channels == 3:
        for lane in range(LANES):
            i = uint64(lane)
            t, s = falloff(lane, across, shift), falloff(lane, across, next_shift)
            t3, s3 = t * t * t, s * s * s
            w, v = t3 * t, s3 * s
            p0, p1, p2 = res[p + i], res[p + i + uint64(16)], res[p + i + uint64(32)]
            q0, q1, q2 = res[q + i], res[q + i + uint64(16)], res[q + i + uint64(32)]
            z, y = (red * p0 + green * p1 + blue * p2) * t3, (red * q0 + green * q1 + blue * q2) * s3
            down[i] += z + y
            down[i + uint64(16)] += z * dy + y * ey
            down[i + uint64(32)] += z * dy * dy + y * ey * ey
            down[i + uint64(48)] += p0 * w + q0 * v
            down[i + uint64(64)] += p1 * w + q1 * v
            down[i + uint64(80)] += p2 * w + q2 * v
    else:
        for lane in range(LANES):
            i = uint64(lane)
            t, s = falloff(lane, across, shift), falloff(lane, across, next_shift)
            t3, s3 = t * t * t, s * s * s
            p0, q0 = res[p + i], res[q + i]
            z, y = red * p0 * t3, red * q0 * s3
            down[i] += z + y
            down[i + uint64(16)] += z * dy + y * ey
            down[i + uint64(32)] += z * dy * dy + y * ey * ey
            down[i + uint64(48)] += p0 * (t3 * t) + q0 * (s3 * s)


@jit_fused
def to_bytes(strips: np.ndarray, rows: int, width: int, channels: int, out: np.ndarray) -> None:
    """See `splat_slow.to_bytes`."""
    whole = width // LANES
    for row in range(rows):
        for chunk in range(whole):
            p, q = uint64((chunk * rows + row) * channels * LANES), uint64((row * width + chunk * LANES) * channels)
            if channels == 3:
                for lane in range(LANES):
                    i = uint64(lane)
                    out[q + uint64(3) * i] = _byte(strips[p + i])
                    out[q + uint64(3) * i + uint64(1)] = _byte(strips[p + i + uint64(16)])
                    out[q + uint64(3) * i + uint64(2)] = _byte(strips[p + i + uint64(32)])
            else:
                for lane in range(LANES):
                    i = uint64(lane)
                    out[q + i] = _byte(strips[p + i])
        p, q = (whole * rows + row) * channels * LANES, (row * width + whole * LANES) * channels
        for lane in range(width - whole * LANES):
            for channel in range(channels):
                out[q + lane * channels + channel] = _byte(strips[p + channel * LANES + lane])


@inlined_fused
def _byte(value: float) -> int:
    return uint8(int32(min(max(value, float32(0)), float32(1)) * float32(255) + float32(0.5)))
