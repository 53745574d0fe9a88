"""A trained network -> the folder of a frozen model, which decodes without PyTorch."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from midtread.codecs.image import learned_model
from midtread.codecs.image.learned_model import VERSION, WEIGHTS
from midtread.nn.image import ImageModel, Prior
from midtread.nn.macs import macs
from midtread.train import frozen, graphs, refine_graph, statistics

QUALITIES = (2, 12, 22, 32, 42, 52, 61)  # at which symbols are counted


def freeze(
    model: ImageModel,
    folder: Path,
    name: str,
    lambdas: list[float],
    pixels: torch.Tensor,
    card: str,
    pictures: Sequence[np.ndarray] = (),
) -> None:
    """Write the folder of a frozen model, whole or not at all.

    Args:
        model: trained.
        folder: to be made; must not exist.
        name: of the model.
        lambdas: of the anchors.
        pixels: float32 [n, 3, h, w] in [-0.5, 0.5], sides multiples of 64: some of what it was trained on.
        card: text of README.md.
        pictures: uint8 [H, W, 3], what it was trained on: tables are fitted to their symbols. None: Gaussian tables.
    """
    model = model.eval()
    found = frozen.tensors(model, frozen.log_distortion(model, pixels, lambdas))
    facts: dict[str, Any] = {
        "name": name,
        "version": VERSION,
        "precision": frozen.PRECISION,
        "lambdas": [float(f"{value:.6g}") for value in lambdas],
        "config": dataclasses.asdict(model.config),
        "complexity": complexity(model),
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        target = Path(made) / "model"
        target.mkdir()
        _write(target, found, facts, model)
        if pictures:
            counts = statistics.count(learned_model.load(target), pictures, QUALITIES)
            _write(target, found | frozen.tables(statistics.fit(counts, frozen.FAMILY)), facts, model)
        (target / "README.md").write_text(card)
        shutil.move(target, folder)


def _write(target: Path, found: frozen.Tensors, facts: dict[str, Any], model: ImageModel) -> None:
    from safetensors.numpy import save_file

    save_file(found, target / WEIGHTS, {"midtread": json.dumps(facts)})
    (target / WEIGHTS).chmod(target.stat().st_mode & 0o666)  # safetensors writes for its owner alone
    graphs.write_all(target, found, model.config, refine=refine_graph.refine)


def complexity(model: ImageModel) -> dict[str, Any]:
    """MACs per pixel of the parts, and parameters. Priors run on half of the positions of their grid each."""
    side = 256
    c, quality = model.config, torch.tensor([0.5])

    def count(module: torch.nn.Module, *inputs: Any) -> float:
        return sum(macs(module, *inputs).values()) / side**2

    y = torch.zeros(1, c.width16, side // 16, side // 16)
    prior = 0.0
    for part in model.priors:
        assert isinstance(part, Prior)
        prior += count(part, torch.zeros(1, part.first.weight.shape[1], side // 16, side // 32), True)
    near = 9 * (2 * c.slice_a + c.width16) / 256  # depthwise on the whole grid: slice A in three graphs, B in one
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "analysis": count(model.analysis, torch.zeros(1, 3, side, side), quality),
        "hyper_analysis": count(model.hyper_analysis, y),
        "entropy": count(model.hyper_synthesis, torch.zeros(1, c.hyper, side // 64, side // 64), quality, True)
        + prior
        + near,
        "synthesis": count(model.synthesis, y, quality),
    }
