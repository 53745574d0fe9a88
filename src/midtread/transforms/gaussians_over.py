"""Fitting Gaussians that are painted one over the other: alpha compositing in place of a sum.

The steps are those of `gaussians_fit`, with an opacity for each, and with the order in which they came: large ones
first, later ones over them. Colours depend on what is painted above, so nothing is solved for.
`benchmarks/gaussian.py over` compares both; files hold sums.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from midtread.kernels.splat_slow import LANES
from midtread.transforms.gaussians import MOST_OPACITY, Gaussians
from midtread.transforms.gaussians_canvas import Band, Canvas, reach, reaching
from midtread.transforms.gaussians_fit import Budget, Fit, Trace, by_place, by_shape

OPACITY = 0.5  # of a Gaussian that comes


def fit_over(
    picture: np.ndarray, count: int, budget: Budget | None = None, *, seed: int = 0, threads: int = 1
) -> tuple[Gaussians, Trace]:
    """Gaussians that, painted in their order over 0, are near a picture; arguments as of `gaussians_fit.fit`."""
    canvas = _OverCanvas(picture, threads)
    try:
        return _OverFit(canvas, picture, count, budget or Budget(), np.random.default_rng(seed)).run()
    finally:
        canvas.close()


class _OverCanvas(Canvas):
    """Bands that are painted, and unpainted for the gradient."""

    def painted(
        self, xy: np.ndarray, factor: np.ndarray, colour: np.ndarray, opacity: np.ndarray
    ) -> tuple[float, np.ndarray]:
        """(sum of squares, float32 [n, 6 + C] of `splat_over.undo`) of painted minus wanted, kept as `rest`."""
        over: Any = import_module("midtread.kernels.splat_over")
        reached = reach(xy, factor)

        def work(band: Band) -> tuple[float, np.ndarray, np.ndarray]:
            here = reaching(band, reached)
            place = band.rows, self._chunks, self.channels, band.top
            parts = xy[here], factor[here], colour[here], opacity[here]
            seen, sums = np.zeros_like(band.rest), np.empty((len(here), 6 + self.channels), np.float32)
            over.draw(seen, *place, *parts)
            np.subtract(seen, band.wanted, out=band.rest)
            if self.width % LANES:
                band.rest.reshape(self._chunks, -1, LANES)[-1, :, self.width % LANES :] = 0
            over.undo(seen, band.rest.copy(), *place, *parts, sums)
            return float(np.dot(band.rest, band.rest)), here, sums

        total, out = 0.0, np.zeros((len(xy), 6 + self.channels), np.float32)
        for energy, here, sums in self._share(work):
            total += energy
            out[here] += sums
        return total, out


class _OverFit(Fit):
    """Parameters [n, 6 + C]: those of a sum, and the opacity as a logit."""

    canvas: _OverCanvas

    def __init__(self, canvas: _OverCanvas, picture: np.ndarray, *others: Any) -> None:
        super().__init__(canvas, picture, *others)
        self.state = np.zeros((3, 0, 6 + canvas.channels), np.float32)

    def _begin(self, xy: np.ndarray, sigma: np.ndarray, places: np.ndarray) -> None:
        self._add(xy, sigma, self._coloured(places))

    def _coloured(self, places: np.ndarray) -> np.ndarray:
        return np.pad(self.picture.reshape(-1, self.canvas.channels)[places], ((0, 0), (0, 1)))

    def _order(self, state: np.ndarray) -> np.ndarray:
        return np.arange(state.shape[1])

    def _draw(self) -> None:
        self.canvas.painted(*self._parts(), self._opacity())

    def _parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        xy, factor, colour = super()._parts()
        return xy, factor, np.ascontiguousarray(colour[:, :-1])

    def _opacity(self) -> np.ndarray:
        return np.asarray(MOST_OPACITY / (1 + np.exp(-self.state[0, :, -1])), np.float32)

    def _step(self, done: float) -> None:
        (xy, factor, colour), opacity = self._parts(), self._opacity()
        self.energy, sums = self.canvas.painted(xy, factor, colour, opacity)
        size = 1 / np.sqrt(factor[:, 0] * factor[:, 2])
        gradient = np.empty_like(sums)
        gradient[:, :2], gradient[:, 2:5] = by_place(sums, factor) * size[:, None], by_shape(sums, factor)
        gradient[:, 5:-1] = sums[:, 5:-1]
        gradient[:, -1] = sums[:, -1] * opacity * (1 - opacity / MOST_OPACITY)
        self._move(gradient, size, done)

    def _finish(self, iteration: int) -> tuple[Gaussians, Trace]:
        (xy, factor, colour), opacity = self._parts(), self._opacity()
        self._tell(iteration, 1.0, self.canvas.painted(xy, factor, colour, opacity)[0])
        height, width = self.picture.shape[:2]
        return Gaussians(height, width, xy, factor, colour, opacity), self.trace
