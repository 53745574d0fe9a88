"""Gaussians on a GPU: drawn, compared with a picture, fitted to it: as on a CPU, with sums in another order.

    fit    parameters ─► shapes ─► boxes ─► what is left ─► sums under each ─► a step of Adam      all in device memory

The state comes to the host when more Gaussians are due, which is six times, and when it is looked at: then a fit waits
for the device, and what ran away is found. Least squares are solved by the host, their two sums are the device's.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from midtread.kernels.cuda import splat, splat_step
from midtread.kernels.cuda.common import SIMULATED, cuda
from midtread.kernels.splat_slow import LANES
from midtread.transforms import gaussians_canvas, gaussians_fit
from midtread.transforms.gaussians_fit import MEMORY1, MEMORY2, RATES, SNAPS, Parts

SIDE = 1 if SIMULATED else 16  # of a tile, in pixels
THREADS = SIDE * SIDE
ACROSS, GATHERING = (1, 1) if SIMULATED else (16, 128)  # threads of a Gaussian: of a row, of all rows


class Held:
    """Gaussians in device memory, and what is found of them.

    Args:
        count: Gaussians.
        channels: 1 or 3.
    """

    def __init__(self, count: int, channels: int) -> None:
        room = max(count, 1)
        self.count, self.blocks = count, -(-room // THREADS)
        self.xy, self.factor, self.colour = (_floats(room, columns) for columns in (2, 3, channels))
        self.boxes, self.groups = (cuda.device_array((rows, 4), np.int32) for rows in (room, self.blocks))
        self.moments, self.products = _floats(room, 5 + channels), _floats(room, channels + 1)

    def load(self, xy: np.ndarray, factor: np.ndarray, colour: np.ndarray) -> None:
        """Take Gaussians from the host, as many as there are."""
        if self.count:
            for there, here in ((self.xy, xy), (self.factor, factor), (self.colour, colour)):
                there.copy_to_device(np.ascontiguousarray(here, np.float32))

    def fetch(self) -> Parts:
        """(xy, factor, colour) on the host."""
        return self.xy.copy_to_host(), self.factor.copy_to_host(), self.colour.copy_to_host()

    def reach(self, height: int, width: int, stream: Any = 0) -> None:
        """Start to find their boxes in a picture of this size."""
        parts = self.xy, self.factor, self.boxes, self.groups
        _on(splat.reach, self.blocks, THREADS, stream)(self.count, width, height, *parts)

    @property
    def parts(self) -> tuple[Any, ...]:
        """What kernels that work on tiles begin with."""
        return SIDE, self.count, self.boxes, self.groups, self.xy, self.factor, self.colour


def _on(kernel: Any, blocks: Any, threads: int, stream: Any = 0) -> Any:
    """A kernel for so many blocks, without numba's warning that few leave a GPU idle: so it is with small pictures."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Grid size")
        return kernel[blocks, threads, stream]


def _floats(*shape: int) -> Any:
    return cuda.device_array(shape, np.float32)


def _tiles(height: int, width: int) -> tuple[int, int]:
    return -(-width // SIDE), -(-height // SIDE)


class Drawing:
    """A picture in device memory, drawn as often as asked.

    Args:
        held: the Gaussians, centres in pixels of the picture.
        begin: float32 [C], what the sum begins with; None: black.
        height: of the picture, in pixels.
        width: of the picture, in pixels.
        dtype: uint8 or float32.
    """

    def __init__(self, held: Held, begin: np.ndarray | None, height: int, width: int, dtype: Any = np.uint8) -> None:
        channels = held.colour.shape[1]
        self.held, self.out = held, cuda.device_array((height, width, channels), dtype)
        self._begin = cuda.to_device(np.zeros(channels, np.float32) if begin is None else begin)
        self._kernel = splat.draw_bytes if np.dtype(dtype) == np.uint8 else splat.draw

    def run(self, stream: Any = 0) -> None:
        """Start to fill `out`, [height, width, C]."""
        height, width, _ = self.out.shape
        self.held.reach(height, width, stream)
        _on(self._kernel, _tiles(height, width), THREADS, stream)(*self.held.parts, self._begin, self.out)


def draw(xy: np.ndarray, factor: np.ndarray, colour: np.ndarray, begin: np.ndarray | None, out: np.ndarray) -> None:
    """Fill a picture on the host, uint8 or float32 [height, width, C]."""
    height, width, channels = out.shape
    held = Held(len(xy), channels)
    held.load(xy, factor, colour)
    drawing = Drawing(held, begin, height, width, out.dtype)
    drawing.run()
    drawing.out.copy_to_host(out)


class Canvas(gaussians_canvas.Canvas):
    """`gaussians_canvas.Canvas` in device memory; Gaussians come from the host.

    Args:
        picture: float32 [H, W, C] with C 1 or 3, 0 to 1.
    """

    def __init__(self, picture: np.ndarray) -> None:
        self.height, self.width, self.channels = picture.shape
        self._wide = -(-self.width // LANES) * LANES
        self._tiles = _tiles(self.height, self._wide)
        self._wanted = cuda.to_device(np.ascontiguousarray(picture, np.float32))
        self._rest = _floats(self.height * self._wide * self.channels)
        self._energies = _floats(self._tiles[0] * self._tiles[1])
        self._held = Held(0, self.channels)

    def close(self) -> None:
        """Nothing is to be done: memory goes with its last use."""

    def energy(self, xy: np.ndarray, factor: np.ndarray, colour: np.ndarray) -> float:
        """As on a CPU."""
        self.compare(self._hold(xy, factor, colour))
        return self.left()

    def moments(self, xy: np.ndarray, factor: np.ndarray, colour: np.ndarray) -> tuple[float, np.ndarray]:
        """As on a CPU."""
        held = self._hold(xy, factor, colour)
        self.compare(held)
        self.differentiate(held)
        return self.left(), held.moments.copy_to_host()[: held.count]

    @property
    def rest(self) -> np.ndarray:
        """As on a CPU."""
        return self._rest.copy_to_host().reshape(self.height, self._wide, self.channels)[:, : self.width]

    def compare(self, held: Held, weight: float = 1.0) -> None:
        """Start to draw; what is drawn less `weight` times what is wanted stays on the device."""
        held.reach(self.height, self._wide)
        _on(splat.compare, self._tiles, THREADS)(
            *held.parts, self._wanted, weight, self._wide, self._rest, self._energies
        )

    def left(self) -> float:
        """The sum of squares that `compare` left; waits for the device."""
        return float(self._energies.copy_to_host().sum(dtype=np.float64))

    def differentiate(self, held: Held) -> None:
        """Start to find the moments of what `compare` left."""
        if held.count:
            parts = held.boxes, held.xy, held.factor, held.colour
            _on(splat.moments, held.count, GATHERING)(
                ACROSS, self.channels, self._wide, *parts, self._rest, held.moments
            )

    def _products(
        self, xy: np.ndarray, factor: np.ndarray, colour: np.ndarray, *, wanted: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        held = self._hold(xy, factor, colour)
        self.compare(held, float(wanted))
        if held.count:
            parts = held.boxes, held.xy, held.factor
            _on(splat.gather, held.count, GATHERING)(
                ACROSS, self.channels, self._wide, *parts, self._rest, held.products
            )
        sums = held.products.copy_to_host()[: held.count]
        return sums[:, :-1], sums[:, -1]

    def _hold(self, xy: np.ndarray, factor: np.ndarray, colour: np.ndarray) -> Held:
        if len(xy) != self._held.count:
            self._held = Held(len(xy), self.channels)
        self._held.load(xy, factor, colour)
        return self._held


class Fit(gaussians_fit.Fit):
    """`gaussians_fit.Fit` with its steps on the device; `state` and `age` on the host are those of the last look."""

    canvas: Canvas

    def _start(self, count: int) -> None:
        bounds = gaussians_fit.bounds(*self.picture.shape[:2])
        self._tables = [cuda.to_device(table.astype(np.float32)) for table in (RATES, *bounds)]
        super()._start(count)
        self._send()

    def _send(self) -> None:
        """The host's state to the device."""
        self._state, self._age = cuda.to_device(self.state), cuda.to_device(self.age)
        self._held = Held(self.state.shape[1], self.canvas.channels)

    def _fetch(self) -> None:
        """The device's state to the host; waits for it."""
        self.state, self.age = self._state.copy_to_host(), self._age.copy_to_host()

    def _grow(self, done: float) -> None:
        if self._due(done) > 0:
            self._fetch()
            super()._grow(done)
            self._send()

    def _step(self, done: float) -> None:
        held, (rates, low, high) = self._held, self._tables
        _on(splat_step.parts, held.blocks, THREADS)(self._state, held.xy, held.factor, held.colour)
        if self.snap and done >= SNAPS:
            held.load(*self.snap(*held.fetch()))
        self.canvas.compare(held)
        self.canvas.differentiate(held)
        _on(splat_step.step, held.blocks, THREADS)(
            held.moments, held.factor, self._pace(done), rates, MEMORY1, MEMORY2, low, high, self._age, self._state
        )

    def _sound(self, look: bool) -> bool:
        if not look:
            return True  # the device has not come so far yet; what runs away stays so, and is found at the next look
        self.energy = self.canvas.left()
        self._fetch()
        return super()._sound(look)

    def _keep(self) -> tuple[np.ndarray, np.ndarray]:
        self._good = super()._keep()
        return self._good

    def _retreat(self, good: tuple[np.ndarray, np.ndarray]) -> None:
        super()._retreat(good)
        self._send()

    def _finish(self, iteration: int) -> Any:
        self._fetch()
        if not np.isfinite(self.state).all():
            self._retreat(self._good)
        return super()._finish(iteration)
