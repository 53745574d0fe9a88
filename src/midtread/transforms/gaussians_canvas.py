"""The pixels that Gaussians are fitted to: what is drawn, what is left, and the sums that gradients are made of.

The picture is cut into bands of rows that stay in a core's cache. Each band sees only the Gaussians that reach it, so
threads take bands and share nothing; sums over bands are added in their order, so their number decides the last bit and
that of the threads does not.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from midtread.kernels.splat_slow import LANES
from midtread.transforms.gaussians import on_gpu

ROWS = 64  # in a band


@dataclass
class Band:
    """Rows of the picture as strips of 16 columns, see `kernels.splat_slow`: what is wanted, and drawn minus wanted."""

    top: int
    rows: int
    wanted: np.ndarray
    rest: np.ndarray


class Canvas:
    """A picture that sums of Gaussians are compared with.

    Args:
        picture: float32 [H, W, C] with C 1 or 3, 0 to 1.
        threads: that share the work.
    """

    def __init__(self, picture: np.ndarray, threads: int = 1) -> None:
        from midtread.kernels import splat

        self._splat: Any = splat
        self.height, self.width, self.channels = picture.shape
        self._chunks = -(-self.width // LANES)
        self._bands = [self._band(picture, top) for top in range(0, self.height, ROWS)]
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def close(self) -> None:
        """Let the threads go."""
        if self._pool:
            self._pool.shutdown()

    def energy(self, xy: np.ndarray, factor: np.ndarray, colour: np.ndarray) -> float:
        """Draw Gaussians, keep drawn minus wanted, and return the sum of its squares."""
        reached = reach(xy, factor)

        def work(band: Band) -> float:
            return self._draw(band, reaching(band, reached), xy, factor, colour)

        return sum(self._share(work))

    def moments(self, xy: np.ndarray, factor: np.ndarray, colour: np.ndarray) -> tuple[float, np.ndarray]:
        """(sum of squares, float32 [n, 5 + C] of `splat.moments`) of drawn minus wanted."""
        reached = reach(xy, factor)

        def work(band: Band) -> tuple[float, np.ndarray, np.ndarray]:
            here = reaching(band, reached)
            energy = self._draw(band, here, xy, factor, colour)
            mine = np.empty((len(here), 5 + self.channels), np.float32)
            place = band.rows, self._chunks, self.channels, band.top, 0, len(here)
            self._splat.moments(band.rest, *place, xy[here], factor[here], colour[here], mine)
            return energy, here, mine

        total, out = 0.0, np.zeros((len(xy), 5 + self.channels), np.float32)
        for energy, here, mine in self._share(work):
            total += energy
            out[here] += mine
        return total, out

    @property
    def rest(self) -> np.ndarray:
        """What was last drawn minus what is wanted, float32 [H, W, C]; a copy."""
        parts = [
            band.rest.reshape(self._chunks, band.rows, self.channels, LANES).transpose(1, 0, 3, 2)
            for band in self._bands
        ]
        return np.concatenate(parts).reshape(self.height, -1, self.channels)[:, : self.width]

    def solve(self, xy: np.ndarray, factor: np.ndarray, colour: np.ndarray, iterations: int) -> np.ndarray:
        """The colours of least squared error for Gaussians that stay, float32 [n, C].

        Conjugate gradients on the normal equations, scaled by the norms, from `colour` on. A little damping keeps
        Gaussians that nearly coincide from growing against each other.
        """
        products, norms = self._products(xy, factor, colour, wanted=True)
        damping = 1e-4 * norms[:, None]
        scale = 1 / np.maximum(norms, 1e-3)[:, None]
        x = colour.astype(np.float32)
        r = -(products + damping * x)
        z = scale * r
        p, old = z, (r * z).sum(0)
        for _ in range(iterations):
            ap = self._products(xy, factor, p, wanted=False)[0] + damping * p
            alpha = old / np.maximum((p * ap).sum(0), 1e-20)
            x = x + alpha * p
            r = r - alpha * ap
            z = scale * r
            new = (r * z).sum(0)
            p, old = z + new / np.maximum(old, 1e-30) * p, new
        return x.astype(np.float32) if np.isfinite(x).all() else colour

    def _products(
        self, xy: np.ndarray, factor: np.ndarray, colour: np.ndarray, *, wanted: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """(float32 [n, C] of each Gaussian times what is drawn, minus what is wanted or not; [n] squared norms)."""
        reached = reach(xy, factor)

        def work(band: Band) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            here = reaching(band, reached)
            self._draw(band, here, xy, factor, colour, wanted=wanted)
            mine, norms = np.empty((len(here), self.channels), np.float32), np.empty(len(here), np.float32)
            place = band.rows, self._chunks, self.channels, band.top, 0, len(here)
            self._splat.gather(band.rest, *place, xy[here], factor[here], mine, norms)
            return here, mine, norms

        out, norms = np.zeros((len(xy), self.channels), np.float32), np.zeros(len(xy), np.float32)
        for here, mine, own in self._share(work):
            out[here] += mine
            norms[here] += own
        return out, norms

    def _draw(
        self, band: Band, here: np.ndarray, xy: np.ndarray, factor: np.ndarray, colour: np.ndarray, wanted: bool = True
    ) -> float:
        if wanted:
            np.negative(band.wanted, out=band.rest)
        else:
            band.rest[:] = 0
        place = band.rows, self._chunks, self.channels, band.top
        self._splat.draw(band.rest, *place, xy[here], factor[here], colour[here])
        if self.width % LANES:
            band.rest.reshape(self._chunks, -1, LANES)[-1, :, self.width % LANES :] = 0
        return float(np.dot(band.rest, band.rest))

    def _share(self, work: Callable[[Band], Any]) -> list[Any]:
        return list(self._pool.map(work, self._bands) if self._pool else map(work, self._bands))

    def _band(self, picture: np.ndarray, top: int) -> Band:
        rows = min(ROWS, self.height - top)
        wide = np.zeros((rows, self._chunks * LANES, self.channels), np.float32)
        wide[:, : self.width] = picture[top : top + rows]
        strips = wide.reshape(rows, self._chunks, LANES, self.channels).transpose(1, 0, 3, 2)
        wanted = np.ascontiguousarray(strips).reshape(-1)
        return Band(top, rows, wanted, np.empty_like(wanted))


def canvas_on(device: str, picture: np.ndarray, threads: int = 1) -> Canvas:
    """A canvas on a device.

    Args:
        device: "cpu", or "cuda": a GPU, where `threads` count for nothing.
        picture: as `Canvas` takes it.
        threads: likewise.

    Raises:
        UsageError: there is no such device here. MissingError: numba-cuda is not installed.
    """
    return Canvas(picture, threads) if device == "cpu" else on_gpu(device).Canvas(picture)


def reach(xy: np.ndarray, factor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last row that each Gaussian touches, float [n]."""
    a, b, c = factor.T
    half = np.sqrt(8 * (a * a + b * b)) / (a * c)
    return np.ceil(xy[:, 1] - half), np.floor(xy[:, 1] + half)


def reaching(band: Band, reached: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Indices of the Gaussians that touch a row of the band."""
    first, last = reached
    return np.flatnonzero((last >= band.top) & (first <= band.top + band.rows - 1))
