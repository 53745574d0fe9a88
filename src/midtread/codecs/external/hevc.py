"""hevc: one intra picture of HEVC (ITU-T H.265) by x265, the coding tools of HEIC and (nearly) BPG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from midtread.codecs.external import ffmpeg, yuv
from midtread.codecs.external.still import C420, C444, GRAY, Layout, StillCodec
from midtread.errors import UsageError
from midtread.spec import Accepts, Knob, check_choice, check_range

_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo")


@dataclass(frozen=True)
class Hevc(StillCodec):
    """HEVC intra; colours through the DCT matrix of `yuv`."""

    name: ClassVar[str] = "hevc"
    summary: ClassVar[str] = "HEVC intra picture (as in HEIC, BPG), 8 or 10 bits; x265 by FFmpeg"
    accepts: ClassVar[Accepts] = Accepts(("uint8", "uint16"), (1, 3))
    least: ClassVar[int] = 16
    knob: ClassVar[Knob] = Knob("qp", 0, 51, "down", integer=True, meaning="quantizer; 6 more doubles the step")

    qp: int = 27
    subsampling: str = "4:4:4"
    bit_depth: int = 10  # of the coded samples; 10 pays for 8-bit pictures too
    preset: str = "slower"
    tune: str = "psnr"  # "psnr" turns off what x265 does for the eye; "none" leaves it on

    def __post_init__(self) -> None:
        check_range(self.name, "qp", self.qp, 0, 51, integer=True)
        check_choice(self.name, "subsampling", self.subsampling, ("4:2:0", "4:4:4"))
        check_choice(self.name, "bit_depth", self.bit_depth, (8, 10))
        check_choice(self.name, "preset", self.preset, _PRESETS)
        check_choice(self.name, "tune", self.tune, ("psnr", "ssim", "none"))

    def layout(self, x: np.ndarray) -> tuple[int, int, int]:
        """As the options say."""
        if x.dtype == np.uint16 and self.bit_depth == 8:
            raise UsageError("codec 'hevc' with bit_depth=8 takes uint8 samples, got uint16; set bit_depth=10")
        chroma = GRAY if x.ndim == 2 else C420 if self.subsampling == "4:2:0" else C444
        return self.bit_depth, chroma, yuv.DCT

    def arguments(self, layout: Layout) -> list[str]:
        """x265 for one picture, without the note about itself that it would put into the stream."""
        settings = ["log-level=error", "info=0", "keyint=1", "ipratio=1", "rdoq-level=2", "hrd=0", "aud=0"]
        if layout.chroma == C420:
            settings += ["cbqpoffs=-4", "crqpoffs=-4"]
        tune = [] if self.tune == "none" else ["-tune", self.tune]
        encoder = ["-c:v", "libx265", "-preset", self.preset, *tune, "-qp", str(self.qp)]
        return [*encoder, "-x265-params", ":".join(settings)]

    @classmethod
    def backend(cls) -> str:
        """x265 and FFmpeg."""
        x265 = ffmpeg.encoder_version("libx265", r"HEVC encoder version (\S+)")
        return f"x265 {x265} ({ffmpeg.version()})"

    @property
    def chroma(self) -> str:
        """The subsampling."""
        return self.subsampling
