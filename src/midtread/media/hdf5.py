"""HDF5 (and with it NetCDF 4, MATLAB 7.3), read only, through h5py (extra `science`): arrays under names.

libhdf5 is large and trusts its input: what runs it here runs in the helper process of `guard`, which is asked for a
list of the arrays or for some rows of one, and opens the file itself: files are often larger than memory.

    request    JSON: {"path": ..., "name": null or "/rho", "start": row, "stop": row, "shape": of the answer}
    answer     rows [stop - start, ...], complex numbers as pairs; or the list, JSON as uint8

Stored values: no scale_factor, no add_offset, no _FillValue is applied. Links to other files, virtual datasets and
external storage are not followed: a file from somebody else could fetch any file of yours.
"""

from __future__ import annotations

import json
from math import prod
from typing import Any

import numpy as np

from midtread.errors import BitstreamError
from midtread.media.header import Header, blame_the_bytes
from midtread.spec import Limits

SIGNATURE = b"\x89HDF\r\n\x1a\n"
SIGNATURE_AT = (0, 512, 1024, 2048)  # programs may put bytes of their own before it
MAX_LIST = 2**22  # bytes of the list
_KINDS = "biufc"


def request(path: str, name: str | None = None, rows: tuple[int, int] = (0, 0), shape: tuple[int, ...] = ()) -> bytes:
    """What to ask the helper process: the list of arrays, or for a name rows of it, `shape` being the answer's."""
    return json.dumps(
        {"path": path, "name": name, "start": rows[0], "stop": rows[1], "shape": shape if name else (MAX_LIST,)}
    ).encode()


def probe(data: bytes) -> Header:
    """The shape that a request claims for its answer. Raises BitstreamError for anything but a request."""
    return Header(tuple(_parsed(data)["shape"]))


def decode(data: bytes, limits: Limits) -> np.ndarray:
    """The answer to a request.

    Raises:
        BitstreamError: libhdf5 refused the file, or these bytes are no request; LimitError.
    """
    asked = _parsed(data)
    import h5py

    with blame_the_bytes("HDF5"), h5py.File(asked["path"], "r", locking=False) as file:
        if asked["name"] is None:
            text = json.dumps(_list(file)).encode()
            return np.frombuffer(text[: MAX_LIST + 1], np.uint8)  # one too many is refused by the asker's limit
        dataset = file[asked["name"]]
        x = np.asarray(dataset[asked["start"] : asked["stop"]] if dataset.ndim else dataset[()])
        x = np.asarray(x, dtype=x.dtype.newbyteorder("="), order="C")
        pairs = x.reshape(*x.shape, 1).view(x.real.dtype) if x.dtype.kind == "c" else x
    if x.shape != tuple(asked["shape"]):
        raise BitstreamError(f"array {asked['name']!r} gave {list(x.shape)}, its file declared {asked['shape']}")
    return pairs


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(data)
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict) or set(asked) != {"path", "name", "start", "stop", "shape"}:
        raise BitstreamError("HDF5 files hold arrays under names: open them by their path, not their bytes")
    return asked


def _list(file: Any) -> list[dict[str, Any]]:
    """Every array of numbers that lies in this file itself; h5py visits hard links only."""
    import h5py

    found: list[dict[str, Any]] = []

    def visit(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset) or item.shape is None or item.external or item.is_virtual:
            return
        if item.dtype.kind not in _KINDS or item.dtype.itemsize > (16 if item.dtype.kind == "c" else 8):
            return
        whole = item.chunks is None and item.dtype.kind != "b"
        offset = item.id.get_offset() if whole and item.size else None
        same = item.id.get_type().equal(h5py.h5t.py_create(item.dtype)) and item.id.get_storage_size() == item.nbytes
        found.append(
            {
                "name": f"/{name}",
                "dtype": item.dtype.str,
                "shape": list(item.shape),
                "axis": item.attrs.get("CLASS") == b"DIMENSION_SCALE",
                "offset": offset if same else None,  # where NumPy can take the bytes as they are
                "rows": item.chunks[0] if item.chunks else 1,
            }
        )

    file.visititems(visit)
    return found


def rows_at_once(shape: tuple[int, ...], chunk_rows: int, values: int) -> int:
    """How many rows to ask for at a time: about `values` values, in whole chunks, so that none is decoded twice."""
    row = max(1, prod(shape[1:]))
    return max(1, values // (row * chunk_rows)) * chunk_rows
