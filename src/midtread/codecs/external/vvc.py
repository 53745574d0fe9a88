"""vvc: one intra picture of VVC (ITU-T H.266) by Fraunhofer's VVenC, decoded by FFmpeg's own VVC decoder.

libvvenc takes 10-bit 4:2:0 only. A picture whose chroma would suffer more from halving than from quantizing is coded
4:4:4 all the same: its three planes, which the DCT matrix has given equal weight, stacked into one tall luma plane.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from midtread.codecs.external import ffmpeg, yuv
from midtread.codecs.external.still import C420, GRAY, STACKED, Layout, StillCodec
from midtread.spec import Accepts, Knob, check_choice, check_range


@dataclass(frozen=True)
class Vvc(StillCodec):
    """VVC intra with 10-bit samples; colours through the DCT matrix of `yuv`."""

    name: ClassVar[str] = "vvc"
    summary: ClassVar[str] = "VVC intra picture, 10 bits; VVenC by FFmpeg"
    accepts: ClassVar[Accepts] = Accepts(("uint8", "uint16"), (1, 3))
    knob: ClassVar[Knob] = Knob("qp", 0, 63, "down", integer=True, meaning="quantizer; 6 more doubles the step")
    luma_only: ClassVar[bool] = True

    qp: int = 32
    preset: str = "medium"
    subsampling: str = "auto"  # "4:2:0", "4:4:4" (stacked), or whichever costs less at this qp

    def __post_init__(self) -> None:
        check_range(self.name, "qp", self.qp, 0, 63, integer=True)
        check_choice(self.name, "preset", self.preset, ("faster", "fast", "medium", "slow", "slower"))
        check_choice(self.name, "subsampling", self.subsampling, ("auto", "4:2:0", "4:4:4"))

    def layout(self, x: np.ndarray) -> tuple[int, int, int]:
        """10 bits; the chroma format by option or by the picture."""
        if x.ndim == 2:
            return 10, GRAY, yuv.DCT
        stacked = self.subsampling == "4:4:4" or (self.subsampling == "auto" and self._halving_costs_more(x))
        return 10, STACKED if stacked else C420, yuv.DCT

    def _halving_costs_more(self, x: np.ndarray) -> bool:
        """Whether halving chroma adds more error than stacking adds rate.

        Stacking costs 2 to 12 % rate (no prediction of chroma from luma). On eight Kodak pictures and qp 16 to 44 it
        paid where the error of halving exceeded that of a uniform quantizer with VVC's step by 1.2 to 2.4 (0.4 once).
        """
        step = 2 ** ((self.qp - 4) / 6) / 4  # of 8-bit samples; qp counts in the coded 10-bit ones
        return yuv.halving_error(x, yuv.DCT) > 1.25 * step**2 / 12

    def arguments(self, layout: Layout) -> list[str]:
        """VVenC for one picture, quantizers flat (no perceptual adaptation)."""
        settings = ["internalbitdepth=10"]
        if layout.chroma == C420:
            settings += ["CbQpOffset=-4", "CrQpOffset=-4"]
        encoder = ["-c:v", "libvvenc", "-preset", self.preset, "-qp", str(self.qp), "-qpa", "0", "-period", "1"]
        return [*encoder, "-vvenc-params", ":".join(settings)]

    @classmethod
    def backend(cls) -> str:
        """VVenC and FFmpeg."""
        vvenc = ffmpeg.encoder_version("libvvenc", r"libvvenc version: (\S+)")
        return f"VVenC {vvenc} ({ffmpeg.version()})"

    @property
    def chroma(self) -> str:
        """The option; "auto" is 4:2:0 or 4:4:4, picture by picture."""
        return self.subsampling
