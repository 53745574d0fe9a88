"""A codebook that follows a stream of vectors: means that forget."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from midtread.errors import UsageError
from midtread.quantize.base import check_option
from midtread.quantize.vector.checks import check_codebook, check_vectors
from midtread.quantize.vector.train import kernel_for, sums_of, worst


@dataclass(frozen=True, eq=False)
class MovingCodebook:
    """Each entry is the mean of its vectors, where a batch counts `decay` times as much as the batch after it.

    Entries that get less than `revive_below` of the mean load are put at the worst coded vectors of the batch.

    Sources: van den Oord et al., "Neural discrete representation learning", 2017, appendix A.1; Dhariwal et al.,
    "Jukebox", 2020 (revival).
    """

    codebook: np.ndarray  # float32 [entries, dimensions]
    load: np.ndarray  # float64 [entries]: share of the vectors that each entry gets, averaged likewise
    decay: float = 0.99
    revive_below: float = 0.03

    def __post_init__(self) -> None:
        who = "a moving codebook"
        check_codebook(self.codebook, who)
        if not isinstance(self.load, np.ndarray) or self.load.shape != self.codebook.shape[:1]:
            raise UsageError(f"{who} takes a load for each of {len(self.codebook)} entries, got {self.load!r:.200}")
        check_option(who, "decay", self.decay, 0, 1)
        check_option(who, "revive_below", self.revive_below, 0, 1)

    @classmethod
    def start(cls, codebook: np.ndarray, decay: float = 0.99, revive_below: float = 0.03) -> MovingCodebook:
        """From a codebook float32 [entries, dimensions], every entry with the same load."""
        check_codebook(codebook, "a moving codebook")
        return cls(codebook, np.full(len(codebook), 1 / len(codebook)), decay, revive_below)

    def update(self, vectors: np.ndarray) -> MovingCodebook:
        """After one more batch.

        Args:
            vectors: [n, dimensions], finite real numbers; n at least 1.

        Raises:
            UsageError: they are not.
        """
        vectors = check_vectors(vectors, self.codebook.shape[1], "a moving codebook")
        if vectors.ndim != 2 or not len(vectors):
            raise UsageError(
                f"a moving codebook takes vectors [n, dimensions], n at least 1, got {list(vectors.shape)}"
            )
        indices, errors = np.empty(len(vectors), np.int32), np.empty(len(vectors), np.float32)
        kernel_for(vectors, len(self.load)).nearest(vectors, self.codebook, indices, errors)
        each = np.full(len(vectors), (1 - self.decay) / len(vectors))
        kept = self.decay * self.load
        load = kept + np.bincount(indices, each, len(kept))
        sums = kept[:, None] * self.codebook + sums_of(vectors, each, indices, len(kept))
        codebook = np.where(load[:, None] > 0, sums / np.where(load > 0, load, 1)[:, None], self.codebook)
        idle = np.flatnonzero(load < self.revive_below / len(load))
        if idle.size:
            revived = worst(vectors, errors, idle.size)
            codebook[idle[: len(revived)]], load[idle[: len(revived)]] = revived, 1 / len(load)
        return dataclasses.replace(self, codebook=codebook.astype(np.float32), load=load)
