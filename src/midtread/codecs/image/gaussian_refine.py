"""Quantized Gaussians, moved by whole steps to where their sum is nearest to the picture.

Each symbol's neighbour would change half the squared error by  g s + h s^2 / 2,  with g the gradient, s the step and h
the curvature of the Gaussian alone. Steps that gain are taken by a random part of the Gaussians at a time, since
neighbours gain from the same error; a round that loses is taken back and the part becomes smaller. Levels stay, so a
colour never changes how precisely the rest is told.
"""

from __future__ import annotations

import math

import numpy as np

from midtread.codecs.image import gaussian_symbols as columns
from midtread.codecs.image.gaussian_header import Header
from midtread.codecs.image.gaussian_symbols import Symbols
from midtread.kernels.splat_counts import NORM, NORM_PLACE, NORM_RATIO, NORM_SIZE, YCC
from midtread.transforms.gaussians_canvas import Canvas
from midtread.transforms.gaussians_fit import by_place

PART = 0.2  # of the Gaussians, that move at first
FARTHEST = 64  # steps at a time


def refine(canvas: Canvas, symbols: Symbols, header: Header, rounds: int, seed: int = 0) -> tuple[Symbols, float]:
    """Better symbols for the same bits, and their squared error.

    Args:
        canvas: the picture without its background.
        symbols: of a quantizer without codebooks; they stay as they are.
        header: of the file.
        rounds: each as expensive as an iteration of a fit.
        seed: which Gaussians move when.
    """
    rng, part = np.random.default_rng(seed), PART
    energy, moments = canvas.moments(*columns.dequantize(symbols, header))
    for _ in range(rounds):
        moved = _moved(symbols, header, moments, part, rng)
        reached, there = canvas.moments(*columns.dequantize(moved, header))
        if reached < energy:
            symbols, energy, moments, part = moved, reached, there, min(1.1 * part, 0.5)
        else:
            part *= 0.6
    return symbols, energy


def _moved(symbols: Symbols, header: Header, moments: np.ndarray, part: float, rng: np.random.Generator) -> Symbols:
    """The symbols with every step taken that gains, in a part of the Gaussians for each column."""

    def steps(gradient: np.ndarray, step: np.ndarray, curvature: np.ndarray) -> np.ndarray:
        """The best for a parabola, or 0 where the dice say so."""
        best = np.clip(np.rint(-gradient / np.maximum(curvature * step, 1e-12)), -FARTHEST, FARTHEST).astype(np.int32)
        return np.where(rng.random(best.shape) < part, best, 0)

    told = columns.counts(symbols, header)
    xy, factor, colour = (x.astype(np.float64) for x in columns.dequantize(symbols, header))
    sigma2 = 1 / (factor[:, 0] * factor[:, 2])
    mass = np.square(colour).sum(1) * sigma2
    by_colour = moments[:, 5:] @ YCC.T if header.channels == 3 else moments[:, 5:]
    one = columns.colour_steps(symbols.size, header)[:, None]
    out = symbols[np.arange(len(symbols))]
    out.colour += steps(by_colour, one, NORM**2 * sigma2[:, None])
    there = (out.colour != 0).any(1)
    there[there] = columns.levels(out.colour[there]) == columns.levels(symbols.colour[there])
    out.colour[~there] = symbols.colour[~there]
    log_sigma, ratio, angle = columns.axes(factor)
    by_size, by_ratio, by_angle = by_axes(factor, ratio, angle, moments)
    grow, stretch, spin = math.log(2) / 2 / told.parts, told.ratio_step * 2.0**-columns.RATIO_BITS, math.pi / told.turns
    log_sigma += grow * steps(by_size, grow, NORM_SIZE**2 * mass)
    spun = angle + spin * steps(by_angle, spin, np.square(2 * NORM_RATIO * np.sinh(ratio)) * mass)
    stretched = np.maximum(ratio + stretch * steps(by_ratio, stretch, NORM_RATIO**2 * mass), 0)
    a, b, c = factor.T
    grid = (1 << header.cell_log2) / np.stack([told.across, told.down], 1)
    stiff = NORM_PLACE**2 * mass[:, None] * np.stack([a * a + b * b, c * c], 1)
    xy = xy + grid * steps(by_place(moments, factor), grid, stiff)
    columns.requantize(out, xy, log_sigma, stretched, spun, header)
    return out


def by_axes(
    factor: np.ndarray, ratio: np.ndarray, angle: np.ndarray, moments: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients by log sigma, by the log of the ratio of the axes, and by the angle, float64 [n] each."""
    a, b, c = factor.T
    xx, xy, yy = a * a + b * b, b * c, c * c  # of the precision
    by_xx, by_xy, by_yy = -0.5 * moments[:, 2], -moments[:, 3], -0.5 * moments[:, 4]
    sine, cosine = np.sin(angle), np.cos(angle)
    short, long = a * c * np.exp(ratio), a * c * np.exp(-ratio)
    by_ratio = by_xx * (short * cosine**2 - long * sine**2) + by_yy * (short * sine**2 - long * cosine**2)
    by_ratio += by_xy * (short + long) * sine * cosine
    by_angle = (short - long) * (2 * sine * cosine * (by_yy - by_xx) + by_xy * (cosine**2 - sine**2))
    return -2 * (xx * by_xx + xy * by_xy + yy * by_yy), by_ratio, by_angle
