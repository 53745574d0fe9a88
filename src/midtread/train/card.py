"""The model card: README.md of a frozen model. What it is, what it was trained on and for how long, what it costs.

Its table of rates is of real files of held-out pictures, written and decoded with the frozen model.
"""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MANIFEST = "MANIFEST.csv"  # of a folder of pictures: a line each, with its "file", "src" and "lic"
_ROUNDS_AFTER = (
    "its entropy model was never trained with the rounding that it runs with: files are larger than they could be"
)


@dataclass(frozen=True, slots=True)
class Point:
    """Means over the held-out pictures at one quality, of real files."""

    quality: float
    rate_bpp: float
    psnr_db: float


@dataclass(frozen=True, slots=True)
class Facts:
    """What a card tells."""

    name: str
    config: dict[str, dict[str, Any]]  # Config.table()
    step: int  # that the weights are of
    seconds: float | None  # that training took
    complexity: dict[str, float]  # parameters, and MACs per pixel by part
    pictures: int  # that were trained on
    held_out: int
    same_pictures: bool = True  # whether they are those of the training, as far as their number tells
    licences: dict[tuple[str, str], int] = field(default_factory=dict)  # (source, licence) -> files
    points: tuple[Point, ...] = ()
    note: str = ""  # such as the machine


def licences(folders: list[Path]) -> dict[tuple[str, str], int]:
    """(source, licence) -> how many files that are there, by the MANIFEST.csv of each folder that has one.

    Files without a line count as ("", "not stated"); lines without a file, and lists that are none, count for nothing.
    """
    found: Counter[tuple[str, str]] = Counter()
    for folder in folders:
        lines = _lines(folder / MANIFEST)
        if not lines:
            continue
        known = {line.get("file"): line for line in lines}
        for path in folder.iterdir():
            if path.name == MANIFEST or not path.is_file():
                continue
            line = known.get(path.name, {})
            found[_cell(line.get("src")), _cell(line.get("lic")) or "not stated"] += 1
    return dict(found)


def _lines(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _cell(text: str | None) -> str:
    """One line without what would end a cell of a table."""
    return " ".join((text or "").replace("|", "/").split())


def card(facts: Facts) -> str:
    """The text of README.md, Markdown."""
    training = facts.config["training"]
    paragraphs = [
        f"# Model `{facts.name}` of the codec `learned`",
        "A picture codec of 8-bit gray and RGB, all qualities in one model. `midtread` runs it; weights are in "
        "`model.safetensors`, the ONNX graphs beside it use them from there. Nothing in this folder is code.",
        _data(facts),
        _compute(facts, training),
        _curve(facts),
        _cost(facts),
        _config(facts),
        _limits(facts, training),
    ]
    return "\n\n".join(paragraphs) + "\n"


def _data(facts: Facts) -> str:
    text = (
        f"## Data\n\nTrained on {facts.pictures} pictures; {facts.held_out} more validated and were never trained on."
    )
    if not facts.same_pictures:
        there = facts.pictures + facts.held_out
        text = f"## Data\n\nTrained on other pictures than the {there} that were there when it was frozen."
    if not facts.licences:
        return f"{text} Their folders list no licences (no {MANIFEST})."
    rows = sorted(facts.licences.items(), key=lambda entry: (-entry[1], entry[0]))
    lines = [f"| {source or '-'} | {licence} | {count} |" for (source, licence), count in rows]
    head = ["| source | licence | files |", "|---|---|---|"]
    return "\n".join([f"{text} The files there, both kinds:", "", *head, *lines])


def _compute(facts: Facts, training: dict[str, Any]) -> str:
    hours = f", {facts.seconds / 3600:.1f} hours" if facts.seconds else ""
    large = training["large_from"]
    sizes = f"{facts.config['data']['crop']} pixels" + (f", twice that from {large:.0%} on" if large < 1 else "")
    text = (
        f"## Training\n\n{facts.step} of {training['steps']} steps of {training['batch']} crops ({sizes}) on "
        f"{training['device']}, {training['precision']}{hours}. Loss: {training['loss']}, lambda "
        f"{training['lambdas'][0]:g} to {training['lambdas'][1]:g}. Shipped is the moving average of the weights."
    )
    return f"{text} {facts.note}".rstrip()


def _curve(facts: Facts) -> str:
    if not facts.points:
        return "## Rates\n\nNot measured."
    rows = [f"| {point.quality:g} | {point.rate_bpp:.3f} | {point.psnr_db:.2f} |" for point in facts.points]
    head = ["| quality | bpp | PSNR, dB |", "|---|---|---|"]
    which = "held-out pictures" if facts.same_pictures else "pictures (some may have been trained on)"
    text = f"Means over {facts.held_out} {which}: whole files, decoded, 8 bits, effort `normal`."
    return "\n".join(["## Rates", "", text, "", *head, *rows])


def _cost(facts: Facts) -> str:
    cost = facts.complexity
    encode, decode = cost["analysis"] + cost["hyper_analysis"] + cost["entropy"], cost["entropy"] + cost["synthesis"]
    rows = [
        f"| {what} | {macs / 1000:.2f} |"
        for what, macs in (
            ("analysis", cost["analysis"]),
            ("hyper-analysis", cost["hyper_analysis"]),
            ("entropy model (integers)", cost["entropy"]),
            ("synthesis", cost["synthesis"]),
            ("**encode**", encode),
            ("**decode**", decode),
        )
    ]
    text = f"{cost['parameters'] / 1e6:.2f} million parameters."
    return "\n".join(["## Cost", "", text, "", "| part | kMAC per pixel |", "|---|---|", *rows])


def _config(facts: Facts) -> str:
    lines = [f"{key} = {_toml(value)}" for key, value in facts.config["model"].items()]
    return "\n".join(
        [
            "## Going on",
            "",
            "The run's folder (`last.safetensors`) continues with `midtread train CONFIG.toml --out RUN --resume`, on "
            "a GPU with `--device cuda`; with more blocks, or a new schedule, name it as `start` in `[training]` of "
            "a new configuration (docs/training.md). `midtread freeze RUN FOLDER` makes a new model.",
            "",
            "    [model]",
            *(f"    {line}" for line in lines),
        ]
    )


def _toml(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _limits(facts: Facts, training: dict[str, Any]) -> str:
    limits = [
        "8-bit pictures only. Trained on sRGB photographs, drawings and screens as listed above; medical, satellite or "
        "other pictures that look different take more bits or lose more.",
        "Lossy at every quality: for exact pictures take another codec.",
        f"Trained for {'PSNR' if training['loss'] == 'mse' else 'MS-SSIM'}; what that does not see may be lost.",
        "Files name this model by the hash of `model.safetensors`: without it they do not decode. Keep it.",
    ]
    if facts.step < training["exact_from"] * training["steps"]:
        limits.append(f"Frozen early: {_ROUNDS_AFTER}.")
    elif facts.step < training["steps"]:
        limits.append(f"Stopped early, after {facts.step} of {training['steps']} steps.")
    return "\n".join(["## Limits", "", *(f"- {limit}" for limit in limits)])
