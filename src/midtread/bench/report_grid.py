"""The grid of a report: what each stage of a codec costs, combination by combination.

    file  =  ideal code length under the best model  x  (1 + model's share)  x  (1 + coder's share)

All three at one quality, which most combinations reach, so that rates of different transforms compare, and so that
those of one transform and quantizer are at one step: the same symbols, given to other models and coders. The coder's
share is all that a file holds beyond the ideal code length of its model: the coder's own loss, tables, headers.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from midtread.bench.query import Row
from midtread.bench.report_bd import short
from midtread.metrics.rate_distortion import pareto_front

# The axes that do not change the symbols: combinations that differ in these only are compared by ideal code length.
_CODING = ("model", "coder")


def join(entries: Iterable[Row]) -> list[Row]:
    """The grids of a plan as the tables of a report: those of one codec over the same options are one.

    Returns:
        codec, and axes: option -> its values, both in the order of the plan.
    """
    found: dict[tuple[str, ...], Row] = {}
    for entry in entries:
        one = found.setdefault((entry["codec"], *entry["axes"]), {"codec": entry["codec"], "axes": {}})
        for axis, values in entry["axes"].items():
            known = one["axes"].setdefault(axis, [])
            known += [value for value in values if value not in known]
    return list(found.values())


def members(grid: Row, series: Iterable[Row], options: dict[str, Row]) -> dict[str, list[int]]:
    """The series that are combinations of a grid -> on every axis, the index of their value."""
    found = {}
    for one in series:
        own = options[one["name"]]
        if one["codec"] == grid["codec"] and all(own.get(axis) in values for axis, values in grid["axes"].items()):
            found[one["name"]] = [values.index(own[axis]) for axis, values in grid["axes"].items()]
    return found


def table(grid: Row, at: dict[str, list[int]], points: Sequence[Row], metrics: Iterable[Row]) -> Row:
    """Rates and shares of a grid on one dataset and machine.

    Args:
        grid: one entry of `join`.
        at: its `members`.
        points: the complete lossy points of the group.
        metrics: rows with `name` and `better`.

    Returns:
        codec, axes; `rows`: series and `at`; `by`: for each metric `quality`, at which rates are compared, as drawn,
        and `cells`: for each row [bits per pixel, of these ideal, coder's share in percent, model's share in percent],
        null where a curve does not reach the quality or a codec does not tell its ideal code length.
    """
    own: dict[str, list[Row]] = defaultdict(list)
    for point in points:
        if point["series"] in at:
            own[point["series"]].append(point)
    rows: list[Row] = [{"series": name, "at": at[name]} for name in at if name in own]
    axes = list(grid["axes"])
    by = {}
    for metric in metrics:
        curves = [_curve(own[row["series"]], metric) for row in rows]
        quality = _shared_quality([curve for curve in curves if len(curve) > 1])
        if quality is None:
            continue
        rates = [(_at(curve, quality, 1), _at(curve, quality, 2)) for curve in curves]
        least = _least_ideal(rows, [ideal for _, ideal in rates], axes)
        cells = []
        for (rate, ideal), best in zip(rates, least, strict=True):
            shares = (_percent_above(rate, ideal), _percent_above(ideal, best))
            cells.append([short(value) for value in (rate, ideal, *shares)])
        sign = 1 if metric.get("drawn_better", metric["better"]) == "higher" else -1
        by[metric["name"]] = {"quality": short(sign * quality), "cells": cells}
    pairs = [[axis, values] for axis, values in grid["axes"].items()]  # JSON objects promise no order
    return {"codec": grid["codec"], "axes": pairs, "rows": rows, "by": by}


def best_of_first_axis(tables: Iterable[Row]) -> set[str]:
    """For each value of the first axis that has several, the combination with the lowest rate: what curves begin with.

    Measured by the first metric of the first table (dataset and machine).
    """
    for one in tables:
        if not one["by"]:
            continue
        cells = next(iter(one["by"].values()))["cells"]
        axis = leading_axis(one["axes"])
        best: dict[int, tuple[float, str]] = {}
        for row, (rate, *_) in zip(one["rows"], cells, strict=True):
            entry = (math.inf if rate is None else rate, row["series"])
            best[row["at"][axis]] = min(best.get(row["at"][axis], entry), entry)
        return {name for _, name in best.values()}
    return set()


def leading_axis(axes: Sequence[Sequence[Any]]) -> int:
    """Index of the first axis with several values: the one that gives a combination its colour."""
    return next((index for index, (_, values) in enumerate(axes) if len(values) > 1), 0)


Curve = list[tuple[float, float, float | None]]  # quality (negated where less is better), rate, ideal rate; both rise


def _curve(points: Sequence[Row], metric: Row) -> Curve:
    """The undominated points of a combination, by rising rate."""
    sign = 1 if metric.get("drawn_better", metric["better"]) == "higher" else -1
    drawn = [
        (sign * point["y"][metric["name"]][0], point["rate_bpp"], point["ideal_bpp"])
        for point in points
        if metric["name"] in point["y"]
    ]
    kept = pareto_front([rate for _, rate, _ in drawn], [quality for quality, _, _ in drawn])
    return [drawn[index] for index in kept]


def _shared_quality(curves: Sequence[Curve]) -> float | None:
    """A quality that as many of the curves reach as possible: the middle of the widest such range."""
    ends = sorted({end for curve in curves for end in (curve[0][0], curve[-1][0])})
    best: tuple[int, float, float] | None = None
    for low, high in itertools.pairwise(ends):
        reached = sum(1 for curve in curves if curve[0][0] <= low and high <= curve[-1][0])
        if best is None or (reached, high - low) > (best[0], best[2] - best[1]):
            best = (reached, low, high)
    return _round(best[1], best[2]) if best else None


def _round(low: float, high: float) -> float:
    """The middle of a range with as few digits as stay inside it."""
    middle = (low + high) / 2
    return next(value for digits in range(2, 20) if low <= (value := float(f"{middle:.{digits}g}")) <= high)


def _at(curve: Curve, quality: float, column: int) -> float | None:
    """Column 1 (rate) or 2 (ideal rate) where the curve has `quality`: PCHIP on the logarithm, as BD-rates are made."""
    from scipy.interpolate import PchipInterpolator

    values = [point[column] for point in curve]
    if len(curve) < 2 or not curve[0][0] <= quality <= curve[-1][0] or not all(values):
        return None
    logs = [math.log(value) for value in values if value]
    return math.exp(float(PchipInterpolator([point[0] for point in curve], logs)(quality)))


def _least_ideal(rows: Sequence[Row], ideals: Sequence[float | None], axes: list[str]) -> list[float | None]:
    """For each row the smallest ideal rate of those that code the same symbols; null where one model has no rival."""
    if "model" not in axes:
        return [None] * len(rows)
    model = axes.index("model")
    symbols = [tuple(value for axis, value in zip(axes, row["at"], strict=True) if axis not in _CODING) for row in rows]
    found: dict[tuple[int, ...], list[tuple[float, int]]] = defaultdict(list)
    for key, row, ideal in zip(symbols, rows, ideals, strict=True):
        if ideal is not None:
            found[key].append((ideal, row["at"][model]))
    rivals = {key: len({which for _, which in several}) > 1 for key, several in found.items()}
    return [min(found[key])[0] if rivals.get(key) else None for key in symbols]


def _percent_above(value: float | None, base: float | None) -> float | None:
    return 100 * (value / base - 1) if value is not None and base else None
