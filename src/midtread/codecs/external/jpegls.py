"""jpegls: lossless and near-lossless JPEG-LS (ITU-T T.87) by CharLS: median prediction, adaptive Golomb codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from midtread.codecs.external.native import NativeCodec, check_sides, encoding, imagecodecs_backend
from midtread.spec import Accepts, Knob, check_range

_MAX_NEAR = 127  # T.87: at most half the full scale of 8-bit samples (and 255 for longer ones)


@dataclass(frozen=True)
class JpegLS(NativeCodec):
    """No sample is off by more than `near`; 0 is lossless."""

    name: ClassVar[str] = "jpegls"
    summary: ClassVar[str] = "JPEG-LS, lossless or with a bound on every sample's error; CharLS"
    accepts: ClassVar[Accepts] = Accepts(("uint8", "uint16"), (1, 3, 4))
    knob: ClassVar[Knob] = Knob("near", 0, _MAX_NEAR, "down", integer=True, meaning="largest error of a sample")
    native: ClassVar[str] = "jpegls"

    near: int = 0  # in steps of the samples, for uint8 and uint16 alike

    def __post_init__(self) -> None:
        check_range(self.name, "near", self.near, 0, _MAX_NEAR, integer=True)

    def encode(self, x: np.ndarray) -> bytes:
        """uint8 or uint16 [H, W] or [H, W, 3..4] -> a JPEG-LS file; sides up to 65535."""
        import imagecodecs

        x = self.check(x)
        check_sides(self.name, x, 65535)
        with encoding(self.name):
            return bytes(imagecodecs.jpegls_encode(x, self.near))

    @classmethod
    def backend(cls) -> str:
        """As imagecodecs has it."""
        return imagecodecs_backend("jpegls")

    @property
    def lossless(self) -> bool:
        """When `near` is 0."""
        return self.near == 0
