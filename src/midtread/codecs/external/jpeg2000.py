"""jpeg2000 (OpenJPEG, EBCOT) and htj2k (OpenJPH, the high-throughput block coder): one wavelet, two entropy coders.

Lossy files use the 9/7 filters and the irreversible colour transform, lossless ones the 5/3 filters and the
reversible transform. (Pillow's and ffmpeg's defaults use neither and lose 0.7 to 5 dB; published JPEG 2000 rows made
with them are not this codec.)

JPEG 2000 is steered by its rate: published curves average pictures of equal rate, and over Kodak those of equal PSNR
average 2 dB lower at 0.1 bit per pixel. Only Pillow hands OpenJPEG a rate, only imagecodecs writes 16-bit colour: for
that, `_search` finds the rate in ten encodes.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from midtread import media
from midtread.codecs.external.native import NativeCodec, cpus, encoding, imagecodecs_backend
from midtread.errors import UsageError
from midtread.spec import Accepts, Knob, check_choice, check_range, stage


@dataclass(frozen=True)
class Jpeg2000(NativeCodec):
    """JPEG 2000 part 1 in a JP2 file of one tile and one quality layer."""

    name: ClassVar[str] = "jpeg2000"
    summary: ClassVar[str] = "JPEG 2000, 9/7 + colour transform, or 5/3 lossless; OpenJPEG"
    accepts: ClassVar[Accepts] = Accepts(("uint8", "uint16"), (1, 2, 3, 4))
    knob: ClassVar[Knob] = Knob("ratio", 1.5, 500, "down", meaning="size of the samples / size of the file", log=True)
    native: ClassVar[str] = "jpeg2000"

    ratio: float = 20.0  # no meaning when lossless; headers of some 250 bytes and white noise may need more
    psnr_db: float | None = None  # instead of the ratio: the PSNR that OpenJPEG aims at, in the wavelet domain
    lossless: bool = False

    def __post_init__(self) -> None:
        check_range(self.name, "ratio", self.ratio, 1.5, 500)
        if self.psnr_db is not None:
            check_range(self.name, "psnr_db", self.psnr_db, 15, 100)
            if self.ratio != 20.0:
                raise UsageError("codec 'jpeg2000' takes ratio or psnr_db, not both")
        check_choice(self.name, "lossless", self.lossless, (True, False))

    def encode(self, x: np.ndarray) -> bytes:
        """uint8 or uint16 [H, W] or [H, W, 2..4] -> a JP2 file."""
        x = self.check(x)
        with encoding(self.name):
            if self.lossless or self.psnr_db is not None:
                return _by_imagecodecs(x, None if self.lossless else self.psnr_db)
            return self._search(x) if x.dtype == np.uint16 and x.ndim == 3 else self._by_pillow(x)

    def _by_pillow(self, x: np.ndarray) -> bytes:
        from PIL import Image

        file = io.BytesIO()
        options = {"irreversible": True, "mct": int(x.ndim == 3 and x.shape[2] >= 3)}
        Image.fromarray(x).save(file, "JPEG2000", quality_mode="rates", quality_layers=[float(self.ratio)], **options)
        return file.getvalue()

    def _search(self, x: np.ndarray) -> bytes:
        """Halve an interval of OpenJPEG's PSNR target ten times: to 0.1 dB, about 1 % of the size."""
        low, high = 10.0, 110.0
        best = _by_imagecodecs(x, low)
        for _ in range(10):
            middle = (low + high) / 2
            data = _by_imagecodecs(x, middle)
            if len(data) * self.ratio <= x.nbytes:
                low, best = middle, data
            else:
                high = middle
        return best

    @classmethod
    def backend(cls) -> str:
        """Pillow's, and imagecodecs' for what Pillow cannot do."""
        from PIL import features

        rest = f"lossless, psnr_db and 16-bit colour: {imagecodecs_backend('jpeg2k')}"
        return f"openjpeg {features.version('jpg_2000')} (Pillow); {rest}"


def _by_imagecodecs(x: np.ndarray, psnr_db: float | None) -> bytes:
    """A lossy file of about this PSNR, or a lossless one."""
    import imagecodecs

    return bytes(
        imagecodecs.jpeg2k_encode(
            x,
            psnr_db or 0,  # type: ignore[arg-type]  # it takes fractions, too; 0 keeps all
            reversible=psnr_db is None,
            mct=True,
            codecformat="jp2",
            numthreads=cpus(),
        )
    )


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
        """As imagecodecs has it."""
        return imagecodecs_backend("htj2k")
