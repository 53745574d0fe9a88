"""Whole vectors as indices of the nearest entry of a codebook, and how well a codebook is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from midtread.quantize.base import Quantizer, check_symbols, check_whole
from midtread.quantize.vector.checks import MOST_ENTRIES, check_codebook, check_indices, check_vectors
from midtread.quantize.vector.train import kernel_for, train


@dataclass(frozen=True, eq=False)
class VectorQuantizer(Quantizer):
    """A vector becomes the index of its nearest entry by squared error, the first of equals, on every machine.

    Source: Gersho & Gray, "Vector quantization and signal compression", 1992, ch. 10.
    """

    name: ClassVar[str] = "vector"
    summary: ClassVar[str] = "whole vectors as indices of a codebook"
    codebook: np.ndarray  # float32 [entries, dimensions]

    def __post_init__(self) -> None:
        check_codebook(self.codebook, f"quantizer {self.name!r}")

    @classmethod
    def fit(
        cls, vectors: np.ndarray, entries: int, seed: int = 0, weights: np.ndarray | None = None
    ) -> VectorQuantizer:
        """With the codebook that `train` makes of the same arguments."""
        return cls(train(vectors, entries, seed, weights))

    @property
    def entries(self) -> int:
        """Of the codebook; indices are below."""
        return len(self.codebook)

    @property
    def dimensions(self) -> int:
        """Of a vector."""
        return int(self.codebook.shape[1])

    def quantize(self, z: np.ndarray) -> np.ndarray:
        """Int32 indices [...] of vectors [..., dimensions]. Raises UsageError."""
        z = check_vectors(z, self.dimensions, f"quantizer {self.name!r}")
        flat = z.reshape(-1, self.dimensions)
        indices, errors = np.empty(len(flat), np.int32), np.empty(len(flat), np.float32)
        kernel_for(flat, self.entries).nearest(flat, self.codebook, indices, errors)
        return indices.reshape(z.shape[:-1])

    def dequantize(self, symbols: np.ndarray, upto: int | None = None) -> np.ndarray:
        """The entries, float32 [..., dimensions]; zeros for upto=0. Raises UsageError for indices of no entry."""
        symbols = check_symbols(symbols, f"quantizer {self.name!r}")
        if self.check_upto(upto) == 0:
            return np.zeros((*symbols.shape, self.dimensions), np.float32)
        check_indices(symbols, self.entries, f"quantizer {self.name!r}")
        return self.codebook[symbols]


def usage(indices: np.ndarray, entries: int) -> tuple[float, float]:
    """How much of a codebook `indices` use.

    Args:
        indices: integers in [0, entries), any shape, at least one.
        entries: of the codebook.

    Returns:
        Utilization, the share of the entries that occur, (0, 1]; and perplexity, 2 to the entropy of the indices in
        bits: as many entries used equally often would need the same rate, [1, entries].

    Raises:
        UsageError: an index is out of range, or there are none.
    """
    who = "the usage of a codebook"
    check_whole(who, "entries", entries, 1, MOST_ENTRIES)
    indices = check_symbols(indices, who)
    check_whole(who, "number of indices", indices.size, 1, 2**62)
    check_indices(indices, entries, who)
    counts = np.bincount(indices.reshape(-1), minlength=entries)
    share = counts[counts > 0] / indices.size
    return share.size / entries, float(np.exp2(-(share * np.log2(share)).sum()))
