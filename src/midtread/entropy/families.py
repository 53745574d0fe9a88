"""Parametric families: a table for each scale of a fixed list, made once, chosen by an integer.

    scale, in units of 2**-16 ──► index (a table of integers, no floats) ──► frequency table

A family gives P(k), the mass of the bin [k - 1/2, k + 1/2) of its density about 0. The tables come from `exact_math`
and integer rounding, so they are the same everywhere; tests hold their digests.

A density of scale s, up to its factor: gaussian exp(-x^2 / 2 s^2), laplace exp(-|x| / s), logistic
1 / (4 s cosh^2(x / 2 s)), generalized-gaussian exp(-(|x| / s)^shape); two-sided-geometric is P(k) = exp(-|k| / s).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import isqrt

import numpy as np

from midtread.container import varint
from midtread.entropy import checks, exact_math, table_bytes
from midtread.entropy.loading import kernel
from midtread.entropy.tables import MAX_SIZE, PRECISIONS, Tables, normalise
from midtread.errors import UsageError
from midtread.kernels.scales_slow import lookup

UNIT = 1 << 16  # integer scales count 2**-16
_WEIGHT = 1 << 40  # one, in integer weights
_MOST = 1 << 19  # bins that are integrated for one family: seconds
# Gauss-Legendre nodes and weights of order 8 on [-1, 1] (Abramowitz & Stegun, table 25.4): one half, mirrored.
_NODES = (0.183434642495649805, 0.525532409916328986, 0.796666477413626740, 0.960289856497536232)
_WEIGHTS = (0.362683783378361983, 0.313706645877887287, 0.222381034453374471, 0.101228536290376259)


Density = Callable[[np.ndarray, np.ndarray, float], np.ndarray]  # (x >= 0, scale, shape); the factor does not matter


def _gaussian(x: np.ndarray, scale: np.ndarray, shape: float) -> np.ndarray:
    y = x / scale
    return exact_math.exp(-0.5 * y * y)


def _laplace(x: np.ndarray, scale: np.ndarray, shape: float) -> np.ndarray:
    return exact_math.exp(-x / scale)


def _logistic(x: np.ndarray, scale: np.ndarray, shape: float) -> np.ndarray:
    tail = exact_math.exp(-x / scale)
    return tail / ((1.0 + tail) * (1.0 + tail))


def _generalized_gaussian(x: np.ndarray, scale: np.ndarray, shape: float) -> np.ndarray:
    return exact_math.exp(-exact_math.power(x / scale, shape))


# The place in this list is what files hold: append only. Name: (density, default lowest and highest scale); the lowest
# leaves about 5e-6 outside the middle bin. None: not the integral of a density.
_FAMILIES: dict[str, tuple[Density | None, float, float]] = {
    "gaussian": (_gaussian, 0.11, 128.0),
    "laplace": (_laplace, 0.04, 96.0),
    "logistic": (_logistic, 0.04, 72.0),
    "generalized-gaussian": (_generalized_gaussian, 0.016, 64.0),
    "two-sided-geometric": (None, 0.08, 96.0),
}
NAMES = tuple(_FAMILIES)


@dataclass(frozen=True)
class Family:
    """`count` scales in geometric steps from `lowest` to `highest`, and a table for each.

    Raises:
        UsageError: a parameter is outside its range.
    """

    name: str = "gaussian"
    count: int = 64
    precision: int = 16
    lowest: int = 0  # units of 2**-16; 0: the family's own
    highest: int = 0
    shape: int = 192  # of generalized-gaussian, units of 2**-8: 256 is Laplace, 512 Gauss

    def __post_init__(self) -> None:
        if self.name not in _FAMILIES:
            raise UsageError(f"family {self.name!r}; there are {', '.join(NAMES)}")
        if self.precision not in PRECISIONS or not 2 <= self.count <= 1024 or not 64 <= self.shape <= 2048:
            raise UsageError(f"{self}: precision is 12 to 18, count 2 to 1024, shape 64 to 2048 (units of 2**-8)")
        low, high = self.range
        if not 1 << 6 <= low < high <= 1 << 28 or self.thresholds.size != np.unique(self.thresholds).size:
            raise UsageError(f"{self}: scales run from 2**6 to 2**28 (units of 2**-16), each different from the next")

    @classmethod
    def numbered(cls, number: int, count: int, precision: int, lowest: int, highest: int, shape: int) -> Family:
        """The family that a file names by its place in the list. Raises UsageError."""
        if number >= len(NAMES):
            raise UsageError(f"there are {len(NAMES)} families, the file names number {number}")
        return cls(NAMES[number], count, precision, lowest, highest, shape)

    @property
    def recipe(self) -> bytes:
        """How a file names the tables; see `table_bytes`."""
        numbers = (self.count, *self.range, self.shape)
        kind = table_bytes.FAMILY | self.precision - PRECISIONS[0] << 4
        return bytes([kind, NAMES.index(self.name)]) + b"".join(map(varint, numbers))

    @property
    def range(self) -> tuple[int, int]:
        """Lowest and highest scale in units of 2**-16."""
        _, low, high = _FAMILIES[self.name]
        return self.lowest or round(low * UNIT), self.highest or round(high * UNIT)

    @cached_property
    def scales(self) -> np.ndarray:
        """int64 [count], units of 2**-16, in geometric steps."""
        low, high = (exact_math.log(np.array([float(end)]))[0] for end in self.range)
        steps = np.arange(self.count, dtype=np.float64) / float(self.count - 1)
        return np.rint(exact_math.exp(low + (high - low) * steps)).astype(np.int64)

    @cached_property
    def thresholds(self) -> np.ndarray:
        """int64 [count - 1]: from thresholds[i] on, the scale i + 1 is nearer (by ratio) than the scale i."""
        products = (self.scales[:-1] * self.scales[1:]).tolist()
        return np.array([isqrt(product) + 1 for product in products], dtype=np.int64)

    @cached_property
    def tables(self) -> Tables:
        """The tables, one for each scale."""
        return _tables(self)

    def index(self, scales: np.ndarray) -> np.ndarray:
        """Table of each scale: the nearest by ratio.

        Args:
            scales: integers in units of 2**-16, any shape, 0 to 2**31 - 1.

        Returns:
            uint8 (uint16 with more than 256 scales), the shape of `scales`.
        """
        scales = np.asarray(scales)
        flat = checks.int32(scales)
        if flat.size and flat.min() < 0:
            raise UsageError(f"scales are at least 0, got {flat.min()}")
        out = np.empty(flat.size, dtype=np.uint8 if self.count <= 256 else np.uint16)
        kernel("scales", flat.size, out.dtype.str).index(flat, *self._lookup, out)
        return out.reshape(scales.shape)

    @cached_property
    def _lookup(self) -> tuple[np.ndarray, np.ndarray]:
        return lookup(self.thresholds)


@lru_cache(maxsize=32)
def _tables(family: Family) -> Tables:
    rows = [_row(half, family.precision) for half in _halves(family)]
    lows = [-(len(row) // 2 - 1) for row in rows]
    sizes = [len(row) - 1 for row in rows]
    return Tables.build(family.precision, lows, sizes, np.concatenate(rows), family.recipe)


def _row(half: np.ndarray, precision: int) -> np.ndarray:
    """Frequencies of the symbols -r to r and of the escape, from the masses of 0, 1, 2 ... (any common factor)."""
    total = half[0] + 2.0 * float(np.cumsum(half[1:])[-1])  # one after the other: the order in np.sum varies
    weights = np.rint(half / total * _WEIGHT).astype(np.int64)
    reach = max(1, int(np.count_nonzero(weights << precision >= _WEIGHT // 2)))
    tail = max(1, 2 * int(weights[reach:].sum()))
    return normalise(np.concatenate([weights[reach - 1 : 0 : -1], weights[:reach], [tail]]), precision)


def _halves(family: Family) -> list[np.ndarray]:
    """Masses of the bins 0, 1, 2 ... of each scale, to where less than 1e-9 is left."""
    density, shape = _FAMILIES[family.name][0], family.shape / 256.0
    scales = family.scales / float(UNIT)
    far = 6.5 if family.name == "gaussian" else 21.0
    if family.name == "generalized-gaussian":
        far = float(exact_math.power(np.array([far]), 1.0 / shape)[0])
    counts = np.minimum(scales * far + 3.0, MAX_SIZE / 2 - 1).astype(np.int64)
    if counts.sum() > _MOST:
        raise UsageError(f"{family}: these tables would have {2 * counts.sum()} symbols; take fewer or smaller scales")
    row = np.repeat(np.arange(scales.size), counts)
    k = np.arange(row.size) - np.repeat(np.cumsum(counts) - counts, counts)
    if density is None:
        masses = exact_math.exp(-k / scales[row])
    else:
        masses = np.empty(row.size)
        for part, low, high, pieces in (
            (k == 0, 0.0, 0.5, 32),  # half of the bin; its other half is the mirror image
            ((k > 0) & (scales[row] < 2.0), -0.5, 0.5, 16),
            ((k > 0) & (scales[row] >= 2.0), -0.5, 0.5, 2),
        ):
            masses[part] = _integrals(density, k[part] + low, high - low, pieces, scales[row[part]], shape)
        masses[k == 0] *= 2.0
    return np.split(masses, np.cumsum(counts)[:-1])


def _integrals(
    density: Density, starts: np.ndarray, length: float, pieces: int, scales: np.ndarray, shape: float
) -> np.ndarray:
    """Integral of each density over [start, start + length], by Gauss-Legendre quadrature on `pieces` parts."""
    half = length / pieces / 2.0
    total = np.zeros_like(starts)
    for piece in range(pieces):
        middle = starts + (2.0 * piece + 1.0) * half
        for node, weight in zip(_NODES, _WEIGHTS, strict=True):
            total = total + weight * density(middle - node * half, scales, shape)
            total = total + weight * density(middle + node * half, scales, shape)
    return total * half


def mix(tables: Tables, rows: list[tuple[int, int, int]]) -> Tables:
    """Tables that are (weight * a + (8 - weight) * b) / 8 for each (a, b, weight), by integers.

    Args:
        tables: of a family.
        rows: (table, table, eighths of the first) each.
    """
    made = []
    for a, b, weight in rows:
        parts = [(*tables.row(t), share) for t, share in ((a, weight), (b, 8 - weight))]
        low = min(part[0] for part in parts)
        high = max(part[0] + part[1].size - 1 for part in parts)
        total = np.zeros(high - low + 1, dtype=np.int64)
        for first, frequencies, share in parts:
            total[first - low : first - low + frequencies.size - 1] += share * frequencies[:-1].astype(np.int64)
            total[-1] += share * int(frequencies[-1])
        made.append((low, normalise(total, tables.precision)))
    sizes = [row.size - 1 for _, row in made]
    kind = bytes([table_bytes.MIXTURE | tables.precision - PRECISIONS[0] << 4])
    recipe = kind + table_bytes.write(tables) + varint(len(rows)) + b"".join(varint(n) for row in rows for n in row)
    frequencies = np.concatenate([row for _, row in made])
    return Tables.build(tables.precision, [low for low, _ in made], sizes, frequencies, recipe)
