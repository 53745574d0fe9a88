"""What a bound means for a dtype: the step of the quantizer, what is quantized, and the rounding of the decoder.

linear    the values; kernels take float32 and float64 as they are, all other types as float64
ordered   floats by their place in the order of all floats, as float64: steps are relative there, without logarithms
          and so the same on every machine; float64 without its 20 lowest bits
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from midtread.codecs.tensor.field_grid import Box
from midtread.entropy.loading import kernel
from midtread.spec import FLOATS

_EXACT = 2.0**53  # whole numbers up to here are float64 values
_FLOATS = {"float16": (10, -14), "bfloat16": (7, -126), "float32": (23, -126), "float64": (52, -1022)}
_FEW = 64  # values that are looked at before all are
FILL_DISTANCE = 100.0
_BLOCK = 1 << 20  # values that are summed at a time
_DROPPED = 20  # bits of float64 that the ordered scale does without

LINEAR, ORDERED = 0, 1  # scales, as files number them


class Kind(NamedTuple):
    """What has to be known of a dtype, found out once: asking NumPy costs microseconds."""

    native: bool  # the kernels take it as it is; all else is quantized as float64
    floating: bool
    mantissa_bits: int
    least_exponent: int  # of the smallest normal number


@lru_cache
def kind_of(dtype: np.dtype) -> Kind:
    """Facts about a dtype."""
    if dtype.name not in FLOATS:
        return Kind(False, False, 0, 0)
    bits, least = {"float16": (10, -14), "bfloat16": (7, -126), "float32": (23, -126), "float64": (52, -1022)}[
        dtype.name
    ]
    return Kind(dtype.name in ("float32", "float64"), True, bits, least)


def bits_of(x: np.ndarray) -> tuple[np.ndarray, int]:
    """(a float32 or float64 vector as int32 or int64, the bits of infinity)."""
    infinity = np.array(np.inf, x.dtype).view(f"i{x.itemsize}")
    return x.view(f"i{x.itemsize}"), int(infinity)


class Usual(NamedTuple):
    """What the values of a vector are without those that mean nothing."""

    least: float  # of the finite values that count, in float64; 0 when there are none
    most: float
    fills: tuple[float, ...]  # finite values that fill in for missing ones

    @property
    def spread(self) -> float:
        """The range."""
        with np.errstate(over="ignore"):
            return min(self.most - self.least, float(np.finfo(np.float64).max))


def usual(x: np.ndarray, declared: float | None = None) -> Usual:
    """The range of the finite values of a vector, but for those that fill in for missing ones.

    A most or least value that occurs more than once and lies 100 times the range of all others away from them fills in,
    as for `metrics.fields`; and the one that is declared.
    """
    fills: tuple[float, ...] = ()
    if declared is not None:
        x, fills = x[x != declared], (float(declared),)
    least, most = _extremes(x)
    for end in (most, least):
        with np.errstate(invalid="ignore"):  # a signalling NaN
            some = x[:: max(1, x.size >> 12)].astype(np.float64)
        some = some[np.isfinite(some) & (some != end)]
        if some.size and (most / 2 - least / 2) / FILL_DISTANCE <= (some.max() / 2 - some.min() / 2) / 2:
            continue
        others = x[x != (x.dtype.type(end) if kind_of(x.dtype).floating else end)]
        low, high = _extremes(others)
        distance = FILL_DISTANCE * ((high - low) or abs(high))
        if x.size - others.size > 1 and 0 < distance < min(abs(end - low), abs(end - high)):
            x, least, most, fills = others, low, high, (*fills, end)
    return Usual(least, most, fills)


def deviation(x: np.ndarray, known: Usual) -> float:
    """The standard deviation of the values of a vector that count."""
    total = square = count = 0.0
    for start in range(0, x.size, _BLOCK):
        part = x[start : start + _BLOCK].astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            part = part[(part >= known.least) & (part <= known.most) & ~np.isin(part, known.fills)] - known.least
            total, square, count = total + float(part.sum()), square + float(part @ part), count + part.size
    mean = total / max(count, 1.0)
    return math.sqrt(max(square / max(count, 1.0) - mean * mean, 0.0))


def _extremes(x: np.ndarray) -> tuple[float, float]:
    """(least, most) of the finite values of a vector, in float64; zeros when there are none."""
    kind = kind_of(x.dtype)
    if kind.floating:
        x = x if kind.native else x.astype(np.float32)
        bits, infinity = bits_of(x)
        low, high = kernel("field_extent", x.size, ("extent", x.dtype.str)).extent(bits, infinity)
        if low > high:
            return 0.0, 0.0
        ends = [np.array(key if key >= 0 else -1 - key, bits.dtype).view(x.dtype) for key in (low, high)]
        least, most = (float(-end if key < 0 else end) for key, end in zip((low, high), ends, strict=True))
        return least, most
    return (float(x.min()), float(x.max())) if x.size else (0.0, 0.0)


def steps_of(x: np.ndarray, box: Box, dtype: np.dtype, bound: float) -> tuple[float, float]:
    """Width of the quantizer's steps in a box for multiples of it and for anything else, 0 when too fine for any.

    For floats it is 2 * (bound - u / 2), with u the distance of neighbouring floats at the largest value of the box: so
    much may rounding to the type add. Fill values and the like, 2**(bits of the mantissa - 1) bounds away from 0 or
    more, do not count; they are exceptions anyway. Values that are multiples of a unit get steps that are, too, where
    they are quantized to multiples of the step.

    Args:
        x: float32 or float64 vector, for other types the float64 copy that is quantized.
        box: the box in x.
        dtype: of the array.
        bound: absolute, more than 0.
    """
    kind = kind_of(dtype)
    if not kind.floating:
        return (2.0 * math.floor(bound) + 1.0,) * 2 if bound < _EXACT / 4 else (0.0, 0.0)
    limit = np.array(min(bound * 2.0 ** (kind.mantissa_bits - 1), float(np.finfo(x.dtype).max)), x.dtype)
    bits, _ = bits_of(x)
    found = kernel("field_extent", box.size, ("largest", x.dtype.str)).largest(
        bits, box.start, box.strides, box.shape, int(limit.view(bits.dtype))
    )
    most = float(np.array(found, bits.dtype).view(x.dtype))
    exponent = max(math.frexp(most)[1] - 1, kind.least_exponent)
    step = plain = 2.0 * bound - math.ldexp(1.0, exponent - kind.mantissa_bits)
    if unit := _unit(x, box, step):
        odd = unit * (2.0 * (bound // unit) + 1.0)  # as for whole numbers: all errors are multiples of the unit, too
        step = odd if odd > 0.75 * step else step
    good = plain > 0.5 * bound and 2.0**-1000 < plain < 2.0**1000
    return (step, plain) if good else (0.0, 0.0)


def _unit(x: np.ndarray, box: Box, step: float) -> float:
    """The power of two of which all finite values of a box are multiples, when it is not far below the step; else 0.

    Values that were packed or counted before; steps that are multiples of their unit waste nothing.
    """
    values = box.view(x)
    unit = math.inf
    for value in values[values.shape[0] // 2, values.shape[1] // 2, :_FEW].tolist():
        if value and math.isfinite(value):
            numerator, denominator = value.as_integer_ratio()
            unit = min(unit, (numerator & -numerator) / denominator)
            if unit < step / 16:  # for most fields after one or two values
                return 0.0
    if math.isinf(unit):
        return 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        counts = values / unit
        return unit if ((counts == np.rint(counts)) | ~np.isfinite(values)).all() else 0.0


def relative_step(dtype: np.dtype, bound: float) -> float:
    """Width of the steps of the ordered scale for a bound relative to each value, 0 when it is too fine for any."""
    units = math.floor(bound * 2.0 ** (kind_of(dtype).mantissa_bits - _dropped(dtype)) - (_dropped(dtype) > 0))
    return 2.0 * units + 1.0 if units >= 1 else 0.0


def allowed(values: np.ndarray, bound: float, scale: int) -> np.ndarray | float:
    """The largest error of each value, float64."""
    if scale == LINEAR:
        return bound
    return np.abs(values.astype(np.float64)) * bound


def to_work(values: np.ndarray, scale: int) -> np.ndarray:
    """What is quantized, as float64; NaN for what cannot be."""
    if scale == LINEAR:
        with np.errstate(invalid="ignore"):  # a signalling NaN
            work = values.astype(np.float64)
        if values.dtype.itemsize == 8:
            work[np.abs(work) >= _EXACT] = np.nan
        return work
    bits = values.view(f"i{values.dtype.itemsize}")
    magnitude = bits & np.iinfo(bits.dtype).max
    dropped = _dropped(values.dtype)
    order = (magnitude.astype(np.int64) + (1 << dropped >> 1)) >> dropped
    return np.where(np.isfinite(values), np.where(bits < 0, -order, order), np.nan)


def from_work(work: np.ndarray, dtype: np.dtype, scale: int, step: float) -> np.ndarray:
    """What the decoder makes of float64: the nearest of the type, inside its range."""
    with np.errstate(all="ignore"):
        if scale == ORDERED:
            return _from_order(work, dtype, step)
        if kind_of(dtype).floating:
            return work.astype(dtype)
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        return np.clip(np.rint(work), max(low, -_EXACT), min(high, _EXACT)).astype(dtype)


def _from_order(order: np.ndarray, dtype: np.dtype, step: float) -> np.ndarray:
    dropped, sign = _dropped(dtype), (1 << 8 * dtype.itemsize - 1) - 1
    infinity = int(np.array(np.inf, dtype).view(f"u{dtype.itemsize}")) >> dropped
    place = np.rint(np.clip(order, 1.0 - infinity, infinity - 1.0)).astype(np.int64)
    magnitude = np.where(2 * np.abs(place) <= step, 0, np.abs(place)) << dropped  # a zero stays one
    return np.where(place < 0, -1 - (magnitude ^ sign), magnitude).astype(f"i{dtype.itemsize}").view(dtype)


def _dropped(dtype: np.dtype) -> int:
    return _DROPPED if dtype.itemsize == 8 else 0
