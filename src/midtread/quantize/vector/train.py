"""Codebooks for a set of vectors: k-means.

    a random part ──► k-means++ seeds ──► Lloyd's iteration ──► four times the part ──► Lloyd's iteration ──► ... all

The parts nest, so a large set costs few passes over all of it: most steps are made on small parts.

Sources: Linde, Buzo, Gray, "An algorithm for vector quantizer design", 1980; Arthur & Vassilvitskii, "k-means++", 2007
(seeds, of several tries the best); Newling & Fleuret, "Nested mini-batch k-means", 2016 (parts that nest).
"""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np

from midtread.errors import UsageError
from midtread.kernels.twins import pick
from midtread.quantize.base import check_whole
from midtread.quantize.vector.checks import MOST_ENTRIES, check_vectors, check_weights

FIRST_PART = 32  # vectors for an entry in the first part
GROWTH = 4  # of a part to the next
PASSES, TYPICAL_PASSES = 100, 20  # at most, over one part
ENOUGH = 1e-4  # share of the error that a pass must take away to be followed by another


def train(vectors: np.ndarray, entries: int, seed: int = 0, weights: np.ndarray | None = None) -> np.ndarray:
    """The codebook of least weighted squared error that k-means finds; every entry is the nearest of some vector.

    The same arguments give the same codebook on one machine; on another a matrix product may round another way and so
    choose another seed. The order of the entries means nothing.

    Args:
        vectors: [n, dimensions], finite real numbers; n at least 1.
        entries: at most so many come out, 1 to 65,536: fewer when fewer different vectors have weight.
        seed: of the random choices.
        weights: [n], what an error in each vector counts, at least 0; None: all the same.

    Returns:
        float32 [at most `entries`, dimensions].

    Raises:
        UsageError: an argument is not as said.
    """
    who = "training a codebook"
    vectors = check_vectors(vectors, None, who)
    check_whole(who, "entries", entries, 1, MOST_ENTRIES)
    check_whole(who, "seed", seed, 0, 2**63 - 1)
    if vectors.ndim != 2 or not len(vectors):
        raise UsageError(f"{who} takes vectors [n, dimensions], n at least 1, got shape {list(vectors.shape)}")
    weights = check_weights(weights, len(vectors), who)
    if not weights.all():  # what counts for nothing shall be no entry, either
        vectors, weights = vectors[weights > 0], weights[weights > 0]
    rng = np.random.default_rng(seed)
    size = FIRST_PART * entries
    if size < len(vectors):
        order = rng.permutation(len(vectors))
        vectors, weights = vectors[order], weights[order]
    codebook = _seeds(vectors[:size], weights[:size], entries, rng)
    while True:
        whole = codebook[np.arange(entries) % len(codebook)]  # copies are idle: this part may have use for them
        codebook = _lloyd(vectors[:size], weights[:size], whole)
        if size >= len(vectors):
            return codebook
        size *= GROWTH


def kernel_for(vectors: np.ndarray, entries: int, passes: int = 1) -> ModuleType:
    """The kernels to search for float32 [n, dimensions] among `entries`, so many times; slow ones if that is little."""
    # The slow twins take 4 ns for a difference: 400 of them are as long as what `pick` calls a sample.
    return pick("vector", vectors.size * entries * passes // 400)


def _seeds(vectors: np.ndarray, weights: np.ndarray, entries: int, rng: np.random.Generator) -> np.ndarray:
    """Vectors, each the best of a few drawn with a chance in proportion to their weighted squared error."""
    tries = 2 + int(math.log(entries))
    kernel, columns = kernel_for(vectors, entries, TYPICAL_PASSES), np.ascontiguousarray(vectors.T)
    lowered = np.empty((tries, len(vectors)), np.float32)
    chosen = [int(_draw(weights, 1, rng)[0])]
    errors = np.full(len(vectors), np.inf, np.float32)
    kernel.closer(columns, vectors[chosen], errors, lowered[:1])
    errors = lowered[0].copy()
    narrow = weights.astype(np.float32)  # a float32 sum chooses as well
    while len(chosen) < entries:
        lost = errors * weights
        if not lost.any():  # every vector is an entry
            break
        drawn = _draw(lost, tries, rng)
        kernel.closer(columns, vectors[drawn], errors, lowered)
        best = int(np.argmin(lowered @ narrow))
        chosen.append(int(drawn[best]))
        errors[...] = lowered[best]
    return vectors[chosen]


def _draw(chances: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    reach = np.cumsum(chances)
    # Below the last value even after rounding; the first place above it has a chance that is not 0.
    return np.searchsorted(reach, np.minimum(rng.random(count) * reach[-1], np.nextafter(reach[-1], 0)), side="right")


def _lloyd(vectors: np.ndarray, weights: np.ndarray, codebook: np.ndarray) -> np.ndarray:
    """Move entries to the means of their vectors until that gains little; idle ones go where the error is largest."""
    kernel = kernel_for(vectors, len(codebook), TYPICAL_PASSES)
    indices, errors = np.empty(len(vectors), np.int32), np.empty(len(vectors), np.float32)
    before = np.inf
    for turn in range(PASSES):
        kernel.nearest(vectors, codebook, indices, errors)
        load = np.bincount(indices, weights, len(codebook))
        total = errors @ weights
        idle = np.flatnonzero(load == 0)
        if turn == PASSES - 1 or total == 0 or (not idle.size and total >= (1 - ENOUGH) * before):
            break
        before = total
        sums = sums_of(vectors, weights, indices, len(codebook))
        codebook = (sums / np.where(load > 0, load, 1)[:, None]).astype(np.float32)
        if idle.size:
            revived = worst(vectors, errors, idle.size, weights)
            codebook[idle[: len(revived)]] = revived
    return codebook[load > 0]


def sums_of(vectors: np.ndarray, weights: np.ndarray, indices: np.ndarray, entries: int) -> np.ndarray:
    """float64 [entries, dimensions]: the weighted sum of each entry's vectors."""
    return np.stack([np.bincount(indices, weights * column, entries) for column in vectors.T], axis=1)


def worst(vectors: np.ndarray, errors: np.ndarray, count: int, weights: np.ndarray | None = None) -> np.ndarray:
    """The worst coded vectors, at most `count`: each the worst after those before it have become entries.

    The largest errors as they are would often be neighbours, which need one entry and not many.

    Args:
        vectors: float32 [n, dimensions].
        errors: float32 [n], squared distances to the entries as they are.
        count: of the vectors wanted; fewer come when fewer have an error.
        weights: float64 [n]; None: all the same.
    """
    kernel, columns = kernel_for(vectors, count), np.ascontiguousarray(vectors.T)
    chosen = list[int]()
    while len(chosen) < count:
        place = int(np.argmax(errors if weights is None else errors * weights))
        if errors[place] == 0:
            break
        chosen.append(place)
        lowered = np.empty((1, len(vectors)), np.float32)
        kernel.closer(columns, vectors[chosen[-1:]], errors, lowered)
        errors = lowered[0]
    return vectors[chosen]
