"""A codebook that needs no learning and no bytes: a bounded grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from midtread.errors import UsageError
from midtread.quantize.base import Quantizer, check_symbols, check_whole
from midtread.quantize.vector.checks import check_indices, check_vectors

# By this share of its way a bounded latent may pass the outermost level: its gradient does not vanish before that.
# With up to 512 levels that is less than half a step: rounding goes back to the outermost level.
MARGIN, MOST_LEVELS = 1e-3, 512


@dataclass(frozen=True)
class FiniteScalar(Quantizer):
    """Each dimension is bounded by tanh and rounded to one of a few levels; the index is their number in mixed radix.

    Restored latents are in [-1, 1], where the levels lie at multiples of 1 / (levels // 2). An odd number of levels
    has the middle one at 0; an even number has one level more below 0 than above.

    Source: Mentzer et al., "Finite scalar quantization: VQ-VAE made simple", ICLR 2024.
    """

    name: ClassVar[str] = "finite-scalar"
    summary: ClassVar[str] = "a bounded grid with few levels a dimension in place of a codebook"
    levels: tuple[int, ...]  # of each dimension; their product is the size of the codebook

    def __post_init__(self) -> None:
        who = f"quantizer {self.name!r}"
        if not isinstance(self.levels, tuple) or not self.levels:
            raise UsageError(f"{who}: levels={self.levels!r}; it takes a tuple with a number for each dimension")
        for count in self.levels:
            check_whole(who, "levels of a dimension", count, 2, MOST_LEVELS)
        if self.entries > 2**31:
            raise UsageError(f"{who}: {self.levels} are {self.entries} entries; indices are int32, 2**31 are the most")

    @property
    def entries(self) -> int:
        """Of the codebook that the grid is; indices are below."""
        return math.prod(self.levels)

    @property
    def dimensions(self) -> int:
        """Of a vector."""
        return len(self.levels)

    def bound(self, z: np.ndarray) -> np.ndarray:
        """Float64 [..., dimensions] between the outermost levels, in steps; rounding it gives the level.

        Latents 0 of even numbers of levels go to the upper of the two levels in the middle.
        """
        z = check_vectors(z, self.dimensions, f"quantizer {self.name!r}")
        counts = np.array(self.levels)
        reach = (counts - 1) * (1 + MARGIN) / 2
        offset = np.where(counts % 2 == 0, 0.5, 0.0)
        return np.tanh(z + np.arctanh(offset / reach)) * reach - offset

    def quantize(self, z: np.ndarray) -> np.ndarray:
        """Int32 indices [...] of vectors [..., dimensions]. Raises UsageError."""
        return self.index_of((np.rint(self.bound(z)) + np.array(self.levels) // 2).astype(np.int32))

    def dequantize(self, symbols: np.ndarray, upto: int | None = None) -> np.ndarray:
        """The levels, float32 [..., dimensions] in [-1, 1]; zeros for upto=0."""
        digits = self.digits_of(symbols)
        if self.check_upto(upto) == 0:
            return np.zeros(digits.shape, np.float32)
        half = np.array(self.levels) // 2
        return ((digits - half) / half).astype(np.float32)

    def digits_of(self, indices: np.ndarray) -> np.ndarray:
        """Int32 [..., dimensions], digit d in [0, levels[d]); the first counts least. Raises UsageError."""
        indices = check_symbols(indices, f"quantizer {self.name!r}")
        check_indices(indices, self.entries, f"quantizer {self.name!r}")
        return (indices[..., None] // self._places() % np.array(self.levels)).astype(np.int32)

    def index_of(self, digits: np.ndarray) -> np.ndarray:
        """Int32 [...], the inverse of `digits_of`. Raises UsageError."""
        who = f"quantizer {self.name!r}"
        digits = check_symbols(digits, who)
        if digits.ndim == 0 or digits.shape[-1] != self.dimensions:
            raise UsageError(f"{who} takes {self.dimensions} digits along the last axis, got {list(digits.shape)}")
        if ((digits < 0) | (digits >= np.array(self.levels))).any():
            raise UsageError(f"{who} takes digits from 0 to below {self.levels}, got {digits.min()} to {digits.max()}")
        return np.asarray((digits * self._places()).sum(-1), np.int32)

    def _places(self) -> np.ndarray:
        return np.cumprod([1, *self.levels[:-1]], dtype=np.int64)
