"""Contexts from six decoded neighbours, row by row: the definition of `causal`.

      NN           activity = 2|W| + 2|N| + |NW| + |NE| + |WW| + |NN|, a neighbour outside the plane counts 0
   NW N NE         context  = 0 for 0, else 2 * bits(activity) - 1 + (its second highest bit), at most 23
WW W  x
"""

from __future__ import annotations

import numpy as np

from midtread.kernels import rans_slow
from midtread.kernels.packed import Packed

CONTEXTS = 24
# (rows up, columns left, weight)
_NEIGHBOURS = ((0, 1, 2), (1, 0, 2), (1, 1, 1), (1, -1, 1), (0, 2, 1), (2, 0, 1))


def level(activity: np.ndarray) -> np.ndarray:
    """Context of each activity, uint8."""
    bits = np.frexp(activity.astype(np.float64))[1]
    second = (activity >> np.maximum(bits - 2, 0)) & np.where(bits > 1, 1, 0)
    return np.where(activity > 0, np.minimum(2 * bits - 1 + second, CONTEXTS - 1), 0).astype(np.uint8)


def contexts(planes: np.ndarray, out: np.ndarray) -> None:
    """Context of every symbol.

    Args:
        planes: int32 [planes, height, width].
        out: uint8 of the same shape, filled.
    """
    _, height, width = planes.shape
    size = np.pad(np.abs(planes.astype(np.int64)), ((0, 0), (2, 0), (2, 1)))
    activity = sum(
        weight * size[:, 2 - up : 2 - up + height, 2 - left : 2 - left + width] for up, left, weight in _NEIGHBOURS
    )
    out[:] = level(np.asarray(activity))


def decode(
    planes: np.ndarray, used: np.ndarray, packed: Packed, begin: int, stop: int, states: np.ndarray,
    words: np.ndarray, p: int, end: int,
) -> int:  # fmt: skip
    """Decode the symbols `begin` to `stop` of all planes, where `begin` is the first symbol of a chunk.

    Args:
        planes: int32 [planes, height, width]; known before `begin`, filled up to `stop`.
        used: uint8 of the same shape, filled with the contexts.
        packed: the tables, one for each context.
        begin: first symbol, in order.
        stop: behind the last one.
        states: of the chunk, as for `rans_slow.decode`.
        words: of the chunk.
        p: next word to read.
        end: where the words end.

    Returns:
        The next word to read, or -1 for a damaged stream.
    """
    _, height, width = planes.shape
    flat, contexts_flat = planes.reshape(-1), used.reshape(-1)
    one = np.empty(1, dtype=np.int32)
    for at in range(begin, stop):
        y, x = at // width % height, at % width
        activity = 0
        for up, left, weight in _NEIGHBOURS:
            if up <= y and 0 <= x - left < width:
                activity += weight * abs(int(flat[at - up * width - left]))
        contexts_flat[at] = level(np.array([activity]))[0]
        table = contexts_flat[at : at + 1]
        p = rans_slow.decode(one, table, packed, at - begin, states, words, p, end)
        if p < 0:
            return -1
        flat[at] = one[0]
    return p
