"""A box as levels of points, each interpolated from coarser ones as the decoder will know them ("closed loop").

    coarsest point ──► level ──► ... ──► finest level              (docs/formats/field.md)

The symbols come first and the values after them: what tells the entropy coder how large a symbol may be are the symbols
at the points that it is interpolated from, never a value.
"""

from __future__ import annotations

import numpy as np

from midtread.codecs.tensor import field_symbols
from midtread.codecs.tensor.field_grid import Box
from midtread.codecs.tensor.field_memory import empty
from midtread.container import Reader
from midtread.entropy.loading import kernel
from midtread.errors import BitstreamError


def _room(box: Box, axes: int) -> int:
    """Length of a kernel's array for a box: see `kernels.field_levels`."""
    z, y, x = (n + 1 >> 1 if axes >> 4 & 4 >> axis else n for axis, n in enumerate(box.sides))
    return box.size + 2 * z * y * x


def quantize(
    x: np.ndarray, box: Box, step: float, bound: float, axes: int, shift: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(symbols int32 [n], contexts uint8 [n] of symbols >> shift, places of exceptions) of a box of a vector."""
    symbols, contexts, found = empty(box.size, np.int32), empty(box.size, np.uint8), empty(box.size, np.int32)
    room = _room(box, axes)
    scratch = empty(room, x.dtype), empty(room, x.dtype), empty(room, np.uint8)
    run = kernel("field_levels", box.size, ("forward", x.dtype.str))
    count = run.forward(
        x, box.start, box.strides, box.shape, step, bound, axes, shift, symbols, contexts, found, scratch
    )
    return symbols, contexts, np.sort(found[:count])


def restore(reader: Reader, box: Box, step: float, out: np.ndarray) -> None:
    """Fill a box of the vector `out`. Raises BitstreamError."""
    axes = reader.uint(1, "axes of interpolation", at_most=0x77)
    if axes & 8:
        raise BitstreamError(f"axes of interpolation are two times three bits, these are {axes:#x}")
    room = _room(box, axes)
    sizes, which = empty(room, np.uint8), empty(box.size + 1, np.uint8)
    scratch = sizes, empty(box.size, np.uint8), empty(box.size + 1, np.int32), which
    symbols = field_symbols.decode_by_context(reader, box.sides, axes, scratch)
    run = kernel("field_levels", box.size, ("restore", out.dtype.str))
    run.restore(symbols, step, axes, box.start, box.strides, box.shape, out, empty(room, out.dtype))
