"""Alpha beside colours that are lossy: the last channel, kept exactly, as a `wavelet` file inside of the file."""

from __future__ import annotations

import numpy as np

from midtread.codecs.image.wavelet import Wavelet
from midtread.container import read
from midtread.errors import BitstreamError
from midtread.spec import Limits

WITH_ALPHA = (2, 4)  # channels


def colours_of(x: np.ndarray) -> np.ndarray:
    """[H, W, 1 or 3] without the alpha of [H, W] or [H, W, 2 .. 4]."""
    if x.ndim == 2:
        return x[:, :, None]
    return x[:, :, :-1] if x.shape[2] in WITH_ALPHA else x


def write_alpha(x: np.ndarray) -> list[bytes]:
    """The chunk for the alpha of a picture; none, where it has no alpha."""
    if x.ndim == 2 or x.shape[2] not in WITH_ALPHA:
        return []
    return [Wavelet(lossless=True).encode(np.ascontiguousarray(x[:, :, -1]))]


def read_alpha(data: bytes | memoryview, sides: tuple[int, ...], limits: Limits) -> np.ndarray:
    """uint8 [H, W] of a chunk, of those sides. Raises BitstreamError, LimitError."""
    data = bytes(data)
    file = read(data, limits)
    if file.codec != Wavelet.name or file.shape != tuple(sides) or file.dtype != "uint8":
        raise BitstreamError(f"the alpha of this picture is {list(file.shape)} {file.dtype} by {file.codec!r}")
    return Wavelet().decode_within(data, limits)
