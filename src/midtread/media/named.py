"""Files that hold arrays under names: which one is meant."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from midtread.errors import UnknownNameError, UsageError
from midtread.registry import nearest

SEPARATOR = "::"
_SHOWN = 20  # names in a message


@dataclass(frozen=True, slots=True)
class Named:
    """One array of such a file."""

    name: str
    dtype: str  # as NumPy writes it, ">f4"
    shape: tuple[int, ...]
    axis: bool = False  # holds the coordinates along an axis of other arrays
    offset: int | None = None  # where its values lie in the file, where that can be said
    strides: tuple[int, ...] | None = None  # in bytes, for a known offset; None: in C order without gaps

    def __str__(self) -> str:
        return f"{self.name} {np.dtype(self.dtype).name} {list(self.shape)}"


def split(path: str | os.PathLike[str]) -> tuple[Path, str | None]:
    """`rho.h5::/rho` as (file, name); a path that exists as it is has no name in it."""
    text = os.fspath(path)
    file, separator, name = text.rpartition(SEPARATOR)
    return (Path(file), name) if separator and not os.path.exists(text) else (Path(text), None)


def choose(arrays: Sequence[Named], name: str | None, what: str) -> Named:
    """The array called `name`; without a name the only one, coordinates of axes aside.

    Raises:
        UnknownNameError: none of that name; the message names the nearest.
        UsageError: no array at all, or several and no name.
    """
    if name is not None:
        found = next((one for one in arrays if one.name.strip("/") == name.strip("/")), None)
        if found is None:
            raise UnknownNameError(f"{what} has no array {name!r}{nearest(name, [one.name for one in arrays])}")
        return found
    if not arrays:
        raise UsageError(f"{what} holds no arrays of numbers")
    fields = [one for one in arrays if not one.axis] or list(arrays)
    if len(fields) > 1:
        more = ", ..." if len(fields) > _SHOWN else ""
        raise UsageError(
            f"{what} holds {len(fields)} arrays: {', '.join(map(str, fields[:_SHOWN]))}{more}; say which one "
            f"after the path, as in {SEPARATOR}{fields[0].name}"
        )
    return fields[0]
