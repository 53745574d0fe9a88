"""What a quantizer is, and what its inputs must be."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from types import EllipsisType
from typing import Any, ClassVar

import numpy as np

from midtread.errors import UsageError

Index = tuple[EllipsisType | slice | int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Band:
    """A named part of an array of latents that deserves its own step or its own statistics."""

    name: str  # "HL3"
    index: Index  # latents[band.index] is the part, a view
    norm: float  # L2 norm of what one unit in this band adds to the signal
    level: int = 0  # of a wavelet: 1 is the finest
    kind: str = ""  # of a wavelet: "LL", "HL" (detail along x), "LH" (along y), "HH"

    def of(self, latents: np.ndarray) -> np.ndarray:
        """The band as a view of `latents`."""
        return latents[self.index]


class Quantizer(ABC):
    """Latents to int32 symbols and back; subclasses are frozen dataclasses whose fields are the options.

    `quantize` keeps the shape and leaves its argument untouched. `dequantize` gives float32 (unless the class says
    otherwise). Those of vectors (`quantize/vector`) are the exception: a vector along the last axis becomes one symbol,
    or one for each stage or group.
    """

    name: ClassVar[str]
    summary: ClassVar[str]  # one line for `midtread list`

    @property
    def parts(self) -> int:
        """In how many declared parts a symbol can arrive, the coarsest first."""
        return 1

    @abstractmethod
    def quantize(self, z: np.ndarray) -> np.ndarray:
        """Symbols int32 of finite latents of any shape.

        Raises:
            UsageError: a latent is not finite, or its symbol is out of range.
        """

    @abstractmethod
    def dequantize(self, symbols: np.ndarray, upto: int | None = None) -> np.ndarray:
        """Latents of int32 symbols, or of their first `upto` parts (None: all of them).

        Raises:
            UsageError: `symbols` are not integers, or `upto` is not in [0, parts].
        """

    def check_upto(self, upto: int | None) -> int:
        """`upto` as a number. Raises UsageError when it is not in [0, parts]."""
        if upto is None:
            return self.parts
        if isinstance(upto, bool) or not isinstance(upto, int | np.integer) or not 0 <= upto <= self.parts:
            raise UsageError(
                f"{self.name} symbols have {self.parts} part(s); upto={upto!r} is not in [0, {self.parts}]"
            )
        return int(upto)


def check_option(who: str, option: str, value: Any, low: float, high: float, *, open_low: bool = False) -> None:
    """Raise UsageError when `value` is not a number in [low, high], or is `low` itself with `open_low`."""
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not number or not low <= value <= high or (open_low and value == low):
        interval = f"{'(' if open_low else '['}{low:g}, {high:g}]"
        raise UsageError(f"{who}: {option}={value!r}; it takes a number in {interval}")


def check_whole(who: str, option: str, value: Any, low: int, high: int) -> None:
    """Raise UsageError when `value` is not a whole number in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise UsageError(f"{who}: {option}={value!r}; it takes a whole number in [{low}, {high}]")


def check_latents(z: np.ndarray, who: str) -> np.ndarray:
    """`z` as C-contiguous float32 (float64 if that is what it is, or int32 samples need it), all finite.

    Raises:
        UsageError: not an array of real numbers, or a sample is not finite.
    """
    if not isinstance(z, np.ndarray):
        raise UsageError(f"{who} takes a NumPy array, got {type(z).__name__}; convert it with numpy.asarray")
    if z.dtype.kind not in "iuf" or z.dtype.itemsize > 8:
        raise UsageError(f"{who} takes float or integer latents, got {z.dtype.name}")
    exact = z.dtype.itemsize <= (2 if z.dtype.kind in "iu" else 4)
    # Kernels are compiled for writable arrays; they leave them be.
    z = np.require(z, np.float32 if exact else np.float64, ["C", "A", "W"])
    if not np.isfinite(largest_of(z)):
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(z))[0])
        raise UsageError(f"{who} takes finite latents only; sample {where} is {z[where]}")
    return z


def largest_of(z: np.ndarray) -> float:
    """The largest |z| of C-contiguous float32 or float64 samples, infinity or NaN when any sample is; 0 for none."""
    if z.dtype == np.float32:
        from midtread.kernels.twins import pick

        return pick("quantize", z.size).largest(z.reshape(-1))
    return float(np.abs(z).max(initial=0))


def check_reach(z: np.ndarray, largest_symbol: float, what: str, remedy: str) -> None:
    """Raise UsageError when the largest symbol that `z` would get does not fit int32."""
    if largest_symbol > 2**31 - 129:  # the largest float32 below 2^31
        raise UsageError(
            f"{what} is too small for latents up to {largest_of(z):g}: symbols would reach {largest_symbol:.3g}, "
            f"more than int32 holds; {remedy}"
        )


def check_symbols(symbols: np.ndarray, who: str) -> np.ndarray:
    """`symbols` as C-contiguous int32. Raises UsageError when they are not integers that fit."""
    if not isinstance(symbols, np.ndarray) or symbols.dtype.kind not in "iu":
        got = symbols.dtype.name if isinstance(symbols, np.ndarray) else type(symbols).__name__
        raise UsageError(f"{who} takes an integer array of symbols, got {got}")
    if symbols.dtype != np.int32 and symbols.size and not -(2**31) <= symbols.min() <= symbols.max() < 2**31:
        raise UsageError(f"{who} takes symbols that fit int32, got [{symbols.min()}, {symbols.max()}]")
    return np.require(symbols, np.int32, ["C", "A", "W"])
