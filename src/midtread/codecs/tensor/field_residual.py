"""Lorenzo residuals of a box, and their bytes when each 32 of them are packed to the bits that they need.

The body of a packed box:

u8 base │ u4 width of each 32 residuals │ u32 plane ...           blocks of base + width planes; width 0: none
"""

from __future__ import annotations

import numpy as np

from midtread.codecs.tensor.field_grid import Box
from midtread.codecs.tensor.field_memory import empty
from midtread.container import Reader
from midtread.entropy.loading import kernel
from midtread.errors import BitstreamError

BLOCK = 32  # values that share a width
_WIDEST = 15  # what a stored width can say


def difference(x: np.ndarray, box: Box, order: int, step: float, bound: float) -> tuple[np.ndarray, np.ndarray]:
    """Quantize a box and take differences; see `kernels.field_lorenzo_slow.forward`.

    Returns:
        uint32 residuals, zeros up to a whole block behind them; places of the exceptions.
    """
    size = box.size
    residuals = empty(-(-size // BLOCK) * BLOCK, np.uint32)
    residuals[size:] = 0
    found = empty(size, np.int32)
    run = kernel("field_lorenzo", size, ("forward", x.dtype.str))
    count = run.forward(x, box.start, box.strides, box.shape, order, step, bound, residuals[:size], found)
    return residuals, found[:count]


def integrate(residuals: np.ndarray, box: Box, order: int, step: float, out: np.ndarray) -> None:
    """Undo `difference`: fill the box of the vector `out`."""
    run = kernel("field_lorenzo", box.size, ("inverse", out.dtype.str))
    run.inverse(residuals[: box.size], box.start, box.strides, box.shape, order, step, out)


def signed(residuals: np.ndarray) -> np.ndarray:
    """uint32 [n] -> int32 [n]."""
    symbols = empty(residuals.size, np.int32)
    kernel("field_counts", residuals.size, "unzigzag").unzigzag(residuals, symbols)
    return symbols


def zigzag(symbols: np.ndarray) -> np.ndarray:
    """Undo `signed`."""
    residuals = empty(symbols.size, np.uint32)
    kernel("field_counts", symbols.size, "zigzag").zigzag(symbols, residuals)
    return residuals


def pack(residuals: np.ndarray) -> list[bytes | memoryview]:
    """uint32 [whole blocks] -> pieces of the body."""
    run = kernel("field_planes", residuals.size)
    width = empty(residuals.size // BLOCK + 1, np.uint8)  # one more, so that they make whole bytes
    width[-1] = 0
    base = max(0, int(run.widths(residuals, width[:-1])) - _WIDEST)
    if base:
        width = np.where(width == 0, 0, np.maximum(width, base + 1) - base).astype(np.uint8)
    words = empty(residuals.size, np.uint32)
    count = int(run.pack(residuals, width[:-1], base, words))
    even = width[: width.size // 2 * 2]
    return [
        bytes([base]),
        (even[::2] | even[1::2] << 4).tobytes(),
        words[:count].astype("<u4", copy=False).view(np.uint8).data,
    ]


def unpack(reader: Reader, size: int) -> np.ndarray:
    """uint32 [whole blocks]: undo `pack`. Raises BitstreamError, LimitError."""
    base, width, words = read(reader, size)
    if not words.flags.aligned:
        words = words.copy()
    residuals = empty(width.size * BLOCK, np.uint32)
    kernel("field_planes", residuals.size).unpack(words, width, base, residuals)
    return residuals


def read(reader: Reader, size: int) -> tuple[int, np.ndarray, np.ndarray]:
    """(base, uint8 widths of the blocks, uint32 planes) of a body of `size` residuals. Raises BitstreamError."""
    base = reader.uint(1, "base of the widths", at_most=32 - _WIDEST)
    blocks = -(-size // BLOCK)
    nibbles = np.frombuffer(reader.take((blocks + 1) // 2, "widths of the blocks"), np.uint8)
    width = empty((blocks + 1) // 2 * 2, np.uint8)
    width[::2], width[1::2] = nibbles & 15, nibbles >> 4
    if blocks % 2 and width[blocks]:
        raise BitstreamError("the widths of the blocks end in a half byte that is not 0")
    width = width[:blocks]
    count = int(width.sum(dtype=np.int64)) + base * int(np.count_nonzero(width))
    return base, width, np.frombuffer(reader.take(4 * count, "bit planes"), "<u4")
