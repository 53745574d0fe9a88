"""Prediction of every sample from earlier ones: integers to residuals and back, exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from midtread.errors import UsageError
from midtread.kernels.twins import pick
from midtread.transforms.base import Transform, as_integer_latents, as_integers, check_whole


@dataclass(frozen=True)
class _Predictor(Transform):
    """Residuals int32 of planes [..., H, W] under a rule of `kernels/predict_slow.py`, modulo 2^32."""

    exact: ClassVar[bool] = True
    linear: ClassVar[bool] = False
    causal: ClassVar[bool] = True
    rule: ClassVar[int]

    def forward(self, x: np.ndarray) -> np.ndarray:
        return self._run("forward", as_integers(x, f"transform {self.name!r}", narrow=False))

    def inverse(self, latents: np.ndarray) -> np.ndarray:
        return self._run("inverse", as_integer_latents(latents, f"transform {self.name!r}", narrow=False))

    def _run(self, way: str, given: np.ndarray) -> np.ndarray:
        made = np.empty_like(given)
        planes = (given.reshape(-1, *given.shape[-2:]), made.reshape(-1, *given.shape[-2:]))
        getattr(pick("predict", given.size), way)(*planes, self.rule, getattr(self, "scale", 1))
        return made


@dataclass(frozen=True)
class Med(_Predictor):
    """Median edge detection, the predictor of JPEG-LS: the median of left, upper, and left + upper - upper left."""

    name: ClassVar[str] = "med"
    summary: ClassVar[str] = "median of left, upper and their plane (JPEG-LS)"
    rule: ClassVar[int] = 0


@dataclass(frozen=True)
class Paeth(_Predictor):
    """The predictor of PNG: whichever of left, upper, upper left is nearest to left + upper - upper left."""

    name: ClassVar[str] = "paeth"
    summary: ClassVar[str] = "the neighbour nearest to their plane (PNG)"
    rule: ClassVar[int] = 1


@dataclass(frozen=True)
class Gradient(_Predictor):
    """Gradient-adjusted prediction of CALIC: seven neighbours, mixed by how sharp the edges between them are."""

    name: ClassVar[str] = "gradient"
    summary: ClassVar[str] = "gradient-adjusted mixture of neighbours (CALIC)"
    rule: ClassVar[int] = 2
    scale: int = 1  # of the thresholds that are right for 8-bit samples: 2^(bits - 8)

    def __post_init__(self) -> None:
        check_whole(f"transform {self.name!r}", "scale", self.scale, 1, 2**16)


@dataclass(frozen=True)
class Lorenzo(Transform):
    """Differences along each of the last `axes` axes, one after the other (0: along all), int32, modulo 2^32.

    In two dimensions the prediction is left + upper - upper left; in n, the value that makes the alternating sum over
    the corners of the cube before a sample vanish. What lies outside the array is 0.

    Source: Ibarria et al., "Out-of-core compression and decompression of large n-dimensional scalar fields", 2003.
    """

    name: ClassVar[str] = "lorenzo"
    summary: ClassVar[str] = "differences along every axis (n-dimensional)"
    exact: ClassVar[bool] = True
    linear: ClassVar[bool] = True
    causal: ClassVar[bool] = True
    axes: int = 0

    def __post_init__(self) -> None:
        check_whole(f"transform {self.name!r}", "axes", self.axes, 0, 32)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Differences int32 of integers of any number of axes."""
        x = as_integers(x, f"transform {self.name!r}", least_dims=1, narrow=False)
        z, spare = x.copy(), np.empty_like(x)
        for axis in self._axes(x.ndim):
            source, target = np.moveaxis(z, axis, 0), np.moveaxis(spare, axis, 0)
            target[0] = source[0]
            np.subtract(source[1:], source[:-1], out=target[1:])
            z, spare = spare, z
        return z

    def inverse(self, latents: np.ndarray) -> np.ndarray:
        """Samples int32."""
        x = as_integer_latents(latents, f"transform {self.name!r}", least_dims=1, narrow=False).copy()
        for axis in self._axes(x.ndim):
            along = np.moveaxis(x, axis, 0)
            if axis == x.ndim - 1 or len(along) > along[0].size:
                np.cumsum(x, axis, dtype=np.int32, out=x)
            else:  # the same; NumPy's own goes against the grain of the memory here
                for i in range(1, len(along)):
                    along[i] += along[i - 1]
        return x

    def _axes(self, ndim: int) -> range:
        if self.axes > ndim:
            raise UsageError(f"transform {self.name!r} along {self.axes} axes takes no array of {ndim}")
        return range(ndim - (self.axes or ndim), ndim)
