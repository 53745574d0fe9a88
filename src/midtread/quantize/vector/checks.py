"""What vectors, codebooks and indices must be."""

from __future__ import annotations

import numpy as np

from midtread.errors import UsageError
from midtread.quantize.base import check_latents

MOST_ENTRIES = 2**16
MOST_DIMENSIONS = 4096
MOST = 1e15  # size of a sample: squared distances in 4096 dimensions stay within float32


def check_vectors(z: np.ndarray, dimensions: int | None, who: str) -> np.ndarray:
    """`z` as finite C-contiguous float32 [..., dimensions]; None takes any number of dimensions.

    Distances are computed in float32: samples that differ by less than 1e-22 are not told apart.

    Raises:
        UsageError: not real finite numbers up to `MOST`, or the last axis is not as long.
    """
    z = check_latents(z, who)
    if z.ndim == 0 or z.shape[-1] != (dimensions or z.shape[-1]) or not 1 <= z.shape[-1] <= MOST_DIMENSIONS:
        asked = dimensions or f"1 to {MOST_DIMENSIONS}"
        raise UsageError(f"{who} takes vectors of {asked} dimensions along the last axis, got shape {list(z.shape)}")
    if z.size and np.abs(z).max() > MOST:
        raise UsageError(f"{who} takes samples up to {MOST:g}, got {np.abs(z).max():g}: scale the vectors")
    return z.astype(np.float32, copy=False)


def check_codebook(codebook: np.ndarray, who: str) -> None:
    """Raise UsageError unless `codebook` is finite float32 [entries, dimensions]."""
    if not isinstance(codebook, np.ndarray) or codebook.dtype != np.float32:
        got = codebook.dtype.name if isinstance(codebook, np.ndarray) else type(codebook).__name__
        raise UsageError(f"{who} takes a codebook of float32, got {got}; convert it with astype(numpy.float32)")
    if codebook.ndim != 2 or not (1 <= len(codebook) <= MOST_ENTRIES and 1 <= codebook.shape[1] <= MOST_DIMENSIONS):
        raise UsageError(
            f"{who} takes a codebook of 1 to {MOST_ENTRIES} entries by 1 to {MOST_DIMENSIONS} dimensions, "
            f"got shape {list(codebook.shape)}"
        )
    good = np.abs(codebook) <= MOST  # false for NaN
    if not good.all():
        entry, column = np.argwhere(~good)[0]
        raise UsageError(
            f"{who} takes finite entries up to {MOST:g}; entry {entry} has {codebook[entry, column]} in column {column}"
        )


def check_indices(indices: np.ndarray, entries: int, who: str) -> None:
    """Raise UsageError unless all integers in `indices` are in [0, entries)."""
    if indices.size and not 0 <= indices.min() <= indices.max() < entries:
        where = tuple(int(i) for i in np.argwhere((indices < 0) | (indices >= entries))[0])
        raise UsageError(f"{who} has {entries} entries; index {indices[where]} at {where} is not in [0, {entries})")


def check_weights(weights: np.ndarray | None, count: int, who: str) -> np.ndarray:
    """`weights` as float64 [count], the largest 1; all 1 for None. Raises UsageError."""
    if weights is None:
        return np.ones(count)
    if not isinstance(weights, np.ndarray) or weights.dtype.kind not in "iuf" or weights.shape != (count,):
        got = f"{weights.dtype} {list(weights.shape)}" if isinstance(weights, np.ndarray) else type(weights).__name__
        raise UsageError(f"{who} takes one real weight for each of {count} vectors, got {got}")
    weights = weights.astype(np.float64)
    if not (np.isfinite(weights).all() and weights.min(initial=0) >= 0 and weights.max(initial=0) > 0):
        raise UsageError(
            f"{who} takes finite weights of at least 0, not all of them 0; got [{weights.min()}, {weights.max()}]"
        )
    return weights / weights.max()
