"""Frequency tables as real symbols want them: counts from pictures, over a Gaussian where there are few.

What the networks call the scale of a Gaussian is one, but symbols are rounded, weighed against their bits, and have
heavier tails than the model that trained them; tables fitted to counts save about a percent.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from midtread.codecs.image.learned import place_of, tiles
from midtread.codecs.image.learned_latents import Quality
from midtread.codecs.image.learned_model import Model
from midtread.codecs.image.learned_refine import Refiner
from midtread.codecs.image.learned_runtime import open_run
from midtread.entropy.families import Family
from midtread.entropy.tables import Tables, normalise

_WIDEST = 512  # symbols either side of 0 that are counted
_GAUSSIAN = 300  # symbols that the Gaussian counts for, in each table
_TAIL = 3e-5  # mass of what no picture had


def count(model: Model, pictures: Iterable[np.ndarray], qualities: Iterable[float]) -> np.ndarray:
    """How often each table met each size, int64 [tables, _WIDEST + 2]; the last column: larger ones.

    Args:
        model: frozen with any tables.
        pictures: uint8 [H, W, 3].
        qualities: each picture is encoded at all of them.
    """
    counts = np.zeros((len(model.tables), _WIDEST + 2), np.int64)
    run = open_run(model, "onnxruntime", 1)
    qualities = list(qualities)
    for picture in pictures:
        for value in qualities:
            quality = Quality(model, place_of(value))
            refiner = Refiner("normal", quality, run, run, picture)
            for tile in tiles(picture.shape):
                y, z = refiner.analyse(tile)
                for symbols, rows in refiner.choose(tile, y, z).encoder(quality, run).chosen(z):
                    sizes = np.minimum(np.abs(symbols.reshape(-1).astype(np.int64)), _WIDEST + 1)
                    np.add.at(counts, (rows.reshape(-1), sizes), 1)
    return counts


def fit(counts: np.ndarray, family: Family) -> Tables:
    """Tables of `family`, moved towards the counts.

    Args:
        counts: of `count`.
        family: as many scales as there are rows.
    """
    rows = []
    for t, found in enumerate(counts):
        low, frequencies = family.tables.row(t)
        reach = min(-low + 2, _WIDEST)
        guess = np.zeros(reach + 1)
        guess[: -low + 1] = frequencies[-low:-1] / frequencies.sum()  # of 0, 1, 2 ... of one sign
        total = found.sum()
        masses = found[: reach + 1] / np.where(np.arange(reach + 1) > 0, 2, 1)
        masses = (masses + _GAUSSIAN * guess) / (total + _GAUSSIAN)
        masses[1:] = np.maximum.accumulate(masses[:0:-1])[::-1]  # never rising with the size
        tail = (found[reach + 1 :].sum() + _GAUSSIAN * _TAIL) / (total + _GAUSSIAN)
        weights = np.rint(np.concatenate([masses[:0:-1], masses, [tail]]) * 2**40).astype(np.int64)
        rows.append((-reach, normalise(np.maximum(weights, 1), family.precision)))
    return Tables.of([(low, row.tolist()) for low, row in rows], family.precision)
