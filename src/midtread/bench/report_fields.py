"""The board of fields: every codec at one bound, on one field or over all of them.

    records ──► machine ──► bound (or lossless) ──► a row for each series: over all fields, and on each one

Over several fields: ratios as geometric means, metrics as medians (an exact copy has an infinite PSNR), the error over
the bound as the worst, violations as their sum, speeds as bytes of all timed fields over the sum of their times. A
codec that refuses some of the fields is compared with another only on those that both took.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean, median
from typing import Any

from midtread.bench.query import Row
from midtread.bench.report_bd import short

LOSSLESS = "lossless"


def boards(rows: Iterable[Row], names: Sequence[str], metrics: Sequence[Row], anchors: Sequence[str]) -> list[Row]:
    """The numbers of the board, machine by machine.

    Args:
        rows: of `Records.fields`.
        names: of all series, in the order of the plan.
        metrics: rows with `name` and `better`.
        anchors: series that others are compared with at the same bound.

    Returns:
        For each machine: machine, fields (names of groups), bounds (text -> relative bound, coarsest first; "lossless"
        -> 0 last), and `rows`: bound -> rows over all fields. A row has series, fields (how many it took), ratio,
        rate_bpp, against (anchor -> percent in size on the fields of both), q (metric -> median), worst over the bound,
        violations, encode_gb_s, decode_gb_s, timed, peak memory.
    """
    every: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        every[row["machine"]].append(row)
    return [_board(machine, mine, names, metrics, anchors) for machine, mine in every.items()]


def bound_text(bound: float | None, lossless: bool) -> str | None:
    """What rows of one bound have in common: "1e-3", "lossless"; None where nothing was promised."""
    if lossless:
        return LOSSLESS
    if not bound:
        return None
    digits, _, exponent = f"{bound:.0e}".partition("e")
    return f"{digits}e{int(exponent)}"


def _board(machine: str, rows: list[Row], names: Sequence[str], metrics: Sequence[Row], anchors: Sequence[str]) -> Row:
    fields = list(dict.fromkeys(row["dataset"] for row in rows))
    at: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    bounds: dict[str, float] = {}
    for row in rows:
        text = None if row["error"] else bound_text(row["bound_of_range"], row["lossless"])
        if text is not None:
            at[text][row["series"]].append(row)
            bounds[text] = max(bounds.get(text, 0.0), row["bound_of_range"] or 0.0)
    order = sorted(bounds, key=lambda text: -bounds[text])
    return {
        "machine": machine,
        "fields": fields,
        "bounds": order,
        "rows": {text: [_row(name, at[text], metrics, anchors) for name in names if at[text][name]] for text in order},
    }


def _row(name: str, at: dict[str, list[Row]], metrics: Sequence[Row], anchors: Sequence[str]) -> Row:
    """One series at one bound, over all the fields that it took."""
    mine = at[name]
    timed = [row for row in mine if row["encode_s"] and row["decode_s"]]
    total = sum(row["source_bytes"] for row in timed)
    over = [row["max_error_over_bound"] for row in mine]
    lost = sum(row["violations"] or 0 for row in mine)
    return {
        "series": name,
        "fields": len(mine),
        "ratio": short(_geometric(row["ratio"] for row in mine)),
        "rate_bpp": short(fmean(row["rate_bpp"] for row in mine)),
        "against": {anchor: short(_percent(mine, at[anchor])) for anchor in anchors if at[anchor]},
        "q": {metric["name"]: short(_median(metric, mine)) for metric in metrics},
        "max_error_over_bound": short(max(over)) if None not in over else None,
        "violations": lost,
        "encode_gb_s": short(total / 1e9 / sum(row["encode_s"] for row in timed)) if timed else None,
        "decode_gb_s": short(total / 1e9 / sum(row["decode_s"] for row in timed)) if timed else None,
        "timed": [row["dataset"] for row in timed],
        "encode_peak_bytes": max((row["encode_peak_bytes"] or 0 for row in timed), default=None),
        "decode_peak_bytes": max((row["decode_peak_bytes"] or 0 for row in timed), default=None),
    }


def _geometric(values: Iterable[float]) -> float:
    return math.exp(fmean(math.log(value) for value in values))


def _percent(mine: list[Row], base: list[Row]) -> float | None:
    """Size against another series on the fields that both took: geometric mean, in percent."""
    sizes = {row["dataset"]: row["size_bytes"] for row in base}
    both = [row["size_bytes"] / sizes[row["dataset"]] for row in mine if row["dataset"] in sizes]
    return 100 * (_geometric(both) - 1) if both else None


def _median(metric: Row, rows: list[Row]) -> float | None:
    """Median over the fields; what has no number because it is infinite counts as better than all."""
    infinite = math.inf if metric["better"] == "higher" else -math.inf
    found: list[Any] = [row["metrics"].get(metric["name"], math.nan) for row in rows]
    known = [infinite if value is None else value for value in found if value is None or not math.isnan(value)]
    return median(known) if known else None
