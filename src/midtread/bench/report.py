"""`midtread report`: bench folders in, one self-contained HTML page out.

    records.jsonl, run.json ──► query ──► report_data (numbers) ─┐
    files/, originals/ ───────► report_images (pictures) ────────┴─► page/ (template, style, scripts) ──► index.html

The page loads nothing: style, scripts, numbers and pictures are inside, and its content security policy forbids the
rest. Names come from files, so the template escapes them and the scripts only ever set text.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
from collections.abc import Sequence
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

from midtread.bench import report_data, report_field_images, report_gaussians, report_images
from midtread.bench.query import Records, Row
from midtread.errors import BitstreamError, MissingError, UsageError

# in this order: each may use what stands before it
SCRIPTS = (
    "core", "controls", "network", "board", "plot", "grid", "curves", "speed", "fields", "stages", "zoom", "viewer",
    "slices", "gaussians", "downloads",
)  # fmt: skip
_FOR_GAUSSIANS = 5  # one part in so many of the pictures' bytes, where there are files of Gaussians


def build(
    folder: Path | Sequence[Path],
    *,
    anchor: str | None = None,
    picture_bytes: int = report_images.BUDGET_BYTES,
    decode: report_images.Decode = report_images.decode_kept,
) -> Path:
    """Write `index.html` and `points.csv` into the (first) folder.

    Args:
        folder: one bench folder, or several to be shown in one page.
        anchor: the series that BD-rates are against when the page opens; the plan's when left out.
        picture_bytes: most bytes of pictures in the page; 0 for none.
        decode: turns (record, bytes of its file) into a picture.

    Returns:
        The path of `index.html`.

    Raises:
        UsageError: no records or no run.json there, or an unknown anchor.
        BitstreamError: a line of the records, or run.json, is not what it should be.
        MissingError: a package of `midtread[bench]` is not installed.
    """
    folders = [folder] if isinstance(folder, Path) else list(folder)
    if not folders:
        raise UsageError("a report needs at least one bench folder")
    records = Records(folders)
    run = merge([_read_run(one) for one in folders])
    data = report_data.payload(records, run, anchor)
    table = points_csv(data)
    entries = run["viewer"] if picture_bytes > 0 else []
    fields = [entry for entry in entries if entry["original"].endswith(".npy")]
    shown = [entry for entry in entries if entry not in fields]
    gaussians, skipped = report_gaussians.viewer(records, shown, budget_bytes=picture_bytes // _FOR_GAUSSIANS)
    left = picture_bytes - report_gaussians.bytes_of(gaussians)
    pictures = report_images.viewer(records, shown, budget_bytes=left, decode=decode)
    pictures |= _with_fields(pictures, records, fields, left, decode)
    pictures |= {"gaussians": gaussians, "skipped": pictures["skipped"] + skipped}
    page = render({**data, "csv": table}, pictures)
    _write(folders[0] / "points.csv", table)
    return _write(folders[0] / "index.html", page)


def _with_fields(
    pictures: Row, records: Records, entries: list[Row], budget_bytes: int, decode: report_images.Decode
) -> Row:
    """Slices, errors and spectra of fields, for what the pictures have left of the budget."""
    spent = sum(len(shot["data"]) for shot in pictures["shots"]) * 3 // 4
    found = report_field_images.viewer(records, entries, budget_bytes=budget_bytes - spent, decode=decode)
    return {"fields": found["fields"], "colors": found["colors"], "skipped": pictures["skipped"] + found["skipped"]}


def merge(runs: Sequence[Row]) -> Row:
    """One run.json out of several: the first names the page, lists are joined."""
    merged = dict(runs[0])
    for key in ("metrics", "absent", "viewer", "grids", "refused"):
        every = [entry for run in runs for entry in run.get(key) or []]
        merged[key] = [entry for i, entry in enumerate(every) if entry not in every[:i]]
    known: dict[str, Row] = {}
    for metric in merged["metrics"]:
        first = known.setdefault(metric["name"], metric)
        if first != metric:
            raise UsageError(f"metric {metric['name']!r} was measured by two recipes; make a report of each run")
    merged["commit"] = ", ".join(dict.fromkeys(str(run["commit"]) for run in runs if run.get("commit"))) or None
    merged["created"] = max((str(run["created"]) for run in runs if run.get("created")), default=None)
    return merged


_SPEED = ("encode_mpx_s", "decode_mpx_s", "encode_file_mpx_s", "decode_file_mpx_s", "timed")
_OF_FIELDS = (
    "rate_bits_per_value", "ratio", "bound_of_range", "max_error_over_bound", "violations", "encode_gb_s",
    "decode_gb_s", "encode_file_gb_s", "decode_file_gb_s", "encode_peak_bytes", "decode_peak_bytes",
)  # fmt: skip


_OF_NETWORKS = (
    "parameters", "weights_bytes", "encode_macs_per_pixel", "decode_macs_per_pixel", "encode_mj_per_mpx",
    "decode_mj_per_mpx",
)  # fmt: skip


def _of_network(network: Row | None) -> list[Any]:
    """The values of `_OF_NETWORKS`."""
    network = network or {}
    ways = [network.get(way) or {} for way in ("encode", "decode")]
    values = [network.get("parameters"), network.get("weights_bytes")]
    return values + [way.get(key) for key in ("macs_per_pixel", "mj_per_mpx") for way in ways]


def points_csv(data: Row) -> str:
    """Every point of every curve and every lossless setting, one line each."""
    measured = [metric["name"] for metric in data["metrics"]]
    facts = ("codec", "family", "chroma", "backend")
    point = ("pictures", "rate_bpp", "size_bytes")
    of_mean = ["psnr_of_mean_mse_db"] if "psnr_db" in measured else []
    networks = any(one["network"] for one in data["series"])
    more = _OF_FIELDS if any(group["signal"] == "tensor" for group in data["groups"]) else ()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    first = ["dataset", "machine", "series", *facts, "setting", "lossless", *point, *measured]
    writer.writerow([*first, "ideal_bytes", *of_mean, *_SPEED, *more, *(_OF_NETWORKS if networks else ())])
    series = {one["name"]: one for one in data["series"]}
    for group in data["groups"]:
        for kind in ("points", "lossless"):
            for row in group[kind]:
                one = series[row["series"]]
                if group["signal"] == "tensor":
                    row = {**row, "rate_bits_per_value": row["rate_bpp"], "rate_bpp": None}
                writer.writerow(
                    [group["dataset"], group["machine"], row["series"], *(one[fact] for fact in facts)]
                    + [row["setting"], str(kind == "lossless").lower(), *(row[name] for name in point)]
                    + [row.get("q", {}).get(name) for name in measured]
                    + [row.get(name) for name in ("ideal_bytes", *of_mean, *_SPEED, *more)]
                    + (_of_network(one["network"]) if networks else [])
                )
    return text.getvalue()


def render(data: Row, pictures: Row) -> str:
    """The page as text."""
    try:
        import jinja2
    except ImportError as error:
        raise MissingError("a report needs Jinja; install it with: pip install 'midtread[bench]'") from error
    source = resources.files("midtread.bench") / "page"
    style = (source / "style.css").read_text(encoding="utf-8")
    parts = [(source / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    script = '\n"use strict";\n(() => {\n' + "\n".join(parts) + "\n})();\n"
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string((source / "page.html.jinja").read_text(encoding="utf-8"))
    return template.render(
        data={**data, **headline(data)},
        pictures=pictures,
        style=Safe(style),
        script=Safe(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
        data_json=Safe(to_json(data)),
        pictures_json=Safe(to_json(pictures)),
    )


def headline(data: Row) -> Row:
    """What the head of the page and the text on method say: date, datasets, machines, how times were taken."""
    groups = data["groups"]
    counts: dict[str, dict[str, int]] = {"Pictures": {}, "Fields": {}}
    for group in groups:
        if group["signal"] == "picture":
            counts["Pictures"][group["dataset"]] = group["pictures"]
    for dataset, _ in {(group["source"], group["dataset"]): 0 for group in groups if group["signal"] == "tensor"}:
        counts["Fields"][dataset] = counts["Fields"].get(dataset, 0) + 1
    return {
        "date": _day(data["created"]),
        "counts": [(kind, list(found.items())) for kind, found in counts.items() if found],
        "machines": list(dict.fromkeys(group["machine"] for group in groups)),
        "lossless_count": len({row["series"] for group in groups for row in group["lossless"]}),
        "dropped": [row for group in groups for row in group["dropped"]],
        "signals": {group["signal"] for group in groups},
        "timing_text": _timing(groups),
    }


def _timing(groups: list[Row]) -> str:
    timed = [(group, row) for group in groups for kind in ("points", "lossless") for row in group[kind] if row["timed"]]
    if not timed:
        return "In this run nothing was timed."
    repeats, threads, pictures = (
        {row.get(key) for _, row in timed} - {None} for key in ("repeats", "threads", "timed")
    )
    fields = {group["dataset"] for group, _ in timed if group["signal"] == "tensor"}

    def span(values: set[Any]) -> str:
        return f"{min(values)}" if len(values) == 1 else f"{min(values)} to {max(values)}"

    parts = [f"Times are medians of {span(repeats)} repeats"] if repeats else ["Times are medians"]
    parts += [f"with {span(threads)} thread{'s' if threads != {1} else ''}"] if threads else []
    what = f"{span(pictures)} picture{'s' if pictures != {1} else ''}"
    if fields:
        what = f"{len(fields)} field{'s' if len(fields) > 1 else ''}: {', '.join(sorted(fields))}"
    return " ".join(parts) + f", on {what}."


def _day(created: str | None) -> str | None:
    """'20 November 2026' from ISO 8601; anything else as it is."""
    try:
        day = datetime.fromisoformat(str(created)) if created else None
    except ValueError:
        return created
    names = "January February March April May June July August September October November December"
    month = names.split(" ")[day.month - 1] if day else ""  # not strftime: its names follow the locale
    return f"{day.day} {month} {day.year}" if day else None


class Safe(str):
    """Text that is ours, or escaped by `to_json`: Jinja inserts it as it is."""

    def __html__(self) -> str:
        return str(self)


def to_json(value: Any) -> str:
    """JSON that can stand inside a script element whatever the strings in it say: no <, > or & is left."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(text: str) -> str:
    """What the content security policy calls an inline script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _read_run(folder: Path) -> Row:
    path = folder / "run.json"
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"{folder} has no run.json; `midtread bench` writes it beside the records") from error
    except ValueError as error:
        raise BitstreamError(f"{path} is not JSON: {error}") from error
    if not isinstance(run, dict):
        raise BitstreamError(f"{path} is not the description of a bench run")
    viewer = [{**entry, "original": str(folder / entry["original"])} for entry in run.get("viewer") or []]
    return {**run, "viewer": viewer}


def _write(path: Path, text: str) -> Path:
    """All of the file or the old one: a reader never sees half a page."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8", newline="\n")
    os.replace(temporary, path)
    return path
