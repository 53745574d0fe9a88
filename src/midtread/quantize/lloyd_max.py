"""The best few levels for a density."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from midtread.errors import UsageError
from midtread.kernels.twins import pick
from midtread.quantize.base import Quantizer, check_latents, check_option, check_symbols, check_whole

Density = Callable[[np.ndarray], np.ndarray]

# Densities of standard deviation 1 (uniform: on [-sqrt 3, sqrt 3]).
DENSITIES: dict[str, Density] = {
    "gaussian": lambda t: np.exp(-0.5 * t * t) / math.sqrt(2 * math.pi),
    "laplace": lambda t: np.exp(-math.sqrt(2) * np.abs(t)) / math.sqrt(2),
    "uniform": lambda t: (np.abs(t) <= math.sqrt(3)) / (2 * math.sqrt(3)),
}
REACH = {"gaussian": 9.0, "laplace": 25.0, "uniform": math.sqrt(3)}
GRID = 2**17  # places at which a density is looked at


@dataclass(frozen=True)
class LloydMax(Quantizer):
    """A fixed number of levels placed where the mean squared error is least; fixed-rate coders need no more.

    Symbol k stands for level k of the codebook, counted from `-(levels // 2)`, so that symbols lie around zero. Every
    latent goes to its nearest level; every level is the mean of the latents that go to it.

    Source: Max, "Quantizing for minimum distortion", 1960; Lloyd, "Least squares quantization in PCM", 1982.
    """

    name: ClassVar[str] = "lloyd-max"
    summary: ClassVar[str] = "a few levels placed for least squared error"
    levels: int = 8
    source: str = "gaussian"  # density the levels are made for: gaussian, laplace, uniform
    scale: float = 1.0  # standard deviation of the latents, in their units
    points: tuple[float, ...] = ()  # the levels themselves, ascending; they replace the three above

    def __post_init__(self) -> None:
        who = f"quantizer {self.name!r}"
        check_whole(who, "levels", self.levels, 1, 4096)
        check_option(who, "scale", self.scale, 0, 1e30, open_low=True)
        if self.source not in DENSITIES:
            raise UsageError(f"{who}: source={self.source!r}; it takes {', '.join(DENSITIES)}")
        if self.points and (not np.isfinite(self.points).all() or (np.diff(self.points) <= 0).any()):
            raise UsageError(f"{who}: points must be finite and ascending, got {self.points}")

    @classmethod
    def fit(cls, z: np.ndarray, levels: int) -> LloydMax:
        """Levels for the latents `z` themselves; fewer when `z` has fewer values."""
        z = check_latents(z, f"quantizer {cls.name!r}").astype(np.float64)
        check_whole(f"quantizer {cls.name!r}", "levels", levels, 1, 4096)
        if z.size == 0:
            raise UsageError(f"quantizer {cls.name!r} cannot place levels for no latents at all")
        values, counts = np.unique(z, return_counts=True)
        return cls(points=tuple(float(p) for p in design(values, counts.astype(np.float64), levels)))

    @property
    def codebook(self) -> np.ndarray:
        """The levels, float64, ascending."""
        if self.points:
            return np.array(self.points, np.float64)
        return np.array(_standard(self.source, self.levels)) * self.scale

    def quantize(self, z: np.ndarray) -> np.ndarray:
        """Int32 symbols of the nearest levels."""
        z = check_latents(z, f"quantizer {self.name!r}").astype(np.float32, copy=False)
        codebook = self.codebook
        thresholds = ((codebook[1:] + codebook[:-1]) / 2).astype(np.float32)
        symbols = np.empty(z.shape, np.int32)
        pick("quantize", z.size).search(z.reshape(-1), symbols.reshape(-1), thresholds)
        return symbols - np.int32(len(codebook) // 2)

    def dequantize(self, symbols: np.ndarray, upto: int | None = None) -> np.ndarray:
        """The levels, float32. Raises UsageError for symbols that stand for none."""
        symbols = check_symbols(symbols, f"quantizer {self.name!r}")
        if self.check_upto(upto) == 0:
            return np.zeros(symbols.shape, np.float32)
        codebook = self.codebook
        indices = symbols.astype(np.int64) + len(codebook) // 2
        if indices.size and not 0 <= indices.min() <= indices.max() < len(codebook):
            raise UsageError(
                f"quantizer {self.name!r} has {len(codebook)} levels, symbols "
                f"[{-(len(codebook) // 2)}, {(len(codebook) - 1) // 2}]; got [{symbols.min()}, {symbols.max()}]"
            )
        return codebook.astype(np.float32)[indices]


def design(values: np.ndarray, weights: np.ndarray, levels: int, tolerance: float = 1e-10) -> np.ndarray:
    """Lloyd's iteration on weighted values (ascending, distinct), from levels at equal shares of weight^(1/3).

    Stops when no level moves by more than `tolerance` of the range. At most len(values) levels.
    """
    levels = min(levels, len(values))
    mass = np.concatenate([[0.0], np.cumsum(weights)])
    moment = np.concatenate([[0.0], np.cumsum(weights * values)])
    share = np.cumsum(np.cbrt(weights))  # the density of good levels goes with the cube root (Panter & Dite 1951)
    first = np.searchsorted(share, (np.arange(levels) + 0.5) / levels * share[-1])
    points = values[np.unique(np.minimum(first, len(values) - 1))].astype(np.float64)
    for _ in range(100_000):
        edges = np.searchsorted(values, (points[1:] + points[:-1]) / 2)
        edges = np.concatenate([[0], edges, [len(values)]])
        held = np.diff(mass[edges])
        moved = np.where(held > 0, np.diff(moment[edges]) / np.where(held > 0, held, 1), points)
        still = np.abs(moved - points).max() <= tolerance * (values[-1] - values[0])
        points = moved
        if still:
            break
    return np.unique(points)


@lru_cache(maxsize=64)
def _standard(source: str, levels: int) -> tuple[float, ...]:
    """Levels for a density of standard deviation 1."""
    edges = np.linspace(-REACH[source], REACH[source], GRID + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    points = design(middles, DENSITIES[source](middles), levels)
    return tuple(float(p) for p in (points - points[::-1]) / 2)  # the densities are even, so are their levels
