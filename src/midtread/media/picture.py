"""A picture as it came from a file: the samples, and what the file said about them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Picture:
    """Samples as `midtread.spec` lays them out, upright, with the metadata that travels with them."""

    array: np.ndarray  # [H, W] or [H, W, C]
    icc: bytes | None = None  # ICC profile that says what colours the samples mean; None: the file has none
    exif: bytes | None = None  # TIFF structure, without "Exif\0\0"; the orientation is applied and reset to 1
    xmp: bytes | None = None  # UTF-8 XML packet
    format: str = "array"  # name in `FORMATS` of the format it came from
    bits: int | None = None  # significant bits of a sample, when known and fewer than the dtype's
