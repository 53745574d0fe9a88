"""Quantizers and models that suit the latents of one picture; what is fitted here stands in the file."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from midtread.codecs.pipeline.recipe import Stage, build
from midtread.entropy.coder import Coder
from midtread.entropy.frozen import CAUSAL, Contextual, contexts_of
from midtread.entropy.tables import Tables
from midtread.errors import UsageError
from midtread.quantize.base import Quantizer, largest_of
from midtread.quantize.digit_planes import DigitPlanes
from midtread.quantize.lloyd_max import LloydMax
from midtread.quantize.rate_distortion import RateDistortion
from midtread.quantize.uniform import DeadZone
from midtread.registry import CODERS, MODELS, QUANTIZERS

MOST_LEVELS = 1024  # of a Lloyd-Max quantizer; each costs about 9 bytes in the file
_SAMPLE = 2**18  # latents that a reconstruction point or levels are fitted to
_CELLS = 4  # of a histogram, in a step
_POINT_UNIT = 2**-8  # of a fitted reconstruction point, in steps
_ONE = Tables.of([(0, [(1 << 16) - 1, 1])])


def check_quantizer(stage: Stage) -> None:
    """Raise UsageError for a quantizer that the pipeline cannot set to a step, UnknownNameError for no quantizer."""
    if stage.name == "per-band":
        raise UsageError("every band has its own step already; name what quantizes them, as in quantizer=deadzone")
    if "step" in stage.options:
        raise UsageError(f"the step is an option of the codec: step={stage.options['step']!r} quantizer={stage.name}")
    build(QUANTIZERS, stage)


def fit_quantizer(stage: Stage, step: float, z: np.ndarray) -> Quantizer:
    """The quantizer of `stage` for latents z float32, what its options leave open chosen for z.

    `step` is the width at 0 of deadzone, uniform, rdoq and digit-planes, and the width at |z| = step of mu-law and
    power-law. lloyd-max has as many levels as multiples of the step occur in z, MOST_LEVELS at most; they are many near
    0, where z is dense, and few far away.
    """
    name, options = stage.name, dict(stage.options)
    if name == "none":
        return _made(name, options)
    sample = z.reshape(-1)[:: max(z.size // _SAMPLE, 1)]
    if name == "lloyd-max":
        if not options.keys() <= {"levels"}:
            return _made(name, options)
        cells = np.rint(sample * (_CELLS / step))  # a histogram: the levels are placed by its counts
        levels = options.get("levels", min(np.unique(np.rint(sample / step)).size, MOST_LEVELS))
        points = LloydMax.fit(cells * (step / _CELLS), levels).points
        return LloydMax(points=tuple(sorted({float(f"{point:.6g}") for point in points})))
    if name == "digit-planes" and options.keys() <= {"base"}:
        fitted = DigitPlanes.fit(z, step, **options)
        return replace(fitted, offsets=tuple(tuple(float(f"{v:.4g}") for v in row) for row in fitted.offsets))
    if name == "power-law":
        exponent = _made(name, options).exponent
        return _made(name, {**options, "step": exponent * step**exponent})
    if name == "mu-law":
        options.setdefault("peak", float(f"{max(largest_of(z), step):.6g}"))
        curve = _made(name, options)
        slope = curve.mu / math.log1p(curve.mu) / (1 + curve.mu * step / curve.peak)  # of the curve at |z| = step
        return _made(name, {**options, "step": step * slope})
    quantizer = _made(name, {**options, "step": step})
    if isinstance(quantizer, DeadZone) and "point" not in options:
        return replace(quantizer, point=_rounded(quantizer.fit_point(sample).point))
    if isinstance(quantizer, RateDistortion) and "shift" not in options:
        return replace(quantizer, shift=_rounded(quantizer.fit_shift(sample).shift))
    return quantizer


def _made(name: str, options: dict[str, Any]) -> Any:
    return build(QUANTIZERS, Stage(name, options))


def _rounded(value: float) -> float:
    return round(value / _POINT_UNIT) * _POINT_UNIT


def choose_model(stage: Stage, coder: Coder) -> Stage:
    """`stage`, or what "auto" means with this coder. Raises UsageError when the two do not go together."""
    traits = coder.traits
    if stage.name == "auto" and not stage.options:
        return Stage("context" if traits.needs_tables else "none", {})
    if stage.name == "none" and not stage.options and not traits.needs_tables:
        return stage
    if stage.name in ("none", "auto"):
        if stage.options:
            raise UsageError(f"model {stage.name!r} takes no options, got {stage.options}")
        raise UsageError(f"coder {coder.name!r} needs a model: {', '.join(MODELS.names())}; got 'none'")
    order = getattr(build(MODELS, stage), "order", None)
    if not traits.contexts:
        raise UsageError(
            f"coder {coder.name!r} has statistics of its own: model=none goes with it, got {stage.name!r}; models go "
            f"with the coders {', '.join(name for name in CODERS.names() if CODERS.get(name).traits.needs_tables)}"
        )
    if not traits.needs_tables and stage.name not in ("static", "context"):
        raise UsageError(
            f"coder {coder.name!r} takes contexts and learns its own numbers: the models none, static and context go "
            f"with it, got {stage.name!r}"
        )
    if order == CAUSAL and coder.name != "rans":
        raise UsageError(f"a causal model goes with coder 'rans' only, got {coder.name!r}; 'context' goes with both")
    return stage


def fit_model(stage: Stage, coder: Coder, symbols: np.ndarray) -> Any:
    """A frozen model of symbols int32 [C, H, W]; for a coder without tables, its contexts alone."""
    if not coder.traits.needs_tables:
        order = "one" if stage.name == "none" else build(MODELS, stage).order
        planes = len(symbols) if order == "one" and stage.options.get("planes") else 0
        return Contextual(_ONE, np.zeros(max(planes, contexts_of(order)), np.uint16), order)
    model = build(MODELS, stage)
    model.observe(symbols)
    return model.freeze()
