"""Large codebooks made of small ones: a sum of entries (stages), or entries side by side (groups of columns)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from midtread.errors import UsageError
from midtread.quantize.base import Quantizer, check_symbols, check_whole
from midtread.quantize.vector.checks import MOST_DIMENSIONS, check_vectors
from midtread.quantize.vector.codebook import VectorQuantizer

MOST_STAGES = 64


@dataclass(frozen=True)
class ResidualQuantizer(Quantizer):
    """Each stage quantizes what the stages before it left; the first k indices alone restore a coarser vector.

    Source: Juang & Gray, "Multiple stage vector quantization for speech coding", 1982.
    """

    name: ClassVar[str] = "residual"
    summary: ClassVar[str] = "vectors as sums of entries, a codebook a stage; every prefix of stages decodes"
    stages: tuple[VectorQuantizer, ...]

    def __post_init__(self) -> None:
        _check_parts(self.stages, f"quantizer {self.name!r}", "stages")
        if len({stage.dimensions for stage in self.stages}) > 1:
            raise UsageError(
                f"quantizer {self.name!r} takes stages of the same dimensions, "
                f"got {[stage.dimensions for stage in self.stages]}"
            )

    @classmethod
    def fit(
        cls, vectors: np.ndarray, entries: Sequence[int], seed: int = 0, weights: np.ndarray | None = None
    ) -> ResidualQuantizer:
        """Stage after stage with `train`, each on what is left.

        Args:
            vectors: [n, dimensions], n at least 1.
            entries: of each stage.
            seed: of the random choices.
            weights: as for `train`.
        """
        left = check_vectors(vectors, None, f"quantizer {cls.name!r}")
        stages: list[VectorQuantizer] = []
        for number, size in enumerate(entries):
            stages.append(VectorQuantizer.fit(left, size, seed + number, weights))
            left = left - stages[-1].dequantize(stages[-1].quantize(left))
        return cls(tuple(stages))

    @property
    def parts(self) -> int:
        """The stages."""
        return len(self.stages)

    @property
    def dimensions(self) -> int:
        """Of a vector."""
        return self.stages[0].dimensions

    def quantize(self, z: np.ndarray) -> np.ndarray:
        """Int32 indices [..., stages] of vectors [..., dimensions], stage after stage. Raises UsageError."""
        left = check_vectors(z, self.dimensions, f"quantizer {self.name!r}")
        indices = np.empty((*left.shape[:-1], self.parts), np.int32)
        for number, stage in enumerate(self.stages):
            indices[..., number] = stage.quantize(left)
            left = left - stage.dequantize(indices[..., number])
        return indices

    def dequantize(self, symbols: np.ndarray, upto: int | None = None) -> np.ndarray:
        """The sum of the entries of the first `upto` stages; what the other indices hold does not matter."""
        symbols = _check_last_axis(symbols, self.parts, f"quantizer {self.name!r}")
        z = np.zeros((*symbols.shape[:-1], self.dimensions), np.float32)
        for number in range(self.check_upto(upto)):
            z += self.stages[number].dequantize(symbols[..., number])
        return z


@dataclass(frozen=True)
class ProductQuantizer(Quantizer):
    """Columns in groups, from the left to the right, each with a codebook of its own.

    Source: Jegou, Douze, Schmid, "Product quantization for nearest neighbor search", 2011.
    """

    name: ClassVar[str] = "product"
    summary: ClassVar[str] = "vectors cut into groups of columns, a codebook a group"
    groups: tuple[VectorQuantizer, ...]

    def __post_init__(self) -> None:
        _check_parts(self.groups, f"quantizer {self.name!r}", "groups")

    @classmethod
    def fit(
        cls,
        vectors: np.ndarray,
        columns: Sequence[int],
        entries: Sequence[int],
        seed: int = 0,
        weights: np.ndarray | None = None,
    ) -> ProductQuantizer:
        """Group after group with `train`.

        Args:
            vectors: [n, dimensions], n at least 1.
            columns: how many each group takes; their sum is the dimensions.
            entries: of each group.
            seed: of the random choices.
            weights: as for `train`.
        """
        who = f"quantizer {cls.name!r}"
        vectors = check_vectors(vectors, None, who)
        for count in columns:
            check_whole(who, "columns of a group", count, 1, MOST_DIMENSIONS)
        if sum(columns) != vectors.shape[-1] or len(columns) != len(entries):
            raise UsageError(
                f"{who} takes columns that sum to the {vectors.shape[-1]} dimensions of the vectors and as many "
                f"numbers of entries, got columns={list(columns)}, entries={list(entries)}"
            )
        parts = np.split(vectors, np.cumsum(columns)[:-1], axis=-1)
        return cls(
            tuple(
                VectorQuantizer.fit(part, size, seed + number, weights)
                for number, (part, size) in enumerate(zip(parts, entries, strict=True))
            )
        )

    @property
    def dimensions(self) -> int:
        """Of a vector: the columns of all groups."""
        return sum(group.dimensions for group in self.groups)

    def quantize(self, z: np.ndarray) -> np.ndarray:
        """Int32 indices [..., groups] of vectors [..., dimensions]. Raises UsageError."""
        z = check_vectors(z, self.dimensions, f"quantizer {self.name!r}")
        parts = np.split(z, np.cumsum([group.dimensions for group in self.groups])[:-1], axis=-1)
        return np.stack([group.quantize(part) for group, part in zip(self.groups, parts, strict=True)], axis=-1)

    def dequantize(self, symbols: np.ndarray, upto: int | None = None) -> np.ndarray:
        """The entries side by side, float32 [..., dimensions]; zeros for upto=0."""
        symbols = _check_last_axis(symbols, len(self.groups), f"quantizer {self.name!r}")
        upto = self.check_upto(upto)
        parts = [group.dequantize(symbols[..., number], upto) for number, group in enumerate(self.groups)]
        return np.concatenate(parts, axis=-1)


def _check_parts(parts: tuple[VectorQuantizer, ...], who: str, what: str) -> None:
    good = isinstance(parts, tuple) and 1 <= len(parts) <= MOST_STAGES
    if not good or not all(isinstance(part, VectorQuantizer) for part in parts):
        raise UsageError(f"{who} takes 1 to {MOST_STAGES} {what}, a tuple of VectorQuantizer, got {parts!r:.200}")


def _check_last_axis(symbols: np.ndarray, length: int, who: str) -> np.ndarray:
    symbols = check_symbols(symbols, who)
    if symbols.ndim == 0 or symbols.shape[-1] != length:
        raise UsageError(f"{who} takes {length} indices along the last axis, got shape {list(symbols.shape)}")
    return symbols
