"""jpeg: baseline and progressive JPEG (ITU-T T.81) by libjpeg-turbo.

Baseline files come from imagecodecs, which encodes straight from the array; progressive ones from Pillow, which alone
offers them. Both wrap libjpeg-turbo: the same options give the same baseline bytes.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from midtread.codecs.external.native import NativeCodec, check_sides, encoding, imagecodecs_backend
from midtread.spec import Accepts, Knob, check_choice, check_range

_MAX_SIDE = 65500  # libjpeg's JPEG_MAX_DIMENSION


@dataclass(frozen=True)
class Jpeg(NativeCodec):
    """JPEG with the quality scale of libjpeg (the Annex K tables, scaled)."""

    name: ClassVar[str] = "jpeg"
    summary: ClassVar[str] = "JPEG, the file everybody opens; libjpeg-turbo"
    accepts: ClassVar[Accepts] = Accepts(("uint8",), (1, 3))
    knob: ClassVar[Knob] = Knob("quality", 1, 100, "up", integer=True, meaning="libjpeg quality, 1 to 100")
    native: ClassVar[str] = "jpeg"

    quality: int = 75
    subsampling: str = "4:2:0"  # of the chroma planes; no meaning for gray
    progressive: bool = False
    optimize: bool = False  # Huffman tables fitted to the picture: 2 to 5 % smaller, twice the time

    def __post_init__(self) -> None:
        check_range(self.name, "quality", self.quality, 1, 100, integer=True)
        check_choice(self.name, "subsampling", self.subsampling, ("4:2:0", "4:2:2", "4:4:4"))
        check_choice(self.name, "progressive", self.progressive, (True, False))
        check_choice(self.name, "optimize", self.optimize, (True, False))

    def encode(self, x: np.ndarray) -> bytes:
        """uint8 [H, W] or [H, W, 3] -> a JFIF file; sides up to 65500."""
        x = self.check(x)
        check_sides(self.name, x, _MAX_SIDE)
        with encoding(self.name):
            return self._progressive(x) if self.progressive else self._baseline(x)

    def _baseline(self, x: np.ndarray) -> bytes:
        import imagecodecs

        options: dict[str, Any] = {"optimize": self.optimize}
        if x.ndim == 3:  # imagecodecs refuses a subsampling for gray
            options["subsampling"] = self.subsampling.replace(":", "")
        return bytes(imagecodecs.jpeg8_encode(x, self.quality, **options))

    def _progressive(self, x: np.ndarray) -> bytes:
        from PIL import Image

        file = io.BytesIO()
        # Progressive files always carry fitted tables: libjpeg has no standard ones for their scans.
        options = {"subsampling": self.subsampling} if x.ndim == 3 else {}
        Image.fromarray(x).save(file, "JPEG", quality=self.quality, progressive=True, optimize=True, **options)
        return file.getvalue()

    @classmethod
    def backend(cls) -> str:
        """libjpeg-turbo of imagecodecs and, for progressive files, of Pillow."""
        from PIL import features

        turbo = features.version("libjpeg_turbo")
        return f"{imagecodecs_backend('jpeg8')}; progressive: libjpeg-turbo {turbo} (Pillow)"

    @property
    def chroma(self) -> str:
        """The subsampling."""
        return self.subsampling
