"""Quantization-aware fitting: the last part of a fit sees Gaussians that are as far off as their quantizer puts them.

The error of rounding is added with a random sign, one for each place, shape and colour, anew in each iteration. Noise
like this moves parameters to where it hurts less. With what rounding makes of the parameters instead (straight
through) all jitter around the same ties: at the same bytes it was 0.03 to 0.2 dB below on the two pictures tried.

Mostly it is a loss of about 0.1 dB: the same iterations without noise fit the picture better than the noise makes it
robust, as colours are solved for and symbols moved after rounding anyway. Single pictures gain, where steps are coarse;
benchmarks/gaussian_quantizers.py measures it.
"""

from __future__ import annotations

import numpy as np

from midtread.codecs.image import gaussian_symbols as columns
from midtread.codecs.image import gaussian_vq as vq
from midtread.codecs.image.gaussian_books import Stages, factors, shapes
from midtread.codecs.image.gaussian_header import Header
from midtread.codecs.image.gaussian_quantize import uniform
from midtread.kernels.splat_counts import NORM
from midtread.transforms.gaussians_fit import Parts, Snap

RETRAINED = 30  # iterations that codebooks serve


def noisy(header: Header, quantizer: str, seed: int) -> Snap:
    """What `fit` takes to see the noise of a quantizer.

    Args:
        header: of the file, with the step.
        quantizer: one of QUANTIZERS.
        seed: of the signs.
    """
    rng, near = np.random.default_rng(seed), nearest(header, quantizer, seed)

    def snap(xy: np.ndarray, factor: np.ndarray, colour: np.ndarray) -> Parts:
        place, shape, told = near(xy, factor, colour)

        def either(x: np.ndarray, rounded: np.ndarray) -> np.ndarray:
            return (x + rng.choice([-1, 1], (len(x), 1)) * (rounded - x)).astype(np.float32)

        log_a, shear, log_c = either(_logs(factor), _logs(shape)).T
        a = np.exp(log_a)
        return either(xy, place), np.stack([a, shear * a, np.exp(log_c)], 1), either(colour, told)

    return snap


def _logs(factor: np.ndarray) -> np.ndarray:
    """Log a, b / a and log c, in which a fit moves."""
    a, b, c = factor.T
    return np.stack([np.log(a), b / a, np.log(c)], 1)


def nearest(header: Header, quantizer: str, seed: int) -> Snap:
    """The function that rounds (xy, factor, colour) as the quantizer does, and drops none."""

    def rounded(xy: np.ndarray, factor: np.ndarray, colour: np.ndarray) -> Parts:
        told = uniform(header, factor, colour) if quantizer == "uniform" else header
        symbols, kept = columns.quantize(xy, factor, colour, told)
        xy, factor, colour = xy.copy(), factor.copy(), np.zeros_like(colour)
        xy[kept], factor[kept], colour[kept] = columns.dequantize(symbols, told)
        return xy, factor, colour

    price = vq.price_of(header.step)
    to_shape, to_colour = Following(price, seed), Following(price, seed)

    def coded(xy: np.ndarray, factor: np.ndarray, colour: np.ndarray) -> Parts:
        told = vq.flat(header, factor, colour)
        place = columns.dequantize(vq.placed(xy, told), told)[0]
        shape = factors(to_shape(shapes(factor), vq.energies(factor, colour)))
        return place, shape, to_colour(colour, NORM**2 * vq.areas(shape))

    return coded if quantizer == "vq" else rounded


class Following:
    """Codebooks that follow their vectors: trained anew now and then, with as many entries as at first."""

    def __init__(self, price: float, seed: int) -> None:
        self.price, self.seed, self.age = price, seed, 0
        self.stages: Stages | None = None
        self.rows = np.zeros((0, 0), np.int32)

    def __call__(self, vectors: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """What the codebooks make of vectors, float32 [n, dimensions]; weights [n] as in `gaussian_vq.trained`."""
        if self.stages is None or self.age % RETRAINED == 0:
            entries = self.stages.entries if self.stages else None
            self.stages, self.rows = vq.trained(vectors, weights, self.price, self.seed, entries)
        else:
            self.rows = vq.search(self.stages, vectors, weights, self.price, self.rows)
        self.age += 1
        return self.stages.sums(self.rows)
