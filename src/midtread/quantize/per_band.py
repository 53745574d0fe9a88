"""A step of its own for every part of the latents."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from midtread.errors import UsageError
from midtread.quantize.base import Band, Quantizer, check_symbols


@dataclasses.dataclass(frozen=True)
class PerBand(Quantizer):
    """Every band of the latents through its own quantizer; what is in no band becomes symbol 0 and latent 0."""

    name: ClassVar[str] = "per-band"
    summary: ClassVar[str] = "a quantizer of its own for every band"
    bands: tuple[tuple[Band, Quantizer], ...]

    @classmethod
    def by_norm(cls, bands: Iterable[Band], quantizer: Any) -> PerBand:
        """`quantizer` for all `bands`, its step divided by the norm of each.

        One step of any band then does the same squared error to the signal, which is optimal at high rate.
        """
        if not hasattr(quantizer, "step"):
            raise UsageError(f"quantizer {quantizer.name!r} has no step to divide by the norms of the bands")
        return cls(tuple((band, dataclasses.replace(quantizer, step=quantizer.step / band.norm)) for band in bands))

    @property
    def parts(self) -> int:
        """As many as the band of most parts has."""
        return max((quantizer.parts for _, quantizer in self.bands), default=1)

    def quantize(self, z: np.ndarray) -> np.ndarray:
        """Int32 symbols, every band by its own quantizer."""
        if not isinstance(z, np.ndarray):
            raise UsageError(f"quantizer {self.name!r} takes a NumPy array, got {type(z).__name__}; use numpy.asarray")
        symbols = np.zeros(z.shape, np.int32)
        for band, quantizer in self.bands:
            try:
                band.of(symbols)[...] = quantizer.quantize(band.of(z))
            except UsageError as error:
                raise UsageError(f"band {band.name}: {error}") from error
        return symbols

    def dequantize(self, symbols: np.ndarray, upto: int | None = None) -> np.ndarray:
        """The bands restored. A band of fewer parts than `upto` comes whole, with its last part."""
        upto = self.check_upto(upto)
        symbols = check_symbols(symbols, f"quantizer {self.name!r}")
        z = np.zeros(symbols.shape, np.float32)
        for band, quantizer in self.bands:
            band.of(z)[...] = quantizer.dequantize(band.of(symbols), min(upto, quantizer.parts))
        return z
