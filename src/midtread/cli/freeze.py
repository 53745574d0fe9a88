"""Verbs of training: freeze."""

from __future__ import annotations

import json as jsonlib
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from midtread.cli.bar import bar
from midtread.errors import MissingError
from midtread.spec import missing

_NEEDS = tuple((module, "pip install 'midtread[train]'") for module in ("torch", "onnx", "safetensors"))


def freeze(
    checkpoint: Path,
    out: Path,
    /,
    *,
    name: str | None = None,
    pictures: Annotated[list[Path] | None, Parameter(negative=())] = None,
    measure: Path | None = None,
    note: str = "",
    json: Annotated[bool, Parameter(negative=())] = False,
) -> str:
    """Make a model for codec `learned` from what `midtread train` trained.

    Args:
        checkpoint: a file, or the folder of a run (its best checkpoint).
        out: folder to be made: weights, graphs and the model card, README.md.
        name: of the model, the folder's if left out.
        pictures: folders it was trained on, where the checkpoint's own names lead nowhere from here.
        measure: folder of pictures that the card's rates are of, never trained on; the held-out ones if left out.
        note: a sentence for the card, such as the machine it was trained on.
        json: print JSON.
    """
    if line := missing(_NEEDS):
        raise MissingError(f"freezing needs torch, onnx and safetensors; install them with: {line}")
    from midtread.train.release import release

    with bar(f"freezing {checkpoint}", sys.maxsize) as progress:
        watch = {"progress": progress} if progress else {}
        made = release(checkpoint, out, name=name, pictures=pictures, measure=measure, note=note, **watch)
    if json:
        points = [[point.quality, point.rate_bpp, point.psnr_db] for point in made.points]
        return jsonlib.dumps(
            {"folder": str(made.folder), "name": made.name, "hash": made.digest, "size_bytes": made.size_bytes,
             "points": points}
        )  # fmt: skip
    first, last = made.points[0], made.points[-1]
    curve = f"{first.rate_bpp:.3f} bpp {first.psnr_db:.2f} dB to {last.rate_bpp:.3f} bpp {last.psnr_db:.2f} dB"
    return f"{made.folder}  model {made.name!r}, hash {made.digest}, {made.size_bytes / 1e6:.2f} MB, {curve}"
