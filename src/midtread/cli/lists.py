"""`midtread list`: what exists here, what is absent, and how to get it.

Without a kind, the names alone: nothing that is listed is imported, so the answer is there at once.
"""

from __future__ import annotations

import dataclasses
import json as jsonlib
import textwrap
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from midtread.registry import CODECS, CODERS, DATASETS, METRICS, MODELS, QUANTIZERS, TRANSFORMS, Registry

Kind = Literal["codecs", "transforms", "quantizers", "models", "coders", "metrics", "datasets", "formats", "plans"]
_REGISTRIES = {
    "codecs": CODECS, "transforms": TRANSFORMS, "quantizers": QUANTIZERS, "models": MODELS, "coders": CODERS,
    "metrics": METRICS, "datasets": DATASETS,
}  # fmt: skip
_WIDTH = 100


def show(kind: Kind | None = None, *, json: Annotated[bool, Parameter(negative=())] = False) -> str:
    """List codecs, their stages, metrics, datasets, file formats and bench plans.

    Args:
        kind: codecs, metrics, datasets, formats, plans, or the stages of codec pipeline: transforms, quantizers,
            models, coders. Without one, the names of all.
        json: print JSON, with all that is known.
    """
    if kind is None and not json:
        return _overview()
    kinds = [kind] if kind else list(_LISTERS)
    found = {one: _LISTERS[one]() for one in kinds}
    if json:
        return jsonlib.dumps(found[kind] if kind else found, indent=1)
    return "\n\n".join(_table(one, rows) for one, rows in found.items())


def _overview() -> str:
    lines = []
    for kind, registry in _REGISTRIES.items():
        names = " ".join(registry.names())
        lines += [
            kind,
            *textwrap.wrap(names, _WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False),
        ]
    return "\n".join([*lines, "", f"`midtread list codecs` says more; kinds: {' '.join(_LISTERS)}"])


def _codecs() -> list[dict[str, Any]]:
    from midtread.spec import missing  # imports NumPy

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
    from midtread.spec import missing

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


def _stages(registry: Registry) -> list[dict[str, Any]]:
    """Stages of codec `pipeline`, with their options and traits."""
    rows = []
    for name in registry.names():
        cls = registry.get(name)
        options = [field.name for field in dataclasses.fields(cls) if field.init]
        knob = f"options {', '.join(options)}" if options else ""
        rows.append({"name": name, "summary": cls.summary, "knob": knob, "traits": _traits(cls), "absent": ""})
    return rows


def _traits(cls: Any) -> list[str]:
    """The traits of a transform or a coder that hold."""
    traits = getattr(cls, "traits", None)
    named = dataclasses.asdict(traits) if traits else {t: getattr(cls, t, False) for t in ("exact", "linear", "causal")}
    return [name.replace("_", " ") for name, holds in named.items() if holds]


_LISTERS = {
    "codecs": _codecs,
    "transforms": lambda: _stages(TRANSFORMS),
    "quantizers": lambda: _stages(QUANTIZERS),
    "models": lambda: _stages(MODELS),
    "coders": lambda: _stages(CODERS),
    "metrics": _metrics,
    "datasets": _datasets,
    "formats": _formats,
    "plans": _plans,
}


def _table(title: str, rows: list[dict[str, Any]]) -> str:
    width = max(len(row["name"]) for row in rows)
    lines = [title]
    for row in rows:
        notes = [row["summary"], row["knob"], ", ".join(row.get("traits", ()))]
        lines.append(f"  {row['name']:<{width}}  {'; '.join(note for note in notes if note)}")
        if row["absent"]:
            lines.append(f"  {'':<{width}}  ABSENT, install it with: {row['absent']}")
    return "\n".join(lines)
