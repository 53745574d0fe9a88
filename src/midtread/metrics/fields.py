"""Fields: errors relative to the range, to the bound and to the gradient (spectrum and slices: field_structure.py).

    x, x_hat ──► which values count (not NaN, infinite or fill) ──► float64, value / range ──► a number

A field is an array of any rank whose values mean themselves. Values that are missing (NaN, infinities, and fill values
such as 1e20 on land) do not count: they have to come back as they were, and take no part in the range nor in any
error. Everything is float64 and relative to the range, so that a number does not depend on the unit of the data.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from midtread.errors import UsageError
from midtread.spec import Metric

Found = TypeVar("Found")

_BLOCK = 2**20  # values at a time: 8 MiB of float64
_FILL_DISTANCE = 100.0  # a fill value is so many ranges of the others away from them


class Reference(NamedTuple):
    """What the metrics have to know of a source, found out once."""

    present: np.ndarray | None  # bool, shape of the source: the values that count; None: all
    lowest: float
    span: float  # highest - lowest of the values that count, finite

    @property
    def unit(self) -> float:
        """What errors are divided by: the range, or 1 where it is 0."""
        return self.span or 1.0


def reference(x: np.ndarray) -> Reference:
    """Which values of a field count, and their range.

    A fill value is the highest or lowest finite value, when several samples have it and it lies 100 times the range of
    all other values away from them: 1e20, -9.96921e36, -9999 among temperatures in degrees.

    Args:
        x: floats or integers, any shape.

    Raises:
        UsageError: empty, not numbers, no value that counts, or a range that is no float64.
    """
    x = _numbers(x)
    if x.size == 0:
        raise UsageError(f"a field needs at least one value, got shape {list(x.shape)}")
    present: np.ndarray | None = None
    if x.dtype.kind == "f" and not (finite := np.isfinite(x)).all():
        present = finite
    for extreme in (np.max, np.min):
        present = _without_fill(x, present, extreme)
    values = x if present is None else x[present]
    if not values.size:
        raise UsageError(f"no value of this field counts: all of {list(x.shape)} {x.dtype} are NaN or infinite")
    lowest, highest = float(values.min()), float(values.max())
    if not math.isfinite(span := highest - lowest):
        raise UsageError(f"the range of this field, {lowest:g} to {highest:g}, overflows float64")
    return Reference(present, lowest, span)


def _without_fill(x: np.ndarray, present: np.ndarray | None, extreme: Callable[..., Any]) -> np.ndarray | None:
    """`present` without the fill value at one end of the range, if there is one."""
    values = x if present is None else x[present]
    if not values.size:
        return present
    end = extreme(values)
    at_end = values == end
    if np.count_nonzero(at_end) < 2 or at_end.all():
        return present
    others = values[~at_end]
    low, high = float(others.min()), float(others.max())
    spread = (high - low) or abs(high)  # of a field with one other value, its size; a mask of 0 and 1 has no fill value
    if not 0 < _FILL_DISTANCE * spread < min(abs(float(end) - low), abs(float(end) - high)):
        return present
    kept = x != end
    return kept if present is None else kept & present


def _numbers(x: np.ndarray) -> np.ndarray:
    """The array, bfloat16 as float32. Raises UsageError for what are no numbers."""
    if x.dtype.name == "bfloat16":
        return x.astype(np.float32)
    if x.dtype.kind not in "iuf" or x.dtype.itemsize > 8:
        raise UsageError(f"metrics of fields take integers or floats of at most 64 bits, got {x.dtype}")
    return x


class Latest(Generic[Found]):
    """A function of an array that remembers its last answer, for as long as that array lives and cannot change."""

    def __init__(self, find: Callable[[np.ndarray], Found]) -> None:
        self._find = find
        self._last: tuple[weakref.ref[np.ndarray], Found] | None = None  # replaced whole: threads may share it

    def __call__(self, x: np.ndarray) -> Found:
        """What the function finds about `x`."""
        fixed = not x.flags.writeable and x.base is None
        last = self._last
        if fixed and last is not None and last[0]() is x:
            return last[1]
        found = self._find(x)
        self._last = (weakref.ref(x), found) if fixed else None
        return found


known = Latest(reference)


def compared(name: str, x: np.ndarray, x_hat: np.ndarray) -> tuple[np.ndarray, np.ndarray, Reference]:
    """Both as numbers, and what counts. Raises UsageError where a missing value did not come back as it was."""
    found = known(x)
    x, x_hat = _numbers(x), _numbers(x_hat)
    kept: np.ndarray | None = None
    if x.dtype.kind == "f" and not (finite := np.isfinite(x_hat)).all():
        kept = finite  # no value that counts may be lost
    if found.present is not None:
        same = (x == x_hat) | (np.isnan(x) & np.isnan(x_hat)) if x.dtype.kind == "f" else x == x_hat
        kept = np.where(found.present, True if kept is None else kept, same)
    if kept is not None and not kept.all():
        where = tuple(int(i) for i in np.unravel_index(int(np.argmin(kept)), x.shape))
        raise UsageError(
            f"metric {name!r} cannot compare the value at {where}: {x[where]} in the source, {x_hat[where]} in the "
            f"reconstruction ({int((~kept).sum())} such values); NaN, infinities and fill values have to be kept as "
            "they are, and no other value may become one"
        )
    return x, x_hat, found


def _errors(x: np.ndarray, x_hat: np.ndarray, found: Reference) -> Iterator[np.ndarray]:
    """(x_hat - x) / range of the values that count, float64, block by block."""
    flat, flat_hat = x.reshape(-1), x_hat.reshape(-1)
    present = None if found.present is None else found.present.reshape(-1)
    for start in range(0, x.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        a, b = flat[part], flat_hat[part]
        if present is not None:
            a, b = a[present[part]], b[present[part]]
        yield (b.astype(np.float64) - a.astype(np.float64)) / found.unit


def nrmse(x: np.ndarray, x_hat: np.ndarray) -> float:
    """Root of the mean squared error over the range of the source.

    Args:
        x: integers or floats of any shape.
        x_hat: same shape and dtype.

    Returns:
        0 for equal fields.

    Raises:
        UsageError: see `reference`; a missing value that was not kept; a constant field that is not kept exactly.
    """
    x, x_hat, found = compared("nrmse", x, x_hat)
    with np.errstate(over="ignore"):
        total = math.fsum(float(np.square(error).sum()) for error in _errors(x, x_hat, found))
    if total and not found.span:
        raise UsageError(f"metric 'nrmse' is undefined: the source is {found.lowest:g} everywhere; use 'max_error'")
    count = x.size if found.present is None else np.count_nonzero(found.present)
    return math.sqrt(total / count)


def range_psnr_db(x: np.ndarray, x_hat: np.ndarray) -> float:
    """-20 log10 of `nrmse`, in decibels; inf for equal fields. Arguments and errors as there."""
    error = nrmse(x, x_hat)
    return -20 * math.log10(error) if error else math.inf


def over_bound(x: np.ndarray, x_hat: np.ndarray, bound: float) -> tuple[float, int]:
    """How a reconstruction keeps a bound, value by value, in float64.

    Every value counts, fill values too. NaN and infinities have to be kept: a lost one is an infinite error.

    Args:
        x: floats or integers, any shape.
        x_hat: same shape and dtype.
        bound: absolute, in the units of the data, above 0.

    Returns:
        (largest |x - x_hat| / bound, how many values have more than 1).
    """
    flat, flat_hat = _numbers(x).reshape(-1), _numbers(x_hat).reshape(-1)
    most, count = 0.0, 0
    for start in range(0, flat.size, _BLOCK):
        a, b = flat[start : start + _BLOCK], flat_hat[start : start + _BLOCK]
        if a.dtype.kind == "f":
            with np.errstate(invalid="ignore", over="ignore"):
                error = np.abs(b.astype(np.float64) - a.astype(np.float64))
            error[(a == b) | (np.isnan(a) & np.isnan(b))] = 0
            error[np.isnan(error)] = np.inf
        else:  # larger - smaller is right modulo 2^bits even where the signed difference overflows
            difference = np.maximum(a, b) - np.minimum(a, b)
            error = difference.view(a.dtype.str.replace("i", "u")).astype(np.float64)
        most = max(most, float(error.max(initial=0.0)))
        count += int(np.count_nonzero(error > bound))
    return most / bound, count


def gradient_error(x: np.ndarray, x_hat: np.ndarray) -> float:
    """Root mean square of the error of the gradient over that of the gradient itself.

    The gradient is what neighbours along each axis differ by, x[i + 1] - x[i]; squares are summed over all axes; pairs
    with a missing value are left out.

    Returns:
        0 for equal fields, 1 where the error is as large as the gradient.

    Raises:
        UsageError: as `nrmse`; no two neighbours; a source without a gradient and a reconstruction with one.
    """
    x, x_hat, found = compared("gradient_error", x, x_hat)
    own, wrong, pairs = 0.0, 0.0, 0
    for axis in range(x.ndim):
        a, b = np.moveaxis(x, axis, 0), np.moveaxis(x_hat, axis, 0)
        present = None if found.present is None else np.moveaxis(found.present, axis, 0)
        rows = max(1, _BLOCK // max(1, a[:1].size))
        for start in range(0, len(a) - 1, rows):
            part = slice(start, start + rows + 1)
            block = a[part].astype(np.float64)
            with np.errstate(invalid="ignore"):  # infinities, which do not count
                steps, errors = np.diff(block, axis=0), np.diff(b[part].astype(np.float64) - block, axis=0)
            if present is not None:
                both = present[part][1:] & present[part][:-1]
                steps, errors = steps[both], errors[both]
            own += float(np.square(steps / found.unit).sum())
            wrong += float(np.square(errors / found.unit).sum())
            pairs += steps.size
    if not pairs:
        raise UsageError(f"metric 'gradient_error' needs two neighbours that count, got shape {list(x.shape)}")
    if wrong and not own:
        raise UsageError("metric 'gradient_error' is undefined: the source is the same everywhere; use 'max_error'")
    return math.sqrt(wrong / own) if own else 0.0


_MISSING = "NaN, infinities and fill values have to be kept and do not count"

RANGE_PSNR = Metric(
    name="range_psnr_db",
    label="PSNR (range)",
    better="higher",
    unit="dB",
    signal="tensor",
    measure=range_psnr_db,
    recipe=f"20 log10(range / RMSE), range = max - min of the source, one RMSE over all values, float64; {_MISSING}",
)

NRMSE = Metric(
    name="nrmse",
    label="NRMSE",
    better="lower",
    signal="tensor",
    measure=nrmse,
    recipe=f"RMSE / (max - min of the source), one RMSE over all values, float64; {_MISSING}",
)

GRADIENT_ERROR = Metric(
    name="gradient_error",
    label="gradient error",
    better="lower",
    signal="tensor",
    measure=gradient_error,
    recipe=(
        "RMS of the error of the differences between neighbours along each axis / RMS of those differences in the "
        f"source, float64; pairs with a missing value are left out; {_MISSING}"
    ),
)
