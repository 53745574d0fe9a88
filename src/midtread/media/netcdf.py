"""NetCDF classic (3), read only: arrays under names, as they are stored. NetCDF 4 is HDF5.

    "CDF" │ u8 1, 2 or 5 │ records │ dimensions │ attributes │ variables │ values          big-endian
    variable   name │ dimensions │ attributes │ u32 type │ size │ begin

A count has 4 bytes, in version 5 it has 8; `begin` has 4 bytes in version 1, else 8. Variables along the unlimited
dimension lie record by record, all of them interleaved. No scale_factor, no add_offset, no _FillValue is applied.
Source: Unidata, "The NetCDF Classic Format Specification"; PnetCDF for CDF-5.
"""

from __future__ import annotations

import mmap
from math import prod
from typing import NamedTuple

import numpy as np

from midtread.container.reader import Reader
from midtread.errors import BitstreamError, TruncatedError
from midtread.media.header import Header
from midtread.media.named import Named, choose
from midtread.spec import Limits

WHAT = "this NetCDF file"
_TYPES = (None, "i1", "S1", ">i2", ">i4", ">f4", ">f8", "u1", ">u2", ">u4", ">i8", ">u8")
_DIMENSIONS, _VARIABLES, _ATTRIBUTES = 10, 11, 12
_MAX_RANK = 32  # NumPy takes 64, a midtread file 15


class _Variable(NamedTuple):
    name: str
    type: np.dtype
    dimensions: list[int]
    begin: int


class _Walk:
    """The numbers and names of a header."""

    def __init__(self, data: bytes | mmap.mmap) -> None:
        self.reader = Reader(memoryview(data))
        if bytes(self.reader.take(3, "NetCDF signature")) != b"CDF":
            raise BitstreamError(f"{WHAT} does not start with CDF")
        version = self.reader.uint(1, "NetCDF version", at_most=255)
        if version not in (1, 2, 5):
            raise BitstreamError(f"{WHAT} has version {version}; 1, 2 and 5 exist")
        self.width = 8 if version == 5 else 4
        self.offset_width = 4 if version == 1 else 8

    def count(self, what: str) -> int:
        return self.reader.uint(self.width, what, at_most=2**64, big_endian=True)

    def word(self, what: str) -> int:
        return self.reader.uint(4, what, at_most=2**32, big_endian=True)

    def name(self, what: str) -> str:
        size = self.count(f"length of {what}")
        raw = bytes(self.reader.take(size + -size % 4, what))[:size]
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise BitstreamError(f"{what} of {WHAT} is {raw[:40]!r}, not UTF-8") from error

    def items(self, tag: int, what: str) -> range:
        """How many entries a list has; an absent list has none."""
        found, count = self.word(f"tag of the {what}"), self.count(f"number of {what}")
        if found != tag and (found, count) != (0, 0):
            raise BitstreamError(f"{WHAT} has tag {found} where its {what} begin")
        return range(count)

    def type(self, what: str) -> np.dtype:
        number = self.word(f"type of {what}")
        if not 0 < number < len(_TYPES):
            raise BitstreamError(f"{what} of {WHAT} has type {number}; 1 to {len(_TYPES) - 1} exist")
        return np.dtype(_TYPES[number])

    def skip_attributes(self) -> None:
        for _ in self.items(_ATTRIBUTES, "attributes"):
            what = f"attribute {self.name('name of an attribute')!r}"
            size = self.type(what).itemsize * self.count(f"length of {what}")
            self.reader.take(size + -size % 4, what)

    def variable(self, dimensions: int) -> _Variable:
        what = f"variable {(name := self.name('name of a variable'))!r}"
        rank = self.count(f"rank of {what}")
        if rank > _MAX_RANK:
            raise BitstreamError(f"{what} of {WHAT} has {rank} axes; at most {_MAX_RANK} are read")
        axes = [self.count(f"dimension of {what}") for _ in range(rank)]
        if any(axis >= dimensions for axis in axes):
            raise BitstreamError(f"{what} of {WHAT} has dimensions {axes}, the file has {dimensions}")
        self.skip_attributes()
        kind = self.type(what)
        self.count(f"size of {what}")  # wrong above 4 GiB, and known without it
        return _Variable(name, kind, axes, self.reader.uint(self.offset_width, what, at_most=2**63, big_endian=True))


def arrays(data: bytes | mmap.mmap) -> list[Named]:
    """The arrays of numbers in a file, with their places.

    Raises:
        BitstreamError, TruncatedError: not a NetCDF classic file, damaged, or an array beyond its end.
    """
    walk = _Walk(data)
    records = walk.count("number of records")
    names, sizes = [], []
    for _ in walk.items(_DIMENSIONS, "dimensions"):
        names.append(walk.name("name of a dimension"))
        sizes.append(walk.count("length of a dimension"))
    walk.skip_attributes()
    variables = [walk.variable(len(sizes)) for _ in walk.items(_VARIABLES, "variables")]
    growing = [v for v in variables if v.dimensions and sizes[v.dimensions[0]] == 0]
    slabs = {v.name: v.type.itemsize * prod(sizes[axis] for axis in v.dimensions[1:]) for v in growing}
    step = sum(slab + -slab % 4 for slab in slabs.values()) if len(growing) > 1 else sum(slabs.values())
    if records == 2 ** (8 * walk.width) - 1:  # all ones: their number was not known when the header was written
        first = min((v.begin for v in growing), default=0)
        records = max(0, len(data) - first) // step if step else 0
    found = []
    for v in variables:
        shape = tuple(sizes[axis] for axis in v.dimensions)
        strides = None
        if v.name in slabs:
            shape = (records, *shape[1:])
            inner = [v.type.itemsize * prod(shape[i + 1 :]) for i in range(1, len(shape))]
            strides = (step, *inner)
        if v.type.kind != "S":
            axis = len(v.dimensions) == 1 and names[v.dimensions[0]] == v.name
            found.append(Named(v.name, v.type.str, shape, axis, v.begin, strides))
    return found


def view(data: bytes | mmap.mmap, name: str | None, limits: Limits) -> np.ndarray:
    """An array of the file, big-endian as it is stored, not a copy. Raises as `arrays`; LimitError, UsageError."""
    one = choose(arrays(data), name, WHAT)
    limits.check_shape(one.shape, f"array {one.name!r} of {WHAT}")
    return mapped(data, one)


def mapped(data: bytes | mmap.mmap, one: Named) -> np.ndarray:
    """The array at a known place. Raises TruncatedError when the file ends before it does."""
    assert one.offset is not None
    dtype = np.dtype(one.dtype)
    strides = one.strides or tuple(dtype.itemsize * prod(one.shape[i + 1 :]) for i in range(len(one.shape)))
    if 0 in one.shape:
        return np.empty(one.shape, dtype)
    end = one.offset + sum((n - 1) * step for n, step in zip(one.shape, strides, strict=True)) + dtype.itemsize
    if end > len(data):
        raise TruncatedError(f"array {one.name!r} ends at byte {end}, the file at {len(data)}")
    return np.ndarray(one.shape, dtype, data, one.offset, strides)


def probe(data: bytes) -> Header:
    """Shape of the only array, coordinates of axes aside."""
    return Header(_only(data).shape)


def decode(data: bytes, limits: Limits) -> np.ndarray:
    """The only array, coordinates of axes aside, C-contiguous in native byte order."""
    one = _only(data)
    limits.check_shape(one.shape, WHAT)
    x = mapped(data, one)
    return np.array(x, dtype=x.dtype.newbyteorder("="), order="C")


def _only(data: bytes) -> Named:
    """Bytes come without a name: it is their fault, not the caller's, that there is more than one array."""
    found = arrays(data)
    fields = [one for one in found if not one.axis] or found
    if len(fields) != 1:
        raise BitstreamError(f"{WHAT} holds {len(fields)} arrays; open it by its path, as in file.nc::name")
    return fields[0]
