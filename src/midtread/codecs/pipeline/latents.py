"""Pixels to latents and back: colour, transforms, bands of unit norm, equal frequencies side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from midtread.codecs.pipeline import recipe
from midtread.codecs.pipeline.recipe import Stage, build
from midtread.errors import UsageError
from midtread.registry import TRANSFORMS
from midtread.transforms.base import Chain, Identity, Transform
from midtread.transforms.colour import Klt, Planes, Rct, YCbCr, YCoCgR

_COLOURS = (Planes, YCoCgR, Rct, YCbCr, Klt)


@dataclass(frozen=True)
class Latents:
    """A colour transform and what follows it; `colour` None: the one that suits the picture."""

    colour: Transform | None
    chain: Chain

    @classmethod
    def of(cls, text: str, what: str) -> Latents:
        """From a recipe. Raises UsageError for a chain that cannot work, whatever the picture."""
        stages: list[Stage] = recipe.parse(text, what)
        steps: list[Transform] = [build(TRANSFORMS, stage) for stage in stages]
        colour = steps.pop(0) if isinstance(steps[0], _COLOURS) else None
        floats = colour is not None and not colour.exact
        for step in steps:
            if isinstance(step, _COLOURS):
                raise UsageError(f"{what}={text}: {step.name} is a colour transform, put it first and alone")
            if floats and step.exact and not isinstance(step, Identity):
                raise UsageError(
                    f"{what}={text}: {step.name} takes integers; before it only exact transforms may stand"
                )
            floats = floats or not step.exact
        found = cls(colour, Chain(tuple(steps)))
        found.chain.bands((1, 64, 64))  # refuses bands within bands
        return found

    @property
    def exact(self) -> bool:
        """Whether latents are integers, from which the pixels come back."""
        return self.chain.exact and (self.colour is None or self.colour.exact)

    @property
    def text(self) -> str:
        """The recipe, its colour included."""
        return recipe.write((*([self.colour] if self.colour else []), *self.chain.steps))

    def fit(self, x: np.ndarray) -> Latents:
        """With the colour transform that was left open, and KLT axes, chosen for a picture [H, W] or [H, W, C]."""
        colours = x.ndim == 3 and x.shape[2] >= 3
        colour = self.colour
        if colour is None:
            colour = Planes() if not colours else YCoCgR() if self.exact else YCbCr()
        elif colour == Klt() and colours:
            colour = Klt.fit(x)
        found = Latents(colour, self.chain)
        found.check_shape(x.shape)
        return found

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Raise UsageError when the colour transform takes no picture of `shape`."""
        if not isinstance(self.colour, Planes) and not (len(shape) == 3 and shape[2] >= 3):
            name = self.colour.name if self.colour else "?"
            raise UsageError(
                f"transform {name!r} takes pictures of 3 or 4 channels, got shape {list(shape)}; "
                "leave it out and the colour transform follows the picture"
            )

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Latents [C, H, W] of pixels, int32 of exact transforms and else float32 (after `fit`)."""
        assert self.colour is not None
        planes = self.colour.forward(x)
        # int32 throughout, so that both directions wrap alike
        planes = planes.astype(np.int32 if self.exact or self.colour.exact else np.float32, copy=False)
        return self.chain.forward(planes.reshape(-1, *planes.shape[-2:]))

    def inverse(self, z: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Pixels of `shape` and dtype (uint8 or uint16), rounded to nearest and clipped."""
        planes = self.chain.inverse(z)
        colour: Any = self.colour
        if not isinstance(colour, Planes):
            return np.ascontiguousarray(colour.inverse(planes, dtype))
        info = np.iinfo(dtype)
        planes = np.clip(np.rint(planes), info.min, info.max).astype(dtype)
        return colour.inverse(planes).reshape(shape)

    def weigh(self, z: np.ndarray, shape: tuple[int, ...], sign: int) -> np.ndarray:
        """Latents float32 [C, H, W] of pixels of `shape`, each band times its norm (sign 1) or divided by it (-1)."""
        assert self.colour is not None
        z = np.array(z, np.float32)
        for band in (*self.colour.bands(shape if len(shape) == 3 else (*shape, 1)), *self.chain.bands(z.shape)):
            if band.norm != 1:
                band.of(z)[...] *= np.float32(band.norm**sign)
        return z

    def gather(self, z: np.ndarray, *, back: bool = False) -> np.ndarray:
        """Latents [..., H, W] with those of one block frequency side by side, so that neighbours have like sizes."""
        slices = (index for band in self.chain.bands(z.shape) for index in band.index if isinstance(index, slice))
        stride = max((one.step or 1 for one in slices), default=1)
        if stride == 1:
            return z
        for axis in (-2, -1):
            order = np.argsort(np.arange(z.shape[axis]) % stride, kind="stable")
            z = np.take(z, np.argsort(order) if back else order, axis)
        return z
