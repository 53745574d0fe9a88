"""Vectors and the entries of a codebook as anybody can follow them: the definition that `vector` must equal.

Every float32 operation is rounded; a squared distance is summed column by column, the first one first.
"""

import numpy as np

PART = 2**17  # distances at a time


def nearest(vectors: np.ndarray, codebook: np.ndarray, indices: np.ndarray, errors: np.ndarray) -> None:
    """The entry nearest to each vector, the first of equals, and the squared distance to it.

    Args:
        vectors: float32 [n, dimensions], finite.
        codebook: float32 [entries, dimensions], finite.
        indices: int32 [n], filled.
        errors: float32 [n], filled; infinity where the square is beyond float32.
    """
    rows = max(1, PART // len(codebook))
    with np.errstate(over="ignore"):
        for start in range(0, len(vectors), rows):
            part = vectors[start : start + rows]
            distances = np.zeros((len(part), len(codebook)), np.float32)
            for j in range(vectors.shape[1]):
                distances += np.square(part[:, j, None] - codebook[None, :, j])
            found = distances.argmin(1)
            indices[start : start + rows] = found
            errors[start : start + rows] = distances[np.arange(len(part)), found]


def closer(columns: np.ndarray, entries: np.ndarray, errors: np.ndarray, lowered: np.ndarray) -> None:
    """The errors that would be left with one more entry, for each of some entries.

    Args:
        columns: float32 [dimensions, n], finite: the vectors.
        entries: float32 [m, dimensions], finite.
        errors: float32 [n], squared distances to the nearest of the entries there are.
        lowered: float32 [m, n], filled: each error, or the squared distance to the new entry where that is less.
    """
    lowered[...] = 0
    with np.errstate(over="ignore"):
        for j in range(len(columns)):
            lowered += np.square(columns[j] - entries[:, j, None])
    np.minimum(errors, lowered, out=lowered)
