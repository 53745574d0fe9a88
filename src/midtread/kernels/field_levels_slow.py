"""Interpolation between the known points of a grid, and contexts from the symbols beside, in NumPy: the definition.

A box is seen as levels of points: level l has those whose coordinates along the axes to split are multiples of 2**l;
the coarsest those where they are 0, the corner. What a level adds to the next coarser one, which is known, are up to
seven kinds of points: those with odd coordinates along some of the axes. A kind is interpolated along each of its odd
axes that counts (all, when none does) from a kind with one odd axis less, and the results are averaged. Kinds are
arrays of their own: what is interpolated at i lies between i and i + 1.

    along an axis   i - 1    i   (?)   i + 1    i + 2
    cubic              -1    9           9        -1     / 16
    linear                   1           1               / 2      where one of the four is missing
    at the end      -1/2   3/2                                    where i + 1 is missing; the value at i without i - 1

Everything is computed in the type of the values, in the order written here, without fused operations. Symbols are in
"symbol order": the corner's, then level by level from the coarsest, kind by kind as in ORDER, each kind in C order.

Zhao et al., "Optimizing error-bounded lossy compression by dynamic spline interpolation", ICDE 2021; averaging
over axes: Liu et al., HPEZ, SIGMOD 2024. Contexts from the symbols at the points of interpolation are our own.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

ORDER = (1, 2, 4, 3, 5, 6, 7)  # kinds of a level by their odd axes, fewest first: bit 0 is x, bit 1 y, bit 2 z
LARGEST = float(1 << 21)  # symbols stay below: float32 counts them exactly
FAR = 255  # magnitudes are kept in a byte
# Context of a sum of magnitudes: two for each octave of sum + 1.
CONTEXT_OF = ((np.arange(6 * FAR + 1) + 1).astype(np.float32).view(np.int32) >> 22).astype(np.uint8) - np.uint8(254)
CONTEXTS = int(CONTEXT_OF[-1]) + 1
CORNER = 6 * CONTEXTS  # the context of the first symbol


class Part(NamedTuple):
    """One kind of points of one level."""

    odd: int
    shape: tuple[int, int, int]
    start: int  # of its symbols among those of the box
    stop: int
    first: int  # of its contexts


class Level(NamedTuple):
    """The shape of the volume that is complete after it, and its parts."""

    shape: tuple[int, int, int]
    parts: tuple[Part, ...]


def corner(shape: tuple[int, int, int], axes: int) -> tuple[int, int, int]:
    """The points of the coarsest level: one along the axes to split."""
    z, y, x = (1 if axes >> 4 & 4 >> axis else n for axis, n in enumerate(shape))
    return z, y, x


@lru_cache(maxsize=64)
def levels(shape: tuple[int, int, int], axes: int) -> tuple[Level, ...]:
    """The levels of a box, coarsest first; the symbols before them are the corner's.

    Contexts are of six groups: the finest level and all others, each with one, two or three odd axes.

    Args:
        shape: of the box.
        axes: along which is interpolated | 16 * those to split; bit 0 is x, bit 1 y, bit 2 z.
    """
    split, least = axes >> 4, corner(shape, axes)
    shapes = [shape]
    while shapes[-1] != least:
        z, y, x = (n + 1 >> 1 if split & 4 >> axis else n for axis, n in enumerate(shapes[-1]))
        shapes.append((z, y, x))
    found, start = [], least[0] * least[1] * least[2]
    for number, level in reversed(list(enumerate(shapes[:-1]))):
        z, y, x = level
        parts = []
        for odd in (odd for odd in ORDER if odd & split == odd):
            sides = (
                n if not split & 4 >> axis else n >> 1 if odd & 4 >> axis else n + 1 >> 1
                for axis, n in enumerate(level)
            )
            part = next(sides), next(sides), next(sides)
            size = part[0] * part[1] * part[2]
            if size:
                first = CONTEXTS * ((3 if number else 0) + odd.bit_count() - 1)
                parts.append(Part(odd, part, start, start + size, first))
                start += size
        found.append(Level((z, y, x), tuple(parts)))
    return tuple(found)


class Kinds:
    """Arrays of one level by the odd axes of their points; 0: those known from coarser levels."""

    def __init__(self, known: np.ndarray, axes: int) -> None:
        self.arrays: dict[int, np.ndarray] = {0: known}
        self._axes = axes

    def near(self, odd: int) -> list[tuple[int, np.ndarray]]:
        """(axis, what a kind is interpolated from along it), for each that counts."""
        along = odd & self._axes or odd
        return [(axis, self.arrays[odd ^ 4 >> axis]) for axis in range(3) if along & 4 >> axis]

    def complete(self, shape: tuple[int, int, int]) -> np.ndarray:
        """All points in their places."""
        out = np.empty(shape, self.arrays[0].dtype)
        for odd, array in self.arrays.items():
            out[self.places(odd)] = array
        return out

    def places(self, odd: int, stride: int = 1) -> tuple[slice, ...]:
        """Where the points of a kind are, in the volume of a level or (stride) of the box."""
        split = self._axes >> 4
        starts = (stride if odd & bit else 0 for bit in (4, 2, 1))
        return tuple(
            slice(start, None, 2 * stride if split & bit else 1) for start, bit in zip(starts, (4, 2, 1), strict=True)
        )


def _along(near: np.ndarray, axis: int, count: int) -> np.ndarray:
    """Interpolate `count` points along an axis."""
    near = np.moveaxis(near, axis, -1)
    number, known = near.dtype.type, near.shape[-1]
    pairs = min(count, known - 1)
    out = np.empty((*near.shape[:-1], count), near.dtype)
    left, right = near[..., :pairs], near[..., 1 : pairs + 1]
    out[..., :pairs] = (left + right) * number(0.5)
    if pairs >= 2 and known > 3:
        inner = slice(1, min(pairs, known - 2))
        outer = near[..., : inner.stop - 1] + near[..., 3 : inner.stop + 2]
        out[..., inner] = (number(9) * (left + right)[..., inner] - outer) * number(0.0625)
    if count > pairs:
        last = near[..., pairs]
        out[..., pairs] = last if known < 2 else last * number(1.5) - near[..., pairs - 1] * number(0.5)
    return np.moveaxis(out, -1, axis)


def predict(kinds: Kinds, part: Part) -> np.ndarray:
    """The points of a kind, interpolated."""
    near = kinds.near(part.odd)
    parts = [_along(array, axis, part.shape[axis]) for axis, array in near]
    total = sum(parts[1:], parts[0])
    return total if len(near) == 1 else total * total.dtype.type(0.5 if len(near) == 2 else 1 / 3)


def contexts_of(kinds: Kinds, part: Part) -> np.ndarray:
    """uint8, the shape of the part: CONTEXT_OF the magnitudes at the two points beside each along the axes that count.

    The one point counts twice where there is only one. `kinds` are of magnitudes.
    """
    total = np.zeros(part.shape, np.int64)
    for axis, near in kinds.near(part.odd):
        wide, count = np.moveaxis(near, axis, -1).astype(np.int64), part.shape[axis]
        right = np.concatenate([wide[..., 1:], wide[..., -1:]], axis=-1)[..., :count]
        total += np.moveaxis(wide[..., :count] + right, -1, axis)
    return CONTEXT_OF[total] + np.uint8(part.first)


def magnitudes(symbols: np.ndarray) -> np.ndarray:
    """int32 -> uint8, at most FAR."""
    return np.minimum(np.abs(symbols.astype(np.int64)), FAR).astype(np.uint8)


def _view(x: np.ndarray, start: int, strides: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    steps = (int(strides[0]) * x.itemsize, int(strides[1]) * x.itemsize, x.itemsize)
    return np.lib.stride_tricks.as_strided(x[start:], shape, steps)


def _quantize(x: np.ndarray, x_hat: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """(symbols int32 of the differences to a prediction, what the decoder makes of them)."""
    number = x.dtype.type
    scaled = (x - x_hat) * number(1.0 / step)
    rounded = np.where(np.abs(scaled) < LARGEST, np.rint(scaled), number(0))
    return rounded.astype(np.int32), x_hat + rounded * number(step)


def forward(
    x: np.ndarray, start: int, strides: np.ndarray, shape: np.ndarray, step: float, bound: float, axes: int, shift: int,
    symbols: np.ndarray, contexts: np.ndarray, found: np.ndarray, scratch: Any,
) -> int:  # fmt: skip
    """Quantize a box, each point against its interpolation from what the decoder will know.

    Args:
        x: float32 or float64 vector that holds the box.
        start: of the box in it.
        strides: int64 [2], from plane to plane and from row to row.
        shape: int64 [3] of the box.
        step: of the quantizer; NaN and what is too far off get the symbol 0.
        bound: largest error in float64 that is no exception.
        axes: see `levels`; a kind with no odd axis among those to interpolate along takes all of its own.
        shift: contexts are those of symbols >> shift.
        symbols: int32 [n], filled, in symbol order.
        contexts: uint8 [n], filled, in symbol order.
        found: int32 [n]; places (C order) of the exceptions, ascending by part only.
        scratch: for the compiled twin.

    Returns:
        How many exceptions there are.
    """
    sides = (int(shape[0]), int(shape[1]), int(shape[2]))
    volume, places = _view(x, start, strides, sides), np.arange(symbols.size, dtype=np.int32).reshape(sides)
    plan, count = levels(sides, axes), 0

    def code(values: np.ndarray, x_hat: np.ndarray, where: np.ndarray, first: int) -> np.ndarray:
        nonlocal count
        coded, x_hat = _quantize(values, x_hat, step)
        symbols[first : first + coded.size] = coded.reshape(-1)
        bad = where[~(np.abs(x_hat.astype(np.float64) - values.astype(np.float64)) <= bound)]
        found[count : count + bad.size] = bad
        count += bad.size
        return x_hat

    with np.errstate(all="ignore"):
        least = corner(sides, axes)
        first = tuple(slice(n) for n in least)
        known = code(volume[first], np.zeros(least, x.dtype), places[first], 0)
        sizes = magnitudes(symbols[: known.size] >> shift).reshape(least)
        contexts[: known.size] = CORNER
        for level, stride in zip(plan, reversed([1 << i for i in range(len(plan))]), strict=True):
            kinds, near = Kinds(known, axes), Kinds(sizes, axes)
            for part in level.parts:
                where = kinds.places(part.odd, stride)
                kinds.arrays[part.odd] = code(volume[where], predict(kinds, part), places[where], part.start)
                contexts[part.start : part.stop] = contexts_of(near, part).reshape(-1)
                high = symbols[part.start : part.stop] >> shift
                near.arrays[part.odd] = magnitudes(high).reshape(part.shape)
            known, sizes = kinds.complete(level.shape), near.complete(level.shape)
    return count


def restore(
    symbols: np.ndarray,
    step: float,
    axes: int,
    start: int,
    strides: np.ndarray,
    shape: np.ndarray,
    out: np.ndarray,
    x_hat: np.ndarray,
) -> None:
    """Fill a box of the vector `out` with what `forward` makes of it; arguments as there. `x_hat`: for the twin."""
    sides = (int(shape[0]), int(shape[1]), int(shape[2]))
    number = out.dtype.type
    with np.errstate(all="ignore"):
        least = corner(sides, axes)
        known = symbols[: np.prod(least)].astype(out.dtype).reshape(least) * number(step)
        for level in levels(sides, axes):
            kinds = Kinds(known, axes)
            for part in level.parts:
                more = symbols[part.start : part.stop].astype(out.dtype).reshape(part.shape) * number(step)
                kinds.arrays[part.odd] = predict(kinds, part) + more
            known = kinds.complete(level.shape)
    _view(out, start, strides, sides)[:] = known
