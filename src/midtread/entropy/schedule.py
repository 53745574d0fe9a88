"""In which order symbols are coded, and what is known when a group's turn comes.

    one            everything at once
    planes         plane after plane: axis 0 of [planes, height, width]
    levels         every 2**k-th sample of both axes, then the samples between, level by level, coarse to fine
    checkerboard   the black squares of each plane, then the white ones (He et al., arXiv:2103.15306)

A context is computed from the sizes of the neighbours that groups before this one have made known, integers only.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from midtread.entropy import checks
from midtread.errors import UsageError
from midtread.kernels.causal_slow import CONTEXTS as LEVELS
from midtread.kernels.causal_slow import level

NAMES = ("one", "planes", "levels", "checkerboard")
CONTEXTS = LEVELS + 1  # the last: no neighbour is known
# (planes back, rows down, columns right, weight)
_NEIGHBOURS = (
    *((0, dy, dx, 2) for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1))),
    *((0, dy, dx, 1) for dy, dx in ((-1, -1), (-1, 1), (1, -1), (1, 1))),
)
_BEFORE = ((0, 0, 4), (-1, 0, 1), (1, 0, 1), (0, -1, 1), (0, 1, 1))  # in the plane before: rows, columns, weight


def plane_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """[n], [height, width] or [..., height, width] as [planes, height, width]."""
    height, width = (1, 1, *shape)[-2:]
    return prod(shape[:-2]), height, width


def as_planes(symbols: np.ndarray) -> np.ndarray:
    """Symbols of any shape as int32 [planes, height, width], read-only. Raises UsageError when they are no int32."""
    return checks.int32(symbols).reshape(plane_shape(np.shape(symbols)))


def groups(name: str, shape: tuple[int, int, int]) -> Iterator[np.ndarray]:
    """Flat positions (int64, rising) of each group of an array [planes, height, width]. Raises UsageError."""
    planes, height, width = shape
    y, x = np.arange(height)[:, None], np.arange(width)

    def where(plane: np.ndarray) -> np.ndarray:
        return np.flatnonzero(np.broadcast_to(plane, shape))

    if name == "one":
        yield np.arange(planes * height * width)
    elif name == "planes":
        yield from np.arange(planes * height * width).reshape(planes, -1)
    elif name == "checkerboard":
        yield where((y + x) % 2 == 0)
        yield where((y + x) % 2 == 1)
    elif name == "levels":
        coarsest = max(0, (max(height, width) - 1).bit_length() - 2)
        before = np.zeros((height, width), dtype=bool)
        for step in (1 << k for k in range(coarsest, -1, -1)):
            now = (y % step == 0) & (x % step == 0)
            yield where(now & ~before)
            before = now
    else:
        raise UsageError(f"schedule {name!r}; there are {', '.join(NAMES)}")


def contexts(name: str, group: np.ndarray, values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Context of each symbol of a group, uint8, from what is known.

    Args:
        name: of the schedule; with "planes" the plane before counts too.
        group: flat positions.
        values: int32 [planes, height, width], 0 where unknown.
        known: bool of the same shape.
    """
    if not known.any():
        return np.full(group.size, CONTEXTS - 1, dtype=np.uint8)
    size = np.abs(values.astype(np.int64))
    total, weights = _around(size, known.astype(np.int64), _NEIGHBOURS)
    if name == "planes":
        before = _around(size, known.astype(np.int64), tuple((1, *rest) for rest in _BEFORE))
        total, weights = total + before[0], weights + before[1]
    total, weights = total.reshape(-1)[group], weights.reshape(-1)[group]
    mean = 8 * total // np.maximum(weights, 1)
    return np.where(weights > 0, level(mean), CONTEXTS - 1).astype(np.uint8)


def _around(
    size: np.ndarray, known: np.ndarray, neighbours: tuple[tuple[int, int, int, int], ...]
) -> tuple[np.ndarray, np.ndarray]:
    """(weighted sum of the known neighbours' sizes, sum of the weights of the known ones)."""
    _, height, width = size.shape
    sums = []
    for array in (size * known, known):
        padded = np.pad(array, ((1, 0), (1, 1), (1, 1)))
        total = np.zeros_like(array)
        for back, dy, dx, weight in neighbours:
            part = padded[1 - back : padded.shape[0] - back, 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
            total += weight * part
        sums.append(total)
    return sums[0], sums[1]
