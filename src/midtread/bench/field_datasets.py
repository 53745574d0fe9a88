"""Fields to measure with: real ones, checked by checksum, and turbulence that a seeded function makes.

Nothing large is committed or downloaded: the synthetic fields are computed on first use and kept in the cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from midtread import media
from midtread.bench import dataset_tables as tables
from midtread.bench import fetch
from midtread.bench.datasets import Dataset
from midtread.errors import MissingError, UsageError

_VELOCITY, _DENSITY = "velocity.npy", "density.npy"


def turbulence(side: int, seed: int = 0) -> np.ndarray:
    """A Gaussian random field with the power spectrum of turbulence, P(k) ~ k**(-11/3), periodic.

    Source of the exponent: Kolmogorov's E(k) ~ k**(-5/3) = 4 pi k**2 P(k).

    Args:
        side: of the cube, at least 2.
        seed: of NumPy's default generator.

    Returns:
        float32 [side, side, side], mean 0, variance 1. Other versions of NumPy may differ in the last bits.
    """
    noise = np.fft.rfftn(np.random.default_rng(seed).standard_normal((side,) * 3, dtype=np.float32))
    k, last = np.fft.fftfreq(side, 1 / side), np.fft.rfftfreq(side, 1 / side)
    squared = k[:, None, None] ** 2 + k[None, :, None] ** 2 + last**2
    squared[0, 0, 0] = np.inf
    field = np.fft.irfftn(noise * squared ** (-11 / 12), (side,) * 3, (0, 1, 2))
    return np.asarray((field / field.std()).astype(np.float32))


@dataclass(frozen=True, slots=True)
class Turbulence:
    """`turbulence` as "velocity", and exp(1.8 times it) as "density": log-normal, with rare high peaks."""

    side: int

    def find(self, name: str, roots: tuple[Path, ...], cache: Path) -> list[tuple[Path, str | None]]:
        """See `datasets.Origin`; made when not there. Raises UsageError when the cache cannot be written."""
        for folder in (*(root / name for root in roots), cache):
            if all((folder / file).is_file() for file in (_DENSITY, _VELOCITY)):
                return [(folder / _DENSITY, None), (folder / _VELOCITY, None)]
        velocity = turbulence(self.side)
        try:
            cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot make the folder {cache} for dataset {name!r}: {error.strerror}") from error
        for file, x in ((_VELOCITY, velocity), (_DENSITY, np.exp(np.float32(1.8) * velocity))):
            media.save(cache / file, x)
        return [(cache / _DENSITY, None), (cache / _VELOCITY, None)]


@dataclass(frozen=True, slots=True)
class ByHand:
    """Files with known checksums that nobody serves in this form."""

    sha256: Mapping[str, str]

    def find(self, name: str, roots: tuple[Path, ...], cache: Path) -> list[tuple[Path, str | None]]:
        """See `datasets.Origin`."""
        found: list[tuple[Path, str | None]] = []
        for file, sha256 in sorted(self.sha256.items()):
            places = [path for path in (*(root / name / file for root in roots), cache / file) if path.is_file()]
            if not places:
                raise MissingError(
                    f"dataset {name!r} has to be put there by hand, {file} is missing; docs/datasets.md says where its "
                    f"files come from; put them into {cache}, or set MIDTREAD_DATA to a folder that holds {name}/"
                )
            fetch.verify(places[0], sha256, f"{file} of dataset {name!r}")
            found.append((places[0], sha256))
        return found


FIELDS = Dataset(
    name="fields",
    summary="13 scientific fields, 32^3 to 3 x 7 x 204 x 187: cosmology, turbulence, weather, ocean, magnetics",
    licence="per file: BSD-3, Apache-2.0, UK OGL, CC0, NCAR/NSF credit (docs/datasets.md)",
    homepage="https://github.com/midtread/midtread/blob/main/docs/datasets.md",
    origin=ByHand(tables.FIELDS_SHA256),
    evaluation_only=False,
)

TURBULENCE = Dataset(
    name="turbulence",
    summary="made on first use: 256^3 float32, a velocity with the spectrum of turbulence and a log-normal density",
    licence="made by midtread.bench.field_datasets.turbulence, seed 0",
    homepage="https://en.wikipedia.org/wiki/Energy_cascade",
    origin=Turbulence(256),
    evaluation_only=False,
)

TURBULENCE_64 = Dataset(
    name="turbulence-64",
    summary="the same, 64^3: for a first try",
    licence=TURBULENCE.licence,
    homepage=TURBULENCE.homepage,
    origin=Turbulence(64),
    evaluation_only=False,
)
