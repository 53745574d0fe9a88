"""Symbols cut into digits, so that a stream can stop after any plane of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from midtread.errors import UsageError
from midtread.kernels.twins import pick
from midtread.quantize.base import Quantizer, check_latents, check_option, check_symbols, check_whole, largest_of
from midtread.quantize.uniform import DeadZone, Uniform, _float32

CELLS = 4  # cells with a mean of their own in `fit`: zero, the next two, all others


@dataclass(frozen=True)
class DigitPlanes(Quantizer):
    """Symbols of `planes` digits; after the first k planes a latent is restored at the mean of all it may still be.

    base 2: |symbol| = floor(|z| / step), binary digits; the sign comes with the first digit that is not 0. A prefix is
    a dead-zone quantizer of step * 2^(planes left).
    base 3: symbol = round(z / step), digits -1, 0, 1 (balanced ternary). A prefix is a mid-tread quantizer of step *
    3^(planes left).

    Where the mean lies is said by `offsets` (measured, see `fit`) or else by a Laplacian density of mean magnitude
    `scale`; with neither, it is the middle.

    Source: Shapiro, "Embedded image coding using zerotrees", 1993 (binary); Lee et al., "DPICT: deep progressive image
    compression using trit-planes", CVPR 2022 (ternary, conditional means).
    """

    name: ClassVar[str] = "digit-planes"
    summary: ClassVar[str] = "binary or ternary digit planes; every prefix decodes to the conditional mean"
    step: float = 1.0  # of the whole symbol, in the units of the latents
    base: int = 2  # 2 or 3
    planes: int = 8
    scale: float | None = None  # mean |z|, in the units of the latents
    # For every number of planes known, 0 .. planes, and every cell: the mean minus the near end (base 2) or the middle
    # (base 3) of the cell, in steps; the last cell stands for all that follow.
    offsets: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        who = f"quantizer {self.name!r}"
        check_option(who, "step", self.step, 0, 1e300, open_low=True)
        check_whole(who, "base", self.base, 2, 3)
        check_whole(who, "planes", self.planes, 1, 31 if self.base == 2 else 19)
        if self.scale is not None:
            check_option(who, "scale", self.scale, 0, 1e300, open_low=True)
        if self.offsets and (len(self.offsets) != self.planes + 1 or min(map(len, self.offsets)) < 1):
            raise UsageError(f"{who}: offsets has {len(self.offsets)} rows; planes + 1 = {self.planes + 1} are needed")

    @classmethod
    def fit(cls, z: np.ndarray, step: float, base: int = 2) -> DigitPlanes:
        """As few planes as `z` needs, with offsets measured on `z`: each prefix has the least squared error there."""
        check_whole(f"quantizer {cls.name!r}", "base", base, 2, 3)
        sizes = np.abs(check_latents(z, f"quantizer {cls.name!r}").astype(np.float64)).reshape(-1)
        top = _top(cls(step, base)._symbols(z))
        planes = 1
        while _largest_symbol(base, planes) < top:
            planes += 1
        symbols = np.abs(cls(step, base, planes)._symbols(z).astype(np.int64)).reshape(-1)
        rows = []
        for known in range(planes + 1):
            width, bias = _width(base, planes - known)
            cells = (symbols + bias) // width
            kept = np.minimum(cells, CELLS - 1)
            count = np.bincount(kept, minlength=CELLS)
            total = np.bincount(kept, sizes / step - cells * width, minlength=CELLS)
            middle = width / 2 if base == 2 else 0.0
            means = np.where(count > 0, total / np.maximum(count, 1), middle)
            rows.append((0.0, *(float(mean) for mean in means[1:])))
        return cls(step, base, planes, offsets=tuple(rows))

    @property
    def parts(self) -> int:
        """The planes."""
        return self.planes

    def quantize(self, z: np.ndarray) -> np.ndarray:
        """Int32 symbols. Raises UsageError also when the planes do not hold them."""
        symbols = self._symbols(z)
        top, allowed = _top(symbols), _largest_symbol(self.base, self.planes)
        if top > allowed:
            raise UsageError(
                f"{self.planes} planes of base {self.base} hold symbols up to {allowed}; latents up to "
                f"{largest_of(check_latents(z, self.name)):g} with step={self.step:g} need {top}; take more planes"
            )
        return symbols

    def dequantize(self, symbols: np.ndarray, upto: int | None = None) -> np.ndarray:
        """The conditional means given the first `upto` planes; what the other planes hold does not matter."""
        symbols = check_symbols(symbols, f"quantizer {self.name!r}")
        known = self.check_upto(upto)
        z = np.zeros(symbols.shape, np.float32)
        if known:
            width, bias = _width(self.base, self.planes - known)
            offsets = np.array(self._offsets(known, width), np.float32)
            step = _float32(self.step, self.step)
            pick("quantize", z.size).restore_cells(symbols.reshape(-1), z.reshape(-1), width, bias, offsets, step)
        return z

    def digits(self, symbols: np.ndarray) -> np.ndarray:
        """Digits int8 [planes, ...] of symbols, the most significant plane first; -1, 0 or 1 in both bases."""
        rest = check_symbols(symbols, f"quantizer {self.name!r}").astype(np.int64)
        digits = np.empty((self.planes, *rest.shape), np.int8)
        for plane in range(self.planes):
            width, bias = _width(self.base, self.planes - 1 - plane)
            digit = np.sign(rest) * ((np.abs(rest) + bias) // width)
            digits[plane] = digit
            rest -= digit * width
        return digits

    def join(self, digits: np.ndarray) -> np.ndarray:
        """Symbols int32 of the first planes of digits [k, ...], k <= planes; digits that are missing count as 0."""
        symbols = np.zeros(digits.shape[1:], np.int32)
        for plane, digit in enumerate(digits):
            symbols += digit.astype(np.int32) * np.int32(self.base ** (self.planes - 1 - plane))
        return symbols

    def _symbols(self, z: np.ndarray) -> np.ndarray:
        return (DeadZone(self.step, 0.0) if self.base == 2 else Uniform(self.step)).quantize(z)

    def _offsets(self, known: int, width: int) -> tuple[float, ...]:
        """Row of `offsets` for a number of known planes: measured, Laplacian, or the middle."""
        if self.offsets:
            return self.offsets[known]
        near = 0.0 if self.base == 2 else -width / 2
        if self.scale is None:
            return 0.0, near + width / 2
        cells = width * self.step / self.scale  # the density falls by exp(-cells) across a cell, wherever it is
        mean = 1 / cells - (1 / math.expm1(cells) if cells < 700 else 0.0) if cells > 1e-6 else 0.5
        return 0.0, near + mean * width


def _top(symbols: np.ndarray) -> int:
    return max(int(symbols.max(initial=0)), -int(symbols.min(initial=0)))


def _width(base: int, planes_left: int) -> tuple[int, int]:
    """Symbols in a cell when `planes_left` digits are unknown, and how many of them lie below its middle one."""
    width = base**planes_left
    return width, 0 if base == 2 else (width - 1) // 2


def _largest_symbol(base: int, planes: int) -> int:
    return 2**planes - 1 if base == 2 else (3**planes - 1) // 2
