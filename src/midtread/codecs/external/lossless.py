"""png, tiff, qoi: formats that only ever keep every sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from midtread.codecs.external.native import NativeCodec, encoding, imagecodecs_backend
from midtread.spec import Accepts, check_choice, check_range

_FILTERS = {"none": 8, "sub": 16, "up": 32, "average": 64, "paeth": 128, "adaptive": 248}  # libpng's PNG_FILTER_ masks


class _Lossless(NativeCodec):
    @property
    def lossless(self) -> bool:
        """Always."""
        return True


@dataclass(frozen=True)
class Png(_Lossless):
    """PNG: a filter per row, then Deflate."""

    name: ClassVar[str] = "png"
    summary: ClassVar[str] = "PNG, lossless; libpng"
    accepts: ClassVar[Accepts] = Accepts(("uint8", "uint16"), (1, 2, 3, 4))
    native: ClassVar[str] = "png"

    level: int = 6  # Deflate: 0 stored, 9 smallest
    filter: str = "adaptive"  # per row the filter of least absolute sum

    def __post_init__(self) -> None:
        check_range(self.name, "level", self.level, 0, 9, integer=True)
        check_choice(self.name, "filter", self.filter, tuple(_FILTERS))

    def encode(self, x: np.ndarray) -> bytes:
        """uint8 or uint16 [H, W] or [H, W, 2..4] -> a PNG file."""
        import imagecodecs

        x = self.check(x)
        with encoding(self.name):
            return bytes(imagecodecs.png_encode(x, self.level, filter=_FILTERS[self.filter]))

    @classmethod
    def backend(cls) -> str:
        """As imagecodecs has it."""
        return imagecodecs_backend("png")


@dataclass(frozen=True)
class Tiff(_Lossless):
    """TIFF: horizontal differences, then Deflate (compression 8, the "Adobe" one that every reader knows)."""

    name: ClassVar[str] = "tiff"
    summary: ClassVar[str] = "TIFF, Deflate with horizontal predictor, lossless; libtiff"
    accepts: ClassVar[Accepts] = Accepts(("uint8", "uint16"), (1, 2, 3, 4))
    native: ClassVar[str] = "tiff"

    level: int = 6  # Deflate: 1 fastest, 9 smallest

    def __post_init__(self) -> None:
        check_range(self.name, "level", self.level, 1, 9, integer=True)

    def encode(self, x: np.ndarray) -> bytes:
        """uint8 or uint16 [H, W] or [H, W, 2..4] -> a little-endian TIFF file of one page; alpha is straight."""
        import imagecodecs

        x = self.check(x)
        channels = 1 if x.ndim == 2 else x.shape[2]
        # Stated in full: imagecodecs takes [H, W, 2] for a stack of H pages otherwise.
        options: dict[str, Any] = {
            "photometric": "rgb" if channels >= 3 else "minisblack",
            "planarconfig": "contig",
            "extrasample": imagecodecs.TIFF.EXTRASAMPLE.UNASSALPHA if channels in (2, 4) else None,
        }
        with encoding(self.name):
            return bytes(
                imagecodecs.tiff_encode(
                    x,
                    self.level,
                    compression=imagecodecs.TIFF.COMPRESSION.ADOBE_DEFLATE,
                    predictor=imagecodecs.TIFF.PREDICTOR.HORIZONTAL,
                    byteorder="<",
                    **options,
                )
            )

    @classmethod
    def backend(cls) -> str:
        """As imagecodecs has it."""
        return imagecodecs_backend("tiff")


@dataclass(frozen=True)
class Qoi(_Lossless):
    """QOI: runs, a table of seen colours and small differences; one pass, no options."""

    name: ClassVar[str] = "qoi"
    summary: ClassVar[str] = "QOI, lossless and simple; the reference library"
    accepts: ClassVar[Accepts] = Accepts(("uint8",), (3, 4))
    native: ClassVar[str] = "qoi"

    def encode(self, x: np.ndarray) -> bytes:
        """uint8 [H, W, 3] or [H, W, 4] -> a QOI file."""
        import imagecodecs

        x = self.check(x)
        with encoding(self.name):
            return bytes(imagecodecs.qoi_encode(x))

    @classmethod
    def backend(cls) -> str:
        """As imagecodecs has it."""
        return imagecodecs_backend("qoi")
