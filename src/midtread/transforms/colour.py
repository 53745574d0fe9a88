"""Interleaved pixels [H, W, C] to planes [C, H, W] in another colour space, and back.

Red, green, blue come first; a fourth channel (alpha) passes as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from midtread.errors import UsageError
from midtread.kernels.twins import pick
from midtread.transforms.base import Band, Transform, as_floats, as_integer_latents, as_integers, check_array

_ANY = 2**62  # a limit that no sample reaches


class _Colour(Transform):
    """Shapes that all colour transforms share."""

    channel_names: ClassVar[tuple[str, ...]]

    def latent_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        height, width, channels = shape
        return channels, height, width

    def _plane_bands(self, norms: tuple[float, ...]) -> tuple[Band, ...]:
        return tuple(Band(self.channel_names[c], (c,), norm) for c, norm in enumerate(norms))

    def _check_channels(self, shape: tuple[int, ...], channels: int, layout: str) -> None:
        if len(shape) != 3 or channels not in (3, 4):
            raise UsageError(f"transform {self.name!r} takes arrays {layout} of 3 or 4 channels, got {list(shape)}")


@dataclass(frozen=True)
class Planes(Transform):
    """Interleaved [H, W, C], any C, to planes [C, H, W]; a gray picture [H, W] stays as it is. No colour changes."""

    name: ClassVar[str] = "planes"
    summary: ClassVar[str] = "interleaved pixels to planes, colours as they are"
    exact: ClassVar[bool] = True
    linear: ClassVar[bool] = True
    causal: ClassVar[bool] = True

    def latent_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """[H, W, C] to [C, H, W]."""
        return (shape[2], *shape[:2]) if len(shape) == 3 else shape

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Planes [C, H, W] of the dtype of the samples."""
        return self._turned(x, -1, 0)

    def inverse(self, latents: np.ndarray) -> np.ndarray:
        """Pixels [H, W, C] of the dtype of the planes."""
        return self._turned(latents, 0, -1)

    def bands(self, shape: tuple[int, ...]) -> tuple[Band, ...]:
        """The planes, with the norms that a unit of each has in pixels."""
        if len(shape) == 2:
            return super().bands(shape)
        return tuple(Band(f"plane{c}", (c,), 1.0) for c in range(shape[2]))

    def _turned(self, x: np.ndarray, source: int, target: int) -> np.ndarray:
        x = check_array(x, f"transform {self.name!r}", least_dims=2)
        if x.ndim > 3:
            raise UsageError(f"transform {self.name!r} takes pictures of two or three axes, got shape {list(x.shape)}")
        return np.array(np.moveaxis(x, source, target) if x.ndim == 3 else x, order="C")


class _Reversible(_Colour):
    """Integer colour by lifting; results wrap modulo 2^16 or 2^32, so that every input comes back."""

    exact: ClassVar[bool] = True
    linear: ClassVar[bool] = False
    rule: ClassVar[int]
    norms: ClassVar[tuple[float, float, float]]  # of what one unit of each plane adds to red, green and blue

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Planes int16 (of 8-bit samples and int16) or int32 (of the rest)."""
        who = f"transform {self.name!r}"
        x = check_array(x, who)
        self._check_channels(x.shape, x.shape[-1], "[H, W, C]")
        x = x if x.dtype == np.uint8 else as_integers(x, who)
        z = np.empty(self.latent_shape(x.shape), np.int32 if x.dtype == np.int32 else np.int16)
        pick("colour", x.size).forward(_rgb(x), _three(z), self.rule)
        z[3:] = x[..., 3:].transpose(2, 0, 1)
        return z

    def inverse(self, latents: np.ndarray, dtype: Any = None) -> np.ndarray:
        """Pixels int16 or int32 as the latents are; with `dtype`, of at most 16 bits, clipped to its range."""
        z = as_integer_latents(latents, f"transform {self.name!r}")
        self._check_channels(z.shape, z.shape[0], "[C, H, W]")
        low, high = (-_ANY, _ANY) if dtype is None else _limits(dtype, self.name)
        made = z.dtype if dtype is None else np.dtype(np.int32)  # kernels are compiled for few pairs of dtypes
        if dtype is not None and np.dtype(dtype) == np.uint8 and z.dtype == np.int16:
            made = np.dtype(np.uint8)
        x = np.empty((*z.shape[1:], 3), made)
        pick("colour", x.size).inverse(_three(z), x.reshape(-1), self.rule, low, high)
        alpha = z[3:] if dtype is None else np.clip(z[3:], low, high)
        return _with_alpha(x if dtype is None else x.astype(dtype, copy=False), alpha)

    def bands(self, shape: tuple[int, ...]) -> tuple[Band, ...]:
        return self._plane_bands((*self.norms, 1.0)[: shape[2]])


@dataclass(frozen=True)
class YCoCgR(_Reversible):
    """Luma, orange-blue, green-purple by lifting; chroma needs one bit more than the samples."""

    name: ClassVar[str] = "ycocg-r"
    summary: ClassVar[str] = "reversible YCoCg-R colour (lossless)"
    channel_names: ClassVar[tuple[str, ...]] = ("Y", "Co", "Cg", "A")
    rule: ClassVar[int] = 0
    norms: ClassVar[tuple[float, float, float]] = (3**0.5, 0.5**0.5, 0.75**0.5)


@dataclass(frozen=True)
class Rct(_Reversible):
    """The reversible colour transform of JPEG 2000: (R + 2G + B) / 4, B - G, R - G."""

    name: ClassVar[str] = "rct"
    summary: ClassVar[str] = "reversible colour of JPEG 2000 (lossless)"
    channel_names: ClassVar[tuple[str, ...]] = ("Y", "U", "V", "A")
    rule: ClassVar[int] = 1
    norms: ClassVar[tuple[float, float, float]] = (3**0.5, 0.6875**0.5, 0.6875**0.5)


class _Linear(_Colour):
    """Colour by a 3 x 3 matrix, planes in float32."""

    exact: ClassVar[bool] = False
    linear: ClassVar[bool] = True

    def matrices(self) -> tuple[np.ndarray, np.ndarray]:
        """The matrix and its inverse, float64 [3, 3]."""
        raise NotImplementedError

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Planes float32, in the units of the samples, chroma around 0."""
        who = f"transform {self.name!r}"
        x = check_array(x, who)
        self._check_channels(x.shape, x.shape[-1], "[H, W, C]")
        x = x if x.dtype == np.uint8 else as_floats(x, who)
        z = np.empty(self.latent_shape(x.shape), np.float32)
        pick("colour", x.size).mix(_rgb(x), _three(z), self.matrices()[0].astype(np.float32))
        z[3:] = x[..., 3:].transpose(2, 0, 1)
        return z

    def inverse(self, latents: np.ndarray, dtype: Any = None) -> np.ndarray:
        """Pixels float32; with an integer `dtype`, of at most 16 bits, rounded to nearest and clipped to its range."""
        z = as_floats(latents, f"transform {self.name!r}")
        self._check_channels(z.shape, z.shape[0], "[C, H, W]")
        matrix, kernel = self.matrices()[1].astype(np.float32), pick("colour", z.size)
        if dtype is None:
            x = np.empty((*z.shape[1:], 3), np.float32)
            kernel.unmix(_three(z), x.reshape(-1), matrix)
            return _with_alpha(x, z[3:])
        low, high = map(np.float32, _limits(dtype, self.name))
        x = np.empty((*z.shape[1:], 3), np.uint8 if np.dtype(dtype) == np.uint8 else np.int32)
        kernel.unmix_round(_three(z), x.reshape(-1), matrix, low, high)
        return _with_alpha(x.astype(dtype, copy=False), np.clip(np.rint(z[3:]), low, high))

    def bands(self, shape: tuple[int, ...]) -> tuple[Band, ...]:
        norms = np.sqrt((self.matrices()[1] ** 2).sum(0))
        return self._plane_bands((*map(float, norms), 1.0)[: shape[2]])


@dataclass(frozen=True)
class YCbCr(_Linear):
    """Luma and two colour differences, full range, without offsets: Y in the range of the samples, Cb and Cr half each.

    Source: ITU-R BT.601-7 and BT.709-6 (weights of red and blue), the differences scaled as in JFIF.
    """

    name: ClassVar[str] = "ycbcr"
    summary: ClassVar[str] = "irreversible YCbCr colour, BT.601 or BT.709"
    channel_names: ClassVar[tuple[str, ...]] = ("Y", "Cb", "Cr", "A")
    standard: str = "bt601"

    def __post_init__(self) -> None:
        if self.standard not in _WEIGHTS:
            raise UsageError(f"transform {self.name!r}: standard={self.standard!r}; it takes {', '.join(_WEIGHTS)}")

    def matrices(self) -> tuple[np.ndarray, np.ndarray]:
        """Those of the standard."""
        return _ycbcr(self.standard)


@dataclass(frozen=True)
class Klt(_Linear):
    """Colours turned to the principal axes of one picture: orthonormal, so one step serves the three planes.

    `fit` finds the axes; multiples of 2^-12, so that they cost a few bytes. Without axes, RGB stays as it is.
    """

    name: ClassVar[str] = "klt"
    summary: ClassVar[str] = "colours turned to the principal axes of the picture"
    channel_names: ClassVar[tuple[str, ...]] = ("K0", "K1", "K2", "A")
    axes: tuple[float, ...] = (1, 0, 0, 0, 1, 0, 0, 0, 1)  # rows of the matrix, the axis of most variance first

    def __post_init__(self) -> None:
        matrix = np.array(self.axes, np.float64)
        if matrix.size != 9 or not np.allclose(matrix.reshape(3, 3) @ matrix.reshape(3, 3).T, np.eye(3), atol=1e-2):
            raise UsageError(f"transform {self.name!r}: axes must be three orthonormal rows of three, got {self.axes}")

    @classmethod
    def fit(cls, x: np.ndarray) -> Klt:
        """The principal axes of a picture [H, W, 3 or 4]; the largest weight of each axis is positive."""
        cls()._check_channels(x.shape, x.shape[-1], "[H, W, C]")
        pixels = check_array(x, f"transform {cls.name!r}")[..., :3].reshape(-1, 3)
        pixels = pixels[:: max(len(pixels) // 2**16, 1)].astype(np.float64)
        _, vectors = np.linalg.eigh(np.cov(pixels.T, bias=True))
        rows = vectors.T[::-1]
        rows = rows * np.sign(np.take_along_axis(rows, np.abs(rows).argmax(1)[:, None], 1))
        return cls(tuple(float(v) for v in np.rint(rows * 4096).reshape(-1) / 4096))

    def matrices(self) -> tuple[np.ndarray, np.ndarray]:
        """The axes, and their inverse (they are orthonormal only to 2^-12)."""
        matrix = np.array(self.axes, np.float64).reshape(3, 3)
        return matrix, np.linalg.inv(matrix)


_WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}  # of red and blue in luma


@lru_cache(maxsize=2)
def _ycbcr(standard: str) -> tuple[np.ndarray, np.ndarray]:
    red, blue = _WEIGHTS[standard]
    green = 1 - red - blue
    luma = np.array([red, green, blue])
    of_blue, of_red = np.array([0, 0, 1]) - luma, np.array([1, 0, 0]) - luma
    matrix = np.stack([luma, of_blue / (2 - 2 * blue), of_red / (2 - 2 * red)])
    inverse = np.array(
        [
            [1, 0, 2 - 2 * red],
            [1, -(2 - 2 * blue) * blue / green, -(2 - 2 * red) * red / green],
            [1, 2 - 2 * blue, 0],
        ]
    )
    return matrix, inverse


def _rgb(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x[..., :3]).reshape(-1)


def _three(z: np.ndarray) -> np.ndarray:
    """The colour planes as [3, n], a view."""
    return z[:3].reshape(3, -1)


def _with_alpha(x: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Pixels with the planes of `alpha` (one or none) as further channels."""
    return np.concatenate([x, alpha.transpose(1, 2, 0).astype(x.dtype)], -1) if len(alpha) else x


def _limits(dtype: Any, name: str) -> tuple[int, int]:
    if np.dtype(dtype).kind not in "iu" or np.dtype(dtype).itemsize > 2:
        raise UsageError(f"transform {name!r} gives integer pixels of at most 16 bits, not {np.dtype(dtype).name}")
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)
