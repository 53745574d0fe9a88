"""avif: AV1 still pictures in HEIF (AOM AVIF 1.1) by libavif and libaom.

libavif 1.4 tunes for its own idea of what people see (`tune="iq"`), which costs 6 to 12 % rate at equal PSNR. Only
Pillow passes libaom another tuning, only imagecodecs writes more than 8 bits or lossless files: hence two ways in.

libavif leaves out an alpha plane that is opaque everywhere, and the file would decode to three channels. One sample
of 254 in a corner keeps the plane for about 240 bytes; it usually decodes to 255 again.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from midtread.codecs.external.native import NativeCodec, check_sides, cpus, encoding, imagecodecs_backend
from midtread.errors import UsageError
from midtread.spec import Accepts, Knob, check_choice, check_range

_MAX_SIDE = 32768  # libavif refuses to open larger ones


@dataclass(frozen=True)
class Avif(NativeCodec):
    """AVIF; uint8 pictures are coded with 8 bits, uint16 ones with 10 or 12 and so never lossless."""

    name: ClassVar[str] = "avif"
    summary: ClassVar[str] = "AVIF (AV1 intra), 8 to 12 bits; libavif with libaom"
    # imagecodecs codes gray samples of more than 8 bits lossless, whatever the quality
    accepts: ClassVar[Accepts] = Accepts(("uint8", "uint16"), (1, 3, 4), but_not=(("uint16", 1),))
    knob: ClassVar[Knob] = Knob("quality", 0, 99, "up", integer=True, meaning="libavif quality; some share one file")
    native: ClassVar[str] = "avif"

    quality: int = 60  # no meaning when lossless
    subsampling: str = "4:4:4"  # no meaning for gray
    speed: int = 6  # 0 slowest and smallest, 10 fastest
    tune: str = "psnr"  # "psnr", "ssim", "iq"; no meaning beyond 8 bits, where libavif tunes as it likes
    bit_depth: int = 10  # 10 or 12: how uint16 samples are stored
    lossless: bool = False  # uint8 only: RGB as it is (identity matrix), about as large as PNG

    def __post_init__(self) -> None:
        check_range(self.name, "quality", self.quality, 0, 99, integer=True)
        check_choice(self.name, "subsampling", self.subsampling, ("4:2:0", "4:2:2", "4:4:4"))
        check_range(self.name, "speed", self.speed, 0, 10, integer=True)
        check_choice(self.name, "tune", self.tune, ("psnr", "ssim", "iq"))
        check_choice(self.name, "bit_depth", self.bit_depth, (10, 12))
        check_choice(self.name, "lossless", self.lossless, (True, False))

    def encode(self, x: np.ndarray) -> bytes:
        """uint8 [H, W], [H, W, 3] or [H, W, 4], or uint16 [H, W, 3] or [H, W, 4] -> an AVIF file."""
        x = self.check(x)
        check_sides(self.name, x, _MAX_SIDE)
        if x.dtype == np.uint8 and not self.lossless:
            return self._by_pillow(_keep_alpha(x))
        if self.lossless:
            self._check_lossless(x)
            return self._by_imagecodecs(x, level=100, depth=8)
        x = _keep_alpha(x)
        return self._by_imagecodecs(_to_depth(x, self.bit_depth), level=self.quality, depth=self.bit_depth)

    def _check_lossless(self, x: np.ndarray) -> None:
        if x.dtype == np.uint16:
            raise UsageError("codec 'avif' with lossless=True takes uint8: AV1 has at most 12 bits; use codec 'jpegxl'")
        if x.ndim == 3 and x.shape[2] == 4 and x[..., 3].min() == 255:
            raise UsageError(
                "codec 'avif' with lossless=True cannot keep an alpha plane that is 255 everywhere: "
                "libavif leaves it out; pass x[..., :3]"
            )

    def _by_pillow(self, x: np.ndarray) -> bytes:
        from PIL import Image

        file = io.BytesIO()
        with encoding(self.name):
            Image.fromarray(x).save(
                file,
                "AVIF",
                quality=self.quality,
                subsampling="4:0:0" if x.ndim == 2 else self.subsampling,
                speed=self.speed,
                max_threads=cpus(),
                advanced={"tune": self.tune},
            )
        return file.getvalue()

    def _by_imagecodecs(self, x: np.ndarray, level: int, depth: int) -> bytes:
        import imagecodecs

        with encoding(self.name):
            return bytes(
                imagecodecs.avif_encode(
                    x,
                    level,
                    speed=self.speed,
                    bitspersample=depth,
                    pixelformat=self.subsampling.replace(":", ""),
                    numthreads=cpus(),
                )
            )

    @classmethod
    def backend(cls) -> str:
        """Of Pillow (8 bits) and imagecodecs (10 and 12 bits, lossless)."""
        from PIL import _avif

        versions = dict(part.rsplit(":", 1) for part in _avif.codec_versions().split(", "))
        aom = next((version for codec, version in versions.items() if codec.startswith("aom")), "unknown")
        return f"libavif {_avif.libavif_version}, libaom {aom} (Pillow); beyond 8 bits: {imagecodecs_backend('avif')}"

    @property
    def chroma(self) -> str:
        """The subsampling; 4:4:4 when lossless."""
        return "4:4:4" if self.lossless else self.subsampling


def _keep_alpha(x: np.ndarray) -> np.ndarray:
    """`x`, or a copy with one alpha sample one step (of 8 bits) below opaque when the whole plane is opaque."""
    if x.ndim == 2 or x.shape[2] != 4:
        return x
    white = np.iinfo(x.dtype).max
    if x[..., 3].min() < white:
        return x
    x = x.copy()
    x[0, 0, 3] = white - white // 255
    return x


def _to_depth(x: np.ndarray, depth: int) -> np.ndarray:
    """uint16 on full scale 65535 -> uint16 on full scale 2**depth - 1, rounded to nearest."""
    return np.rint(x * ((2**depth - 1) / 65535)).astype(np.uint16)
