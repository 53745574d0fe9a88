"""Part of a picture from part of its wavelet latents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from midtread.errors import UsageError
from midtread.quantize.base import Index
from midtread.transforms.wavelet import Wavelet53, Wavelet97, depth


@dataclass(frozen=True)
class Window:
    """Which latents a region needs, and where it lies in what they give.

    The latents at `pieces` make the latents of a smaller picture; its inverse, cropped, is the region, bit for bit.
    """

    shape: tuple[int, int]  # of the smaller picture, and of its latents
    pieces: tuple[tuple[Index, Index], ...]  # (where it goes in the small latents, where it lies in the large ones)
    crop: tuple[slice, slice]  # the region in the smaller picture, reduced by 2^drop

    def gather(self, latents: np.ndarray) -> np.ndarray:
        """The small latents, copied together."""
        small = np.zeros((*latents.shape[:-2], *self.shape), latents.dtype)
        for target, source in self.pieces:
            small[target] = latents[source]
        return small


def window(
    wavelet: Wavelet53 | Wavelet97,
    shape: tuple[int, ...],
    rows: tuple[int, int],
    columns: tuple[int, int],
    drop: int = 0,
) -> Window:
    """The window that gives rows[0] .. rows[1], columns[0] .. columns[1] of a picture of `shape`.

    With `drop`, it gives those samples of the picture 2^drop smaller that lie on them. For the same region,
    `wavelet.inverse(w.gather(latents), drop)[..., *w.crop]` equals that part of `wavelet.inverse(latents, drop)`.

    Raises:
        UsageError: the region is empty or not inside the picture.
    """
    for what, size, (start, stop) in (("rows", shape[-2], rows), ("columns", shape[-1], columns)):
        if not 0 <= start < stop <= size:
            raise UsageError(f"{what} {start} .. {stop} are not a region of a picture of {size} {what}")
    levels = depth(wavelet.levels, shape)
    # A cut edge is mirrored although the picture goes on: each level undone doubles the samples it spoils and adds
    # 3 (5/3) or 5 (9/7), so fewer than that many times 2^levels.
    margin = (3 if isinstance(wavelet, Wavelet53) else 5) << levels
    (top, height), (left, width) = _cut(rows, shape[-2], margin, levels), _cut(columns, shape[-1], margin, levels)
    pieces = []
    large = {band.name: band.index for band in wavelet.bands(shape)}
    for band in wavelet.bands((height, width)):
        moved = zip(large[band.name][1:], band.index[1:], (top, left), strict=True)
        source = [_moved(axis, target, first >> band.level) for axis, target, first in moved]
        pieces.append((band.index, (..., *source)))
    crop = tuple(
        slice(_up(start, drop) - (first >> drop), _up(stop, drop) - (first >> drop))
        for (start, stop), first in ((rows, top), (columns, left))
    )
    return Window((height, width), tuple(pieces), crop)  # type: ignore[arg-type]


def _cut(span: tuple[int, int], size: int, margin: int, levels: int) -> tuple[int, int]:
    """First sample and number of samples that cover `span` with margins, cut at multiples of 2^levels."""
    first = max(span[0] - margin, 0) >> levels << levels
    last = min(_up(span[1] + margin, levels) << levels, size)
    return first, last - first


def _moved(axis: Any, target: Any, first: int) -> slice:
    """The part of a band's rows (or columns) that starts at its row `first` and is as long as `target`."""
    return slice(axis.start + first, axis.start + first + target.stop - target.start)


def _up(value: int, bits: int) -> int:
    return -(-value >> bits)
