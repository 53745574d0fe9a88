"""Wavelets on planes of any size, to any depth: the reversible 5/3 and the float 9/7.

Latents have the shape of the signal, the bands lie in place (Mallat's layout); see `kernels/wavelet53_slow.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from midtread.errors import UsageError
from midtread.kernels.twins import pick
from midtread.kernels.wavelet97_slow import join as _join97
from midtread.transforms.base import Band, Transform, as_floats, as_integer_latents, as_integers, check_whole

MOST_LEVELS = 32
_EXACT_PATH = 12  # levels up to which norms are computed; beyond, they grow by the ratio reached


@dataclass(frozen=True)
class Wavelet53(Transform):
    """Reversible 5/3 wavelet: integers to integers, inverse exact for every input.

    8-bit and int16 samples are worked on in int16, others in int32, modulo 2^16 or 2^32. Latents are at most 8.3 times
    the largest sample (sums of absolute taps): no wrap for |x| <= 3900 in int16 and 2^27 in int32. They
    are not scaled: the norms of `bands` say what a unit in each adds to the signal.
    """

    name: ClassVar[str] = "wavelet53"
    summary: ClassVar[str] = "reversible 5/3 wavelet (lossless)"
    exact: ClassVar[bool] = True
    linear: ClassVar[bool] = False  # floor()
    levels: int = 5

    def __post_init__(self) -> None:
        check_whole(f"transform {self.name!r}", "levels", self.levels, 0, MOST_LEVELS)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Latents int16 or int32 of integer planes [..., H, W]."""
        x = as_integers(x, f"transform {self.name!r}")
        levels = depth(self.levels, x.shape)
        if levels == 0:
            return x.copy()
        z = np.empty_like(x)
        pick("wavelet53", x.size).forward(_planes(x), _planes(z), levels)
        return z

    def inverse(self, latents: np.ndarray, drop: int = 0) -> np.ndarray:
        """The signal, int16 or int32 as the latents are; without its `drop` finest levels, a picture 2^drop smaller."""
        z = as_integer_latents(latents, f"transform {self.name!r}")
        levels = depth(self.levels, z.shape)
        drop = _check_drop(self.name, drop, self.levels, levels)
        x = np.empty((*z.shape[:-2], *reduced(z.shape, drop)), z.dtype)
        if levels == drop:
            x[...] = z[..., : x.shape[-2], : x.shape[-1]]
        else:
            pick("wavelet53", z.size).inverse(_planes(z), _planes(x), levels, drop)
        return x

    def bands(self, shape: tuple[int, ...]) -> tuple[Band, ...]:
        """LL, then HL, LH, HH of every level, coarse to fine."""
        return mallat_bands(shape, self.levels, "53")


@dataclass(frozen=True)
class Wavelet97(Transform):
    """9/7 wavelet in float32, inverse within 1e-4 of the largest sample (about 1e-6 in practice).

    Every band is scaled so that a unit in it adds a signal of L2 norm 1: one quantizer step for all of them spends the
    same squared error everywhere, and the squared error of the latents is nearly that of the signal.
    """

    name: ClassVar[str] = "wavelet97"
    summary: ClassVar[str] = "9/7 wavelet in float32, every band of unit norm"
    exact: ClassVar[bool] = False
    linear: ClassVar[bool] = True
    levels: int = 5

    def __post_init__(self) -> None:
        check_whole(f"transform {self.name!r}", "levels", self.levels, 0, MOST_LEVELS)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Latents float32 of planes [..., H, W]."""
        x = as_floats(x, f"transform {self.name!r}")
        gains, _ = _gains97(x.shape[-2], x.shape[-1], depth(self.levels, x.shape))
        if len(gains) == 0:
            return x.copy()
        z = np.empty_like(x)
        pick("wavelet97", x.size).forward(_planes(x), _planes(z), gains)
        return z

    def inverse(self, latents: np.ndarray, drop: int = 0) -> np.ndarray:
        """The signal in float32; without its `drop` finest levels, a picture 2^drop smaller of the same brightness."""
        z = as_floats(latents, f"transform {self.name!r}")
        levels = depth(self.levels, z.shape)
        drop = _check_drop(self.name, drop, self.levels, levels)
        _, gains = _gains97(z.shape[-2], z.shape[-1], levels)
        x = np.empty((*z.shape[:-2], *reduced(z.shape, drop)), np.float32)
        if levels == drop:
            x[...] = z[..., : x.shape[-2], : x.shape[-1]]
            if levels:
                x *= gains[levels - 1, 0]
        else:
            pick("wavelet97", z.size).inverse(_planes(z), _planes(x), gains, drop)
        if drop:
            halvings = sum(min(drop, _halvings(size)) for size in z.shape[-2:])
            x *= np.float32(float(np.sum(_filters("97")["L"])) / 2) ** halvings
        return x

    def bands(self, shape: tuple[int, ...]) -> tuple[Band, ...]:
        """LL, then HL, LH, HH of every level, coarse to fine."""
        bands = mallat_bands(shape, self.levels, "97")
        return tuple(Band(band.name, band.index, 1.0, band.level, band.kind) for band in bands)


def depth(levels: int, shape: tuple[int, ...]) -> int:
    """Levels that change anything: no more than it takes to come down to 1 x 1."""
    return min(levels, max(_halvings(size) for size in shape[-2:]))


def reduced(shape: tuple[int, ...], drop: int) -> tuple[int, int]:
    """Rows and columns that remain without the `drop` finest levels."""
    return tuple(((size - 1) >> drop) + 1 for size in shape[-2:])  # type: ignore[return-value]


def mallat_bands(shape: tuple[int, ...], levels: int, wavelet: str) -> tuple[Band, ...]:
    """Bands of planes of `shape`, LL first, then HL, LH, HH of every level from coarse to fine; none is empty.

    Args:
        shape: [..., H, W].
        levels: as asked for; more than `depth` changes nothing.
        wavelet: "53" or "97", whose norms are stated (unscaled lifting).
    """
    height, width = shape[-2:]
    most = depth(levels, shape)
    low_h, low_w = reduced(shape, most)
    norm = synthesis_norm(wavelet, _path(height, most, "")) * synthesis_norm(wavelet, _path(width, most, ""))
    bands = [Band(f"LL{most}", (..., slice(0, low_h), slice(0, low_w)), norm, most, "LL")]
    for level in range(most, 0, -1):
        (h, w), (hl, wl) = reduced(shape, level - 1), reduced(shape, level)
        for kind, rows, columns in (
            ("HL", slice(0, hl), slice(wl, w)),
            ("LH", slice(hl, h), slice(0, wl)),
            ("HH", slice(hl, h), slice(wl, w)),
        ):
            if rows.start < rows.stop and columns.start < columns.stop:
                along_x = synthesis_norm(wavelet, _path(width, level - 1, kind[0]))
                along_y = synthesis_norm(wavelet, _path(height, level - 1, kind[1]))
                bands.append(Band(f"{kind}{level}", (..., rows, columns), along_y * along_x, level, kind))
    return tuple(bands)


@lru_cache(maxsize=4096)
def synthesis_norm(wavelet: str, path: str) -> float:
    """L2 norm of what one unit adds to a long line, in the band reached by `path`: "LLH" is low, low, then high.

    For the lifting of `kernels/`, without gains. Away from borders.
    """
    if len(path) > _EXACT_PATH:  # the shape no longer changes, only its length
        if not path.startswith("L" * (_EXACT_PATH - 1)):
            raise UsageError(f"wavelet packets deeper than {_EXACT_PATH} levels are not supported, got path {path!r}")
        ratio = synthesis_norm(wavelet, "L" * _EXACT_PATH) / synthesis_norm(wavelet, "L" * (_EXACT_PATH - 1))
        return synthesis_norm(wavelet, path[1:]) * ratio
    response = np.ones(1)
    for letter in reversed(path):
        spread = np.zeros(2 * response.size - 1)
        spread[::2] = response
        response = np.convolve(spread, _filters(wavelet)[letter])
    return math.sqrt(math.fsum(response * response))  # fsum: the same on every machine


@lru_cache(maxsize=2)
def _filters(wavelet: str) -> dict[str, np.ndarray]:
    """What one unit of low ("L") and of high ("H") becomes when one level is undone."""
    if wavelet == "53":
        return {"L": np.array([0.5, 1, 0.5]), "H": np.array([-0.125, -0.25, 0.75, -0.25, -0.125])}
    units = np.zeros((2, 32))
    units[0, 8] = units[1, 16 + 8] = 1
    low, high = _join97(units, 1)
    return {"L": np.trim_zeros(low), "H": np.trim_zeros(high)}


def _halvings(size: int) -> int:
    """Times that `size` can be halved, rounding up, before it is 1."""
    return (size - 1).bit_length()


def _path(size: int, lows: int, last: str) -> str:
    """Filters that an axis of `size` really passes on `lows` levels of low and then `last`: none once it is 1 long."""
    path = "L" * min(lows, _halvings(size))
    return path + last if last and lows < _halvings(size) else path


@lru_cache(maxsize=256)
def _gains97(height: int, width: int, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Gains [levels, 4] of LL, HL, LH, HH, finest level first, that give every band unit norm; and their inverses."""
    norms = np.ones((levels, 4))
    for band in mallat_bands((height, width), levels, "97"):
        if levels:
            norms[band.level - 1, ("LL", "HL", "LH", "HH").index(band.kind)] = band.norm
    return norms.astype(np.float32), (1 / norms).astype(np.float32)


def _planes(x: np.ndarray) -> np.ndarray:
    return x.reshape(-1, *x.shape[-2:])


def _check_drop(name: str, drop: int, levels: int, useful: int) -> int:
    check_whole(f"transform {name!r}", "drop", drop, 0, levels)
    return min(drop, useful)
