"""The numbers of a report: everything that the page shows, as one JSON-ready object.

    Records ──► groups (dataset, machine) ──► points, BD-rates for every anchor and metric, speeds, lossless table,
                                              grids

Averages are made here and nowhere else: the page only chooses and draws. Curves and BD-rates use the quality scale of
`quality_scale`, so that what is drawn is what was integrated.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Sequence
from typing import Any

from midtread.bench import report_fields, report_grid, report_network
from midtread.bench.query import Records, Row
from midtread.bench.report_bd import ERRORS_IN_DECIBELS, IN_DECIBELS, bd_table, quality_scale, short
from midtread.errors import UnknownNameError, UsageError
from midtread.registry import nearest

# Speeds are those of the setting nearest to these: a good-looking photograph on the web, a field good for most uses.
TYPICAL_BPP = 0.75
TYPICAL_BOUND = 1e-3  # relative to the range

# One hue per codec, the same in every report; other codecs take what is left. Settings of one codec share its hue and
# differ by dash and marker fill.
HUES = 12
_HUE_OF = {
    "jpeg": 0, "avif": 1, "jpegxl": 2, "webp": 3, "jpeg2000": 4, "vvc": 5, "hevc": 6, "htj2k": 7, "jpegxr": 8, "av1": 9,
    "field": 3, "sz3": 1, "sperr": 2, "zfp": 5, "lerc": 4, "bitround": 7, "floats": 6, "pcodec": 11, "blosc2": 8,
    "zstd": 10,
}  # fmt: skip
_SHAPES = ("circle", "square", "diamond", "up", "down", "plus", "star", "cross")


def payload(records: Records, run: Row, anchor: str | None = None) -> Row:
    """Everything the page shows except its pictures.

    Args:
        records: the measurements.
        run: title, created, commit, metrics, absent, anchor, grids, refused, as `run.json` has them.
        anchor: the series that BD-rates are against at first; the anchor of the run when left out.

    Raises:
        UnknownNameError: `anchor` is not a series of these records.
        UsageError: the run lists no metric.
    """
    series = _in_plan_order(records.series(), run)
    options = records.options()
    grids = [(grid, report_grid.members(grid, series, options)) for grid in report_grid.join(run.get("grids") or [])]
    names = [one["name"] for one in series]
    points = records.points()
    lossy = [name for name in names if any(p["series"] == name and not p["lossless"] for p in points)]
    if anchor is not None and anchor not in lossy:
        raise UnknownNameError(f"anchor {anchor!r} is no lossy series of these records{nearest(anchor, lossy)}")
    measures = records.measures()
    metrics = [_metric(one) for one in run.get("metrics", []) if any(m["metric"] == one["name"] for m in measures)]
    if not metrics:
        raise UsageError("run.json lists none of the metrics that the records hold; nothing can be compared")
    curves = records.curves()
    first = anchor or next((name for name in [run.get("anchor"), *lossy] if name in lossy), None)
    combinations = {name for _, at in grids for name in at}
    # of hundreds of combinations each could be compared with each; the page offers the others, and the one chosen
    anchors = [name for name in lossy if name not in combinations or name == first]
    groups = [_group(one, points, measures, curves, metrics, records, names, anchors) for one in records.groups()]
    for group in groups:
        group["grids"] = [report_grid.table(grid, at, group["points"], metrics) for grid, at in grids]
    drawn = {first, *report_grid.best_of_first_axis(one for group in groups for one in group["grids"])}
    folded = [name for name in lossy if name in combinations and name not in drawn]
    networks = [report_network.network(one) for one in series]
    return {
        "title": run.get("title") or "Codecs compared",
        "created": run.get("created") or records.finished(),
        "commit": run.get("commit"),
        "anchor": first,
        "anchors": anchors,
        "typical_bpp": TYPICAL_BPP,
        "typical_bound": TYPICAL_BOUND,
        "metrics": metrics,
        "series": looks(_facts(series, networks), grids, folded),
        "energy_recipe": report_network.ENERGY_RECIPE if any(networks) else None,
        "lossy": lossy,
        "folded": folded,
        "groups": groups,
        "fields": report_fields.boards(records.fields(), names, metrics, anchors),
        "failures": records.failures(),
        "absent": [_absent(one) for one in run.get("absent") or []],
        "refused": run.get("refused") or [],
    }


def _in_plan_order(series: list[Row], run: Row) -> list[Row]:
    """Jobs finish in any order; people expect the order of the plan."""
    planned = [one.get("name") for one in (run.get("plan") or {}).get("series") or []]
    return sorted(series, key=lambda one: planned.index(one["name"]) if one["name"] in planned else len(planned))


def _facts(series: Sequence[Row], networks: Sequence[Row | None]) -> list[Row]:
    kept = ("name", "codec", "family", "chroma", "backend")
    return [
        {key: one[key] for key in kept} | {"network": network} for one, network in zip(series, networks, strict=True)
    ]


def looks(
    series: Sequence[Row], grids: Sequence[tuple[Row, dict[str, list[int]]]], folded: Container[str]
) -> list[Row]:
    """Give each series a hue and a marker shape by codec, and a variant (dash, fill) within its hue.

    Combinations of a grid are told apart by their value on its leading axis, as if each were a codec; those `folded`
    have the later variants.
    """
    kin = {one["name"]: one["codec"] for one in series}
    for number, (grid, at) in enumerate(grids):
        axis = report_grid.leading_axis(list(grid["axes"].items()))
        kin |= {name: f"{number} {place[axis]}" for name, place in at.items()}
    taken = {codec: _HUE_OF[codec] for codec in kin.values() if codec in _HUE_OF}
    free = [hue for hue in range(HUES) if hue not in taken.values()] + list(range(HUES))
    for index, codec in enumerate(codec for codec in dict.fromkeys(kin.values()) if codec not in taken):
        taken[codec] = free[index % len(free)]
    seen: dict[int, int] = {}
    look: dict[str, Row] = {}
    for one in sorted(series, key=lambda one: one["name"] in folded):
        hue = taken[kin[one["name"]]]
        variant = seen[hue] = seen.get(hue, -1) + 1
        look[one["name"]] = {"hue": hue, "shape": _SHAPES[hue % len(_SHAPES)], "variant": variant % 4}
    return [{**one, **look[one["name"]]} for one in series]


def _absent(one: Row) -> Row:
    return {"what": one.get("what") or one.get("codec"), "series": one.get("series"), "install": one.get("install")}


def _metric(one: Row) -> Row:
    error, similarity = one["name"] in ERRORS_IN_DECIBELS, one["name"] in IN_DECIBELS
    decibels = error or similarity
    unit = "dB" if decibels else one.get("unit", "")
    label = one.get("label") or one["name"]
    recipe = one.get("recipe", "")
    if decibels:
        drawn = "-20 log10" if error else "-10 log10(1 - mean)"
        recipe = f"{recipe.rstrip('. ')}. Drawn and integrated as {drawn}, in dB.".lstrip(". ")
    drawn_better = "higher" if decibels else one["better"]
    return {
        **one, "label": label, "unit": unit, "recipe": recipe, "decibels": decibels, "drawn_better": drawn_better
    }  # fmt: skip


def _group(
    group: Row,
    points: list[Row],
    measures: list[Row],
    curves: list[Row],
    metrics: list[Row],
    records: Records,
    names: list[str],
    anchors: list[str],
) -> Row:
    """One dataset on one machine."""

    def mine(rows: Iterable[Row]) -> list[Row]:
        return [row for row in rows if all(row[key] == group[key] for key in ("dataset", "machine"))]

    values = {(m["series"], m["setting"], m["metric"]): m for m in mine(measures)}
    whole = [point for point in mine(points) if point["pictures"] == group["pictures"]]
    lossy = [_point(point, metrics, values) for point in whole if not point["lossless"]]
    lossy.sort(key=lambda point: (names.index(point["series"]), point["rate_bpp"]))
    speeds = _speeds(lossy, group["signal"] == "tensor")
    timed = [lossy[index] for index in speeds.values()]
    return {
        "dataset": group["dataset"],
        "machine": group["machine"],
        **{key: group[key] for key in ("signal", "source", "shape", "dtype")},
        "pictures": group["pictures"],
        "megapixels": short((group["pixels"] or 0) / 1e6),
        "points": lossy,
        "bd": {metric["name"]: bd_table(mine(curves), lossy, metric, anchors) for metric in metrics},
        "speed": speeds,
        "stages": {way: _stages(mine(records.stages(way)), timed) for way in ("encode", "decode")},
        "lossless": _lossless([point for point in whole if point["lossless"]], records.series()),
        "dropped": [
            {"dataset": group["dataset"], "of": group["pictures"]}
            | {key: point[key] for key in ("series", "setting", "pictures")}
            for point in mine(points)
            if point["pictures"] != group["pictures"]
        ],
    }


def _point(point: Row, metrics: list[Row], values: dict[tuple[str, str, str], Row]) -> Row:
    """A point of the curves: `q` the mean of a metric as measured, `y` that on the drawn scale with quartiles."""
    q: dict[str, float] = {}
    y: dict[str, list[float | None]] = {}
    for metric in metrics:
        found = values.get((point["series"], point["setting"], metric["name"]))
        # a missing value is an infinite PSNR or a metric that did not run: a mean of the others would mislead
        if not found or found["pictures"] != point["pictures"]:
            continue
        scale = quality_scale(metric["name"])
        drawn = [short(scale(found[key])) for key in ("mean", "q1", "q3")]
        if drawn[0] is not None:
            q[metric["name"]], y[metric["name"]] = short(found["mean"]), drawn  # type: ignore[assignment]
    pooled = values.get((point["series"], point["setting"], "psnr_db"), {}).get("of_mean_mse")
    kept = ("series", "setting", "pictures", "size_bytes", "violations", "timed", "repeats", "threads", "warmup")
    rounded = ("rate_bpp", "ideal_bytes", "ideal_bpp", "encode_peak_bytes", "decode_peak_bytes")
    units = ("mpx_s",) if point["ratio"] is None else ("gb_s",)
    speeds = [f"{way}{clock}_{unit}" for way in ("encode", "decode") for clock in ("", "_file") for unit in units]
    of_fields = () if point["ratio"] is None else ("ratio", "bound_of_range", "max_error_over_bound")
    return {
        **{key: point[key] for key in kept},
        **{key: short(point[key]) for key in (*rounded, *speeds, *of_fields)},
        "q": q,
        "y": y,
        "psnr_of_mean_mse_db": short(pooled) if "psnr_db" in q else None,
    }


def _speeds(points: list[Row], tensor: bool) -> dict[str, int]:
    """Index of the timed point nearest to the typical rate or bound, for each series that was timed."""
    chosen: dict[str, int] = {}

    def distance(index: int) -> float:
        if tensor:
            return abs(math.log((points[index]["bound_of_range"] or math.inf) / TYPICAL_BOUND))
        return abs(math.log(points[index]["rate_bpp"] / TYPICAL_BPP))

    for index, point in enumerate(points):
        if point["timed"] and point["rate_bpp"]:
            best = chosen.get(point["series"])
            chosen[point["series"]] = index if best is None or distance(index) < distance(best) else best
    return chosen


def _stages(rows: list[Row], chosen: Iterable[Row]) -> dict[str, list[list[Any]]]:
    """Stage times of the chosen setting of each series: [[stage, milliseconds per megapixel], ...] in coding order."""
    found: dict[str, list[list[Any]]] = {}
    wanted = {(point["series"], point["setting"]) for point in chosen}
    for row in rows:
        if (row["series"], row["setting"]) in wanted:
            found.setdefault(row["series"], []).append([row["stage"], short(row["ms_per_mpx"])])
    return found


def _lossless(points: list[Row], series: list[Row]) -> list[Row]:
    """Lossless settings: mean rate, and size against the smallest PNG of the same pictures."""
    codec_of = {one["name"]: one["codec"] for one in series}
    png = [point["size_bytes"] for point in points if codec_of[point["series"]] == "png"]
    rows = []
    for point in points:
        names = ("series", "setting", "pictures", "size_bytes", "timed", "repeats", "threads")
        kept = {key: point[key] for key in names}
        units = ("encode_mpx_s", "decode_mpx_s") if point["ratio"] is None else ("ratio", "encode_gb_s", "decode_gb_s")
        kept |= {key: short(point[key]) for key in ("rate_bpp", *units)}
        rows.append({**kept, "percent_of_png": short(100 * point["size_bytes"] / min(png)) if png else None})
    return rows
