"""Comparing rate-distortion curves: BD-rate, BD-quality, rate ratios at equal quality, Pareto fronts.

    points ──► sorted by rate ──► those whose quality rises ──► PCHIP or Akima on log rate ──► mean over the overlap

A curve has to rise: a point that costs at least as much as another and is not better is dominated, and is dropped
before interpolation, counted in the result. Nothing is extrapolated: averages cover the overlap of the two curves, and
the result says how large a part of their union that is.

Source: G. Bjontegaard, "Calculation of Average PSNR Differences between RD-curves", VCEG-M33, 2001; the interpolators
after C. Herglotz et al., "Beyond Bjontegaard: Limits of Video Compression Performance Comparisons", ICIP 2022.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from midtread.errors import UsageError

if TYPE_CHECKING:
    from scipy.interpolate import Akima1DInterpolator, PchipInterpolator

    Interpolator: TypeAlias = Akima1DInterpolator | PchipInterpolator

Method: TypeAlias = Literal["pchip", "akima"]
Better: TypeAlias = Literal["higher", "lower"]
Floats: TypeAlias = NDArray[np.float64]

FEWEST_POINTS = 6  # given per curve: with four, BD-rate depends on the interpolator by several percent
_FEWEST_RISING = 4  # of those, left after dominated points were dropped


@dataclasses.dataclass(frozen=True, slots=True)
class BDRate:
    """Mean rate difference of curve b against curve a at equal quality."""

    percent: float  # negative: b needs less rate
    overlap_low: float  # quality range of the mean, in the units of the metric, low < high
    overlap_high: float
    overlap_fraction: float  # of the union of the two quality ranges
    points: tuple[int, int]  # used of a and b
    dropped: tuple[int, int]  # dominated points of a and b


@dataclasses.dataclass(frozen=True, slots=True)
class BDQuality:
    """Mean quality difference of curve b against curve a at equal rate."""

    difference: float  # b - a in the units of the metric
    overlap_low: float  # rate range of the mean, in the units of the rates
    overlap_high: float
    overlap_fraction: float  # of the union of the two log-rate ranges
    points: tuple[int, int]
    dropped: tuple[int, int]


def bd_rate(
    rate_a: ArrayLike,
    quality_a: ArrayLike,
    rate_b: ArrayLike,
    quality_b: ArrayLike,
    *,
    method: Method = "pchip",
    better: Better = "higher",
) -> BDRate:
    """Bjontegaard delta rate: the mean of log(rate_b / rate_a) over the common qualities, as a percentage.

    Args:
        rate_a: positive rates of the anchor, any unit, at least six.
        quality_a: their qualities, finite (leave out lossless points, whose PSNR is inf).
        rate_b: rates of the other curve, same unit.
        quality_b: their qualities, same metric.
        method: interpolation of log rate as a function of quality.
        better: "lower" for metrics where less is better.

    Raises:
        UsageError: too few points, values that cannot be compared, or no common quality.
    """
    a, b = _Curve.of("a", rate_a, quality_a, better), _Curve.of("b", rate_b, quality_b, better)
    low, high, fraction = _overlap("quality", a.quality, b.quality)
    mean = _mean(b.quality, b.log_rate, low, high, method) - _mean(a.quality, a.log_rate, low, high, method)
    low, high = (low, high) if better == "higher" else (-high, -low)
    return BDRate(100 * math.expm1(mean), low, high, fraction, (len(a), len(b)), (a.dropped, b.dropped))


def bd_quality(
    rate_a: ArrayLike,
    quality_a: ArrayLike,
    rate_b: ArrayLike,
    quality_b: ArrayLike,
    *,
    method: Method = "pchip",
    better: Better = "higher",
) -> BDQuality:
    """Bjontegaard delta quality ("BD-PSNR"): the mean of quality_b - quality_a over the common log rates.

    Arguments and errors as in `bd_rate`.
    """
    a, b = _Curve.of("a", rate_a, quality_a, better), _Curve.of("b", rate_b, quality_b, better)
    low, high, fraction = _overlap("log rate", a.log_rate, b.log_rate)
    mean = _mean(b.log_rate, b.quality, low, high, method) - _mean(a.log_rate, a.quality, low, high, method)
    mean = mean if better == "higher" else -mean
    return BDQuality(mean, math.exp(low), math.exp(high), fraction, (len(a), len(b)), (a.dropped, b.dropped))


def ratio_at_equal_quality(
    rate_a: ArrayLike,
    quality_a: ArrayLike,
    rate_b: ArrayLike,
    quality_b: ArrayLike,
    qualities: ArrayLike,
    *,
    method: Method = "pchip",
    better: Better = "higher",
) -> Floats:
    """rate_b / rate_a at each of `qualities`; NaN where a curve does not reach: nothing is extrapolated.

    Arguments and errors as in `bd_rate`; `qualities` in the units of the metric, any shape. Returns float64 of that
    shape.
    """
    a, b = _Curve.of("a", rate_a, quality_a, better), _Curve.of("b", rate_b, quality_b, better)
    wanted = np.asarray(qualities, np.float64) * (1 if better == "higher" else -1)
    ratio = np.full(wanted.shape, np.nan)
    low, high = max(a.quality[0], b.quality[0]), min(a.quality[-1], b.quality[-1])
    inside = (wanted >= low) & (wanted <= high)
    log_a, log_b = (_interpolator(curve.quality, curve.log_rate, method)(wanted[inside]) for curve in (a, b))
    ratio[inside] = np.exp(log_b - log_a)
    return ratio


def pareto_front(cost: ArrayLike, value: ArrayLike) -> NDArray[np.intp]:
    """Indices of the points that no other point beats, by rising cost (and so by rising value).

    A point is beaten when another costs no more and is worth no less, and differs in one of the two; of equal points
    the first is kept.

    Args:
        cost: [n], lower is better; no NaN.
        value: [n], higher is better; no NaN.

    Raises:
        UsageError: not two lists of one length, or a NaN.
    """
    costs, values = _pair("pareto_front", cost, value)
    order = np.lexsort((-values, costs))  # by cost, the best of equal cost first; stable
    ordered = values[order]
    best_before = np.concatenate([[-np.inf], np.maximum.accumulate(ordered)[:-1]])
    rises = ordered > best_before
    rises[:1] = True  # the cheapest point stays even if its value is -inf
    return order[rises]


@dataclasses.dataclass(frozen=True, slots=True)
class _Curve:
    """Strictly rising: log rates and qualities (negated where less is better) of the undominated points."""

    log_rate: Floats
    quality: Floats
    dropped: int

    def __len__(self) -> int:
        return len(self.quality)

    @classmethod
    def of(cls, name: str, rate: ArrayLike, quality: ArrayLike, better: Better) -> _Curve:
        if better not in ("higher", "lower"):
            raise UsageError(f"better={better!r}; it takes 'higher' or 'lower'")
        rates, qualities = _pair(f"curve {name}", rate, quality)
        if len(rates) < FEWEST_POINTS:
            raise UsageError(f"curve {name} has {len(rates)} points, a comparison needs at least {FEWEST_POINTS}")
        for what, values, bad in (
            ("rate", rates, ~((rates > 0) & np.isfinite(rates))),
            ("quality", qualities, ~np.isfinite(qualities)),
        ):
            if bad.any():
                first = int(np.argmax(bad))
                raise UsageError(
                    f"{what} {first} of curve {name} is {values[first]}; rates have to be positive and finite, "
                    "qualities finite (leave lossless points out)"
                )
        qualities = qualities if better == "higher" else -qualities
        kept = pareto_front(rates, qualities)
        if len(kept) < _FEWEST_RISING:
            raise UsageError(
                f"the quality of curve {name} rises at {len(kept)} of its {len(rates)} points only, a comparison "
                f"needs at least {_FEWEST_RISING}"
            )
        return cls(np.log(rates[kept]), qualities[kept], len(rates) - len(kept))


def _pair(name: str, a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise UsageError(f"{name} takes two lists of one length, got {list(first.shape)} and {list(second.shape)}")
    if np.isnan(first).any() or np.isnan(second).any():
        raise UsageError(f"{name} has a NaN at index {int(np.argmax(np.isnan(first) | np.isnan(second)))}")
    return first, second


def _overlap(what: str, a: Floats, b: Floats) -> tuple[float, float, float]:
    """Common range of two rising axes and its part of their union."""
    low, high = max(a[0], b[0]), min(a[-1], b[-1])
    if low >= high:
        raise UsageError(
            f"the curves have no {what} in common: a spans {a[0]:g} to {a[-1]:g}, b spans {b[0]:g} to {b[-1]:g}"
        )
    return float(low), float(high), float((high - low) / (max(a[-1], b[-1]) - min(a[0], b[0])))


def _mean(x: Floats, y: Floats, low: float, high: float, method: Method) -> float:
    """Mean of the curve over x in [low, high], exact for the interpolating polynomials."""
    return float(_interpolator(x, y, method).integrate(low, high)) / (high - low)


def _interpolator(x: Floats, y: Floats, method: Method) -> Interpolator:
    from scipy.interpolate import Akima1DInterpolator, PchipInterpolator

    known: dict[str, type[Interpolator]] = {"pchip": PchipInterpolator, "akima": Akima1DInterpolator}
    if method not in known:
        raise UsageError(f"method={method!r}; it takes {' or '.join(map(repr, known))}")
    return known[method](x, y)
