"""How finely each number of a Gaussian is told: how many values a symbol can have, by those told before.

Tables, and products of them: integers, the same on every machine. Each function takes arrays, or one Gaussian's
numbers, and compiles as it stands; docs/formats/gaussian.md has the formulas.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

LEVELS = 35
SMALLEST, SIZES = -3, 18  # sizes, in half octaves of sigma
MOST = 4096  # values of any of part, turn, part_x, part_y

MARGIN = 8  # pixels around the picture where centres may be
YCC = np.array([[1 / 3**0.5] * 3, [1 / 2**0.5, 0, -1 / 2**0.5], [1 / 6**0.5, -2 / 6**0.5, 1 / 6**0.5]], np.float32)
HALF_OCTAVES = 2.0 ** (-np.arange(SMALLEST, SMALLEST + SIZES) / 2)  # 1 / sigma of sizes

# Norms of the kernel and of its derivatives by centre, log sigma and log ratio of the axes, each over sigma.
NORM, NORM_PLACE, NORM_SIZE, NORM_RATIO = 1.671, 1.34, 2.526, 0.893
RATIO_BITS, RATIO_LIMIT = 16, 6  # ratios are in 2**-16, below 6 (the longer axis is e**6 times the shorter)
_BUCKETS, _ANGLES = 16, 64  # of a ratio of 1; of half a turn
_FINE = 10  # bits of fractions in tables

# The least M of the level above each: 2**(level + 0.5) rounded up.
ABOVE = np.array([math.isqrt(2 ** (2 * level + 1)) + 1 for level in range(LEVELS)], np.int64)


def real_tables() -> dict[str, np.ndarray]:
    """The tables before rounding, float64; no entry is near a tie (a test), so they are the same everywhere."""
    root = 2.0 ** (np.arange(LEVELS) / 2)
    ratio = (np.arange(RATIO_LIMIT * _BUCKETS) + 0.5) / _BUCKETS
    angle = (np.arange(_ANGLES) + 0.5) / _ANGLES * math.pi
    down = np.sqrt(np.exp(ratio)[:, None] * np.sin(angle) ** 2 + np.exp(-ratio)[:, None] * np.cos(angle) ** 2)
    return {
        "parts": math.log(2) / 2 * NORM_SIZE / NORM * root,
        "ratio_step": 2**RATIO_BITS * NORM / NORM_RATIO / root,
        "spin": 2**_FINE * 2 * math.pi * np.sinh(ratio) / ratio,
        "reach": 2**_FINE * NORM_PLACE / NORM * 2.0 ** (np.arange(-SIZES, LEVELS - SMALLEST) / 2),
        "across": 2**_FINE / down,
        "down": 2**_FINE * down,
    }


_TABLES = {name: np.rint(table).astype(np.int64).ravel() for name, table in real_tables().items()}
_PARTS = np.clip(_TABLES["parts"], 1, MOST)
_RATIO_STEP = np.maximum(_TABLES["ratio_step"], 2**RATIO_BITS * RATIO_LIMIT // MOST + 1)
_MOST_RINGS = ((RATIO_LIMIT << RATIO_BITS) - 1) // _RATIO_STEP
_SPIN, _REACH, _ACROSS, _DOWN = (_TABLES[name] for name in ("spin", "reach", "across", "down"))
_BUCKET, _HALF, _HALF_OF_TWO = 2**RATIO_BITS // _BUCKETS, 1 << (_FINE - 1), 1 << (2 * _FINE - 1)


def precision(level: Any) -> tuple[Any, Any, Any]:
    """(parts, step of ratios in 2**-16, the largest ring), int64, for levels."""
    return _PARTS[level], _RATIO_STEP[level], _MOST_RINGS[level]


def turns(ring: Any, ratio_step: Any) -> Any:
    """How many angles there are, int64."""
    count = (ring * _SPIN[(ring * ratio_step) // _BUCKET] + _HALF) >> _FINE
    return np.minimum(np.maximum(count, 1), MOST)


def places(level: Any, size: Any, ratio: Any, turn: Any, turns: Any, cell_log2: int) -> tuple[Any, Any]:
    """(across, down), int64: how many places a cell has; ratio = ring * ratio_step."""
    reach = _REACH[level - size + SIZES] << cell_log2
    at = ratio // _BUCKET * _ANGLES + (2 * turn + 1) * (_ANGLES // 2) // turns
    across, down = (reach * _ACROSS[at] + _HALF_OF_TWO) >> 2 * _FINE, (reach * _DOWN[at] + _HALF_OF_TWO) >> 2 * _FINE
    return np.minimum(np.maximum(across, 1), MOST), np.minimum(np.maximum(down, 1), MOST)


def factors(size: Any, part: Any, parts: Any, ratio: Any, turn: Any, turns: Any) -> tuple[Any, Any, Any]:
    """A, b and c, float32, of symbols and of how many values they can have; ratio = ring * ratio_step.

    Angles are folded into a quarter of a turn: sines near pi, many times stretched, would be no good as float32.
    """
    half = np.float32(0.5)
    place = (np.float32(part) + half) / np.float32(parts)
    inverse = np.exp2((half - place - np.float32(size)) * half)
    folded = np.minimum(turn, turns - 1 - turn)
    angle = (np.float32(folded) + half) * np.float32(math.pi) / np.float32(turns)
    sine, cosine = np.sin(angle), np.cos(angle) * np.float32(1 - 2 * (folded < turn))
    stretch = np.exp(np.float32(ratio) * np.float32(2.0**-RATIO_BITS))
    shrink = np.float32(1) / stretch
    down = np.sqrt(stretch * sine * sine + shrink * cosine * cosine)
    along = inverse / down
    return along, along * (stretch - shrink) * sine * cosine, inverse * down
