"""Fitted Gaussians to symbols: round, solve the colours for the rounded geometry, round again, move by steps."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from midtread.codecs.image import gaussian_symbols as columns
from midtread.codecs.image import gaussian_vq as vq
from midtread.codecs.image.gaussian_books import Quantized
from midtread.codecs.image.gaussian_header import STEPS, Header
from midtread.codecs.image.gaussian_refine import refine
from midtread.kernels.splat_counts import NORM
from midtread.transforms.gaussians import Gaussians
from midtread.transforms.gaussians_canvas import Canvas

SOLVING = 10  # iterations of conjugate gradients


def quantized(
    canvas: Canvas, gaussians: Gaussians, header: Header, quantizer: str, rounds: int, seed: int
) -> Quantized:
    """The symbols of a fit.

    Args:
        canvas: the picture without its background.
        gaussians: fitted to it.
        header: of the file, with the step; its level and codebooks are found here.
        quantizer: one of QUANTIZERS.
        rounds: of moves at the end.
        seed: of those and of k-means++.
    """
    xy, factor, colour = gaussians.xy, gaussians.factor, gaussians.colour
    if quantizer == "vq":
        return vq.quantized(canvas, (xy, factor, colour), header, rounds, seed)
    if quantizer == "uniform":
        header = uniform(header, factor, colour)
    symbols, kept = columns.quantize(xy, factor, colour, header)
    if not len(symbols):
        return Quantized(symbols, header)
    place, shape, rounded = columns.dequantize(symbols, header)
    solved = canvas.solve(place, shape, rounded, SOLVING)
    again, _ = columns.quantize(xy[kept], factor[kept], solved, header)
    if len(again) and canvas.energy(*columns.dequantize(again, header)) < canvas.energy(place, shape, rounded):
        symbols = again
    symbols, _ = refine(canvas, symbols, header, rounds, seed)
    return Quantized(symbols, header)


def uniform(header: Header, factor: np.ndarray, colour: np.ndarray) -> Header:
    """With one step for all colours and one level for all shapes and places: each error costs what it does in `norm`.

    A step d of colours leaves d^2 mean(sigma^2) / 12 of error a number, and a level 1.671^2 mean(E) 2**-level / 12,
    with E the energy |c|^2 sigma^2 of a Gaussian; both shall be step^2 / 12, so that a bit more gains the same.
    """
    energy, area = (float(x.mean(dtype=np.float64)) for x in (vq.energies(factor, colour), vq.areas(factor)))
    place = int(np.clip(round(header.step_place - STEPS / 2 * math.log2(area)), 0, 255))
    level = vq.level_of(NORM**2 * energy / header.step**2)
    return replace(header, quantizer="uniform", step_place=place, level=level)
