"""The search over a codec's knob: a file of this size, this rate, this PSNR or this largest error, in few encodes.

A trial encodes (and, for a quality, decodes). Trials start at the codec's default, stride towards the goal until two
of them hold it between them, then interpolate; once this has twice not halved the distance, they halve it. A
whole-number knob ends when no step is left in between. Size and quality need to rise with the knob only roughly: the
answer is the best of all trials, never an interpolated guess.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from midtread.errors import UsageError
from midtread.registry import CODECS, METRICS
from midtread.spec import Codec, Knob, open_codec

# What the trials of one search may share, by any key; None outside of a search: an encode alone keeps nothing.
shared: ContextVar[dict[Any, Any] | None] = ContextVar("midtread_shared_by_trials", default=None)
_FINISH: Callable[[bytes], bytes] = bytes  # the codec's bytes are the file


@dataclass(frozen=True, slots=True)
class Reached:
    """The file that was found, and how it was found."""

    data: bytes
    options: dict[str, Any]  # complete: open_codec(name, **options).encode(x) gives these bytes again
    trials: int
    size_bytes: int
    rate_bpp: float
    psnr_db: float  # of the decoded file
    exact: bool  # the goal is met to 2 % (a size, a rate, an error) or 0.1 dB
    note: str  # for people: why it is not exact


@dataclass(frozen=True, slots=True)
class _Goal:
    option: str  # the caller's word for it
    wanted: float
    score: float  # on a scale that rises with the knob's fineness, about linearly
    side: Literal["below", "near", "above"]  # which trials are allowed to answer
    tolerance: float  # of the score: closer than this needs no further trial
    unit: str

    def __str__(self) -> str:
        return f"{self.wanted:g} {self.unit}"


@dataclass(frozen=True, slots=True)
class _Trial:
    position: float  # 0 the coarsest setting of the knob, upwards
    value: float
    score: float
    data: bytes  # of the finished file
    raw: bytes  # of the codec


def encode_to(
    x: np.ndarray,
    name: str,
    options: dict[str, Any] | None = None,
    /,
    *,
    rate_bpp: float | None = None,
    size_bytes: int | None = None,
    psnr_db: float | None = None,
    max_error: float | None = None,
    max_trials: int = 24,
    finish: Callable[[bytes], bytes] = _FINISH,
    progress: Callable[[int, float, int], None] | None = None,
) -> Reached:
    """Encode `x` with the setting of the codec's knob that reaches one goal.

    Args:
        x: the picture.
        name: a codec with a knob.
        options: its other options.
        rate_bpp: bits per pixel of the whole file, to 2 % or the nearest step of the knob.
        size_bytes: the finest setting whose file is not larger.
        psnr_db: the coarsest setting whose decoded picture has at least this PSNR.
        max_error: the coarsest setting with no sample further off, in units of the samples.
        max_trials: at most so many encodes.
        finish: codec's bytes -> file, as in a container with metadata; its length is the size.
        progress: called after each trial with its number, the knob's value and the file's size.

    Raises:
        UsageError: not exactly one goal; a codec without a knob; a goal that no setting reaches.
    """
    options = dict(options or {})
    goal = _goal(x, rate_bpp=rate_bpp, size_bytes=size_bytes, psnr_db=psnr_db, max_error=max_error)
    if max_trials < 2:
        raise UsageError(f"max_trials={max_trials}; a search needs at least 2")
    search, token = _Search(x, name, options, goal, finish, progress), shared.set({})
    try:
        best, exact, note = search.run(max_trials)
    except UsageError:
        if search.aimed is None:
            raise
        search = _Search(x, name, options, goal, finish, progress, aim=False)  # what it aimed at is out of reach there
        best, exact, note = search.run(max_trials)
    finally:
        shared.reset(token)
    x_hat = open_codec(name, **search.options(best.value)).decode(best.raw)
    return Reached(
        data=best.data,
        options=dataclasses.asdict(open_codec(name, **search.options(best.value))),  # type: ignore[call-overload]
        trials=search.count,
        size_bytes=len(best.data),
        rate_bpp=8 * len(best.data) / _pixels(x),
        psnr_db=METRICS.get(_metric(name, "psnr_db"))(x, x_hat),
        exact=exact,
        note=note,
    )


def _metric(name: str, option: str) -> str:
    """What measures an option: the peak of a field is its range, fill values left out."""
    return "range_psnr_db" if option == "psnr_db" and CODECS.get(name).signal == "tensor" else option


def _goal(x: np.ndarray, **goals: float | None) -> _Goal:
    """The one goal that is given. Raises UsageError unless it is one, and possible."""
    given = {option: wanted for option, wanted in goals.items() if wanted is not None}
    if len(given) != 1:
        raise UsageError(f"give exactly one of {', '.join(goals)}; got {', '.join(given) or 'none'}")
    ((option, wanted),) = given.items()
    if isinstance(wanted, bool) or not isinstance(wanted, (int, float)) or not 0 < wanted < math.inf:
        raise UsageError(f"{option}={wanted!r}; it takes a number above 0")
    if option == "psnr_db":
        return _Goal(option, wanted, wanted, "above", 0.02, "dB")
    if option == "max_error":
        return _Goal(option, wanted, -math.log(wanted), "above", 0.02, "largest error")
    if option == "size_bytes":
        return _Goal(option, wanted, math.log(wanted), "below", 0.005, "bytes")
    return _Goal(option, wanted, math.log(max(wanted * _pixels(x) / 8, 1e-9)), "near", 0.02, "bpp")


def _pixels(x: np.ndarray) -> int:
    """Places of the first two axes, one at least: whatever `x` is, the codec says what is wrong with it."""
    return max(math.prod(np.shape(x)[:2]), 1)


class _Search:
    """The trials of one search. Positions count whole steps of a whole-number knob, else 0 to 1."""

    def __init__(
        self,
        x: np.ndarray,
        name: str,
        options: dict[str, Any],
        goal: _Goal,
        finish: Callable[[bytes], bytes],
        progress: Callable[[int, float, int], None] | None,
        *,
        aim: bool = True,
    ) -> None:
        self.x, self.name, self.goal = x, name, goal
        self.finish, self.progress = finish, progress
        self.count = 0
        codec, self.knob = _knob_of(name, options)
        aimed = codec.aim(x, goal.option, goal.wanted) if aim else {}
        self.given, self.aimed = {**options, **aimed}, aimed.get(self.knob.option)
        self.end = self.knob.high - self.knob.low if self.knob.integer else 1.0

    def run(self, max_trials: int) -> tuple[_Trial, bool, str]:
        """The best trial, whether it meets the goal, and if not why. Raises UsageError."""
        below: _Trial | None = None  # the finest trial short of the goal
        above: _Trial | None = None  # the coarsest one at or past it
        previous: _Trial | None = None
        width, misses = math.inf, 0
        position: float | None = self._start()
        best: _Trial | None = None
        while position is not None and self.count < max_trials:
            trial = self._try(position)
            if best is None or self._cost(trial) < self._cost(best):
                best = trial
            if self._close(trial):
                break
            if trial.score < self.goal.score:
                below = trial
            else:
                above = trial
            if below and above:
                misses += above.position - below.position > width / 2
                width = above.position - below.position
                position = self._between(below, above, interpolate=misses < 2)
            else:
                position = self._beyond(trial, previous, toward_finer=above is None)
            previous = trial
        assert best is not None
        self._check_reached(best, below, above)
        if abs(best.score - self.goal.score) <= (0.1 if self.goal.option == "psnr_db" else 0.02):
            return best, True, ""
        if below and above:
            return best, False, f"asked {self.goal}; {self.knob.option}={best.value:g} comes nearest"
        end = "coarsest" if above else "finest"
        return best, False, f"asked {self.goal}; this is the {end} {self.knob.option}"

    def options(self, value: float) -> dict[str, Any]:
        """The options of a trial."""
        return {**self.given, self.knob.option: int(value) if self.knob.integer else value}

    def _try(self, position: float) -> _Trial:
        value = self._value(position)
        codec = open_codec(self.name, **self.options(value))
        raw = codec.encode(self.x)
        data = self.finish(raw)
        self.count += 1
        if self.progress:
            self.progress(self.count, value, len(data))
        return _Trial(position, value, self._score(codec, raw, data), data, raw)

    def _score(self, codec: Codec, raw: bytes, data: bytes) -> float:
        if self.goal.side != "above":
            return math.log(len(data))
        measured = METRICS.get(_metric(self.name, self.goal.option))(self.x, codec.decode(raw))
        if self.goal.option == "psnr_db":
            return min(float(measured), 200.0)  # an exact copy: no infinity, so that slopes stay numbers
        return -math.log(max(float(measured), 1e-12))

    def _value(self, position: float) -> float:
        """The knob's value; a short number, so that it can be typed again."""
        value = self.knob.at(position / self.end)
        return value if self.knob.integer else min(max(float(f"{value:.5g}"), self.knob.low), self.knob.high)

    def _start(self) -> float:
        """The position where the codec aims, or that of its default; the middle, where it has none."""
        fields = dataclasses.fields(CODECS.get(self.name))
        default: Any = self.aimed or next(field.default for field in fields if field.name == self.knob.option)
        low, high = self.knob.low, self.knob.high
        value = self.knob.at(0.5) if default is None else float(default)
        if self.knob.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        share = (value - low) / (high - low) if self.knob.finer == "up" else (high - value) / (high - low)
        # Not an end: an end has nothing beyond it, and for a lossless default the slope says nothing.
        return self._snap(min(max(share, 0.1), 0.9) * self.end)

    def _snap(self, position: float) -> float:
        return float(round(position)) if self.knob.integer else position

    def _beyond(self, trial: _Trial, previous: _Trial | None, *, toward_finer: bool) -> float | None:
        """A position past the goal by the slope so far; None at the end of the knob."""
        if trial.position == (self.end if toward_finer else 0):
            return None
        stride = self.end / (8 if self.aimed is None else 64)
        if previous and previous.score != trial.score:
            slope = (trial.score - previous.score) / (trial.position - previous.position)
            aim = abs((self.goal.score - trial.score) / slope) if slope > 0 else math.inf
            stride = min(max(1.25 * aim, self.end / 32), 3 * abs(trial.position - previous.position))
        stride = max(stride, 1.0) if self.knob.integer else stride
        return self._snap(min(max(trial.position + (stride if toward_finer else -stride), 0), self.end))

    def _between(self, below: _Trial, above: _Trial, *, interpolate: bool) -> float | None:
        """A position between two trials; None when there is none left worth trying."""
        width = above.position - below.position
        if width <= (1 if self.knob.integer else 2**-12):
            return None
        # The largest error is ragged: a closer look would find nothing but chance. And 0.5 % of size is not worth one.
        similar = abs(math.log(len(above.data) / len(below.data))) < 0.005
        if not self.knob.integer and (similar or (self.goal.option == "max_error" and width < 0.004)):
            return None
        share = (self.goal.score - below.score) / (above.score - below.score) if interpolate else 0.5
        position = self._snap(below.position + min(max(share, 0.05), 0.95) * width)
        if self.knob.integer:
            position = min(max(position, below.position + 1), above.position - 1)
        return position

    def _close(self, trial: _Trial) -> bool:
        """Whether to stop here. The finest step that fits is known by its neighbour, which does not."""
        ends_by_neighbours = self.knob.integer or self.goal.option == "max_error"
        if ends_by_neighbours and self.goal.side != "near":
            return False
        return self._allowed(trial) and abs(trial.score - self.goal.score) <= self.goal.tolerance

    def _allowed(self, trial: _Trial) -> bool:
        gap = trial.score - self.goal.score
        # Sizes are compared as sizes: their logarithms may round across the goal.
        if self.goal.side == "below":
            return len(trial.data) <= self.goal.wanted
        return self.goal.side == "near" or gap >= -1e-12

    def _cost(self, trial: _Trial) -> tuple[bool, float, float]:
        """Trials that may answer come first; then the finest below, the nearest, the smallest file above."""
        if self.goal.side == "above" and self._allowed(trial):
            return False, len(trial.data), trial.position
        return not self._allowed(trial), abs(trial.score - self.goal.score), -trial.position

    def _check_reached(self, best: _Trial, below: _Trial | None, above: _Trial | None) -> None:
        """Raise UsageError when no trial answers the goal, with what can be reached."""
        knob = f"{self.knob.option}={best.value:g}"
        if not self._allowed(best):
            if self.goal.side == "below":
                reach = f"the smallest file of this picture has {len(best.data)} bytes"
            elif self.goal.option == "psnr_db":
                reach = f"the most it reaches on this picture is {best.score:.2f} dB"
            else:
                reach = f"the least it reaches on this picture is {math.exp(-best.score):g}"
            raise UsageError(f"codec {self.name!r} cannot reach {self.goal}: {reach}, at {knob}")
        if self.goal.side == "near" and not (below and above) and abs(best.score - self.goal.score) > 0.1:
            rate = 8 * len(best.data) / _pixels(self.x)
            end = "least" if above else "most"
            what = f"the {end} this picture takes is {rate:.4g} bpp, at {knob}"
            raise UsageError(f"codec {self.name!r} cannot reach {self.goal}: {what}")


def _knob_of(name: str, options: dict[str, Any]) -> tuple[Codec, Knob]:
    """The codec and the knob to turn. Raises UsageError when there is none, or `options` hold it."""
    codec = open_codec(name, **options)  # checks the options, too
    knob = codec.knob
    if knob is None:
        raise UsageError(f"codec {name!r} is lossless: its files have one size; choose one with a knob, as 'jpegxl'")
    if options.get("lossless"):
        raise UsageError(f"codec {name!r} with lossless=True has one size; leave lossless out to aim at something")
    if knob.option in options:
        raise UsageError(f"the search chooses {knob.option} itself; leave {knob.option}={options[knob.option]!r} out")
    return codec, knob
