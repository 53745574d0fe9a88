"""What a transform is, how transforms are chained, and what their inputs must be."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from midtread.errors import UsageError
from midtread.quantize.base import Band, check_option, check_whole, largest_of

__all__ = ["Band", "Chain", "Identity", "Transform", "check_option", "check_whole"]


class Transform(ABC):
    """An array to latents of the same number of samples and back; subclasses are frozen dataclasses of options.

    Neither direction changes its argument. The last two axes are the rows and columns of a plane, whatever comes
    before counts planes; colour transforms alone know interleaved pixels [H, W, C].
    """

    name: ClassVar[str]
    summary: ClassVar[str]  # one line for `midtread list`
    exact: ClassVar[bool]  # inverse(forward(x)) equals x in value; latents are integers
    linear: ClassVar[bool]  # forward(a x + b y) = a forward(x) + b forward(y), up to float32 rounding
    causal: ClassVar[bool] = False  # a latent depends on its own sample and earlier ones (raster order) only

    @abstractmethod
    def forward(self, x: np.ndarray) -> np.ndarray:
        """Latents of a signal.

        Raises:
            UsageError: the array is of a shape or dtype this transform does not take, or a sample is not finite.
        """

    @abstractmethod
    def inverse(self, latents: np.ndarray) -> np.ndarray:
        """The signal of latents. Exact transforms round float latents to nearest first.

        Raises:
            UsageError: not latents that `forward` could have made.
        """

    def latent_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the latents of a signal of `shape`."""
        return shape

    def bands(self, shape: tuple[int, ...]) -> tuple[Band, ...]:
        """The parts of the latents of a signal of `shape` that deserve their own step, coarsest first."""
        return (Band("all", (...,), 1.0),)


@dataclass(frozen=True)
class Identity(Transform):
    """Latents are the samples."""

    name: ClassVar[str] = "none"
    summary: ClassVar[str] = "the samples themselves"
    exact: ClassVar[bool] = True
    linear: ClassVar[bool] = True
    causal: ClassVar[bool] = True

    def forward(self, x: np.ndarray) -> np.ndarray:
        """A copy."""
        return np.array(check_array(x, "transform 'none'"))

    def inverse(self, latents: np.ndarray) -> np.ndarray:
        """A copy."""
        return np.array(check_array(latents, "transform 'none'"))


@dataclass(frozen=True)
class Chain:
    """Transforms one after the other: `Chain((YCoCgR(), Wavelet53()))`. It has the methods and traits of one."""

    steps: tuple[Transform, ...]

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Latents of the last of the latents of ... the first."""
        for step in self.steps:
            x = step.forward(x)
        return x

    def inverse(self, latents: np.ndarray) -> np.ndarray:
        """The way back."""
        for step in reversed(self.steps):
            latents = step.inverse(latents)
        return latents

    @property
    def exact(self) -> bool:
        """All of them are."""
        return all(step.exact for step in self.steps)

    @property
    def linear(self) -> bool:
        """All of them are."""
        return all(step.linear for step in self.steps)

    @property
    def causal(self) -> bool:
        """All of them are."""
        return all(step.causal for step in self.steps)

    def latent_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the latents of a signal of `shape`."""
        for step in self.steps:
            shape = step.latent_shape(shape)
        return shape

    def bands(self, shape: tuple[int, ...]) -> tuple[Band, ...]:
        """Bands of the last transform in each band of those before it, norms multiplied.

        Only bands that are whole planes (those of colour transforms) are divided further.
        """
        parts: tuple[Band, ...] = (Band("all", (...,), 1.0),)
        for step in self.steps:
            inner = step.bands(shape)
            if any(len(band.index) > 1 for band in parts) and len(inner) > 1:
                raise UsageError(f"bands of {self.steps} are not defined: only whole planes can be divided into bands")
            parts = tuple(_within(outer, band) for outer in parts for band in inner)
            shape = step.latent_shape(shape)
        return parts


def _within(outer: Band, band: Band) -> Band:
    if outer.name == "all":
        return band
    index = (*outer.index, *band.index) if band.name != "all" else outer.index
    name = outer.name if band.name == "all" else f"{outer.name}/{band.name}"
    return Band(name, index, outer.norm * band.norm, band.level, band.kind)


def check_array(x: np.ndarray, who: str, *, least_dims: int = 1) -> np.ndarray:
    """`x` C-contiguous, writable, in native byte order. Raises UsageError for what no transform takes (NaN, 0 x N)."""
    if not isinstance(x, np.ndarray):
        raise UsageError(f"{who} takes a NumPy array, got {type(x).__name__}; convert it with numpy.asarray")
    if x.ndim < least_dims or 0 in x.shape:
        axes = "[..., H, W] with H, W >= 1" if least_dims == 2 else f"of {least_dims} or more axes, none of them empty"
        raise UsageError(f"{who} takes arrays {axes}, got shape {list(x.shape)}")
    if x.dtype.kind not in "iuf" or x.dtype.itemsize > 8:
        raise UsageError(f"{who} takes integer or float samples, got {x.dtype.name}")
    # Kernels are compiled for writable arrays; they leave them be.
    x = np.require(x, x.dtype.newbyteorder("="), ["C", "A", "W"])
    if x.dtype.kind == "f" and not np.isfinite(largest_of(x)):
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
        raise UsageError(f"{who} takes finite samples only; sample {where} is {x[where]}")
    return x


def as_floats(x: np.ndarray, who: str, *, least_dims: int = 2) -> np.ndarray:
    """`x` as C-contiguous float32. Raises UsageError also when a sample is beyond what float32 sums can hold."""
    x = check_array(x, who, least_dims=least_dims)
    if x.dtype == np.float64 and np.abs(x).max() > 1e30:
        raise UsageError(f"{who} works in float32; samples up to {np.abs(x).max():g} are too large, scale them down")
    return x.astype(np.float32, copy=False)


def as_integers(x: np.ndarray, who: str, *, least_dims: int = 2, narrow: bool = True) -> np.ndarray:
    """`x` as C-contiguous int16 (of 8-bit samples and int16, unless not `narrow`) or int32 (of the rest).

    Float samples are not taken. Raises UsageError for them and for samples beyond int32.
    """
    x = check_array(x, who, least_dims=least_dims)
    if x.dtype.kind == "f":
        raise UsageError(f"{who} takes integer samples, got {x.dtype.name}; choose a float transform or quantize first")
    if x.dtype.itemsize == 1 or x.dtype == np.int16:
        return x.astype(np.int16 if narrow else np.int32, copy=False)
    return _fit_int32(x, who)


def as_integer_latents(latents: np.ndarray, who: str, *, least_dims: int = 2, narrow: bool = True) -> np.ndarray:
    """`latents` as `as_integers` takes them, float ones rounded to nearest first."""
    latents = check_array(latents, who, least_dims=least_dims)
    if latents.dtype.kind == "f":
        return _fit_int32(np.rint(latents), who)
    return as_integers(latents, who, least_dims=least_dims, narrow=narrow)


def _fit_int32(x: np.ndarray, who: str) -> np.ndarray:
    small = x.dtype.kind in "iu" and np.iinfo(x.dtype).max < 2**31
    if not small and not -(2**31) <= x.min() <= x.max() < 2**31:
        raise UsageError(f"{who} takes samples that fit int32, got [{x.min()}, {x.max()}]")
    return x.astype(np.int32, copy=False)
