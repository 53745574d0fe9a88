"""Arrays by path, without reading whole files first: NPY, NetCDF, HDF5; `file::name` chooses where there are several.

What lies in a file as NumPy would have it is mapped, and costs memory only where it is touched. The rest is read once.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from midtread.errors import BitstreamError, UsageError
from midtread.media import guard, hdf5, native, netcdf, npy
from midtread.media.named import Named, choose, split
from midtread.media.picture import Picture
from midtread.spec import Limits

_AT_ONCE = 2**24  # values that the helper process is asked for at a time
_HEAD = 4096  # bytes

_Helper = Callable[[str, bytes, Limits], np.ndarray]


def open_array(path: str | os.PathLike[str], limits: Limits = Limits(), *, trusted: bool = False) -> Picture | None:
    """An array of a NPY, NetCDF or HDF5 file, C-contiguous in native byte order; None for files of other kinds.

    Args:
        path: a file; or `file::name`, which chooses one of its arrays.
        limits: compared with the size that the file claims before anything is allocated.
        trusted: decode HDF5 in this process too.

    Raises:
        UsageError: several arrays and no name, no array of that name, or a name for a file without names.
        BitstreamError, LimitError, MissingError: as `midtread.media.read`.
    """
    file, name = split(path)
    kind = _kind(file)
    if kind is None:
        if name is not None and file.is_file():
            raise UsageError(f"{file} is neither HDF5 nor NetCDF: it has no array {name!r} in it")
        return None
    if kind == "hdf5":
        x = _load_hdf5(file, name, limits, native.decode if trusted else guard.decode)
    elif kind == "netcdf":
        x = netcdf.view(_map(file), name, limits)
    elif name is not None:
        raise UsageError(f"{file} is a NPY file, which holds one array without a name: leave out ::{name}")
    else:
        x = npy.view(_map(file), limits)
    return Picture(np.asarray(x, dtype=x.dtype.newbyteorder("="), order="C"), format=kind)


def contents(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """What a NetCDF or HDF5 file holds, or None for files of other kinds. Raises BitstreamError, MissingError.

    Returns:
        format, size_bytes and arrays: name, dtype, shape, and `use="axis"` where it has the coordinates along an axis.
    """
    file = Path(path)
    kind = _kind(file)
    if kind not in ("hdf5", "netcdf"):
        return None
    found = [one for one, _ in _list_hdf5(file, guard.decode)] if kind == "hdf5" else netcdf.arrays(_map(file))
    rows = []
    for one in found:
        use = {"use": "axis"} if one.axis else {}
        rows.append({"name": one.name, "dtype": np.dtype(one.dtype).name, "shape": list(one.shape), **use})
    return {"format": kind, "size_bytes": file.stat().st_size, "arrays": rows}


def _kind(file: Path) -> str | None:
    try:
        with open(file, "rb") as stream:
            head = stream.read(_HEAD)
    except OSError:  # whoever opens it next says why
        return None
    if any(head[at : at + len(hdf5.SIGNATURE)] == hdf5.SIGNATURE for at in hdf5.SIGNATURE_AT):
        return "hdf5"
    return "netcdf" if head[:3] == b"CDF" else "npy" if head[:6] == b"\x93NUMPY" else None


def _map(file: Path) -> mmap.mmap:
    """The bytes of a file, on demand; writing to them changes no file."""
    with open(file, "rb") as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)


def _list_hdf5(file: Path, helper: _Helper) -> list[tuple[Named, int]]:
    """The arrays of an HDF5 file, and how many rows of each are stored together."""
    native.check_format("hdf5")
    answer = helper("hdf5", hdf5.request(str(file.resolve())), Limits(max_elements=hdf5.MAX_LIST))
    try:
        return [_named(**entry) for entry in json.loads(answer.tobytes())]
    except (TypeError, ValueError) as error:  # the helper process may have been taken over
        raise BitstreamError("the list of arrays of this HDF5 file cannot be understood") from error


def _named(*, name: str, dtype: str, shape: list[int], axis: bool, offset: int | None, rows: int) -> tuple[Named, int]:
    sizes = all(type(n) is int and 0 <= n < 2**62 for n in (*shape, rows, offset or 0))
    if not sizes or not isinstance(name, str) or np.dtype(dtype).kind not in "biufc":
        raise ValueError(f"{name!r} {dtype} {shape}")
    return Named(name, dtype, tuple(shape), bool(axis), offset), max(rows, 1)


def _load_hdf5(file: Path, name: str | None, limits: Limits, helper: _Helper) -> np.ndarray:
    listed = _list_hdf5(file, helper)
    one = choose([array for array, _ in listed], name, "this HDF5 file")
    limits.check_shape(one.shape, f"array {one.name!r} of this HDF5 file")
    if one.offset is not None:
        return netcdf.mapped(_map(file), one)
    dtype = np.dtype(one.dtype).newbyteorder("=")
    out = np.empty(one.shape, dtype)
    if out.ndim == 0 or out.size == 0:
        return _rows(file, one, (0, 0), one.shape, dtype, helper) if out.size else out
    step = hdf5.rows_at_once(one.shape, next(rows for array, rows in listed if array is one), _AT_ONCE)
    for start in range(0, one.shape[0], step):
        stop = min(start + step, one.shape[0])
        out[start:stop] = _rows(file, one, (start, stop), (stop - start, *one.shape[1:]), dtype, helper)
    return out


def _rows(
    file: Path, one: Named, rows: tuple[int, int], shape: tuple[int, ...], dtype: np.dtype, helper: _Helper
) -> np.ndarray:
    asked = hdf5.request(str(file.resolve()), one.name, rows, shape)
    x = helper("hdf5", asked, Limits(max_elements=2 * prod(shape)))  # complex numbers come as pairs
    x = x.view(dtype).reshape(shape) if dtype.kind == "c" else x
    if x.shape != shape or x.dtype != dtype:
        raise BitstreamError(f"array {one.name!r} came as {x.dtype} {list(x.shape)}, not {dtype} {list(shape)}")
    return x
