"""Block transforms as anybody can follow them: the definition that `dct` must equal, and what small inputs run on.

A plane is cut into blocks of n x n from its top left corner; what is left over at the right and at the bottom makes
smaller blocks, transformed by the matrix of their own size. Each block is replaced by its coefficients, in place.
"""

import numpy as np

SHIFT = 20  # fraction bits of the multipliers of `rotate`


def _strips(x: np.ndarray, axis: int, n: int) -> list[np.ndarray]:
    """Views of n samples of one axis each, the last maybe shorter; that axis comes first."""
    x = np.moveaxis(x, axis, 0)
    return [x[start : start + n] for start in range(0, len(x), n)]


def multiply(x: np.ndarray, z: np.ndarray, n: int, full: np.ndarray, bottom: np.ndarray, right: np.ndarray) -> None:
    """Multiply the blocks of x [p, h, w] float32 by a matrix, down the columns, then along the rows, into z.

    Args:
        x: planes.
        z: output, not the memory of x.
        n: size of a block.
        full: float32 [n, n].
        bottom: float32 [h % n, h % n], for the blocks that have fewer rows.
        right: float32 [w % n, w % n], for the blocks that have fewer columns.
    """
    z[...] = x
    for axis, rest in ((1, bottom), (2, right)):
        for t in _strips(z, axis, n):
            matrix = full if len(t) == n else rest
            s = t.copy()
            for i in range(len(t)):
                t[i] = matrix[i, 0] * s[0]
                for j in range(1, len(t)):  # every product and every sum is rounded, in this order
                    t[i] += matrix[i, j] * s[j]


def rotate(
    x: np.ndarray, z: np.ndarray, n: int, full: np.ndarray, bottom: np.ndarray, right: np.ndarray, sign: int
) -> None:
    """Run the blocks of x [p, h, w] int32 through a program into z; exact, as each of its steps can be undone.

    A program is int64 [steps, 3]. Its step (i, j, c) is t[i] += (c * t[j] + 2^19) >> 20, modulo 2^32; with c = 0 it
    swaps t[i] and t[j], or negates t[i] if i = j.

    Args:
        x: planes.
        z: output, not the memory of x.
        n: size of a block.
        full: program for n samples.
        bottom: program for h % n samples.
        right: program for w % n samples.
        sign: 1 runs the programs down the columns, then along the rows; -1 undoes that.
    """
    z[...] = x
    for axis, rest in ((1, bottom), (2, right))[::sign]:
        for t in _strips(z, axis, n):
            for i, j, c in (full if len(t) == n else rest)[::sign]:
                if c != 0:
                    t[i] += (sign * ((c * t[j].astype(np.int64) + (1 << SHIFT - 1)) >> SHIFT)).astype(np.int32)
                elif i != j:
                    t[[i, j]] = t[[j, i]]
                else:
                    t[i] = -t[i]
