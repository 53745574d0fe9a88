"""Where training begins: at a Karhunen-Loève transform, a decent codec already, or at a shallower trained model.

The first convolution of the analysis becomes the principal components of 8x8 RGB blocks, the second those of 2x2
neighbours of the first; the synthesis gets their transposes, the gains the steps that are best for each quality at
high rate. Residual blocks begin as identities, so the whole begins as that transform and only gets better; and so a
model that is given more blocks begins as what it was.
"""

from __future__ import annotations

import math
import re

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from midtread.errors import UsageError
from midtread.nn.image import ANCHORS, RANGE, ImageModel


def principal_components(model: ImageModel, crops: np.ndarray, rates: list[float]) -> None:
    """Set the linear layers of `model` and its gains.

    Args:
        model: as its constructor made it.
        crops: uint8 [n, 3, h, w], sides multiples of 16.
        rates: lambda of each anchor, in bits per pixel for a mean squared error of (1 / 255)**2.
    """
    c = model.config
    with torch.no_grad():
        blocks = F.pixel_unshuffle((torch.from_numpy(crops).double() / 255 - 0.5) * RANGE, 8)
        basis, _ = _components(blocks, c.width8)
        first = F.conv2d(blocks, basis[:, :, None, None])
        basis2, deviations = _components(F.pixel_unshuffle(first, 2), c.width16)
        _set(model.analysis.first, basis)
        _set(model.synthesis.last, basis.T)
        _set(model.analysis.down, basis2)
        _set(model.synthesis.up, basis2.T)
        model.get_buffer("deviation").copy_(deviations[:, None, None])
        for anchor, rate in enumerate(rates):
            # D = step**2 / 12 a channel, R = -3 log2(step) a pixel: dR/dstep + rate * 255**2 * dD/dstep = 0.
            # Where most symbols are 0, steps up to half an octave larger are better.
            step = RANGE * math.sqrt(18 / (math.log(2) * rate * 255**2)) * 2 ** (0.5 - 0.5 * anchor / (ANCHORS - 1))
            model.log_gain.anchors[anchor] = torch.log2(deviations / step).float()
    assert len(rates) == ANCHORS


def grow(model: ImageModel, weights: dict[str, Tensor], where: str) -> None:
    """Give `model` the weights of one that has the same widths and as many residual blocks or fewer.

    The blocks of each stage that the other lacks stay as they are in a new model, identities: the pictures that come
    out are the same.

    Args:
        model: as its constructor made it.
        weights: of the other, by name.
        where: what the weights come from, for messages.

    Raises:
        UsageError: a tensor has another shape, or has no place here, or is not there.
    """
    own = model.state_dict()
    for name, tensor in weights.items():
        if name not in own:
            hint = "; give [model] as many blocks at least" if _BLOCK.match(name) else ""
            raise UsageError(f"tensor {name} of {where} has no place in this model{hint}")
        if own[name].shape != tensor.shape:
            raise UsageError(
                f"tensor {name} is {list(tensor.shape)} in {where} and {list(own[name].shape)} in this model; a model "
                "grows in blocks8 and blocks16 alone, everything else in [model] stays"
            )
    for name in own:
        if name not in weights and not _is_new_block(name, weights):
            raise UsageError(f"{where} has no tensor {name}, which this model needs")
    model.load_state_dict(weights, strict=False)


_BLOCK = re.compile(r"(.*\.blocks\.)(\d+)\.")


def _is_new_block(name: str, weights: dict[str, Tensor]) -> bool:
    """Whether the tensor is of a block behind all those that `weights` has of its stage."""
    block = _BLOCK.match(name)
    if not block:
        return False
    there = [int(found[2]) for one in weights if (found := _BLOCK.match(one)) and found[1] == block[1]]
    return int(block[2]) > max(there, default=-1)


def _components(x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The first principal components [count, channels] of x [n, channels, h, w], and the deviation along each.

    Means stay in: grey is a value like any other.
    """
    samples = x.transpose(0, 1).flatten(1)
    values, vectors = torch.linalg.eigh(samples @ samples.T / samples.shape[1])
    order = torch.argsort(values, descending=True)[:count]
    return vectors[:, order].T, values[order].clamp_min(1e-12).sqrt()


def _set(layer: torch.nn.Conv2d, weight: Tensor) -> None:
    layer.weight.copy_(weight[:, :, None, None])
    assert layer.bias is not None
    layer.bias.zero_()
