"""Vectors and the entries of a codebook. `vector_slow` defines them."""

import numpy as np

from midtread.kernels.jit import jit

BLOCK = 1024  # distances at a time: they stay in the first cache


@jit
def _nearest(vectors: np.ndarray, columns: np.ndarray, indices: np.ndarray, errors: np.ndarray) -> None:
    distances = np.empty(BLOCK, np.float32)
    # Squares are never negative, so their bits order as they do; integers are compared many at a time.
    bits = distances.view(np.int32)
    entries = columns.shape[1]
    for i in range(vectors.shape[0]):
        nearest, least = 0, np.int32(0x7F800001)  # above infinity: the first entry is nearer, whatever its distance
        for start in range(0, entries, BLOCK):
            count = min(BLOCK, entries - start)
            for j in range(vectors.shape[1]):
                value, column = vectors[i, j], columns[j, start : start + count]
                if j == 0:
                    for k in range(count):
                        difference = value - column[k]
                        distances[k] = difference * difference
                else:
                    for k in range(count):
                        difference = value - column[k]
                        distances[k] += difference * difference
            lowest = bits[0]
            for k in range(count):
                lowest = min(lowest, bits[k])
            if lowest < least:
                least, nearest = lowest, start
                while bits[nearest - start] != lowest:
                    nearest += 1
        indices[i] = nearest
        bits[0] = least
        errors[i] = distances[0]


def nearest(vectors: np.ndarray, codebook: np.ndarray, indices: np.ndarray, errors: np.ndarray) -> None:
    """The entry nearest to each vector, the first of equals, and the squared distance to it."""
    _nearest(vectors, np.ascontiguousarray(codebook.T), indices, errors)


@jit
def closer(columns: np.ndarray, entries: np.ndarray, errors: np.ndarray, lowered: np.ndarray) -> None:
    """The errors that would be left with one more entry, for each of some entries."""
    for c in range(entries.shape[0]):
        for start in range(0, errors.size, BLOCK):
            stop = min(start + BLOCK, errors.size)
            old, new = errors[start:stop], lowered[c, start:stop]
            for j in range(columns.shape[0]):
                value, column = entries[c, j], columns[j, start:stop]
                if j == 0:
                    for i in range(new.size):
                        difference = column[i] - value
                        new[i] = difference * difference
                else:
                    for i in range(new.size):
                        difference = column[i] - value
                        new[i] += difference * difference
            for i in range(new.size):
                new[i] = old[i] if old[i] < new[i] else new[i]
