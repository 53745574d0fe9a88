"""What the `wavelet` codec learned from pictures: weights of neighbours and frequency tables, in wavelet.json.

Part of the format: once files exist, never change the numbers, add a version. `tools/train_wavelet.py` makes them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources

import numpy as np

from midtread.entropy.tables import Tables
from midtread.kernels.wavelet_coder_slow import BROKEN, CONTEXTS, FLAG, PRICES, REFINE, SIZES, TABLES, TOP, UNIT_TOLD

PRECISION = 14
START = 16  # how many symbols the means of a new block count for
NEVER = -(2**31)


@dataclass(frozen=True, eq=False)
class Learned:
    """Everything that was learned for one mode."""

    weights: np.ndarray  # int32 [roles 3, kinds 4, halves 2, WEIGHTS], kinds LL HL LH HH, roles as in `Part`
    totals: tuple[int, ...]  # of each context before REFINE: 256 START times the mean size it meets
    # Of the tables of symbols: sizes 0, 1 ... (both signs of a size have it), then the escape; of flags: no, yes.
    frequencies: tuple[tuple[int, ...], ...]

    @cached_property
    def tables(self) -> Tables:
        """Of symbols, of flags, and that of what is filled in, by the numbers `wavelet_coder_slow.tables` gives."""
        sizes = [(2 - len(row), [*row[-2:0:-1], *row]) for row in self.frequencies[:SIZES]]
        flags = [(0, [*row, 0]) for row in self.frequencies[SIZES:]]
        return Tables.of([*sizes, *flags, (0, [1 << PRECISION, 0])], PRECISION)

    @cached_property
    def start(self) -> np.ndarray:
        """Int64 [CONTEXTS, 2]: counts and totals that a block without parents starts with."""
        totals = [*self.totals, *[START * UNIT_TOLD // 2] * (CONTEXTS - REFINE)]
        start = np.stack([np.full(CONTEXTS, START), totals], 1).astype(np.int64)
        start.flags.writeable = False
        return start

    @lru_cache(8)  # noqa: B019 - of the two there are, which live as long as the program
    def thresholds(self, fraction: int, price: int) -> np.ndarray:
        """Int32 [TABLES, PRICES] for `wavelet_coder_slow.quantize`; price: of a bit, in 2**-12 squared steps."""
        out = np.full((TABLES, PRICES), NEVER, np.int64)
        if price:
            for t, (*sizes, escape) in enumerate(self.frequencies[:SIZES]):
                bits = np.full(PRICES, PRECISION - np.log2(escape) + 8)
                bits[: len(sizes)] = PRECISION - np.log2(sizes[:PRICES])
                saved = price * np.diff(np.rint(256 * bits).astype(np.int64)) << 2 * fraction  # 2**-20 squared units
                out[t, 1:-1] = (-(-saved // (2 << fraction + 20)) - (1 << fraction >> 1))[:-1]
        return np.maximum(out, NEVER).astype(np.int32)


def start_totals() -> tuple[int, ...]:
    """What contexts promise before anything is learned."""
    contexts = np.arange(REFINE)
    means = 2.0 ** ((np.clip(contexts, 1, TOP) - 0.5) / 2) / 128
    means[0], means[FLAG:BROKEN], means[BROKEN:] = 0.01, 0.1, 0.1
    return tuple(int(v) for v in np.rint(means * START * UNIT_TOLD))


@lru_cache
def learned(mode: str) -> Learned:
    """Of mode "lossy" or "lossless"."""
    text = (resources.files("midtread.codecs.image") / "wavelet.json").read_text(encoding="utf-8")
    numbers = json.loads(text)[mode]
    weights = np.array(numbers["weights"], np.int32)
    return Learned(weights, tuple(numbers["totals"]), tuple(map(tuple, numbers["frequencies"])))
