"""`midtread list`: what exists here, what is absent, and how to get it."""

from __future__ import annotations

import json as jsonlib
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from midtread.registry import CODECS, DATASETS, METRICS
from midtread.spec import missing

Kind = Literal["codecs", "metrics", "datasets", "formats", "plans"]


def show(kind: Kind | None = None, *, json: Annotated[bool, Parameter(negative=())] = False) -> str:
    """List codecs, metrics, datasets, file formats and bench plans; without a kind, all of them.

    Args:
        kind: codecs, metrics, datasets, formats or plans.
        json: print JSON.
    """
    kinds = [kind] if kind else list(_LISTERS)
    found = {one: _LISTERS[one]() for one in kinds}
    if json:
        return jsonlib.dumps(found[kind] if kind else found, indent=1)
    return "\n\n".join(_table(one, rows) for one, rows in found.items())


def _codecs() -> list[dict[str, Any]]:
    rows = []
    for name in CODECS.names():
        codec = CODECS.get(name)
        knob = codec.knob
        row = {"name": name, "summary": codec.summary, "knob": ""}
        if knob:
            finer = "higher" if knob.finer == "up" else "lower"
            row["knob"] = f"{knob.option} {knob.low:g}..{knob.high:g} ({finer} is finer)"
        rows.append(row | {"absent": missing(codec.needs) or ""})
    return rows


def _metrics() -> list[dict[str, Any]]:
    rows = []
    for name in METRICS.names():
        metric = METRICS.get(name)
        rows.append({"name": name, "summary": metric.recipe, "knob": "", "absent": metric.missing() or ""})
    return rows


def _datasets() -> list[dict[str, Any]]:
    return [{"name": n, "summary": DATASETS.get(n).summary, "knob": "", "absent": ""} for n in DATASETS.names()]


def _formats() -> list[dict[str, Any]]:
    from midtread import media

    rows = []
    for name, one in media.FORMATS.items():
        summary = " ".join(one.suffixes) + (f"; keeps {', '.join(sorted(one.keeps))}" if one.keeps else "")
        rows.append({"name": name, "summary": summary, "knob": "", "absent": missing(one.needs) or ""})
    return rows


def _plans() -> list[dict[str, Any]]:
    import tomllib

    from midtread.bench.plan import built_in

    titles = {name: tomllib.loads(path.read_text(encoding="utf-8"))["title"] for name, path in built_in().items()}
    return [{"name": name, "summary": title, "knob": "", "absent": ""} for name, title in titles.items()]


_LISTERS = {"codecs": _codecs, "metrics": _metrics, "datasets": _datasets, "formats": _formats, "plans": _plans}


def _table(title: str, rows: list[dict[str, Any]]) -> str:
    width = max(len(row["name"]) for row in rows)
    lines = [title]
    for row in rows:
        lines.append(f"  {row['name']:<{width}}  {row['summary']}" + (f"; {row['knob']}" if row["knob"] else ""))
        if row["absent"]:
            lines.append(f"  {'':<{width}}  ABSENT, install it with: {row['absent']}")
    return "\n".join(lines)
