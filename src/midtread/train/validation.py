"""How good a model in training is: rates and distortions of held-out pictures, and some of them to look at.

The rates are what the entropy model expects, not sizes of files: they steer a training, and are never reported as
results. `midtread bench` measures a frozen model.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from midtread.nn.image import ImageModel
from midtread.train.config import GRAIN
from midtread.train.losses import PEAK, Objective

QUALITIES = (0.1, 0.35, 0.6, 0.85)  # that are validated
SHOWN = (0.15, 0.5, 0.85)  # that sample pictures have
_LARGEST = 768  # sides of what is validated, pixels
_SAMPLE = 384


def validate(
    model: ImageModel, weights: dict[str, Tensor], pictures: list[np.ndarray], objective: Objective, exact: bool
) -> dict[str, Any]:
    """Means over pictures of the rate and distortion at `QUALITIES`, in float32.

    Args:
        model: what to run.
        weights: to run it with.
        pictures: uint8 [h, w, 3] each, sides of 64 or more; their middles are taken.
        objective: what the loss is made of.
        exact: whether the integer layers round.

    Returns:
        "quality", "bpp" (expected), "psnr_db" (of 8-bit samples) and, if it is trained for, "ms_ssim", a list each;
        "loss", a number: that of training, over these qualities.
    """
    bpp = np.zeros((len(pictures), len(QUALITIES)))
    psnr_db, distortion, loss = bpp.copy(), bpp.copy(), bpp.copy()
    for row, picture in enumerate(pictures):
        x = middle(picture, _LARGEST, model)
        for column, value in enumerate(QUALITIES):
            quality = torch.full((1,), value, device=x.device)
            x_hat, bits = _run(model, weights, x, quality, exact)
            rate = bits / (x.shape[2] * x.shape[3])
            difference = objective.distortion(x, x_hat)
            squares = (_samples(x_hat) - _samples(x)).pow(2).mean().item()
            bpp[row, column] = rate.item()
            psnr_db[row, column] = 10 * math.log10(PEAK / max(squares, 1e-9))
            distortion[row, column] = difference.item()
            loss[row, column] = objective(difference, rate, quality).item()
    found = {"quality": list(QUALITIES), "bpp": _means(bpp), "psnr_db": _means(psnr_db)}
    if objective.kind == "ms-ssim":
        found["ms_ssim"] = _means(1 - distortion)
    return found | {"loss": float(loss.mean())}


def sample(model: ImageModel, weights: dict[str, Tensor], picture: np.ndarray, exact: bool) -> np.ndarray:
    """The middle of a picture, and beside it what the model makes of it at `SHOWN`: uint8 [h, 4 w, 3]."""
    x = middle(picture, _SAMPLE, model)
    shown = [x]
    for value in SHOWN:
        shown.append(_run(model, weights, x, torch.full((1,), value, device=x.device), exact)[0])
    row = torch.cat([_samples(one)[0] for one in shown], 2)
    return row.permute(1, 2, 0).to("cpu", torch.uint8).numpy()


def middle(picture: np.ndarray, largest: int, model: ImageModel) -> Tensor:
    """The middle of uint8 [h, w, 3] as the model takes it: [1, 3, h', w'], at most `largest`, multiples of 64."""
    height, width = (min(side, largest) // GRAIN * GRAIN for side in picture.shape[:2])
    top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
    part = np.ascontiguousarray(picture[top : top + height, left : left + width].transpose(2, 0, 1))
    device = next(model.parameters()).device
    return torch.from_numpy(part)[None].to(device).float() / 255 - 0.5


def _run(
    model: ImageModel, weights: dict[str, Tensor], x: Tensor, quality: Tensor, exact: bool
) -> tuple[Tensor, Tensor]:
    """x_hat and all bits [n]."""
    model.eval()
    with torch.no_grad():
        x_hat, bits_y, bits_z = functional_call(model, weights, (x, quality, exact))
    model.train()
    return x_hat, bits_y + bits_z


def _samples(x: Tensor) -> Tensor:
    """Pixels in [-0.5, 0.5] as 8-bit samples, floats."""
    return ((x.float().clamp(-0.5, 0.5) + 0.5) * 255).round()


def _means(table: np.ndarray) -> list[float]:
    return [float(value) for value in table.mean(axis=0)]
