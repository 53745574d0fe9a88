"""How many Gaussians a picture needs, read from how sparse its wavelet coefficients are.

N fitted Gaussians leave about as much error as a picture without its 7 N largest coefficients of a 9/7 wavelet: the
number is 4 to 13 from photograph to photograph, and hardly depends on N (`benchmarks/gaussian.py count`). So the
error of a fit is known before it is made, and with it the number that goes best with a quantizer step: as long as a
Gaussian removes more error for its bits than a finer step would for as many.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from midtread.kernels.splat_counts import YCC
from midtread.transforms.wavelet import Wavelet97

COEFFICIENTS = 7.3  # that a Gaussian is worth
BALANCE = 0.4  # noise of the steps, count * step^2, over the error of the fit, where both cost the same
_BINS = 16  # an octave of squared coefficients
_SMALLEST = 2.0**-40


@dataclass(frozen=True)
class Sparsity:
    """Squared coefficients of a picture, the largest first, in classes of nearly equal ones."""

    counts: np.ndarray  # int64
    energies: np.ndarray  # float64, the sum of each class
    pixels: int

    @classmethod
    def of(cls, picture: np.ndarray) -> Sparsity:
        """Of a float32 picture [H, W, C], gray or red, green and blue, which are turned to luma and chroma."""
        counts, energies = np.zeros(0), np.zeros(0)
        if picture.shape[2] == 3:
            picture = picture @ YCC.T
        for channel in range(picture.shape[2]):
            plane = Wavelet97(levels=8).forward(np.ascontiguousarray(picture[:, :, channel])).reshape(-1)
            squares = np.square(plane, dtype=np.float64)
            place = np.maximum(np.log2(np.maximum(squares, _SMALLEST) / _SMALLEST) * _BINS, 0).astype(np.int64)
            counts, energies = _added(counts, np.bincount(place)), _added(energies, np.bincount(place, squares))
        return cls(counts[::-1].astype(np.int64), energies[::-1], picture.shape[0] * picture.shape[1])

    def error(self, gaussians: np.ndarray | float) -> np.ndarray:
        """Squared error, summed over samples, that a fit of so many Gaussians is expected to leave."""
        taken = np.concatenate([[0.0], np.cumsum(self.counts)])
        left = np.maximum(self.energies.sum() - np.concatenate([[0.0], np.cumsum(self.energies)]), 0.0)
        return np.interp(np.asarray(gaussians) * COEFFICIENTS, taken, left)

    def bits(self, gaussians: int, step: float) -> float:
        """Bits that so many Gaussians are expected to take, within 3 % on photographs.

        Each takes those of its place among the pixels, and those of its other numbers: as many as the coefficients
        that it stands for have over the step. Fitted to 28 files of 10 pictures.
        """
        taken = np.diff(np.minimum(np.cumsum(self.counts), gaussians * COEFFICIENTS), prepend=0.0)
        means = np.maximum(self.energies / np.maximum(self.counts, 1), _SMALLEST)
        level = float((taken * np.log2(means / step**2)).sum() / max(taken.sum(), 1)) / 2
        room = max(math.log2(self.pixels / max(gaussians, 1)), 0)
        return gaussians * max(16.5 + 10.0 * level + 1.46 * room, 8.0)

    def count(self, step: float, most: int) -> int:
        """Gaussians that go best with a step: count * step^2 = BALANCE * error(count); 0 to `most`, one a pixel."""
        low, high = 0, min(most, self.pixels)
        while low < high:
            middle = (low + high + 1) // 2
            if middle * step * step <= BALANCE * float(self.error(middle)):
                low = middle
            else:
                high = middle - 1
        return low


def _added(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    out = np.zeros(max(x.size, y.size))
    out[: x.size] += x
    out[: y.size] += y
    return out
