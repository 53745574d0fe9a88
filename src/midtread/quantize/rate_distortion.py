"""Symbols chosen for rate and distortion together."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from midtread.errors import UsageError
from midtread.kernels.twins import pick
from midtread.quantize.base import Quantizer, check_latents, check_option, check_reach, largest_of
from midtread.quantize.uniform import _float32, restore

PASSES = 4  # of choosing symbols under the rates of the symbols chosen before; more change next to nothing
TABLE = 256  # magnitudes with a rate of their own


@dataclass(frozen=True)
class RateDistortion(Quantizer):
    """Uniform steps; each symbol is the nearest, the next towards zero, or zero, whichever costs least.

    The cost of a symbol is (error / step)^2 + slope * bits. With the default slope, ln(2) / 6, a bit is worth what it
    buys at high rate (d(step^2 / 12) / d(bit)); larger slopes save more bits. The decoder need not know: it is the one
    of uniform steps with reconstruction at (|symbol| + shift) * step.

    Without rates, `quantize` uses those of the symbols themselves (their own histogram, found by iterating), which is
    entropy-constrained scalar quantization. With a context model, give `rates` and `classes`.

    Source: Sullivan & Wiegand, "Rate-distortion optimization for video compression", 1998; Chou, Lookabaugh & Gray,
    "Entropy-constrained vector quantization", 1989.
    """

    name: ClassVar[str] = "rdoq"
    summary: ClassVar[str] = "uniform steps, symbols chosen by rate and distortion"
    step: float = 1.0  # in the units of the latents
    slope: float = math.log(2) / 6  # squared error, in steps, that one bit is worth
    shift: float = 0.0  # in steps, added to every magnitude but 0 on reconstruction; -0.5 to 0.5

    def __post_init__(self) -> None:
        who = f"quantizer {self.name!r}"
        check_option(who, "step", self.step, 0, 1e300, open_low=True)
        check_option(who, "slope", self.slope, 0, 1e6)
        check_option(who, "shift", self.shift, -0.5, 0.5)

    def fit_shift(self, z: np.ndarray) -> RateDistortion:
        """The same with the `shift` at which the symbols chosen now have the least squared error over `z`."""
        symbols = self.quantize(z)
        nonzero = symbols != 0
        if not nonzero.any():
            return replace(self, shift=0.0)
        excess = np.abs(z[nonzero]).astype(np.float64) / self.step - np.abs(symbols[nonzero])
        return replace(self, shift=float(np.clip(excess.mean(), -0.5, 0.5)))

    def quantize(self, z: np.ndarray) -> np.ndarray:
        """Int32 symbols under the rates of their own histogram."""
        z = self._checked(z)
        symbols = np.rint(z * _float32(1 / self.step, self.step)).astype(np.int32)
        for _ in range(PASSES):
            symbols = self.quantize_with(z, own_rates(symbols))
        return symbols

    def quantize_with(self, z: np.ndarray, rates: np.ndarray, classes: np.ndarray | None = None) -> np.ndarray:
        """Symbols under given rates.

        Args:
            z: finite latents, any shape.
            rates: bits of the magnitudes 0, 1, 2 ... (sign included), [n] or, one row per class, [classes, n]; beyond
                n they grow as between the last two.
            classes: class of every latent, the shape of `z`, when `rates` has rows.
        """
        z = self._checked(z)
        table = np.ascontiguousarray(np.atleast_2d(rates), np.float32)
        if table.ndim != 2 or table.shape[1] < 2 or not 1 <= len(table) <= 256 or not np.isfinite(table).all():
            raise UsageError(f"rates must be finite bits, [n] or [classes, n] with n >= 2, got {np.shape(rates)}")
        if classes is None:
            classes = np.zeros(z.shape, np.uint8)
        if classes.shape != z.shape or (classes.size and not 0 <= classes.min() <= classes.max() < len(table)):
            raise UsageError(
                f"classes must have the shape {list(z.shape)} of the latents and values in [0, {len(table) - 1}], "
                f"got {list(classes.shape)}" + (f" and [{classes.min()}, {classes.max()}]" if classes.size else "")
            )
        symbols = np.empty(z.shape, np.int32)
        flat = np.ascontiguousarray(classes, np.uint8).reshape(-1)
        constants = (_float32(1 / self.step, self.step), np.float32(self.shift), np.float32(self.slope))
        pick("quantize", z.size).cheapest(z.reshape(-1), symbols.reshape(-1), flat, table, *constants)
        return symbols

    def dequantize(self, symbols: np.ndarray, upto: int | None = None) -> np.ndarray:
        """(|symbol| + shift) * step with the sign of the symbol, float32."""
        return restore(self, symbols, upto, self.step, self.shift)

    def _checked(self, z: np.ndarray) -> np.ndarray:
        z = check_latents(z, f"quantizer {self.name!r}")
        check_reach(z, largest_of(z) / self.step, f"step={self.step:g}", "take a larger step")
        return z.astype(np.float32, copy=False)


def own_rates(symbols: np.ndarray) -> np.ndarray:
    """Bits of the magnitudes 0 .. 255 by the histogram of the symbols themselves, sign included, float32 [256].

    Each magnitude is counted half a time more than it occurs, so that none is free or impossible; larger ones go on
    as the last two do.
    """
    magnitudes = np.minimum(np.abs(symbols.astype(np.int64)), TABLE - 1).reshape(-1)
    counts = np.bincount(magnitudes, minlength=TABLE).astype(np.float64) + 0.5
    bits = np.log2(counts.sum()) - np.log2(counts)
    bits[1:] += 1.0
    bits[-1] = max(bits[-1], bits[-2])  # the last one stands for all that follow: it must not attract
    return bits.astype(np.float32)
