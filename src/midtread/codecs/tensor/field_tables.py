"""The frequency tables of the field codec: the same 64 for every file, so none is counted, sent or built from data.

Two for each of 32 scales s in geometric steps: P(k) as a two-sided geometric law, exp(-|k| / s), and a mixture of two
of them with heavier tails, 3/4 of scale s / 1.6 and 1/4 of scale 2.2 s. Integers from exact arithmetic (`exact_math`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from midtread.entropy import exact_math
from midtread.entropy.loading import kernel
from midtread.entropy.tables import Tables, normalise
from midtread.kernels.field_counts_slow import BIT, COUNTED

SCALES = 32
COUNT = 2 * SCALES  # table 2 i is the geometric one of scale i, 2 i + 1 the mixture
WIDEST = COUNT - 2
_LOWEST, _HIGHEST = 0.08, 96.0
_PRECISION = 16  # bits
_LEAST_REACH = 8  # symbols of magnitudes below are in every table


class Costs(NamedTuple):
    """What an encoder needs to choose a table: whole numbers of 1 / BIT bits, so that all choose alike."""

    bits: np.ndarray  # int32 [COUNT, magnitudes], of one symbol
    tile_limits: np.ndarray  # int64 [SCALES - 1]: sums of 64 magnitudes from which the next scale is cheaper
    tile_zero: np.ndarray  # int64 [SCALES]: of 64 zeros
    tile_more: np.ndarray  # int64 [SCALES]: what each 1 of magnitude adds


def _masses(scale: float) -> np.ndarray:
    """P(k) for k = 0, 1, 2 ..."""
    k = np.arange(int(scale * 16) + 4, dtype=np.float64)
    powers = exact_math.exp(-k / scale)
    ratio = powers[1]
    return powers * ((1.0 - ratio) / (1.0 + ratio))


@lru_cache(maxsize=1)
def tables() -> Tables:
    """All of them."""
    rows = []
    for scale in _scales():
        narrow, wide = _masses(scale / 1.6), _masses(scale * 2.2)
        mixture = 0.25 * wide
        mixture[: narrow.size] += 0.75 * narrow
        rows += [_row(_masses(scale)), _row(mixture)]
    lows = [-(row.size // 2 - 1) for row in rows]
    return Tables.build(_PRECISION, lows, [row.size - 1 for row in rows], np.concatenate(rows))


def _scales() -> list[float]:
    low, high = exact_math.log(np.array([_LOWEST, _HIGHEST]))
    steps = np.arange(SCALES, dtype=np.float64) / (SCALES - 1)
    return exact_math.exp(low + (high - low) * steps).tolist()


def _row(half: np.ndarray) -> np.ndarray:
    """Frequencies of -r ... r and of the escape."""
    one = 1 << 40
    weights = np.rint(np.concatenate([half, np.zeros(_LEAST_REACH)]) * one).astype(np.int64)
    reach = max(_LEAST_REACH, int(np.count_nonzero(weights << _PRECISION >= one // 2)))
    escape = max(1, one - int(weights[0] + 2 * weights[1:reach].sum()))
    weights = np.maximum(weights[:reach], 1)  # no table lacks a small symbol
    return normalise(np.concatenate([weights[:0:-1], weights, [escape]]), _PRECISION)


@lru_cache(maxsize=1)
def costs() -> Costs:
    """What symbols cost under each table; escapes are counted roughly."""
    bits = np.empty((COUNT, COUNTED))
    for t in range(COUNT):
        low, frequencies = tables().row(t)
        half = frequencies[-low:-1].astype(np.float64)
        escape = _PRECISION - np.log2(float(frequencies[-1]))
        known = np.full(COUNTED, escape + 12.0)
        known[: min(COUNTED, half.size)] = _PRECISION - np.log2(np.maximum(half[:COUNTED], 0.5))
        bits[t] = known
    ratios = np.exp(-1.0 / np.array(_scales()))
    zero, more = -64.0 * np.log2((1 - ratios) / (1 + ratios)), -np.log2(ratios)
    return Costs(
        np.rint(BIT * bits).astype(np.int32),
        np.ceil(np.diff(zero) / -np.diff(more)).astype(np.int64),
        np.rint(BIT * zero).astype(np.int64),
        np.rint(BIT * more).astype(np.int64),
    )


def choose(histogram: np.ndarray) -> tuple[np.ndarray, int]:
    """(uint8 [contexts]: the cheapest table for each row of a histogram of magnitudes, cost of all rows together)."""
    chosen = np.empty(histogram.shape[0], np.uint8)
    run = kernel("field_counts", 0, "choose")
    total = run.choose(histogram, costs().bits, costs().tile_limits, chosen)
    return chosen, int(total)


def new_histogram(contexts: int) -> np.ndarray:
    """uint32 [contexts, magnitudes], zeros."""
    return np.zeros((contexts, COUNTED), np.uint32)
