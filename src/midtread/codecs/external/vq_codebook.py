"""A shipped codebook, put in an order in which near entries are near, and coarsened: in integers, so everywhere alike.

    entries ──► whole numbers ──► split in two by the direction of greatest spread, again and again ──► order
    2**k cells of that order ──► the entry nearest to each cell's mean stands for the cell

The coarse codebook is a part of the fine one: the decoder network sees no vector it was not trained on.
"""

from __future__ import annotations

import numpy as np

from midtread.errors import UsageError

_BITS = 14  # of the largest whole number: sums of squares of 4096 dimensions stay far below 2**63
_TURNS = 4  # of the power iteration that finds a direction
MOST_ENTRIES = 2**16
MOST_DIMENSIONS = 4096


def to_integers(codebook: np.ndarray) -> np.ndarray:
    """int64 [N, D] in proportion to float [N, D]: a power of two times it, rounded; both are exact.

    Raises:
        UsageError: not a finite matrix of 2 to 65,536 entries.
    """
    if (
        codebook.ndim != 2
        or not 2 <= codebook.shape[0] <= MOST_ENTRIES
        or not 1 <= codebook.shape[1] <= MOST_DIMENSIONS
    ):
        raise UsageError(f"a codebook is a matrix of 2 to {MOST_ENTRIES} entries, got shape {list(codebook.shape)}")
    if not np.isfinite(codebook).all():
        raise UsageError("this codebook holds values that are not finite")
    wide = codebook.astype(np.float64)
    exponent = int(np.frexp(np.abs(wide).max())[1])
    return np.rint(np.ldexp(wide, _BITS - exponent)).astype(np.int64)


def order_of(entries: np.ndarray) -> np.ndarray:
    """Rank -> entry, int64 [N], so that each cell of `bounds` is a cluster.

    Args:
        entries: of `to_integers`.
    """
    count = len(entries)
    order = np.arange(count)
    for depth in range((count - 1).bit_length()):
        edges = bounds(count, depth)
        middles = bounds(count, depth + 1)[1::2]
        for low, middle, high in zip(edges[:-1], middles, edges[1:], strict=True):
            if high - low > 1:
                order[low:high] = _sorted(entries, order[low:high], middle - low)
    return order


def bounds(count: int, depth: int) -> np.ndarray:
    """int64 [2**depth + 1]: where the cells of `count` entries begin and end."""
    return (np.arange(2**depth + 1, dtype=np.int64) * count) >> depth


def representatives(entries: np.ndarray, order: np.ndarray, depth: int) -> np.ndarray:
    """Cell -> entry, int64 [2**depth]: the one nearest to the mean of its cell, the first of equals."""
    edges, out = bounds(len(order), depth), np.empty(2**depth, np.int64)
    for cell in range(2**depth):
        members = order[edges[cell] : edges[cell + 1]]
        out[cell] = members[np.argmin(_distances(entries[members], _mean(entries[members])))]
    return out


def _sorted(entries: np.ndarray, members: np.ndarray, middle: int) -> np.ndarray:
    """Members along the line between the means of their halves, found by halving along it a few times."""
    mine = entries[members]
    start = mine[np.argmax(_distances(mine, _mean(mine)))]
    direction = start - mine[np.argmax(_distances(mine, start))]
    for _ in range(_TURNS):
        ranks = np.argsort(mine @ direction, kind="stable")
        if 0 < middle < len(ranks):
            direction = _mean(mine[ranks[middle:]]) - _mean(mine[ranks[:middle]])
    # A half is turned to where its sums are larger, so that neighbours in the order stay near across a border.
    if direction.sum() < 0:
        direction = -direction
    return members[np.argsort(mine @ direction, kind="stable")]


def _mean(values: np.ndarray) -> np.ndarray:
    return values.sum(0) // len(values)


def _distances(values: np.ndarray, point: np.ndarray) -> np.ndarray:
    return ((values - point) ** 2).sum(1)
