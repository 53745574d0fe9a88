"""What a file claims before it is decoded, and how the errors of other people's decoders become ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from midtread.errors import BitstreamError, CodecError, LimitError
from midtread.spec import Limits

MAX_METADATA = 2**24  # bytes of one ICC profile, Exif block or XMP packet; real ones stay below 4 MiB


def shape_of(height: int, width: int, channels: int) -> tuple[int, ...]:
    """[H, W] for one channel, else [H, W, C]."""
    return (height, width) if channels == 1 else (height, width, channels)


@dataclass(frozen=True, slots=True)
class Header:
    """The size a file claims, read by our own parser before a decoder allocates anything."""

    shape: tuple[int, ...]  # [H, W] or [H, W, C] as decoded, C the most that the decoder may produce
    bits: int | None = None  # bits of a sample as declared, where the format declares them
    offset: int = 0  # where the coded samples start, for formats that need it

    def check(self, label: str, limits: Limits) -> None:
        """Raise BitstreamError for an empty picture, LimitError for one above the limits."""
        if 0 in self.shape:
            raise BitstreamError(f"this {label} file claims an empty picture, {' x '.join(map(str, self.shape))}")
        limits.check_shape(self.shape, f"this {label} file")


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a file says about its samples. `orientation` is that of Exif, 1 to 8, still to be applied."""

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    orientation: int = 1
    bits: int | None = None  # of a sample; `read` reports it when it is fewer than the dtype has
    warning: str | None = None  # what the file says that midtread cannot carry


@contextmanager
def blame_the_bytes(label: str) -> Iterator[None]:
    """Turn whatever another library raises while decoding into BitstreamError or LimitError."""
    try:
        yield
    except CodecError:
        raise
    except MemoryError as error:
        raise LimitError(f"decoding this {label} file needs more memory than there is") from error
    except Exception as error:
        raise BitstreamError(f"the {label} decoder refused these bytes: {error}") from error


def to_full_scale(x: np.ndarray, bits: int | None) -> np.ndarray:
    """Samples of `bits` bits stretched to the full scale of their dtype, so that white is 255 or 65535.

    Rounded to nearest; injective, so the original is round(y * (2**bits - 1) / white).
    """
    if bits is None or x.dtype.kind != "u" or bits >= 8 * x.dtype.itemsize:
        return x
    top, white = 2**bits - 1, int(np.iinfo(x.dtype).max)
    table = ((2 * white * np.arange(top + 1, dtype=np.int64) + top) // (2 * top)).astype(x.dtype)
    return table.take(x, mode="clip")  # a broken stream may hold samples above `top`
