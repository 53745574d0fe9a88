"""jpegxr: JPEG XR (ITU-T T.832) by Microsoft's jxrlib: a lapped 4 x 4 transform, the same one lossy and lossless."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from midtread.codecs.external.native import NativeCodec, encoding, imagecodecs_backend
from midtread.errors import UsageError
from midtread.spec import Accepts, Knob, check_choice, check_range


@dataclass(frozen=True)
class JpegXR(NativeCodec):
    """JPEG XR with jxrlib's quality scale, which halves the chroma of uint8 pictures below 0.5."""

    name: ClassVar[str] = "jpegxr"
    summary: ClassVar[str] = "JPEG XR, lossy or lossless; jxrlib"
    accepts: ClassVar[Accepts] = Accepts(("uint8", "uint16"), (1, 3, 4))
    knob: ClassVar[Knob] = Knob("quality", 0.01, 0.99, "up", meaning="jxrlib quality; below 0.5 chroma is 4:2:0")
    native: ClassVar[str] = "jpegxr"

    quality: float = 0.8  # no meaning when lossless
    lossless: bool = False

    def __post_init__(self) -> None:
        check_range(self.name, "quality", self.quality, 0.01, 0.99)
        check_choice(self.name, "lossless", self.lossless, (True, False))

    def encode(self, x: np.ndarray) -> bytes:
        """uint8 or uint16 [H, W] or [H, W, 3..4] -> a JPEG XR file."""
        import imagecodecs

        x = self.check(x)
        if x.dtype == np.uint8 and self.chroma == "4:2:0" and x.shape[1] < 17:
            raise UsageError(
                f"codec 'jpegxr' below quality 0.5 takes uint8 pictures 17 or more pixels wide, got {x.shape[1]}: "
                "jxrlib cannot halve the chroma of a single block; set quality to 0.5 or more"
            )
        with encoding(self.name):
            return bytes(imagecodecs.jpegxr_encode(x, 1.0 if self.lossless else float(self.quality)))

    @classmethod
    def backend(cls) -> str:
        """As imagecodecs has it."""
        return imagecodecs_backend("jpegxr")

    @property
    def chroma(self) -> str:
        """4:2:0 below quality 0.5, as jxrlib's own encoder does; uint16 pictures are always 4:4:4."""
        return "4:2:0" if self.quality < 0.5 and not self.lossless else "4:4:4"
