"""av1: one intra picture of AV1 in an AVIF file, by libaom or SVT-AV1 through FFmpeg.

Codec `avif` writes the same format faster; this one has 10 bits for 8-bit pictures (4 % fewer bits for the same
PSNR), the second encoder, and libaom's slower search.

A file with more than 8 bits decodes to uint16. So that a uint8 picture comes back as uint8, its file ends with an
empty `uuid` box, `_WAS_UINT8`, which every other program skips.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from midtread.codecs.external import ffmpeg, yuv
from midtread.codecs.external.native import NativeCodec, check_sides
from midtread.errors import UsageError
from midtread.spec import Accepts, Knob, check_choice, check_range, stage, to_dtype

_MAX_SIDE = 32768  # libavif refuses to open larger ones
_WAS_UINT8 = (24).to_bytes(4, "big") + b"uuid" + bytes.fromhex("5d1c7f0a9b3e4c68a2d46d6964743038")
# H.273: primaries of BT.709, the sRGB curve, the matrix of BT.601 (1 % better than that of BT.709), full range.
_COLOURS = ["-color_primaries", "bt709", "-color_trc", "iec61966-2-1", "-colorspace", "smpte170m", "-color_range", "pc"]
_PIXELS = {"4:2:0": "yuv420p", "4:4:4": "yuv444p"}


@dataclass(frozen=True)
class Av1(NativeCodec):
    """AV1 intra at constant quality."""

    name: ClassVar[str] = "av1"
    summary: ClassVar[str] = "AVIF with 10 bits and a slow search; libaom or SVT-AV1 by FFmpeg"
    accepts: ClassVar[Accepts] = Accepts(("uint8", "uint16"), (1, 3))
    knob: ClassVar[Knob] = Knob("crf", 1, 63, "down", integer=True, meaning="constant rate factor, 1 to 63")
    native: ClassVar[str] = "avif"
    needs: ClassVar[tuple[tuple[str, str], ...]] = ffmpeg.NEEDS

    crf: int = 30
    encoder: str = "libaom"  # or "svtav1": faster, RGB in 4:2:0 only
    subsampling: str = "4:4:4"  # no meaning for gray
    bit_depth: int = 10  # of the coded samples
    speed: int = 4  # libaom 0 to 8, svtav1 0 to 13; 0 is slowest and smallest
    tune: str = "psnr"  # or "ssim"

    def __post_init__(self) -> None:
        check_range(self.name, "crf", self.crf, 1, 63, integer=True)
        check_choice(self.name, "encoder", self.encoder, ("libaom", "svtav1"))
        check_choice(self.name, "subsampling", self.subsampling, tuple(_PIXELS))
        check_choice(self.name, "bit_depth", self.bit_depth, (8, 10) if self.encoder == "svtav1" else (8, 10, 12))
        check_range(self.name, "speed", self.speed, 0, 13 if self.encoder == "svtav1" else 8, integer=True)
        check_choice(self.name, "tune", self.tune, ("psnr", "ssim"))
        if self.encoder == "svtav1" and self.subsampling != "4:2:0":
            raise UsageError("codec 'av1' with encoder='svtav1' codes 4:2:0 only; set subsampling='4:2:0'")

    def encode(self, x: np.ndarray) -> bytes:
        """uint8 or uint16 [H, W] or [H, W, 3] -> an AVIF file; sides up to 32768."""
        x = self.check(x)
        check_sides(self.name, x, _MAX_SIDE)
        self._check_combination(x)
        with stage("colour"):
            planes = yuv.to_planes(x, self.bit_depth, self.subsampling, yuv.BT601)
            kind = "u1" if self.bit_depth == 8 else "<u2"
            raw = b"".join(plane.astype(kind).tobytes() for plane in planes)
        pixels = "gray" if x.ndim == 2 else _PIXELS[self.subsampling]
        if self.bit_depth > 8:
            pixels += f"{self.bit_depth}le"
        with stage("encode"):
            data = ffmpeg.encode(raw, pixels, x.shape[0], x.shape[1], self._arguments(), "avif", _COLOURS)
        return data + _WAS_UINT8 if x.dtype == np.uint8 and self.bit_depth > 8 else data

    def decode(self, data: bytes) -> np.ndarray:
        """Decompress any AVIF file; uint8 for 8-bit files and for `encode`'s files of uint8 pictures, else uint16."""
        x = super().decode(data)
        return to_dtype(x, np.dtype("uint8")) if bytes(data[-len(_WAS_UINT8) :]) == _WAS_UINT8 else x

    def _check_combination(self, x: np.ndarray) -> None:
        if x.dtype == np.uint16 and self.bit_depth == 8:
            raise UsageError("codec 'av1' with bit_depth=8 takes uint8 samples, got uint16; set bit_depth=10 or 12")
        if x.ndim == 2 and self.encoder == "svtav1":
            raise UsageError("codec 'av1' with encoder='svtav1' takes no gray pictures; set encoder='libaom'")
        if x.shape[0] * x.shape[1] < 64 and self.encoder == "svtav1":
            raise UsageError("codec 'av1' with encoder='svtav1' takes 64 pixels or more; set encoder='libaom'")

    def _arguments(self) -> list[str]:
        rate = ["-crf", str(self.crf)]
        if self.encoder == "svtav1":
            tune = {"psnr": 1, "ssim": 2}[self.tune]
            search = ["-preset", str(self.speed), "-svtav1-params", f"avif=1:tune={tune}"]
            return ["-c:v", "libsvtav1", *rate, *search]
        search = ["-usage", "allintra", "-cpu-used", str(self.speed), "-still-picture", "1", "-tune", self.tune]
        return ["-c:v", "libaom-av1", *rate, *search]

    @classmethod
    def backend(cls) -> str:
        """libaom, SVT-AV1 and FFmpeg."""
        aom = ffmpeg.encoder_version("libaom-av1", r"libaom-av1 @ \S+\] v(\d\S+)")
        svt = ffmpeg.encoder_version("libsvtav1", r"Encoder Lib v?(\S+)")
        return f"libaom {aom}, SVT-AV1 {svt} ({ffmpeg.version()})"

    @property
    def chroma(self) -> str:
        """The subsampling."""
        return self.subsampling
