"""The integers that a file holds of a Gaussian, and how finely each is told.

A Gaussian is drawn as colour * (1 - q/8)^4, q = u^2 + v^2, u = a dx, v = b dx + c dy. It is told as precisely as it
matters: with M the sum of its squared colour symbols and `level` the nearest integer to log2 M, its place, size and
shape have a relative precision of 1.671 * 2**(-level / 2); then a rounding of each costs the picture about the same
as one of its colour, whatever its size and colour are. So how many values a symbol can have depends on others, by
integer arithmetic alone: `kernels/splat_counts.py`.

Units: pixels; a picture is 0 to 1; sigma is the geometric mean of the two, 1 / sqrt(a c).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from midtread.codecs.image.gaussian_header import MARGIN, Header
from midtread.errors import UsageError
from midtread.kernels.splat_counts import (
    NORM,
    RATIO_BITS,
    SIZES,
    SMALLEST,
    YCC,
    factors,
    places,
    precision,
    turns,
)
from midtread.kernels.splat_layer_slow import Columns, Layout
from midtread.kernels.twins import pick

LARGEST = 65535  # colour symbols
WORTH = 400  # what a Gaussian counts in samples, for `pick`
_ROUND_UP = np.int64(2**53 - math.isqrt(2**105) - 1)  # 2**52 - (sqrt(2) - 1) 2**52: what lifts a mantissa over sqrt(2)


@dataclass(eq=False, slots=True)
class Symbols:
    """Of n Gaussians, int32. Columns that the header's codebooks stand for are zeros."""

    cells: np.ndarray  # [n, 2]: x and y of the cell that the centre is in; 0 is MARGIN pixels outside of the picture
    size: np.ndarray  # [n]: sigma is between 2**((size - 0.5) / 2) and 2**((size + 0.5) / 2)
    colour: np.ndarray  # [n, C]: in steps, C = 3 in the axes of YCC; not all 0
    part: np.ndarray  # [n]: where log sigma is in its half octave, one of `parts`
    ring: np.ndarray  # [n]: log of the ratio of the axes, in `ratio_step`
    turn: np.ndarray  # [n]: angle of the shorter axis in half a turn, one of `turns`
    parts_xy: np.ndarray  # [n, 2]: where the centre is in its cell, one of `across` and one of `down`
    shape_rows: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.int32))  # [n, stages]
    colour_rows: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.int32))

    @classmethod
    def zeros(cls, n: int, header: Header) -> Symbols:
        """N Gaussians to be filled in."""
        widths = {"cells": (2,), "colour": (header.channels,), "parts_xy": (2,)}
        widths |= {"shape_rows": (len(header.shape_entries),), "colour_rows": (len(header.colour_entries),)}
        return cls(**{f.name: np.zeros((n, *widths.get(f.name, ())), np.int32) for f in fields(cls)})

    def __len__(self) -> int:
        return len(self.size)

    def columns(self) -> Columns:
        """What kernels take; they fill it in."""
        return Columns(*(getattr(self, name) for name in Columns._fields))

    def __getitem__(self, which: np.ndarray) -> Symbols:
        """The Gaussians of an index array, in its order."""
        return Symbols(**{f.name: np.ascontiguousarray(getattr(self, f.name)[which]) for f in fields(self)})


@lru_cache
def layout_of(header: Header) -> Layout:
    """What kernels need of a header."""
    block_log2 = max(1, 4 - header.cell_log2)  # cells; a block has 16 pixels or more
    across, down = (3 + (cells - 1 >> block_log2) for cells in header.grid)
    entries = (np.array(rows, np.int32) for rows in (header.shape_entries, header.colour_entries))
    return Layout(
        *header.grid, header.cell_log2, block_log2, across, down, header.level, header.quantizer == "norm",
        not header.shape_entries, not header.colour_entries, *entries,
    )  # fmt: skip


class Counts(NamedTuple):
    """How many values symbols of each Gaussian can have, int64 [n]."""

    parts: np.ndarray
    ratio_step: np.ndarray  # 2**-16
    rings: np.ndarray  # the largest ring
    turns: np.ndarray
    across: np.ndarray
    down: np.ndarray


def levels(colour: np.ndarray) -> np.ndarray:
    """The nearest integer to log2 of the sum of squares, int64 [n], for int32 [n, C] that are not all 0."""
    wide = colour.astype(np.int64)
    return levels_of((wide * wide).sum(1))


def levels_of(squares: np.ndarray) -> np.ndarray:
    """The nearest integer to log2, int64 [n], of int64 [n], 1 to 2**52: exact, from the bits of a float64."""
    return ((squares.astype(np.float64).view(np.int64) + _ROUND_UP) >> 52) - 1023


def counts(symbols: Symbols, header: Header) -> Counts:
    """Of all Gaussians, from their colours, sizes, rings and turns."""
    level = told_level(symbols, header)
    parts, ratio_step, rings = precision(level)
    angles = turns(symbols.ring, ratio_step)
    ratio = symbols.ring * ratio_step
    across, down = places(level, symbols.size, ratio, symbols.turn, angles, header.cell_log2)
    return Counts(parts, ratio_step, rings, angles, across, down)


def told_level(symbols: Symbols, header: Header) -> np.ndarray:
    """The level that decides how precisely each Gaussian is told, int64 [n]."""
    if header.quantizer == "norm":
        return levels(symbols.colour)
    return np.full(len(symbols), header.level, np.int64)


def colour_steps(size: np.ndarray, header: Header) -> np.ndarray:
    """Steps of colours, float32 [n], for sizes int32 [n]."""
    sigma = np.exp2(size.astype(np.float32) / 2) if header.quantizer == "norm" else np.ones(size.shape, np.float32)
    return np.float32(header.step / NORM) / sigma


def dequantize(symbols: Symbols, header: Header) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is drawn; last bits may differ between machines.

    Returns:
        xy float32 [n, 2], pixels; factor float32 [n, 3], a, b and c; colour float32 [n, C]. With `vq`, factor and
        colour mean nothing where a codebook has them.
    """
    kernel = pick("splat_layer", len(symbols) * WORTH)
    found: tuple[np.ndarray, np.ndarray, np.ndarray] = kernel.dequantize(
        symbols.columns(), layout_of(header), header.step / NORM
    )
    return found


def quantize(xy: np.ndarray, factor: np.ndarray, colour: np.ndarray, header: Header) -> tuple[Symbols, np.ndarray]:
    """The nearest symbols, without those of Gaussians whose colour becomes 0.

    Args:
        xy: float [n, 2], pixels; centres outside of the margin are moved to it.
        factor: float [n, 3], a > 0, b and c > 0 of each.
        colour: float [n, C].
        header: with quantizer "norm" or "uniform".

    Returns:
        The symbols, and which of the n they are of, bool [n].

    Raises:
        UsageError: a colour does not fit its symbol.
    """
    log_sigma, ratio, angle = axes(factor)
    size = np.clip(np.rint(2 * log_sigma / math.log(2)), SMALLEST, SMALLEST + SIZES - 1).astype(np.int32)
    told = colour.astype(np.float64) @ YCC.T.astype(np.float64) if header.channels == 3 else colour
    told = np.rint(told / colour_steps(size, header)[:, None].astype(np.float64))
    kept = (told != 0).any(1)
    symbols = Symbols.zeros(int(kept.sum()), header)
    if (np.abs(told) > LARGEST).any():
        raise UsageError(f"a colour is {np.abs(told).max():.0f} steps, more than {LARGEST}; raise step_place")
    symbols.colour[:], symbols.size[:] = told[kept], size[kept]
    requantize(symbols, xy[kept], log_sigma[kept], ratio[kept], angle[kept], header)
    return symbols, kept


def requantize(
    symbols: Symbols, xy: np.ndarray, log_sigma: np.ndarray, ratio: np.ndarray, angle: np.ndarray, header: Header
) -> None:
    """Choose all symbols but sizes and colours anew, in place: those are given, and say how precisely."""
    level = told_level(symbols, header)
    parts, ratio_step, rings = precision(level)
    place = 2 * log_sigma / math.log(2) - symbols.size + 0.5
    symbols.part[:] = np.clip(np.floor(place * parts), 0, parts - 1)
    symbols.ring[:] = np.minimum(np.rint(ratio * 2**RATIO_BITS / ratio_step), rings)
    angles = turns(symbols.ring, ratio_step)
    symbols.turn[:] = np.clip(np.floor(np.mod(angle, math.pi) / math.pi * angles), 0, angles - 1)
    told = counts(symbols, header)
    ratio = symbols.ring * told.ratio_step
    factor = factors(symbols.size, symbols.part, told.parts, ratio, symbols.turn, told.turns)
    limits = np.array([header.width, header.height]) + 2 * MARGIN - 1e-6
    cell = 1 << header.cell_log2
    place = np.clip(xy.astype(np.float64) + MARGIN, 0, limits)
    symbols.cells[:, 0], symbols.parts_xy[:, 0] = _in_cells(place[:, 0], told.across, cell)
    x = (symbols.cells[:, 0] + (symbols.parts_xy[:, 0] + 0.5) / told.across) * cell
    # v = b dx + c dy stays what it is where dy makes good for the rounding of x.
    y = np.clip(place[:, 1] - factor[1] / factor[2] * (x - place[:, 0]), 0, limits[1])
    symbols.cells[:, 1], symbols.parts_xy[:, 1] = _in_cells(y, told.down, cell)


def _in_cells(place: np.ndarray, count: np.ndarray, cell: int) -> tuple[np.ndarray, np.ndarray]:
    cells = np.floor(place / cell)
    return cells, np.minimum(np.floor((place / cell - cells) * count), count - 1)


def axes(factor: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log sigma, log of the ratio of the axes, and the angle of the shorter one in [0, pi), float64 [n]."""
    a, b, c = factor.astype(np.float64).T
    xx, xy, yy = a * a + b * b, b * c, c * c
    mean, half = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    return -np.log(a * c) / 2, np.log((mean + half) / (a * c)), np.mod(np.arctan2(2 * xy, xx - yy) / 2, math.pi)
