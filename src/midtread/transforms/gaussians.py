"""A picture as 2-D Gaussians, drawn at any size: whole, or a region of it alone.

    Gaussians ──► scaled about pixel centres, widened when the picture shrinks ──► bands of rows, in threads ──► pixels

Only bands are held as floats, so what a call needs beside its pixels does not grow with the height of the picture; a
band draws only the Gaussians that reach it. `kernels/splat_slow.py` says what the numbers of a Gaussian mean.
"""

from __future__ import annotations

import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from midtread.errors import LimitError, UsageError
from midtread.kernels import cuda
from midtread.kernels.splat_slow import LANES, from_strips
from midtread.kernels.twins import pick
from midtread.spec import Limits

SCALES = (0.25, 8.0)
DEVICES = ("cpu", "cuda")
MOST_EVALUATIONS = 2**36  # of a Gaussian at a pixel, in one call: about 15 s of one core
MOST_OPACITY = np.float32(0.99)
_MAGNITUDES = (1e-6, 1e6)  # what comes of these stays within float32
_BAND_SAMPLES = 2**21  # float32 of a band, about: each has its overhead, and Gaussians on an edge are drawn twice

Region = tuple[int, int, int, int]  # top, left, height, width


@dataclass(frozen=True, eq=False)
class Gaussians:
    """A picture of `height` x `width` pixels as n Gaussians; numbers from outside are checked here.

    Attributes:
        height: of the picture, in pixels.
        width: of the picture, in pixels.
        xy: float32 [n, 2]: x and y of the centres in pixels; pixel centres are at integers.
        factor: float32 [n, 3]: a, b, c, the lower triangular factor of the precision, per pixel; a and c positive.
        colour: float32 [n, 1 or 3]: gray, or red, green and blue; 1 is white, any sign.
        opacity: None: the picture is the sum, in any order. float32 [n] in (0, 0.99]: each is painted over those
            before it, the first over the background.
        background: float32 [1 or 3], what the sum begins with; None: black.

    Raises:
        UsageError: a shape, dtype or number is not as said here.
    """

    height: int
    width: int
    xy: np.ndarray
    factor: np.ndarray
    colour: np.ndarray
    opacity: np.ndarray | None = None
    background: np.ndarray | None = None

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 1:
            raise UsageError(f"a picture of Gaussians has sides of at least 1 pixel, got {self.height} x {self.width}")
        n, channels = len(self.xy), 3 if self.colour.shape[1:] == (3,) else 1
        _check("xy", self.xy, (n, 2))
        _check("factor", self.factor, (n, 3))
        _check("colour", self.colour, (n, channels))
        low = _MAGNITUDES[0]
        _refuse("factor", self.factor, self.factor < (low, -math.inf, low), f"a and c must be at least {low:g}")
        if self.opacity is not None:
            _check("opacity", self.opacity, (n,))
            outside = (self.opacity <= 0) | (self.opacity > MOST_OPACITY)
            _refuse("opacity", self.opacity, outside, f"it must be above 0 and at most {MOST_OPACITY}")
        if self.background is not None:
            _check("background", self.background, (channels,))

    @property
    def channels(self) -> int:
        """1 (gray) or 3 (red, green, blue)."""
        return self.colour.shape[1]


def _check(name: str, values: np.ndarray, shape: tuple[int, ...]) -> None:
    if values.shape != shape or values.dtype != np.float32:
        got = f"{values.dtype.name} {list(values.shape)}"
        raise UsageError(f"{name} of the Gaussians must be float32 {list(shape)}, got {got}")
    with np.errstate(invalid="ignore"):
        large = ~(np.abs(values) <= _MAGNITUDES[1])
    _refuse(name, values, large, f"it must be finite and at most {_MAGNITUDES[1]:g} in magnitude")


def _refuse(name: str, values: np.ndarray, wrong: np.ndarray, rule: str) -> None:
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise UsageError(f"{name}[{', '.join(map(str, where))}] of the Gaussians is {values[where]}; {rule}")


def render(
    gaussians: Gaussians,
    *,
    scale: float = 1.0,
    region: Region | None = None,
    threads: int = 1,
    device: str = "cpu",
    dtype: Any = np.uint8,
    limits: Limits = Limits(),
    most_evaluations: float = MOST_EVALUATIONS,
) -> np.ndarray:
    """Draw a picture; the pixels do not depend on `threads`.

    Args:
        gaussians: the picture.
        scale: of its sides, 0.25 to 8: round(side * scale) pixels, at least one. A larger picture shows the same
            function on a finer grid; a pixel of a smaller one is the mean over the square that it covers, nearly.
        region: (top, left, height, width) in pixels of the drawn size, None for all: what is drawn equals that part of
            the whole picture, but for rounding.
        threads: to draw with.
        device: "cuda": drawn by a GPU, sums only; other pixels by rounding alone, 8-bit ones by 1 at most.
        dtype: uint8 (0 to 255, rounded and clipped) or float32 (0 to 1 and beyond, as the Gaussians give it).
        limits: of the samples drawn.
        most_evaluations: of Gaussians at pixels, which is what takes time.

    Returns:
        [height, width] of gray Gaussians, else [height, width, 3].

    Raises:
        UsageError: an argument is not as said here, or there is no GPU.
        MissingError: numba-cuda is not installed.
        LimitError: more samples or more work than allowed.
    """
    if not SCALES[0] <= scale <= SCALES[1]:
        raise UsageError(f"scale={scale}; Gaussians are drawn at {SCALES[0]} to {SCALES[1]} of their size")
    if np.dtype(dtype) not in (np.uint8, np.float32):
        raise UsageError(f"dtype={np.dtype(dtype).name}; Gaussians are drawn as uint8 or float32")
    if threads < 1:
        raise UsageError(f"threads={threads}; drawing takes at least 1")
    top, left, height, width = _region(region, *(max(1, round(s * scale)) for s in (gaussians.height, gaussians.width)))
    limits.check_shape((height, width, gaussians.channels), "the picture to draw")
    placed = _place(gaussians, scale, left, top, width, height)
    columns, lines = placed.high - placed.low
    work = float(np.dot(columns + LANES, lines))  # strips are drawn whole
    if work > most_evaluations:
        raise LimitError(
            f"drawing {len(placed.xy)} Gaussians at {height} x {width} pixels takes {work:.3g} evaluations, more than "
            f"the {most_evaluations:.3g} allowed; draw a smaller scale or region, or pass most_evaluations"
        )
    out = np.empty((height, width, gaussians.channels), dtype)
    _fill(placed, gaussians.background, threads, device, out)
    return out[:, :, 0] if gaussians.channels == 1 else out


def _fill(placed: _Placed, background: np.ndarray | None, threads: int, device: str, out: np.ndarray) -> None:
    """Draw all of the picture `out` [height, width, channels]."""
    if device != "cpu":
        gpu = on_gpu(device)
        if placed.opacity is not None:
            raise UsageError(f"render: device={device!r} draws sums, these Gaussians have opacity; leave device='cpu'")
        gpu.draw(placed.xy, placed.factor, placed.colour, background, out)
        return
    height = len(out)
    bands = -(-out.size // _BAND_SAMPLES)
    rows = -(-height // (bands if threads == 1 else max(bands, 2 * threads)))  # or one waits for the other

    def draw(start: int) -> None:
        _draw(placed, start, min(start + rows, height), background, out)

    bands_left = iter(range(0, height, rows))  # whoever is free takes the next

    def work() -> None:
        for start in bands_left:
            draw(start)

    helping = [_pool(threads - 1).submit(work) for _ in range(threads - 1)] if height > rows else []
    work()
    for helper in helping:
        helper.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that stay: to start them takes as long as a tenth of a picture."""
    return ThreadPoolExecutor(threads, "midtread-draw")


os.register_at_fork(after_in_child=_pool.cache_clear)  # threads stay behind in a fork


def on_gpu(device: str) -> ModuleType:
    """The module that does it on a GPU. Raises UsageError, MissingError."""
    if device not in DEVICES:
        raise UsageError(f"Gaussians: device={device!r}; it takes {', '.join(map(repr, DEVICES))}")
    cuda.require("Gaussians")
    return import_module("midtread.transforms.gaussians_cuda")


def _region(region: Region | None, height: int, width: int) -> Region:
    """The region, checked against the size of the whole picture."""
    if region is None:
        return 0, 0, height, width
    top, left, rows, columns = region
    if min(top, left) < 0 or min(rows, columns) < 1 or top + rows > height or left + columns > width:
        raise UsageError(
            f"region (top, left, height, width) = {tuple(region)} is not within the {height} x {width} pixels drawn"
        )
    return top, left, rows, columns


class _Placed(NamedTuple):
    """Gaussians that reach a region, in its pixels: as in `Gaussians`, and the boxes of pixels that they reach."""

    xy: np.ndarray
    factor: np.ndarray
    colour: np.ndarray
    opacity: np.ndarray | None
    low: np.ndarray  # float64 [2, n]: first column, first row
    high: np.ndarray  # the ones after the last


def _place(gaussians: Gaussians, scale: float, left: int, top: int, width: int, height: int) -> _Placed:
    """Scale the Gaussians about pixel centres and move the region's corner to (0, 0).

    Where the picture shrinks, each is widened by the variance of the square that a pixel covers, less that of the pixel
    it was fitted on, and keeps its integral.
    """
    corner, size = np.array([[left], [top]]), np.array([[width], [height]])
    xy = (gaussians.xy.T.astype(np.float64) + 0.5) * scale - (corner + 0.5)
    a, b, c = gaussians.factor.T.astype(np.float64) / scale
    strength = np.ones(len(a))
    if scale < 1:
        wider = (1 - scale**2) / 8  # (1 - scale^2) / 12, and the kernel has 2/3 of the variance that its factor says
        xx, cross, yy = 1 / (a * a) + wider, -b / (a * a * c), (1 + np.square(b / a)) / (c * c) + wider
        area = np.sqrt(xx * yy - cross * cross)
        strength = 1 / (a * c * area)
        a = 1 / np.sqrt(xx)
        b, c = -cross * a / area, 1 / (a * area)
    half = math.sqrt(8) * np.stack([1 / a, np.sqrt(1 + np.square(b / a)) / c])
    low = np.clip(np.ceil(xy - half), 0, size)
    high = np.clip(np.floor(xy + half) + 1, 0, size)
    seen = np.flatnonzero((low[0] < high[0]) & (low[1] < high[1]))
    colour, opacity = gaussians.colour.take(seen, 0), None
    if gaussians.opacity is None:
        if scale < 1:
            colour *= strength.astype(np.float32).take(seen)[:, None]
    else:
        opacity = (gaussians.opacity * strength).astype(np.float32).take(seen)
    return _Placed(
        np.ascontiguousarray(xy.T, np.float32).take(seen, 0),
        np.stack([a, b, c], 1).astype(np.float32).take(seen, 0),
        colour,
        opacity,
        low.take(seen, 1),
        high.take(seen, 1),
    )


_kept = threading.local()


def _scratch(samples: int) -> np.ndarray:
    """Float32 of this thread, with anything in them: memory that is new each time takes longer to get than to fill."""
    if getattr(_kept, "samples", np.empty(0)).size < samples:
        _kept.samples = np.empty(samples, np.float32)
    strips: np.ndarray = _kept.samples[:samples]
    return strips


def _draw(placed: _Placed, start: int, stop: int, background: np.ndarray | None, out: np.ndarray) -> None:
    """Fill the rows `start` to `stop` of the picture `out` [height, width, channels]."""
    _, width, channels = out.shape
    rows, chunks = stop - start, -(-width // LANES)
    here = np.flatnonzero((placed.low[1] < stop) & (placed.high[1] > start)) if rows < len(out) else slice(None)
    strips = _scratch(chunks * rows * channels * LANES)
    strips.reshape(chunks, -1)[...] = 0 if background is None else np.tile(np.repeat(background, LANES), rows)
    shapes = placed.xy[here], placed.factor[here], placed.colour[here]
    if placed.opacity is None:
        pick("splat", out.size).draw(strips, rows, chunks, channels, start, *shapes)
    else:
        pick("splat_over", out.size).draw(strips, rows, chunks, channels, start, *shapes, placed.opacity[here])
    if out.dtype == np.uint8:
        pick("splat", out.size).to_bytes(strips, rows, width, channels, out[start:stop].reshape(-1))
    else:
        out[start:stop] = from_strips(strips, rows, width, channels)
