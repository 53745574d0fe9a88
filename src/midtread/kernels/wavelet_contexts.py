"""Contexts of wavelet coefficients and what they learn, compiled; defined in `wavelet_coder_slow`.

Own rows are kept apart by the parity of their columns, so that every sum is a plain loop over neighbours in memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from midtread.kernels.jit import inlined, int32, int64, jit, uint8, uint64
from midtread.kernels.wavelet_coder_slow import (
    BROKEN,
    CALM,
    CONTEXTS,
    FILL,
    FLAG,
    FLAGS,
    LARGEST_TOLD,
    LEAST_MEAN,
    MEMORY,
    MOST,
    REFINE,
    SEGMENT,
    SIZES,
    TABLES,
    TOP,
    UNIT_TOLD,
)

_BIAS = 253


@inlined
def row_of(q: Any, box: Any, r: Any) -> Any:
    """Row r of the band in `box`: plane, first and last row, first and last column (last: one beyond)."""
    return q[box[0], box[1] + r, box[3] : box[4]]


@jit
def _add_own(
    even: np.ndarray, odd: np.ndarray, up_e: np.ndarray, up_o: np.ndarray, up2_e: np.ndarray, up2_o: np.ndarray,
    weights: np.ndarray,
) -> None:  # fmt: skip
    """Start the sums of a row with what the two rows above say; their element j stands at j + 1."""
    n, d, nn, k = weights[0, 0], weights[0, 1], weights[0, 2], weights[0, 3]
    for j in range(even.size):
        even[j] = n * up_e[j + 1] + d * (up_o[j] + up_o[j + 1]) + nn * up2_e[j + 1] + k * (up_e[j] + up_e[j + 2])
    n, d, nn, k = weights[1, 0], weights[1, 1], weights[1, 2], weights[1, 3]
    for j in range(odd.size):
        odd[j] = n * up_o[j + 1] + d * (up_e[j + 1] + up_e[j + 2]) + nn * up2_o[j + 1] + k * (up_o[j] + up_o[j + 2])


@jit
def _add_pairs(even: np.ndarray, odd: np.ndarray, row: np.ndarray, of_even: int, of_odd: int) -> None:
    """Add a row of another band at the same place."""
    for j in range(min(odd.size, row.size >> 1)):
        even[j] += of_even * abs(row[2 * j])
        odd[j] += of_odd * abs(row[2 * j + 1])
    last = even.size - 1
    if even.size > odd.size and row.size > 2 * last:
        even[last] += of_even * abs(row[2 * last])
    if row.size & 1 and row.size >> 1 < odd.size:
        even[row.size >> 1] += of_even * abs(row[row.size - 1])


@jit
def _sizes(to: np.ndarray, row: np.ndarray) -> None:
    """|row| to `to`, from element 1 on; what is beyond the row stays as it is."""
    for j in range(min(to.size - 1, row.size)):
        to[j + 1] = abs(row[j])


@jit
def _add_parents(even: np.ndarray, odd: np.ndarray, whole: np.ndarray, around: np.ndarray, weights: np.ndarray) -> None:
    """Add parents; `whole` has parent j at j + 1, `around` the parents above and below j at j + 1."""
    of, near = weights[0, 5], weights[0, 6]
    for j in range(even.size):
        even[j] += of * whole[j + 1] + near * (whole[j] + whole[j + 2] + around[j + 1])
    of, near = weights[1, 5], weights[1, 6]
    for j in range(odd.size):
        odd[j] += of * whole[j + 1] + near * (whole[j] + whole[j + 2] + around[j + 1])


@jit
def _gather_parents(q: np.ndarray, box: np.ndarray, r: int, whole: np.ndarray, around: np.ndarray) -> bool:
    """Fill both rows for `_add_parents`; False when there are no parents."""
    p, height = r >> 1, box[2] - box[1]
    if p > height or box[4] <= box[3]:
        return False
    whole[:], around[:] = 0, 0
    if p < height:
        _sizes(whole, row_of(q, box, p))
    if p > 0:
        _sizes(around, row_of(q, box, p - 1))
    if p + 1 < height:
        row = row_of(q, box, p + 1)
        for j in range(min(around.size - 1, row.size)):
            around[j + 1] += abs(row[j])
    return True


@jit
def open_row(
    even: np.ndarray, odd: np.ndarray, r: int, own: np.ndarray, q: np.ndarray, boxes: np.ndarray,
    weights: np.ndarray, whole: np.ndarray, around: np.ndarray,
) -> None:  # fmt: skip
    """All sums of row r but what W and E add to the odd ones; own [3, 2, n + 2] has row r at r % 3."""
    up, up2 = (r + 2) % 3, (r + 1) % 3
    _add_own(even, odd, own[up, 0], own[up, 1], own[up2, 0], own[up2, 1], weights)
    if _gather_parents(q, boxes[1], r, whole, around):
        _add_parents(even, odd, whole, around, weights)
    for i in range(2, 6):
        if r < boxes[i, 2] - boxes[i, 1]:
            _add_pairs(even, odd, row_of(q, boxes[i], r), weights[0, 5 + i], weights[1, 5 + i])


@jit
def add_sides(odd: np.ndarray, even_sizes: np.ndarray, weight: int) -> None:
    """Add W and E to the sums of odd columns."""
    for j in range(odd.size):
        odd[j] += weight * (even_sizes[j + 1] + even_sizes[j + 2])


@jit
def contexts(s: np.ndarray, f: np.ndarray, bits: np.ndarray, context: np.ndarray) -> int:
    """Contexts int32 of sums; `bits` is `f` seen as int32. Returns the largest."""
    most = int32(0)
    for j in range(s.size):
        f[j] = np.float32(s[j])
    for j in range(s.size):
        c = min(max((bits[j] >> int32(22)) - int32(_BIAS), int32(0)), int32(MOST))
        context[j] = c
        most = max(most, c)
    return most


@jit
def refine_contexts(context: np.ndarray, n: int, row: np.ndarray, half: int) -> None:
    """Contexts of n integers that stand doubled in row[half::2]; see `wavelet_coder_slow.refined`."""
    for j in range(n):
        size = abs(row[half + 2 * j]) >> 1
        context[j] = int32(REFINE - 1) + min(size, int32(3)) if size else min(context[j], int32(TOP))


@jit
def find_busy(context: np.ndarray, n: int, busy: np.ndarray) -> int:
    """Note the largest context of each segment; returns how many are calm. `context` has zeros behind n."""
    count = 0
    for segment in range((n + SEGMENT - 1) // SEGMENT):
        most, of = int32(0), uint64(segment * SEGMENT)
        for j in range(SEGMENT):
            most = max(most, context[of + uint64(j)])
        busy[segment] = most
        count += most <= CALM
    return count


@jit
def choose_tables(learnt: np.ndarray, mean: np.ndarray, bits: np.ndarray, which: np.ndarray) -> None:
    """See `wavelet_coder_slow.tables`; `bits` is `mean`, float32 [CONTEXTS], seen as int32."""
    for c in range(CONTEXTS):
        mean[c] = np.float32(np.float32(learnt[c, 1]) / np.float32(UNIT_TOLD)) / np.float32(learnt[c, 0])
    for c in range(CONTEXTS):
        which[c] = uint8(min(max((bits[c] >> int32(21)) - int32(LEAST_MEAN), int32(0)), int32(SIZES - 1)))
    for c in range(FLAG, FILL):
        if BROKEN <= c < REFINE:
            continue
        place = (bits[c] >> int32(21)) - int32(LEAST_MEAN)
        which[c] = uint8(SIZES + min(max(place, int32(0)), int32(FLAGS - 1)))
    which[FILL] = uint8(TABLES - 1)


@jit
def tell(symbols: np.ndarray, names: np.ndarray, first: int, last: int, told: np.ndarray) -> None:
    """Add symbols[first:last] to `told`: for each context, 2**40 times their number plus their sizes."""
    for i in range(uint64(first), uint64(last)):
        size = min(max(symbols[i], ~symbols[i]) + int32(symbols[i] < 0), int32(LARGEST_TOLD))
        told[names[i]] += (int64(1) << 40) + int64(size)


@jit
def learn(learnt: np.ndarray, told: np.ndarray) -> None:
    """Add what a row told and forget it there."""
    for c in range(CONTEXTS):
        count, total = learnt[c, 0] + (told[c] >> 40), learnt[c, 1] + (told[c] & 0xFFFFFFFFFF) * UNIT_TOLD
        half = int64(count > MEMORY)
        learnt[c, 0], learnt[c, 1], told[c] = count >> half, total >> half, 0
    told[FILL] = 0


@inlined
def shift(context: Any) -> Any:
    """K of a context up to MOST."""
    return max(int64(context) - (TOP - 1), 0) >> 1


@jit
def write_row(row: np.ndarray, even: np.ndarray, odd: np.ndarray) -> None:
    """Integers of both halves to their row."""
    for j in range(row.size >> 1):
        row[2 * j] = even[j]
        row[2 * j + 1] = odd[j]
    if row.size & 1:
        row[row.size - 1] = even[row.size >> 1]


@jit
def keep_sizes(x: np.ndarray, n: int, sizes: np.ndarray) -> None:
    """|x| to `sizes`, from element 1 on."""
    for j in range(n):
        sizes[j + 1] = abs(x[j])


@inlined
def room_of(w: Any) -> Any:
    """Half a row of w columns, up to the end of its last segment."""
    return ((w + 1) // 2 + SEGMENT - 1) // SEGMENT * SEGMENT
