"""A tile of the `learned` codec: its latents out of the picture, and its pixels out of the latents.

Both networks look `margin` latents beyond a tile, as far as the picture goes, so that a tile comes out as if the
picture were whole.
"""

from __future__ import annotations

import numpy as np

from midtread.codecs.image.learned_latents import CELL, Quality
from midtread.codecs.image.learned_model import Run

UNIT = 16  # pixels along a side for one latent

Span = tuple[int, int]  # first and last (one beyond), latents
Tile = tuple[Span, Span]


def around(tile: Tile, margin: int, ends: tuple[int, int]) -> tuple[list[slice], tuple[slice, slice]]:
    """The latents of a tile with a margin, as far as there are any, and the tile within them."""
    outer, inner = [], []
    for (start, stop), end in zip(tile, ends, strict=True):
        low, high = max(0, start - margin), min(end, stop + margin)
        outer.append(slice(low, high))
        inner.append(slice(start - low, stop - low))
    return outer, (inner[0], inner[1])


def latents(run: Run, quality: Quality, x: np.ndarray, tile: Tile) -> np.ndarray:
    """Latents of a tile, float32 [rows, columns, latents]."""
    ends = tuple(-(-side // UNIT) for side in x.shape[:2])
    outer, inner = around(tile, quality.model.margin, (ends[0], ends[1]))
    part = x[tuple(slice(s.start * UNIT, s.stop * UNIT) for s in outer)]
    missing = [(0, (s.stop - s.start) * UNIT - side) for s, side in zip(outer, part.shape[:2], strict=True)]
    if any(after for _, after in missing):
        part = np.pad(part, (*missing, (0, 0)), mode="edge")
    if part.shape[2] == 1:
        part = np.repeat(part, 3, axis=2)
    feeds = {"pixels": np.ascontiguousarray(part)[None], **stages(quality, "analysis")}
    return run("analysis", feeds)[0][inner]


def stages(quality: Quality, network: str) -> dict[str, np.ndarray]:
    """The scales and offsets of a quality that a float network takes."""
    feeds = {}
    for name in ("stage8", "stage16"):
        for kind in ("scale", "offset"):
            vector = quality.model.blend(f"{network}.{name}.{kind}", quality.place)
            feeds[f"{name}.{kind}"] = np.ascontiguousarray(vector[None, :, None, None], np.float32)
    return feeds


def hyper_symbols(run: Run, quality: Quality, y: np.ndarray) -> np.ndarray:
    """Symbols of z, int32 [h, w, hyper]."""
    missing = [(0, -side % CELL) for side in y.shape[:2]]
    if any(after for _, after in missing):
        y = np.pad(y, (*missing, (0, 0)))
    z = run("hyper_analysis", {"y": np.ascontiguousarray(y)[None]})[0] * quality.gain_z
    return np.clip(np.rint(z), -127, 127).astype(np.int32)


def synthesise(run: Run, quality: Quality, y: np.ndarray, tile: Tile) -> np.ndarray:
    """Pixels of a tile, uint8 [16 rows, 16 columns, 3]."""
    outer, inner = around(tile, quality.model.margin, (y.shape[0], y.shape[1]))
    part = np.multiply(y[tuple(outer)], quality.regain, dtype=np.float32)
    pixels = run("synthesis", {"y": part[None], **stages(quality, "synthesis")})
    return pixels[tuple(slice(s.start * UNIT, s.stop * UNIT) for s in inner)]
