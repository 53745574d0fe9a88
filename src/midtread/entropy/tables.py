"""T integer frequency tables: what a coder needs to know about the symbols, the same on every machine.

A table has `size` consecutive symbols from `low` on, one frequency each, and the frequency of its escape; together
2**precision. A symbol outside the table, or inside with frequency 0, is coded as the escape and its own bits, so any
int32 can be coded under any table that has an escape.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from midtread.errors import UsageError
from midtread.kernels.packed import Packed, pack

PRECISIONS = range(12, 19)  # bits
MAX_TABLES = 2**16
MAX_SIZE = 2**16  # symbols of one table
MAX_PLACES = 2**22  # symbols and escapes of all tables together


@dataclass(frozen=True, eq=False)
class Tables:
    """Frequencies that sum to 2**precision in each table; checked once, read-only, safe to share between threads.

    Raises:
        UsageError: a number is outside its range, or a table does not sum to 2**precision.
    """

    precision: int  # 12 to 18 bits
    lows: np.ndarray  # int32 [T], the first symbol of each table
    sizes: np.ndarray  # int32 [T], 1 to 65,536 symbols each, without the escape
    frequencies: np.ndarray  # uint32 [sum(sizes + 1)]: table after table, its symbols and then its escape
    recipe: bytes = b""  # a shorter way to write them (`table_bytes`), when whoever made them knows one

    def __post_init__(self) -> None:
        lows, sizes, frequencies = self.lows, self.sizes, self.frequencies
        if self.precision not in PRECISIONS:
            raise UsageError(f"precision={self.precision!r}; tables have 12 to 18 bits")
        for name, array, dtype in (("lows", lows, "i4"), ("sizes", sizes, "i4"), ("frequencies", frequencies, "u4")):
            if array.dtype != np.dtype(dtype) or array.ndim != 1 or array.flags.writeable:
                raise UsageError(f"{name} must be a read-only {np.dtype(dtype)} vector; Tables.build makes them so")
        if not 1 <= lows.size <= MAX_TABLES or lows.size != sizes.size:
            raise UsageError(f"tables need 1 to {MAX_TABLES} lows and as many sizes, got {lows.size} and {sizes.size}")
        if sizes.min() < 1 or sizes.max() > MAX_SIZE:
            t = int(np.argmax((sizes < 1) | (sizes > MAX_SIZE)))
            raise UsageError(f"table {t} has {sizes[t]} symbols; a table has 1 to {MAX_SIZE}")
        places = int(sizes.sum(dtype=np.int64)) + sizes.size
        if frequencies.size != places or places > MAX_PLACES:
            raise UsageError(
                f"tables of these sizes take {places} frequencies, {MAX_PLACES} at most; got {frequencies.size}"
            )
        last = lows.astype(np.int64) + sizes - 1
        if last.max() > 2**31 - 1:
            raise UsageError(f"table {int(np.argmax(last))} reaches to {last.max()}; symbols are int32")
        _check_sums(frequencies, sizes, self.precision)

    @classmethod
    def build(
        cls, precision: int, lows: ArrayLike, sizes: ArrayLike, frequencies: ArrayLike, recipe: bytes = b""
    ) -> Tables:
        """Tables from any integers: the arrays are copied and made read-only."""
        arrays = []
        for name, values, dtype in (("lows", lows, "i4"), ("sizes", sizes, "i4"), ("frequencies", frequencies, "u4")):
            wide = np.array(values).ravel()
            if wide.dtype.kind not in "iu":
                raise UsageError(f"{name} are integers, got {wide.dtype}")
            array = wide.astype(dtype)
            if (array != wide).any():
                raise UsageError(f"{name} are {np.dtype(dtype)}, got {wide[np.argmax(array != wide)]}")
            array.flags.writeable = False
            arrays.append(array)
        return cls(precision, arrays[0], arrays[1], arrays[2], recipe)

    @classmethod
    def of(cls, rows: Sequence[tuple[int, Sequence[int]]], precision: int = 16) -> Tables:
        """Tables from (low, [frequency of low, of low + 1, ..., of the escape])."""
        sizes = [len(frequencies) - 1 for _, frequencies in rows]
        flat = [frequency for _, frequencies in rows for frequency in frequencies]
        return cls.build(precision, [low for low, _ in rows], sizes, flat)

    def __len__(self) -> int:
        return self.lows.size

    @cached_property
    def digest(self) -> int:
        """CRC-32 of everything that decides the coded bytes."""
        parts = (np.array([self.precision, len(self)], dtype=np.uint32), self.lows, self.sizes, self.frequencies)
        crc = 0
        for part in parts:
            crc = zlib.crc32(part.astype(part.dtype.newbyteorder("<")).tobytes(), crc)
        return crc

    @cached_property
    def packed(self) -> Packed:
        """The layout the kernels read."""
        packed = pack(self.precision, self.lows, self.sizes, self.frequencies)
        for array in packed[2:]:
            array.flags.writeable = False
        return packed

    @cached_property
    def starts(self) -> np.ndarray:
        """int64 [T + 1]: table t is frequencies[starts[t]:starts[t + 1]]."""
        return np.concatenate([[0], np.cumsum(self.sizes.astype(np.int64) + 1)])

    @cached_property
    def covers_everything(self) -> bool:
        """Whether every table has an escape."""
        return bool((self.frequencies[self.starts[1:] - 1] > 0).all())

    def row(self, t: int) -> tuple[int, np.ndarray]:
        """(low, frequencies with the escape last) of table t."""
        return int(self.lows[t]), self.frequencies[self.starts[t] : self.starts[t + 1]]

    def places(self, symbols: np.ndarray, indices: np.ndarray | None) -> np.ndarray:
        """Where each symbol stands in `packed`'s arrays, int64 [n]; a symbol its table lacks stands at the escape."""
        packed = self.packed
        t = np.zeros(1, dtype=np.int64) if indices is None else indices
        base, size = packed.base[t].astype(np.int64), packed.size[t].astype(np.int64)
        k = symbols.astype(np.int64) - packed.low[t]
        at = base + np.where((k >= 0) & (k < size), k, size)
        return np.where(packed.cumulative[at] == packed.cumulative[at + 1], base + size, at)

    def check_codable(self, symbols: np.ndarray, indices: np.ndarray | None) -> None:
        """Raise UsageError when a symbol is outside its table and that table has no escape."""
        if self.covers_everything:
            return
        at, packed = self.places(symbols, indices), self.packed
        lost = packed.cumulative[at] == packed.cumulative[at + 1]
        if lost.any():
            i = int(np.argmax(lost))
            t = 0 if indices is None else int(indices[i])
            low, frequencies = self.row(t)
            raise UsageError(
                f"symbol {symbols[i]} at index {i} has frequency 0 or is outside table {t}, [{low}, "
                f"{low + len(frequencies) - 2}], which has no escape; give the table one"
            )

    def bits(self, symbols: np.ndarray, indices: np.ndarray | None = None) -> float:
        """Ideal code length of `symbols` under these tables, in bits; what a real coder adds is its own loss."""
        symbols, packed = np.asarray(symbols).ravel(), self.packed
        at = self.places(symbols, None if indices is None else indices.ravel())
        places = np.bincount(at, minlength=packed.cumulative.size)
        used = np.flatnonzero(places)
        width = (packed.cumulative[used + 1] - packed.cumulative[used]).astype(np.float64)
        if not width.all():
            self.check_codable(symbols, indices)
        escaped = symbols[packed.entry[at] == 0].astype(np.int64)
        zigzag = (escaped << 1) ^ (escaped >> 63)
        bytes_each = np.maximum(1, (np.frexp(zigzag.astype(np.float64))[1] + 6) // 7)
        return float((places[used] * (self.precision - np.log2(width))).sum() + 8 * bytes_each.sum())

    def select(self, rows: np.ndarray) -> Tables:
        """Tables `rows` (any order, repeats allowed) as tables of their own."""
        flat = np.concatenate([np.arange(self.starts[t], self.starts[t + 1]) for t in rows])
        return Tables.build(self.precision, self.lows[rows], self.sizes[rows], self.frequencies[flat])


def _check_sums(frequencies: np.ndarray, sizes: np.ndarray, precision: int) -> None:
    starts = np.concatenate([[0], np.cumsum(sizes.astype(np.int64) + 1)[:-1]])
    sums = np.add.reduceat(frequencies.astype(np.int64), starts)
    wrong = sums != 1 << precision
    if wrong.any():
        t = int(np.argmax(wrong))
        raise UsageError(f"the frequencies of table {t} sum to {sums[t]}, not to 2**{precision} = {1 << precision}")


def normalise(weights: np.ndarray, precision: int) -> np.ndarray:
    """Integer weights -> frequencies that sum to 2**precision, in integer arithmetic.

    Every positive weight keeps at least 1. Shares are rounded down, what is left goes to the largest remainders; when
    the forced ones cost too much, the large frequencies pay in proportion.

    Args:
        weights: int64 [n], at least 0, sum from 1 to 2**44.
        precision: bits.

    Returns:
        uint32 [n].

    Raises:
        UsageError: no weight is positive, or more than 2**precision are.
    """
    weights = weights.astype(np.int64)
    total, room = int(weights.sum()), 1 << precision
    positive = np.count_nonzero(weights)
    if not 1 <= positive <= room or not 0 < total <= 2**44 or weights.min() < 0:
        raise UsageError(f"{positive} positive weights that sum to {total} do not fit 2**{precision} = {room} places")
    share, remainder = np.divmod(weights * room, total)
    forced = (share == 0) & (weights > 0)
    share, remainder = np.where(forced, 1, share), np.where(forced, -1, remainder)
    left = room - int(share.sum())
    if left < 0:
        spare = np.maximum(share - 1, 0)
        share -= -left * spare // int(spare.sum())
        share[np.argsort(-share, kind="stable")[: int(share.sum()) - room]] -= 1
    elif left:
        share[np.argsort(-remainder, kind="stable")[:left]] += 1
    return share.astype(np.uint32)
