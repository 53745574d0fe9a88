"""How an array is cut into boxes: any rank is seen as a volume [Z, Y, X] whose first axis holds all leading ones."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np


class Box(NamedTuple):
    """Where a box lies in a vector of values."""

    start: int
    strides: np.ndarray  # int64 [2]: from plane to plane, from row to row, in values
    shape: np.ndarray  # int64 [3]

    @property
    def size(self) -> int:
        """Values in the box."""
        return int(self.shape[0] * self.shape[1] * self.shape[2])

    @property
    def sides(self) -> tuple[int, int, int]:
        """The shape as plain numbers."""
        return int(self.shape[0]), int(self.shape[1]), int(self.shape[2])

    def view(self, x: np.ndarray) -> np.ndarray:
        """The box [Z, Y, X] of the vector x, not a copy."""
        steps = (int(self.strides[0]) * x.itemsize, int(self.strides[1]) * x.itemsize, x.itemsize)
        return np.lib.stride_tricks.as_strided(x[self.start :], self.sides, steps)

    def middle(self, most: int) -> Box:
        """A part of at most `most` values around the centre, as near to a cube as it can be."""
        sides = list(self.sides)
        while math.prod(sides) > most:
            axis = max(range(3), key=lambda a: sides[a])
            sides[axis] = sides[axis] + 1 >> 1
        z, y, x = ((n - side) // 2 for n, side in zip(self.sides, sides, strict=True))
        start = self.start + z * int(self.strides[0]) + y * int(self.strides[1]) + x
        return Box(start, self.strides, np.array(sides))


def whole(shape: tuple[int, ...] | np.ndarray) -> Box:
    """A box that is all of its vector."""
    depth, height, width = (int(n) for n in shape)
    return Box(0, np.array([height * width, width]), np.array([depth, height, width]))


class Grid(NamedTuple):
    """Volumes one after the other, and the size of the boxes they are cut into; those at the far ends are smaller."""

    volume: tuple[int, int, int]
    box: tuple[int, int, int]
    volumes: int = 1

    @property
    def counts(self) -> tuple[int, int, int]:
        """Boxes along each axis."""
        z, y, x = (-(-n // size) for n, size in zip(self.volume, self.box, strict=True))
        return z, y, x

    def __len__(self) -> int:
        return self.volumes * self.each

    @property
    def each(self) -> int:
        """Boxes of one volume."""
        return math.prod(self.counts)

    def corners(self, number: int) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """(from, to) along each axis of a box in its volume; boxes are numbered volume by volume, each in C order."""
        number %= self.each
        _, rows, columns = self.counts
        place = (number // (rows * columns), number // columns % rows, number % columns)
        z, y, x = ((i * size, min((i + 1) * size, n)) for i, size, n in zip(place, self.box, self.volume, strict=True))
        return z, y, x

    def place(self, number: int) -> Box:
        """A box as part of the vector of all volumes."""
        (z, z_to), (y, y_to), (x, x_to) = self.corners(number)
        depth, height, width = self.volume
        strides = np.array([height * width, width])
        first = number // self.each * depth + z
        return Box((first * height + y) * width + x, strides, np.array([z_to - z, y_to - y, x_to - x]))


def fold(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """The volume that an array of any rank is seen as."""
    if len(shape) < 3:
        shape = (1,) * (3 - len(shape)) + tuple(shape)
    return math.prod(shape[:-2]), shape[-2], shape[-1]


def cut(volume: tuple[int, int, int], most: int, volumes: int = 1) -> Grid:
    """A grid of boxes of at most `most` values, nearly cubes but longer along x, where the kernels run."""
    box = [max(n, 1) for n in volume]
    while math.prod(box) > most:
        axis = max(range(3), key=lambda a: (box[a] // 8 if a == 2 else box[a], -a) if box[a] > 1 else (0, -a))
        box[axis] = -(-box[axis] // 2)
    return Grid(volume, (box[0], box[1], box[2]), volumes)


def region(shape: tuple[int, ...], wanted: tuple[slice, ...]) -> tuple[np.ndarray, slice, slice]:
    """Which planes, rows and columns of the volume hold a region of the array.

    Args:
        shape: of the array.
        wanted: a slice with bounds inside the shape and step 1 for each axis.

    Returns:
        int64 planes in ascending order, rows, columns.
    """
    if len(shape) < 3:
        shape = (1,) * (3 - len(shape)) + tuple(shape)
        wanted = (slice(0, 1),) * (3 - len(wanted)) + tuple(wanted)
    leading = np.arange(math.prod(shape[:-2])).reshape(shape[:-2])
    return leading[wanted[:-2]].ravel(), wanted[-2], wanted[-1]


def meeting(grid: Grid, planes: np.ndarray, rows: slice, columns: slice) -> Iterator[int]:
    """Numbers of the boxes of the first volume that hold something of a region."""
    for number in range(grid.each):
        (z, z_to), (y, y_to), (x, x_to) = grid.corners(number)
        if y < rows.stop and rows.start < y_to and x < columns.stop and columns.start < x_to:
            first, last = np.searchsorted(planes, (z, z_to))
            if first < last:
                yield number
