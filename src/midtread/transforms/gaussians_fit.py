"""Fitting a sum of 2-D Gaussians to a picture.

    a tenth of the Gaussians, where the gradient is ─► Adam ─► more where the error is, six times ─► Adam ─► colours

Positions move in units of the Gaussian's own size and shapes in logarithms, so that one learning rate fits all.
Colours are solved for, not learnt, at the beginning and at the end. Nothing is clipped: colours may be negative, the
sum is what counts.

Sources: Zhang et al., "GaussianImage", ECCV 2024 (accumulated sum); Zhang et al., "Image-GS", SIGGRAPH 2025 (sampling
by gradient, growth by error); Kingma & Ba, "Adam", 2015.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

from midtread.transforms.gaussians import Gaussians
from midtread.transforms.gaussians_canvas import Canvas, canvas_on

MARGIN = 8  # pixels around the picture in which centres may lie
SMALLEST, LARGEST = 0.35, 80.0  # sigma along the axes of the factor, pixels
SHEAR = 8.0  # the largest b / a
FIRST = 0.1  # part of the Gaussians that begin
GROWTHS = 6  # times that more come, evenly over the first half
CHECKED = 25  # iterations between two looks at how far it is: a state to go back to
RATES = np.array([0.4, 0.4, 0.12, 0.12, 0.12, 0.02])  # x, y in sigmas; log a, b/a, log c; colour
SNAPS = 0.7  # part of the budget after which a quantizer is looked at
SNAP_PACE = 0.3  # of the pace without: its noise would drive all too far
MEMORY1, MEMORY2 = 0.9, 0.99  # of Adam
LEAST_RATE = 0.1  # of the first, at the end of the cosine
MOST_RETREATS = 8


@dataclass(frozen=True)
class Budget:
    """When a fit ends: after so many iterations or so many seconds, whatever comes first."""

    iterations: int = 500
    seconds: float = math.inf


@dataclass
class Trace:
    """What a fit went through."""

    iteration: list[int] = field(default_factory=list)
    psnr_db: list[float] = field(default_factory=list)  # of the unrounded sum
    count: list[int] = field(default_factory=list)
    retreats: int = 0  # times that numbers ran away and the last good state came back
    stopped: bool = False  # by the user or by the clock, before the last iteration


Watch = Callable[[float, float], Any]  # (part that is done, psnr_db)
Parts = tuple[np.ndarray, np.ndarray, np.ndarray]  # xy, factor, colour
Snap = Callable[[np.ndarray, np.ndarray, np.ndarray], Parts]


def fit(
    picture: np.ndarray,
    count: int,
    budget: Budget | None = None,
    *,
    seed: int = 0,
    threads: int = 1,
    device: str = "cpu",
    watch: Watch | None = None,
    snap: Snap | None = None,
) -> tuple[Gaussians, Trace]:
    """Gaussians whose sum is near a picture.

    With a budget of iterations and one thread the result is the same on every run. Ctrl-C ends the fit and keeps what
    it has.

    Args:
        picture: float32 [H, W, C] with C 1 or 3, 0 to 1.
        count: Gaussians, at least 1.
        budget: when to end.
        seed: of the places that are sampled.
        threads: that share the work.
        device: "cuda": the same steps on a GPU, in another order of sums: a fit as good, not the same numbers.
        watch: called now and then; it may raise KeyboardInterrupt to end the fit.
        snap: what a quantizer would make of the parameters. After 70 % of the budget the error is that of the snapped
            ones, and its gradient moves the others (straight through): quantization-aware fitting.

    Raises:
        UsageError: there is no such device here. MissingError: numba-cuda is not installed.
    """
    canvas = canvas_on(device, picture, threads)
    kind: type[Fit] = Fit if device == "cpu" else import_module("midtread.transforms.gaussians_cuda").Fit
    try:
        state = kind(canvas, picture, count, budget or Budget(), np.random.default_rng(seed))
        state.watch, state.snap = watch, snap
        return state.run()
    finally:
        canvas.close()


class Fit:
    """The state of one fit: parameters [n, 5 + C] as x, y, log a, b/a, log c, colour; the two moments of Adam."""

    watch: Watch | None = None
    snap: Snap | None = None

    def __init__(
        self, canvas: Canvas, picture: np.ndarray, count: int, budget: Budget, rng: np.random.Generator
    ) -> None:
        self.canvas, self.picture, self.count, self.budget, self.rng = canvas, picture, count, budget, rng
        self.trace, self.rate, self.energy = Trace(), 1.0, math.inf
        self.begun = time.perf_counter() if budget.seconds < math.inf else 0.0
        self.state = np.zeros((3, 0, 5 + canvas.channels), np.float32)
        self.age = np.zeros((0, 1), np.float32)

    def run(self) -> tuple[Gaussians, Trace]:
        """All of it: (the Gaussians, what the fit went through)."""
        self._start(max(1, round(self.count * FIRST)))
        good, iteration = self._keep(), 0
        try:
            while iteration < self.budget.iterations and (done := self._done(iteration)) < 1:
                self._grow(done)
                self._step(done)
                look = iteration % CHECKED == 0
                if not self._sound(look):
                    self._retreat(good)
                elif look:
                    good = self._keep()
                    self._tell(iteration, done, self.energy)
                iteration += 1
        except KeyboardInterrupt:
            self.trace.stopped = True
        return self._finish(iteration)

    def _done(self, iteration: int) -> float:
        """The part of the budget that is used up."""
        part = iteration / self.budget.iterations
        if self.budget.seconds < math.inf:
            used = (time.perf_counter() - self.begun) / max(self.budget.seconds, 1e-9)
            self.trace.stopped = used >= 1
            part = max(part, used)
        return part

    def _start(self, count: int) -> None:
        height, width = self.picture.shape[:2]
        slopes = np.gradient(self.picture.mean(2)) if min(height, width) > 1 else [np.zeros((height, width))]
        steep = np.sqrt(sum(slope * slope for slope in slopes))
        weight = 0.7 * steep / max(float(steep.sum()), 1e-9) + 0.3 / (height * width)
        xy, places = self._sample(weight, count)
        sigma = np.clip(0.8 * _spacing(xy, math.sqrt(height * width)), 1, 60)
        self._begin(xy, sigma, places)

    def _begin(self, xy: np.ndarray, sigma: np.ndarray, places: np.ndarray) -> None:
        """The first Gaussians, in their best colours."""
        self._add(xy, sigma, np.zeros((len(xy), self.canvas.channels), np.float32))
        self.state[0, :, 5:] = self.canvas.solve(*self._parts(), 10)

    def _coloured(self, places: np.ndarray) -> np.ndarray:
        """Colours of Gaussians that come, at pixels: half of what is missing."""
        return np.asarray(-0.5 * self.canvas.rest.reshape(-1, self.canvas.channels)[places], np.float32)

    def _draw(self) -> None:
        self.canvas.energy(*self._parts())

    def _grow(self, done: float) -> None:
        """Bring the Gaussians that are due, where the error is large, in its colour."""
        due = self._due(done)
        if due <= 0:
            return
        self._draw()
        rest = self.canvas.rest
        height, width = rest.shape[:2]
        xy, places = self._sample(np.square(rest).sum(2) ** 1.3, due)
        sigma = 0.25 * math.sqrt(height * width / (math.pi * (self.state.shape[1] + due)))
        self._add(xy, np.full(due, max(sigma, SMALLEST)), self._coloured(places))

    def _due(self, done: float) -> int:
        """How many are to come now."""
        stage = min(GROWTHS, int(done * 2 * GROWTHS))
        first = max(1, round(self.count * FIRST))
        return first + (self.count - first) * stage // GROWTHS - self.state.shape[1]

    def _sample(self, weight: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Places float [count, 2] as x, y and the pixels they are in, drawn by weight: one from each equal share."""
        total = np.cumsum(weight.reshape(-1), dtype=np.float64)
        shares = (np.arange(count) + self.rng.random(count)) / count * total[-1]
        places = np.minimum(np.searchsorted(total, shares), weight.size - 1)
        width = weight.shape[1]
        return np.stack([places % width, places // width], 1) + self.rng.random((count, 2)) - 0.5, places

    def _add(self, xy: np.ndarray, sigma: np.ndarray, colour: np.ndarray) -> None:
        new = np.zeros((3, len(xy), self.state.shape[2]), np.float32)
        new[0, :, :2], new[0, :, 2], new[0, :, 4], new[0, :, 5:] = xy, -np.log(sigma), -np.log(sigma), colour
        state = np.concatenate([self.state, new], 1)
        age = np.concatenate([self.age, np.zeros((len(xy), 1), np.float32)])
        order = self._order(state)
        self.state, self.age = np.ascontiguousarray(state[:, order]), age[order]

    def _order(self, state: np.ndarray) -> np.ndarray:
        """Neighbours in space become neighbours in memory."""
        return np.lexsort((state[0, :, 0], state[0, :, 1] // 16))

    def _parts(self) -> Parts:
        """(xy, factor, colour) for the kernels."""
        p = self.state[0]
        a = np.exp(p[:, 2])
        return p[:, :2].copy(), np.stack([a, p[:, 3] * a, np.exp(p[:, 4])], 1), p[:, 5:].copy()

    def _step(self, done: float) -> None:
        """One step of Adam; `energy` is the squared error before it."""
        xy, factor, colour = self._parts()
        if self.snap and done >= SNAPS:
            xy, factor, colour = self.snap(xy, factor, colour)
        self.energy, moments = self.canvas.moments(xy, factor, colour)
        gradient = np.empty_like(moments)
        size = 1 / np.sqrt(factor[:, 0] * factor[:, 2])
        gradient[:, :2], gradient[:, 2:5] = by_place(moments, factor) * size[:, None], by_shape(moments, factor)
        gradient[:, 5:] = moments[:, 5:]
        self._move(gradient, size, done)

    def _move(self, gradient: np.ndarray, size: np.ndarray, done: float) -> None:
        """Adam; places move in units of `size`."""
        p, m, v = self.state
        self.age += 1
        m += (1 - MEMORY1) * (gradient - m)
        v += (1 - MEMORY2) * (gradient * gradient - v)
        step = m / (1 - MEMORY1**self.age) / (np.sqrt(v / (1 - MEMORY2**self.age)) + 1e-12)
        rate = self._pace(done)
        step[:, :2] *= size[:, None]
        step[:, :5] *= rate * RATES[:5]
        step[:, 5:] *= rate * RATES[5]
        p -= step
        np.clip(p[:, :5], *bounds(*self.picture.shape[:2]), out=p[:, :5])

    def _pace(self, done: float) -> float:
        """What `RATES` are multiplied with: a cosine."""
        slower = SNAP_PACE if self.snap and done >= SNAPS else 1.0
        return slower * self.rate * (LEAST_RATE + (1 - LEAST_RATE) * 0.5 * (1 + math.cos(math.pi * min(done, 1))))

    def _sound(self, look: bool) -> bool:
        """Whether all numbers are finite; a GPU knows it, and `energy`, when it is asked to look."""
        return math.isfinite(self.energy) and bool(np.isfinite(self.state).all())

    def _keep(self) -> tuple[np.ndarray, np.ndarray]:
        return self.state.copy(), self.age.copy()

    def _retreat(self, good: tuple[np.ndarray, np.ndarray]) -> None:
        """Numbers ran away: back to the last good state, slower."""
        self.trace.retreats += 1
        self.rate *= 0.5
        self.state, self.age = good[0].copy(), good[1].copy()
        if self.trace.retreats > MOST_RETREATS:
            self.rate = 0.0

    def _tell(self, iteration: int, done: float, energy: float) -> None:
        psnr_db = -10 * math.log10(max(energy, 1e-12) / self.picture.size)
        self.trace.iteration.append(iteration)
        self.trace.psnr_db.append(psnr_db)
        self.trace.count.append(self.state.shape[1])
        if self.watch and not self.trace.stopped:
            self.watch(done, psnr_db)

    def _finish(self, iteration: int) -> tuple[Gaussians, Trace]:
        xy, factor, colour = self._parts()
        solved = self.canvas.solve(xy, factor, colour, 20)
        if self.canvas.energy(xy, factor, solved) <= self.canvas.energy(xy, factor, colour):  # not with NaN
            colour = solved
        self._tell(iteration, 1.0, self.canvas.energy(xy, factor, colour))
        height, width = self.picture.shape[:2]
        return Gaussians(height, width, xy, factor, colour), self.trace


def by_place(moments: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Gradient of half the squared error by x and y, float [n, 2], of `splat.moments`."""
    a, b, c = factor.T
    across = b * moments[:, 0] + c * moments[:, 1]
    return np.stack([a * a * moments[:, 0] + b * across, c * across], 1)


def by_shape(moments: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Gradient of half the squared error by log a, b / a and log c, float [n, 3], of `splat.moments`."""
    a, b, c = factor.T
    xx, xy, yy = moments[:, 2], moments[:, 3], moments[:, 4]
    by_b = -(b * xx + c * xy)
    return np.stack([-a * a * xx + b * by_b, a * by_b, -c * (b * xy + c * yy)], 1)


def bounds(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The least and the largest x, y, log a, b / a and log c of a picture's Gaussians, float32 [5] each."""
    lowest, highest = -math.log(LARGEST), -math.log(SMALLEST)
    low = np.array([-MARGIN, -MARGIN, lowest, -SHEAR, lowest], np.float32)
    return low, np.array([width - 1 + MARGIN, height - 1 + MARGIN, highest, SHEAR, highest], np.float32)


def _spacing(xy: np.ndarray, side: float) -> np.ndarray:
    """About how far each point is from its next three: the mean over a grid with a few points a cell."""
    cell = max(1.0, side / math.sqrt(max(1, len(xy) / 4)))
    column, row = ((xy[:, i] + 1) // cell for i in (0, 1))
    _, place, counts = np.unique(row * 2**20 + column, return_inverse=True, return_counts=True)
    return cell / np.sqrt(counts[place.reshape(-1)])
