"""A box as levels of points, each interpolated from coarser ones as the decoder will know them ("closed loop").

    coarsest point ──► level ──► ... ──► finest level              (docs/formats/field.md)

The symbols come first and the values after them: what tells the entropy coder how large a symbol may be are the symbols
at the points that it is interpolated from, never a value.
"""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType
from typing import NamedTuple

import numpy as np

from midtread.codecs.tensor.field_memory import empty
from midtread.entropy.loading import kernel

ORDER = (1, 2, 4, 3, 5, 6, 7)  # kinds of a level by their odd axes, fewest first: bit 0 is x, bit 1 y, bit 2 z


class Part(NamedTuple):
    """One kind of points of one level."""

    odd: int
    shape: tuple[int, int, int]
    start: int  # of its symbols among those of the box
    stop: int


class Level(NamedTuple):
    """The shape of the volume that is complete after it, and its parts."""

    shape: tuple[int, int, int]
    parts: tuple[Part, ...]


@lru_cache(maxsize=64)
def levels(shape: tuple[int, int, int]) -> tuple[Level, ...]:
    """The levels of a box, coarsest first; the one symbol before them is the corner's."""
    shapes = [shape]
    while max(shapes[-1]) > 1:
        z, y, x = shapes[-1]
        shapes.append((z + 1 >> 1, y + 1 >> 1, x + 1 >> 1))
    found, start = [], 1
    for z, y, x in reversed(shapes[:-1]):
        parts = []
        for odd in ORDER:
            part = (z + 1 - (odd >> 2)) // 2, (y + 1 - (odd >> 1 & 1)) // 2, (x + 1 - (odd & 1)) // 2
            size = part[0] * part[1] * part[2]
            if size:
                parts.append(Part(odd, part, start, start + size))
                start += size
        found.append(Level((z, y, x), tuple(parts)))
    return tuple(found)


class Kinds:
    """Arrays of one level by the odd axes of their points; 0: those known from coarser levels."""

    def __init__(self, known: np.ndarray) -> None:
        self.arrays: dict[int, np.ndarray] = {0: known}

    def near(self, odd: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What a kind is interpolated from along z, y, x; anything along an axis that is not odd."""
        arrays = self.arrays
        known = arrays[0]
        return (
            arrays[odd ^ 4] if odd & 4 else known,
            arrays[odd ^ 2] if odd & 2 else known,
            arrays[odd ^ 1] if odd & 1 else known,
        )

    def complete(self, shape: tuple[int, int, int], run: ModuleType) -> np.ndarray:
        """All points in their places."""
        some = self.arrays[0]
        out = empty(shape, some.dtype)
        for row in (0, 2, 4, 6):
            if row in self.arrays:
                even = self.arrays[row]
                nothing = empty((*even.shape[:2], 0), even.dtype)
                run.weave(even, self.arrays.get(row | 1, nothing), row >> 2, row >> 1 & 1, out)
        return out


def quantize(x: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Symbols of a box, and what the decoder will make of them.

    Args:
        x: float32 or float64 [Z, Y, X], C order.
        step: of the quantizer.

    Returns:
        int32 [n] symbols, the box reconstructed.
    """
    run = kernel("field_levels", x.size, x.dtype.str)
    plan = levels(x.shape)
    splits, volume = [], x
    for _ in plan:
        splits.append(_split(volume, run))
        volume = splits[-1][0]
    symbols = empty(x.size, np.int32)
    known = np.zeros((1, 1, 1), x.dtype)
    run.quantize(volume.reshape(-1), step, symbols[:1], known.reshape(-1))
    for level, values in zip(plan, reversed(splits), strict=True):
        kinds = Kinds(known)
        for part in level.parts:
            x_hat = kinds.arrays[part.odd] = empty(part.shape, x.dtype)
            run.predict(*kinds.near(part.odd), part.odd, x_hat)
            run.quantize(values[part.odd].reshape(-1), step, symbols[part.start : part.stop], x_hat.reshape(-1))
        known = kinds.complete(level.shape, run)
    return symbols, known


def restore(symbols: np.ndarray, shape: tuple[int, int, int], step: float, dtype: np.dtype) -> np.ndarray:
    """The box [Z, Y, X] from its symbols, int32 [n]."""
    run = kernel("field_levels", symbols.size, dtype.str)
    known = np.zeros((1, 1, 1), dtype)
    run.restore(symbols[:1], step, known.reshape(-1))
    for level in levels(shape):
        kinds = Kinds(known)
        for part in level.parts:
            x_hat = kinds.arrays[part.odd] = empty(part.shape, dtype)
            run.predict(*kinds.near(part.odd), part.odd, x_hat)
            run.restore(symbols[part.start : part.stop], step, x_hat.reshape(-1))
        known = kinds.complete(level.shape, run)
    return known


def _split(volume: np.ndarray, run: ModuleType) -> list[np.ndarray]:
    """The kinds of points of a volume by their odd axes."""
    out = []
    for row in (0, 2, 4, 6):
        z, y = row >> 2, row >> 1 & 1
        depth, height, width = (volume.shape[0] + 1 - z) // 2, (volume.shape[1] + 1 - y) // 2, volume.shape[2]
        out += [empty((depth, height, size), volume.dtype) for size in (width + 1 >> 1, width >> 1)]
        run.split(volume, z, y, out[-2], out[-1])
    return out
