"""NumPy's .npy: arrays of numbers of any rank; never pickles.

    93 "NUMPY" │ u8 major │ u8 minor │ u16 (major 1) or u32 length │ a Python dict as text │ samples

Source: NEP 1; numpy.lib.format.
"""

from __future__ import annotations

import io
import math
import mmap

import numpy as np

from midtread.container.reader import Reader
from midtread.errors import BitstreamError, UsageError
from midtread.media.header import Header
from midtread.spec import Limits

_MAX_HEADER = 10_000  # numpy's own limit


def _layout(data: bytes | mmap.mmap) -> tuple[Header, np.dtype, bool]:
    reader = Reader(memoryview(data))
    if bytes(reader.take(6, "NPY signature")) != b"\x93NUMPY":
        raise BitstreamError("this NPY file does not start with 93 NUMPY")
    major, minor = reader.take(2, "NPY version")
    if (major, minor) not in ((1, 0), (2, 0), (3, 0)):
        raise BitstreamError(f"this NPY file has version {major}.{minor}; 1.0, 2.0 and 3.0 exist")
    width = 2 if major == 1 else 4
    length = reader.uint(width, "length of the NPY header", at_most=_MAX_HEADER)
    reader.take(length, "NPY header")
    text = io.BytesIO(data[8 : 8 + width + length])
    read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    try:
        shape, fortran, dtype = read(text, max_header_size=_MAX_HEADER)
    except Exception as error:  # numpy raises whatever its tokenizer, parser or dtype constructor raise
        raise BitstreamError(f"the header of this NPY file cannot be understood: {error}") from error
    if dtype.hasobject or dtype.kind not in "biufc" or any(size < 0 for size in shape):
        raise BitstreamError(f"this NPY file holds {dtype} of shape {shape}; midtread reads plain numbers only")
    return Header(shape, offset=reader.offset), dtype, fortran


def probe(data: bytes) -> Header:
    """Shape of the array, of any rank."""
    return _layout(data)[0]


def decode(data: bytes, limits: Limits) -> np.ndarray:
    """The array, C-contiguous in native byte order."""
    x = view(data, limits)
    return np.array(x, dtype=x.dtype.newbyteorder("="), order="C")


def view(data: bytes | mmap.mmap, limits: Limits) -> np.ndarray:
    """The array as it lies in the file, not a copy."""
    header, dtype, fortran = _layout(data)
    limits.check_shape(header.shape, "this NPY file")
    reader = Reader(memoryview(data))
    reader.offset = header.offset
    body = reader.take(math.prod(header.shape) * dtype.itemsize, "NPY samples")
    reader.end("this NPY file")
    return np.frombuffer(body, dtype).reshape(header.shape, order="F" if fortran else "C")


def encode(x: np.ndarray) -> bytes:
    """What numpy.save writes."""
    if x.dtype.kind == "V":  # NumPy would write it, and read back bytes without a meaning
        raise UsageError(f"an NPY file cannot hold {x.dtype}; view it as uint16 or convert it to float32")
    out = io.BytesIO()
    try:
        np.lib.format.write_array(out, np.ascontiguousarray(x) if x.ndim else x, allow_pickle=False)
    except ValueError as error:
        raise UsageError(f"an NPY file cannot hold {x.dtype}: {error}") from error
    return out.getvalue()
