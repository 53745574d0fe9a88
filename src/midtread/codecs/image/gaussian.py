"""gaussian: a picture as a sum of 2-D Gaussians, for small files that decode at any size.

    pixels ─► count by sparsity ─► fit ─► quantize, solve colours, move by steps ─► layers by energy ─► contexts ─┐
    pixels ◄─ sum of Gaussians, at any scale, of any region ◄── any first layers ◄────────────────────── chunks ◄─┘

A Gaussian's own norm decides how precisely it is told. Each layer is a set without an order; the first ones make a
coarse picture. What no Gaussian is needed for, the mean colour, stands in the header. Alpha is kept exactly. File
layout: docs/formats/gaussian.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from midtread.codecs.image.alpha import colours_of
from midtread.codecs.image.gaussian_aware import noisy
from midtread.codecs.image.gaussian_file import MOST_LAYERS, decode_part, write_file
from midtread.codecs.image.gaussian_fits import Wanted, fitted
from midtread.codecs.image.gaussian_header import QUANTIZERS, STEPS, Header
from midtread.codecs.image.gaussian_quantize import quantized
from midtread.errors import UsageError
from midtread.spec import Accepts, Codec, Knob, Limits, check_choice, check_range, stage
from midtread.transforms.gaussians import DEVICES, Region
from midtread.transforms.gaussians_canvas import canvas_on
from midtread.transforms.gaussians_count import Sparsity
from midtread.transforms.gaussians_fit import Budget

EFFORTS = {"fast": (150, 10), "normal": (500, 40), "high": (2000, 120)}  # iterations of the fit, rounds of refinement
MOST = 2**20  # Gaussians


@dataclass(frozen=True)
class Gaussian(Codec):
    """A picture as quantized 2-D Gaussians, fitted to it; every prefix of its layers is a picture."""

    name: ClassVar[str] = "gaussian"
    summary: ClassVar[str] = "a sum of fitted 2-D Gaussians: small files, any scale, region or first layers of them"
    family: ClassVar[str] = "gaussian"
    accepts: ClassVar[Accepts] = Accepts(("uint8",), (1, 2, 3, 4))
    knob: ClassVar[Knob] = Knob("step", 2, 1000, "down", meaning="L2 norm of a rounding step, 8-bit units", log=True)

    step: float = 80.0
    count: int | None = None  # Gaussians; None: as many as go with the step and the picture
    effort: str = "normal"  # iterations: fast 150, normal 500, high 2000
    iterations: int | None = None  # in place of those of the effort
    seconds: float | None = None  # ends the fit after that time: a result that depends on the machine
    quantizer: str = "norm"  # uniform: the same steps for all. vq: codebooks for shapes and colours
    aware: bool = False  # the last 30 % of the fit look at the quantizer: a fit for each step
    layers: int = 4
    seed: int = 0
    threads: int = 1
    device: str = "cpu"  # "cuda": fitted and drawn by a GPU; a file as good, not the same bytes

    def __post_init__(self) -> None:
        check_range(self.name, "step", self.step, self.knob.low, self.knob.high)
        for option, low, high in (("count", 1, MOST), ("iterations", 1, 10**6)):
            if getattr(self, option) is not None:
                check_range(self.name, option, getattr(self, option), low, high, integer=True)
        if self.seconds is not None and not (isinstance(self.seconds, int | float) and 0 < self.seconds <= 1e6):
            raise UsageError(f"codec 'gaussian': seconds={self.seconds!r}; a fit takes a number above 0, to 1e6")
        check_choice(self.name, "effort", self.effort, tuple(EFFORTS))
        check_choice(self.name, "quantizer", self.quantizer, QUANTIZERS)
        check_choice(self.name, "aware", self.aware, (True, False))
        check_range(self.name, "layers", self.layers, 1, MOST_LAYERS, integer=True)
        check_range(self.name, "seed", self.seed, 0, 2**32 - 1, integer=True)
        check_range(self.name, "threads", self.threads, 1, 1024, integer=True)
        check_choice(self.name, "device", self.device, DEVICES)

    def encode(self, x: np.ndarray) -> bytes:
        """uint8 [H, W] or [H, W, 2 .. 4] -> a midtread file."""
        return self._encode(x, None)

    def pieces(self, x: np.ndarray, progress: Callable[[float], None] | None = None) -> Iterator[bytes | memoryview]:
        """The whole file as one piece, with progress of the fit."""
        yield self._encode(x, progress)

    def _encode(self, x: np.ndarray, progress: Callable[[float], None] | None) -> bytes:
        x = self.check(x)
        colours = colours_of(x)
        background = np.rint(colours.mean((0, 1), dtype=np.float64)).astype(np.uint8)
        picture = (colours.astype(np.float32) - background) / np.float32(255)
        header = Header(x.shape[0], x.shape[1], colours.shape[2], place_of(self.step))
        count = self._count(picture, header)
        if count == 0:
            return write_file(x, background, header, [])
        with stage("fit"):
            snap = noisy(header, self.quantizer, self.seed) if self.aware else None
            gaussians = fitted(picture, self._wanted(count), self.threads, _watch(progress), snap)
        canvas = canvas_on(self.device, picture, self.threads)
        try:
            with stage("quantize"):
                rounds = EFFORTS[self.effort][1]
                found = quantized(canvas, gaussians, header, self.quantizer, rounds, self.seed)
        finally:
            canvas.close()
        with stage("entropy"):
            return write_file(x, background, found.header, found.by_energy(self.layers), found.books)

    def decode(self, data: bytes) -> np.ndarray:
        """What `encode` wrote -> the picture. Raises BitstreamError, LimitError."""
        return decode_part(data, threads=self.threads, device=self.device)

    def decode_within(self, data: bytes, limits: Limits) -> np.ndarray:
        """`decode` under the caller's limits."""
        return decode_part(data, threads=self.threads, device=self.device, limits=limits)

    def decode_part(
        self, data: bytes, *, scale: float = 1.0, region: Region | None = None, limits: Limits = Limits()
    ) -> np.ndarray:
        """At 0.25 to 8 times its sides."""
        return decode_part(data, scale=scale, region=region, threads=self.threads, device=self.device, limits=limits)

    def aim(self, x: np.ndarray, option: str, wanted: float) -> dict[str, Any]:
        """The step at which as many Gaussians as go with it are expected to need these bits, or to leave this error.

        A search then keeps their number: one fit serves all steps.
        """
        if self.count is not None or option not in ("rate_bpp", "size_bytes", "psnr_db"):
            return {}
        colours = colours_of(self.check(x))
        sparsity = Sparsity.of(colours.astype(np.float32) / np.float32(255))
        pixels = colours.shape[0] * colours.shape[1]
        bits = {"rate_bpp": pixels * wanted, "size_bytes": 8 * wanted}.get(option, 0)
        low, high, count = self.knob.low, self.knob.high, 1
        for _ in range(12):
            step = math.sqrt(low * high)
            count = sparsity.count(step / 255, MOST)
            coarse = sparsity.bits(count, step / 255) < bits
            if option == "psnr_db":
                noise = count * (step / 255) ** 2 / 2
                coarse = float(sparsity.error(count)) + noise > colours.size * 10 ** (-wanted / 10)
            low, high = (low, step) if coarse else (step, high)
        return {"step": float(f"{math.sqrt(low * high):.4g}"), "count": max(count, 1)}

    def _count(self, picture: np.ndarray, header: Header) -> int:
        """Gaussians to fit: 0 for a picture that its mean says all about."""
        pixels = picture.shape[0] * picture.shape[1]
        if self.count is None:
            return Sparsity.of(picture).count(header.step, MOST)
        if self.count > pixels:
            height, width = picture.shape[:2]
            raise UsageError(
                f"codec 'gaussian': count={self.count} is more than the {pixels} pixels of a {height} x {width} picture"
            )
        return self.count if picture.any() else 0

    def _wanted(self, count: int) -> Wanted:
        iterations = EFFORTS[self.effort][0] if self.iterations is None else self.iterations
        budget = Budget(iterations, math.inf if self.seconds is None else self.seconds)
        snapped = f"{self.quantizer} at {place_of(self.step)}" if self.aware else ""
        return Wanted(count, budget, self.seed, device=self.device, snapped=snapped)


def place_of(step: float) -> int:
    """The step nearest to one in 8-bit units, as a header holds it."""
    return round(STEPS * math.log2(step))


def _watch(progress: Callable[[float], None] | None) -> Callable[[float, float], None]:
    return (lambda done, psnr_db: None) if progress is None else (lambda done, psnr_db: progress(done))
