"""jpeg2000 (OpenJPEG, EBCOT) and htj2k (OpenJPH, the high-throughput block coder): one wavelet, two entropy coders.

Lossy files use the 9/7 filters and the irreversible colour transform, lossless ones the 5/3 filters and the
reversible transform. (Pillow's and ffmpeg's defaults use neither and lose 0.7 to 5 dB; published JPEG 2000 rows made
with them are not this codec.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from midtread import media
from midtread.codecs.external.native import NativeCodec, cpus, encoding, imagecodecs_backend
from midtread.spec import Accepts, Knob, check_choice, check_range, stage


@dataclass(frozen=True)
class Jpeg2000(NativeCodec):
    """JPEG 2000 part 1 in a JP2 file, its rate chosen by OpenJPEG's own PSNR target."""

    name: ClassVar[str] = "jpeg2000"
    summary: ClassVar[str] = "JPEG 2000, 9/7 + colour transform, or 5/3 lossless; OpenJPEG"
    accepts: ClassVar[Accepts] = Accepts(("uint8", "uint16"), (1, 2, 3, 4))
    knob: ClassVar[Knob] = Knob("psnr_db", 15, 100, "up", meaning="PSNR that OpenJPEG aims at, dB (it lands near)")
    native: ClassVar[str] = "jpeg2000"

    psnr_db: float = 40.0  # estimated in the wavelet domain; no meaning when lossless
    lossless: bool = False

    def __post_init__(self) -> None:
        check_range(self.name, "psnr_db", self.psnr_db, 15, 100)
        check_choice(self.name, "lossless", self.lossless, (True, False))

    def encode(self, x: np.ndarray) -> bytes:
        """uint8 or uint16 [H, W] or [H, W, 2..4] -> a JP2 file of one tile and one quality layer."""
        import imagecodecs

        x = self.check(x)
        level = 0 if self.lossless else float(self.psnr_db)  # 0 dB stands for "keep all"
        with encoding(self.name):
            return bytes(
                imagecodecs.jpeg2k_encode(
                    x, level, reversible=self.lossless, mct=True, codecformat="jp2", numthreads=cpus()
                )
            )

    @classmethod
    def backend(cls) -> str:
        """OpenJPEG of imagecodecs."""
        return imagecodecs_backend("jpeg2k")


@dataclass(frozen=True)
class Htj2k(NativeCodec):
    """High-throughput JPEG 2000 (ITU-T T.814): about ten times as fast, 5 to 10 % larger."""

    name: ClassVar[str] = "htj2k"
    summary: ClassVar[str] = "high-throughput JPEG 2000; OpenJPH"
    accepts: ClassVar[Accepts] = Accepts(("uint8", "uint16"), (1, 3, 4))
    knob: ClassVar[Knob] = Knob("step", 1e-4, 0.5, "down", meaning="wavelet step, parts of the full scale", log=True)
    native: ClassVar[str] = "htj2k"

    step: float = 0.02  # no meaning when lossless
    lossless: bool = False

    def __post_init__(self) -> None:
        check_range(self.name, "step", self.step, 1e-4, 0.5)
        check_choice(self.name, "lossless", self.lossless, (True, False))

    def encode(self, x: np.ndarray) -> bytes:
        """uint8 or uint16 [H, W] or [H, W, 3..4] -> a bare code stream."""
        import imagecodecs

        x = self.check(x)
        level = None if self.lossless else float(self.step)
        with encoding(self.name):
            return bytes(imagecodecs.htj2k_encode(x, level, reversible=self.lossless))

    def decode(self, data: bytes) -> np.ndarray:
        """Decompress with OpenJPEG: OpenJPH as imagecodecs calls it wraps around where it should clip at white."""
        with stage("decode"):
            return media.decode("jpeg2000", data)

    @classmethod
    def backend(cls) -> str:
        """OpenJPH of imagecodecs."""
        return imagecodecs_backend("htj2k")
