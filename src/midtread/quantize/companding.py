"""Uniform steps after a curve: fine near zero, coarse far away."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from midtread.quantize.base import Quantizer, check_latents, check_option, check_reach, check_symbols, largest_of


@dataclass(frozen=True)
class _Companded(Quantizer):
    """sign(z) * round(curve(|z|) / step), and back; subclasses give the curve, which rises from curve(0) = 0."""

    step: float = 1.0  # in the units of the latents at the place where the curve has slope 1

    @abstractmethod
    def curve(self, size: np.ndarray) -> np.ndarray:
        """The curve at magnitudes float64."""

    @abstractmethod
    def curve_inverse(self, height: np.ndarray) -> np.ndarray:
        """The magnitudes at which the curve has these heights."""

    def quantize(self, z: np.ndarray) -> np.ndarray:
        z = check_latents(z, f"quantizer {self.name!r}")
        top = float(self.curve(np.array(largest_of(z)))) / self.step
        check_reach(z, top, f"step={self.step:g}", "take a larger step")
        return np.copysign(np.rint(self.curve(np.abs(z, dtype=np.float64)) / self.step), z).astype(np.int32)

    def dequantize(self, symbols: np.ndarray, upto: int | None = None) -> np.ndarray:
        symbols = check_symbols(symbols, f"quantizer {self.name!r}")
        if self.check_upto(upto) == 0:
            return np.zeros(symbols.shape, np.float32)
        height = np.abs(symbols.astype(np.float64)) * self.step
        with np.errstate(over="ignore"):  # hostile symbols may be beyond float32: infinity says so
            return np.copysign(self.curve_inverse(height), symbols).astype(np.float32)


@dataclass(frozen=True)
class MuLaw(_Companded):
    """Steps that grow in proportion to |z| + peak / mu, and are `step` wide on average up to `peak`.

    curve(a) = peak * ln(1 + mu * a / peak) / ln(1 + mu). Source: ITU-T G.711; Smith, "Instantaneous companding", 1957.
    """

    name: ClassVar[str] = "mu-law"
    summary: ClassVar[str] = "steps that grow with the magnitude (logarithmic companding)"
    peak: float = 1.0  # in the units of the latents; larger ones are fine
    mu: float = 255.0

    def __post_init__(self) -> None:
        who = f"quantizer {self.name!r}"
        check_option(who, "step", self.step, 0, 1e300, open_low=True)
        check_option(who, "peak", self.peak, 0, 1e300, open_low=True)
        check_option(who, "mu", self.mu, 0, 1e12, open_low=True)

    def curve(self, size: np.ndarray) -> np.ndarray:
        """The curve at magnitudes."""
        return np.log1p(size * (self.mu / self.peak)) * (self.peak / np.log1p(self.mu))

    def curve_inverse(self, height: np.ndarray) -> np.ndarray:
        """Magnitudes of heights."""
        with np.errstate(over="ignore"):
            return np.expm1(height * (np.log1p(self.mu) / self.peak)) * (self.peak / self.mu)


@dataclass(frozen=True)
class PowerLaw(_Companded):
    """curve(a) = a^exponent: steps that grow as |z|^(1 - exponent), as AAC (3/4) and AV1's quantizer tables do."""

    name: ClassVar[str] = "power-law"
    summary: ClassVar[str] = "steps that grow with a power of the magnitude"
    exponent: float = 0.75

    def __post_init__(self) -> None:
        who = f"quantizer {self.name!r}"
        check_option(who, "step", self.step, 0, 1e300, open_low=True)
        check_option(who, "exponent", self.exponent, 0.1, 1)

    def curve(self, size: np.ndarray) -> np.ndarray:
        """The curve at magnitudes."""
        return np.power(size, self.exponent)

    def curve_inverse(self, height: np.ndarray) -> np.ndarray:
        """Magnitudes of heights."""
        return np.power(height, 1 / self.exponent)
