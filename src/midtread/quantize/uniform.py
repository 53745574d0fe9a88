"""Uniform steps: integers as they are, mid-tread, and with a wider zero."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from midtread.errors import UsageError
from midtread.kernels.twins import pick
from midtread.quantize.base import Quantizer, check_latents, check_option, check_reach, check_symbols, largest_of


@dataclass(frozen=True)
class Identity(Quantizer):
    """Integer latents are their own symbols: for lossless codecs. `dequantize` gives int32."""

    name: ClassVar[str] = "none"
    summary: ClassVar[str] = "integers as they are, lossless"

    def quantize(self, z: np.ndarray) -> np.ndarray:
        """Int32 copy of integer latents that fit it."""
        return check_symbols(z, f"quantizer {self.name!r}").copy()

    def dequantize(self, symbols: np.ndarray, upto: int | None = None) -> np.ndarray:
        """Int32 copy of the symbols; zeros for no parts."""
        whole = self.check_upto(upto)
        symbols = check_symbols(symbols, f"quantizer {self.name!r}")
        return symbols.copy() if whole else np.zeros_like(symbols)


@dataclass(frozen=True)
class Uniform(Quantizer):
    """Nearest multiple of `step`, ties to the even one: |z - dequantize(quantize(z))| <= step / 2 + 2^-22 |z|.

    The second term is float32 rounding; float64 latents are quantized in float64, and restored in it when `precise`.

    At high rate and coded at their entropy, the symbols of any smooth density cost 0.2546 bit per sample
    (log2(2 pi e / 12) / 2) more than the rate-distortion bound at the same squared error.

    Source: Gish & Pierce, "Asymptotically efficient quantizing", IEEE Trans. Inf. Theory 14(5), 1968.
    """

    name: ClassVar[str] = "uniform"
    summary: ClassVar[str] = "uniform mid-tread: nearest multiple of the step"
    step: float = 1.0  # in the units of the latents
    precise: bool = False  # dequantize to float64

    def __post_init__(self) -> None:
        check_option(f"quantizer {self.name!r}", "step", self.step, 0, 1e300, open_low=True)

    def quantize(self, z: np.ndarray) -> np.ndarray:
        """Int32 symbols, nearest multiples of the step."""
        z = check_latents(z, f"quantizer {self.name!r}")
        check_reach(z, largest_of(z) / self.step, f"step={self.step:g}", "take a larger step")
        if z.dtype == np.float64:
            return np.rint(z / self.step).astype(np.int32)
        symbols = np.empty(z.shape, np.int32)
        pick("quantize", z.size).uniform(z.reshape(-1), symbols.reshape(-1), _float32(1 / self.step, self.step))
        return symbols

    def dequantize(self, symbols: np.ndarray, upto: int | None = None) -> np.ndarray:
        """Multiples of the step, float32 (float64 if precise)."""
        return restore(self, symbols, upto, self.step, 0.0, precise=self.precise)


@dataclass(frozen=True)
class DeadZone(Quantizer):
    """|symbol| = floor(|z| / step + rounding): 0 covers |z| < (1 - rounding) * step, wider than the others.

    rounding 0.5 is a mid-tread quantizer, 1/3 usual for predicted pictures, 0 that of JPEG 2000 (zero twice as wide).
    The symbol k > 0 holds [k - rounding, k + 1 - rounding) steps and is restored `point` of the way through it: 0.5 is
    the middle, less is nearer to zero, where falling densities have their mean.

    Source: Sullivan, "Efficient scalar quantization of exponential and Laplacian random variables", IEEE Trans. Inf.
    Theory 42(5), 1996 (a dead zone and one shift are optimal for Laplacian latents).
    """

    name: ClassVar[str] = "deadzone"
    summary: ClassVar[str] = "uniform steps with a wider zero and a reconstruction point"
    step: float = 1.0  # in the units of the latents
    rounding: float = 1 / 3  # in steps, 0 to 0.5
    point: float = 0.5  # part of the interval, 0 to 1

    def __post_init__(self) -> None:
        who = f"quantizer {self.name!r}"
        check_option(who, "step", self.step, 0, 1e300, open_low=True)
        check_option(who, "rounding", self.rounding, 0, 0.5)
        check_option(who, "point", self.point, 0, 1)

    def fit_point(self, z: np.ndarray) -> DeadZone:
        """The same with the `point` at which the squared error over `z` is least (the mean place in the intervals)."""
        symbols = self.quantize(z)
        nonzero = symbols != 0
        if not nonzero.any():
            return replace(self, point=0.5)
        inside = np.abs(z[nonzero]).astype(np.float64) / self.step + self.rounding - np.abs(symbols[nonzero])
        return replace(self, point=float(np.clip(inside.mean(), 0, 1)))

    def quantize(self, z: np.ndarray) -> np.ndarray:
        """Int32 symbols, towards zero beyond `rounding`."""
        z = check_latents(z, f"quantizer {self.name!r}")
        check_reach(z, largest_of(z) / self.step + 1, f"step={self.step:g}", "take a larger step")
        if z.dtype == np.float64:
            size = np.floor(np.abs(z) / self.step + self.rounding).astype(np.int32)
            return np.where(z < 0, -size, size)
        symbols = np.empty(z.shape, np.int32)
        inverse_step = _float32(1 / self.step, self.step)
        kernel = pick("quantize", z.size)
        kernel.dead_zone(z.reshape(-1), symbols.reshape(-1), inverse_step, np.float32(self.rounding))
        return symbols

    def dequantize(self, symbols: np.ndarray, upto: int | None = None) -> np.ndarray:
        """Places `point` of the way through the intervals, float32."""
        return restore(self, symbols, upto, self.step, self.point - self.rounding)


def restore(
    who: Quantizer, symbols: np.ndarray, upto: int | None, step: float, shift: float, *, precise: bool = False
) -> np.ndarray:
    """(|symbols| + shift) * step with the sign of the symbol, 0 for 0: what uniform quantizers share."""
    symbols = check_symbols(symbols, f"quantizer {who.name!r}")
    if who.check_upto(upto) == 0:
        return np.zeros(symbols.shape, np.float64 if precise else np.float32)
    if precise:
        return (symbols + np.sign(symbols) * shift) * step
    z = np.empty(symbols.shape, np.float32)
    pick("quantize", z.size).restore(symbols.reshape(-1), z.reshape(-1), _float32(step, step), np.float32(shift))
    return z


def _float32(value: float, step: float) -> np.float32:
    """`value` as float32. Raises UsageError for a step whose reach float32 lacks."""
    if not 1e-37 < value < 1e37:
        raise UsageError(f"step={step:g} is beyond float32; scale the latents")
    return np.float32(value)
