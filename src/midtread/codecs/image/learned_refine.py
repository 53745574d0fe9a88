"""The encoder's search for latents that cost less; a decoder does not know of it.

    J = bits of the symbols + lambda * squared error of the pixels in grey levels, meant over channels

The analysis has learnt to give up what is expensive: at its latents y the error still falls towards larger ones, and
weighing symbols around y would pay twice for the same bits. So symbols are weighed around y minus a Newton step of the
error, whose gradient the graph `refine` gives and whose curvature is `Quality.price`.

    normal   one step from y
    high     steps from what was decoded, again and again, from a low curvature (many symbols may change) to a high one
             (few do), as in annealing; the choice with the smallest J is kept, those of fast and normal among them

A tile is judged by all pixels that it changes, its neighbours' as well: those before it as they were decoded, those
after it as if they were not quantized.

Proximal gradient steps with bits as the penalty: Beck & Teboulle, SIAM J. Imaging Sciences 2(1), 2009. Latents searched
by the encoder: Campos et al., "Content adaptive optimization for neural image compression", CVPR Workshops 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from midtread.codecs.image.learned_integers import STEPS
from midtread.codecs.image.learned_latents import Encoder, Quality
from midtread.codecs.image.learned_model import ANCHORS, FINE, Run
from midtread.codecs.image.learned_tiles import UNIT, Tile, around, hyper_symbols, latents, stages, synthesise
from midtread.spec import stage

# Chosen on pictures of the training set; factors of the curvature that is measured when a model is frozen.
WEIGH = 1.6
LOOSE, TIGHT = 0.5, 2.4
ROUNDS = 12
PART = 0.5  # of the way to each new aim
_FARTHEST_STEP = 2.0  # quantizer steps that an aim may lie from where it was measured
_JUDGED = 4  # last rounds whose J is measured
_GREY = np.full((3, 3), 1 / 3, np.float32)  # only the mean of the channels' errors counts


@dataclass(frozen=True)
class Choice:
    """What to round, in quantizer steps float32 [rows, columns, latents], and the `weigh` of `Encoder`."""

    aim: np.ndarray
    weigh: float

    def encoder(self, quality: Quality, run: Run) -> Encoder:
        """One that takes this choice."""
        return Encoder(quality, run, self.aim, self.weigh)


@dataclass(frozen=True)
class Window:
    """A tile, and as much of its neighbours as its latents reach and those pixels depend on.

    Args:
        quality, run: of the codec.
        gradient: a run that knows the graph `refine`.
        target: pixels of the window, float32 [16 rows, 16 columns, 1 or 3].
        weight: 1 where a pixel counts, else 0; float32 [16 rows, 16 columns, 1].
        outside: latents of the window in sixteenths of a step, int32 [rows, columns, latents].
        inner: the tile within the window.
    """

    quality: Quality
    run: Run
    gradient: Run
    target: np.ndarray
    weight: np.ndarray
    outside: np.ndarray
    inner: tuple[slice, slice]

    @cached_property
    def price(self) -> float:
        """Bits that a squared error of one grey level of one sample is worth."""
        return lambda_of(self.quality) / self.target.shape[2]

    def whole(self, decoded: np.ndarray) -> np.ndarray:
        """The window's latents with those of the tile put in, int32."""
        found = self.outside.copy()
        found[self.inner] = decoded
        return found

    def worth(self, decoded: np.ndarray) -> float:
        """Bits that the pixels' error is worth, as the decoder rounds and clips them."""
        whole = self.whole(decoded)
        rows, columns, _ = whole.shape
        pixels = synthesise(self.run, self.quality, whole, ((0, rows), (0, columns)))
        if self.target.shape[2] == 1:
            pixels = ((pixels.sum(2, dtype=np.uint16) + 1) // 3)[:, :, None]
        error = (pixels - self.target) * self.weight
        return self.price * float(np.square(error, dtype=np.float64).sum())

    def newton(self, decoded: np.ndarray, weigh: float) -> np.ndarray:
        """Where the error would be smallest if it were a parabola of `weigh` times the curvature in each latent.

        Args:
            decoded: latents of the tile, sixteenths of a step, int32 [rows, columns, latents].
            weigh: factor of the curvature.

        Returns:
            Quantizer steps, float32, not far from `decoded`.
        """
        quality = self.quality
        y = np.multiply(self.whole(decoded), quality.regain, dtype=np.float32)
        target, weight = (np.broadcast_to(x, (*x.shape[:2], 3)) for x in (self.target, self.weight))
        feeds = {"y": y[None], "target": np.ascontiguousarray(target), "weight": np.ascontiguousarray(weight)}
        feeds["mix"] = np.eye(3, dtype=np.float32) if self.target.shape[2] == 3 else _GREY
        gradient = self.gradient("refine", feeds | stages(quality, "synthesis"))[0][self.inner]
        # of half the squared error (of grey: three times it), by what the synthesis is given -> bits for each step
        slope = gradient * (quality.regain * np.float32(STEPS * 2 * lambda_of(quality) / 3))
        step = slope / (2 * weigh * quality.price)
        return decoded.astype(np.float32) / STEPS - np.clip(step, -_FARTHEST_STEP, _FARTHEST_STEP)


def lambda_of(quality: Quality) -> float:
    """Bits for each pixel that a squared error of one grey level, meant over channels, is worth."""
    lambdas = np.log(quality.model.facts["lambdas"])
    return float(np.exp(np.interp(quality.place / FINE, np.arange(ANCHORS), lambdas)))


class Refiner:
    """Chooses what to round for the tiles of one picture, in their order.

    Args:
        effort: fast, normal or high.
        quality: of the codec.
        run: of the codec.
        gradient: a run that knows the graph `refine`.
        x: the whole picture, uint8 [H, W, 1 or 3].
    """

    def __init__(self, effort: str, quality: Quality, run: Run, gradient: Run, x: np.ndarray) -> None:
        self._effort, self._quality, self._runs, self._x = effort, quality, (run, gradient), x
        self._ends = -(-x.shape[0] // UNIT), -(-x.shape[1] // UNIT)
        self._reach = 0 if effort == "fast" else 2 * quality.model.margin
        self._decoded = np.zeros((*self._ends, quality.model.latents) if effort == "high" else (0, 0, 0), np.int16)
        self._known = np.zeros(self._ends, bool)

    def analyse(self, tile: Tile) -> tuple[np.ndarray, np.ndarray]:
        """Latents of the tile and its surroundings in steps, float32, and the symbols of z of the tile."""
        (rows, columns), inner = around(tile, self._reach, self._ends)
        y = latents(self._runs[0], self._quality, self._x, ((rows.start, rows.stop), (columns.start, columns.stop)))
        z = hyper_symbols(self._runs[0], self._quality, y[inner])
        return np.multiply(y, self._quality.gain, out=y), z

    def choose(self, tile: Tile, y: np.ndarray, z: np.ndarray) -> Choice:
        """The choice for a tile: y and z as `analyse` gave them."""
        if self._effort == "fast":
            return Choice(y, 0.0)
        with stage("refine"):
            outer, inner = around(tile, self._reach, self._ends)
            outside = np.rint(y * STEPS).astype(np.int32)
            if self._effort == "normal":
                return normal(self._window(tile, outside), y[inner])
            known = self._known[tuple(outer)]
            outside[known] = self._decoded[tuple(outer)][known]
            return high(self._window(tile, outside), y[inner], z)

    def keep(self, tile: Tile, decoded: np.ndarray) -> None:
        """Remember what a tile decodes to: its neighbours are seen together with it."""
        if self._effort == "high":
            where = tuple(slice(*span) for span in tile)
            self._decoded[where], self._known[where] = decoded, True

    def _window(self, tile: Tile, outside: np.ndarray) -> Window:
        outer, inner = around(tile, self._reach, self._ends)
        felt, _ = around(tile, self._quality.model.margin, self._ends)
        target = np.zeros((*(UNIT * side for side in outside.shape[:2]), self._x.shape[2]), np.float32)
        weight = np.zeros((*target.shape[:2], 1), np.float32)
        part = self._x[tuple(slice(s.start * UNIT, s.stop * UNIT) for s in outer)]
        target[: part.shape[0], : part.shape[1]] = part
        counts = tuple(
            slice((f.start - o.start) * UNIT, min((f.stop - o.start) * UNIT, side))
            for f, o, side in zip(felt, outer, part.shape[:2], strict=True)
        )
        weight[counts] = 1
        return Window(self._quality, *self._runs, target, weight, outside, inner)


def normal(scene: Window, y: np.ndarray) -> Choice:
    """One step from y, quantizer steps float32 [rows, columns, latents] of the tile."""
    return Choice(scene.newton(np.rint(y * STEPS).astype(np.int32), WEIGH), WEIGH)


def high(scene: Window, y: np.ndarray, z: np.ndarray) -> Choice:
    """The choice with the smallest J among those judged of a search, that of `normal` and plain rounding."""
    chosen = normal(scene, y)
    best, least = chosen, np.inf
    for candidate in (chosen, Choice(y, 0.0)):
        cost = measure(scene, candidate, z)[0]
        if cost < least:
            best, least = candidate, cost
    aim = chosen.aim
    for number, weigh in enumerate(np.geomspace(LOOSE, TIGHT, ROUNDS)):
        candidate = Choice(aim, float(weigh))
        cost, decoded = measure(scene, candidate, z, judge=number >= ROUNDS - _JUDGED)
        if cost < least:
            best, least = candidate, cost
        if number + 1 < ROUNDS:
            aim = aim + PART * (scene.newton(decoded, candidate.weigh) - aim)
    return best


def refine_macs(effort: str, synthesis: float, entropy: float) -> float:
    """Multiply-adds of `Refiner.choose`; a gradient takes two syntheses."""
    if effort == "high":
        return (2 * ROUNDS + 2 + _JUDGED) * synthesis + (2 + ROUNDS) * entropy
    return 2 * synthesis if effort == "normal" else 0.0


def measure(scene: Window, choice: Choice, z: np.ndarray, judge: bool = True) -> tuple[float, np.ndarray]:
    """J of a choice (without the bits of z; infinite unless `judge`), and what it decodes to."""
    decoded, bits = choice.encoder(scene.quality, scene.run).cost(z)
    return (bits + scene.worth(decoded) if judge else np.inf), decoded
