"""From a trained network to the tensors of a frozen model: float16 weights, integer networks, numbers of each quality.

The only door from what is trained to what is shipped; `freeze.py` writes the folder.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from midtread.entropy.families import Family
from midtread.entropy.tables import Tables
from midtread.errors import TrainingError
from midtread.nn.image import ANCHORS, RANGE, ImageModel, Prior
from midtread.nn.integer import LARGEST_WEIGHT, STEP, IntegerConv

PRECISION = 16  # bits of the tables
TABLES = 84
# of scales 2**-3.25, 2**-3.125 and so on, in units of 2**-16
FAMILY = Family("gaussian", TABLES, PRECISION, round(2**12.75), round(2 ** (12.75 + (TABLES - 1) / 8)))
_CERTAIN = 1 << 24  # integers below it are exact in float32

Tensors = dict[str, np.ndarray]


def tensors(model: ImageModel, log_distortion: np.ndarray) -> Tensors:
    """Everything in model.safetensors, by name.

    Args:
        model: trained; its parameters are not changed.
        log_distortion: float32 [ANCHORS, latents], see `log_distortion`.
    """
    found: Tensors = {}
    with torch.no_grad():
        deviation = model.deviation.flatten().double()
        _transforms(model, found)
        _stages(model, found)
        _integer_networks(model, found)
        log_deviation = torch.log2(deviation).float()
        found["inverse_deviation"] = (1 / deviation).float().numpy()
        found["log_regain"] = (model.log_regain.anchors + log_deviation).numpy()
        for name, fine in (("log_gain", 256), ("log_gain_z", 256), ("log_scale_z", 256)):
            found[name] = _rounded(getattr(model, name).anchors * fine)
        found["quality_offset"] = _rounded(model.hyper_synthesis.quality_offset.anchors * STEP)
        found["log_distortion"] = log_distortion.astype(np.float32)
    found |= tables(FAMILY.tables)
    return {name: np.ascontiguousarray(array) for name, array in found.items()}


def tables(made: Tables) -> Tensors:
    """The tensors that `learned_model.Model.tables` reads."""
    return {"tables.lows": made.lows, "tables.sizes": made.sizes, "tables.frequencies": made.frequencies}


def _rounded(x: Tensor) -> np.ndarray:
    return torch.round(x).to(torch.int32).numpy()


def _half(x: Tensor) -> np.ndarray:
    """float16; a weight that does not fit is a mistake of training."""
    out = x.numpy().astype(np.float16)
    if not np.isfinite(out).all():
        raise TrainingError("a weight of the trained network is not finite, or too large for float16; train it longer")
    return out


def _transforms(model: ImageModel, found: Tensors) -> None:
    """Weights of analysis, hyper-analysis and synthesis, as `graphs` uses them."""
    c = model.config
    a, h, s = model.analysis, model.hyper_analysis, model.synthesis
    deviation = model.deviation.flatten()
    found["analysis.first.weight"] = _half(a.first.weight.reshape(c.width8, 3, 8, 8))
    _put(found, "analysis.down", a.down, (c.width16, c.width8, 2, 2))
    _put(found, "synthesis.up", s.up)
    found["synthesis.last.weight"] = _half(s.last.weight * (255 / RANGE))
    found["synthesis.last.bias"] = (_bias(s.last) * (255 / RANGE) + 127.5).float().numpy()
    found["hyper_analysis.first.weight"] = _half(h.first.weight / deviation[:, None, None])
    found["hyper_analysis.first.bias"] = _bias(h.first).numpy()
    _put(found, "hyper_analysis.depthwise", h.depthwise)
    _put(found, "hyper_analysis.down", h.down, (c.hyper_width, c.hyper_width, 2, 2))
    _put(found, "hyper_analysis.last", h.last, (c.hyper, c.hyper_width, 2, 2))
    for name, network in (("analysis", a), ("synthesis", s)):
        for stage in ("stage8", "stage16"):
            for number, block in enumerate(getattr(network, stage).blocks):
                for layer in ("depthwise", "expand", "mix"):
                    _put(found, f"{name}.{stage}.blocks.{number}.{layer}", getattr(block, layer))


def _put(found: Tensors, name: str, layer: nn.Conv2d, shape: tuple[int, ...] | None = None) -> None:
    found[f"{name}.weight"] = _half(layer.weight.reshape(shape) if shape else layer.weight)
    found[f"{name}.bias"] = _bias(layer).numpy()


def _bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias.detach().float()


def _stages(model: ImageModel, found: Tensors) -> None:
    """Scales and offsets of each anchor. The analysis begins with grey levels: its first convolution has no bias."""
    for name, network in (("analysis", model.analysis), ("synthesis", model.synthesis)):
        for stage in ("stage8", "stage16"):
            part = getattr(network, stage)
            scale, offset = part.scale.anchors.double(), part.offset.anchors.double()
            if (name, stage) == ("analysis", "stage8"):
                weight = torch.from_numpy(found["analysis.first.weight"]).double()
                constant = _bias(model.analysis.first).double() - RANGE / 2 * weight.sum(dim=(1, 2, 3))
                offset = offset + scale * constant
                scale = scale * (RANGE / 255)
            found[f"{name}.{stage}.scale"] = scale.float().numpy()
            found[f"{name}.{stage}.offset"] = offset.float().numpy()


def _integer_networks(model: ImageModel, found: Tensors) -> None:
    h, c = model.hyper_synthesis, model.config
    _linear(found, "hyper_synthesis.first", [h.first], _by_neighbour(c.hyper_width))
    _linear(found, "hyper_synthesis.up", [h.up], _by_neighbour(c.features))
    for name, layer in (
        ("hyper_synthesis.depthwise32", h.depthwise32),
        ("hyper_synthesis.depthwise16", h.depthwise16),
        ("near_a", model.near_a),
        ("near_a_odd", model.near_a_odd),
        ("near_b", model.near_b),
    ):
        weight, bias, shift = integers(layer, name)
        found[f"{name}.weight"] = weight.astype(np.float32)
        _after(found, name, bias, shift)
    for group, prior in enumerate(model.priors):
        assert isinstance(prior, Prior)
        _linear(found, f"priors.{group}.first", [prior.first])
        _linear(found, f"priors.{group}.heads", [prior.mean, prior.log_scale], outputs=(6, 3))


def _by_neighbour(width: int) -> np.ndarray:
    """Order of the outputs of a pixel shuffle by 2: neighbour by neighbour instead of channel by channel."""
    return np.arange(4 * width).reshape(width, 4).T.reshape(-1)


def _linear(
    found: Tensors,
    name: str,
    layers: list[IntegerConv],
    order: np.ndarray | None = None,
    outputs: tuple[int, ...] = (4,),
) -> None:
    """1x1 layers with the same inputs, side by side. outputs: log2 of the steps of a unit that each gives."""
    weights, biases, drops = [], [], []
    for layer, fine in zip(layers, outputs, strict=True):
        weight, bias, shift = integers(layer, name)
        weights.append(weight[:, :, 0, 0])
        biases.append(bias)
        drops.append(shift + 4 - fine)
    weight, bias, drop = np.concatenate(weights), np.concatenate(biases), np.concatenate(drops)
    if order is not None:
        weight, bias, drop = weight[order], bias[order], drop[order]
    found[f"{name}.weight"] = weight.T.astype(np.int8)
    _after(found, name, bias, drop)


def _after(found: Tensors, name: str, bias: np.ndarray, drop: np.ndarray) -> None:
    """floor(sum * unit + offset) = (sum + bias) / 2**drop, rounded half up."""
    unit = np.exp2(-drop.astype(np.float64))
    found[f"{name}.unit"] = unit.astype(np.float32)
    found[f"{name}.offset"] = (bias * unit + 0.5).astype(np.float32)


def integers(layer: IntegerConv, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights [out, in, h, w], biases and shifts [out] of a layer, int64, certified to be exact in float32.

    Raises:
        TrainingError: sums could reach 2**24.
    """
    shift = layer.shift()
    weight = torch.floor(layer.weight.detach() * torch.exp2(shift) + 0.5).clamp(-LARGEST_WEIGHT, LARGEST_WEIGHT)
    scale = torch.exp2(shift.flatten()) * STEP
    bias = torch.floor(layer.bias.detach() * scale + 0.5)
    w, b, s = (x.double().numpy().astype(np.int64) for x in (weight, bias, shift.flatten()))
    # the graphs add 128 to inputs that have a sign, so that all are uint8
    largest = int((np.abs(w).sum((1, 2, 3)) * 255 + np.abs(b) + (1 << (s + 1))).max())
    if largest >= _CERTAIN:
        raise TrainingError(f"layer {name}: sums may reach {largest}, float32 is exact below {_CERTAIN}; narrow it")
    return w, b, s


def log_distortion(model: ImageModel, pixels: Tensor, lambdas: list[float], seed: int = 0) -> np.ndarray:
    """log2 of the bits that a squared change of 1 (in units of its deviation) of a latent is worth, [ANCHORS, latents].

    A channel's latents are changed at random and the change of the pixels is measured: lambda * 255**2 times the
    squared error, which is a mean over three channels. Then all channels are changed at once, as rounding does; the
    synthesis is not linear, and that costs up to twice the sum of the parts: a factor for each anchor.

    Args:
        model: trained.
        pixels: float32 [n, 3, h, w] in [-0.5, 0.5], sides multiples of 64.
        lambdas: of the anchors.
        seed: of the changes.
    """
    rng = torch.Generator().manual_seed(seed)
    out = np.empty((ANCHORS, model.config.width16), np.float32)
    with torch.no_grad():
        for anchor, rate in enumerate(lambdas):
            quality = torch.full((len(pixels),), anchor / (ANCHORS - 1))
            gain = torch.exp2(model.log_gain(quality))
            y = torch.round(model.analysis(pixels, quality) / model.deviation * gain) / gain
            regain = model.deviation * torch.exp2(model.log_regain(quality))
            base = model.synthesis(y * regain, quality)
            for channel in range(model.config.width16):
                step = 1 / gain[0, channel, 0, 0]
                signs = torch.randint(0, 2, y[:, channel].shape, generator=rng) * 2.0 - 1
                changed = y.clone()
                changed[:, channel] += step * signs
                error = (model.synthesis(changed * regain, quality) - base).pow(2).sum()
                worth = rate * 255**2 / 3 * float(error / (signs.numel() * step**2))
                out[anchor, channel] = math.log2(max(worth, 1e-12))
            noise = (torch.rand(y.shape, generator=rng) - 0.5) / gain
            error = (model.synthesis((y + noise) * regain, quality) - base).pow(2).sum()
            parts = (noise.pow(2).sum((0, 2, 3)) * torch.exp2(torch.from_numpy(out[anchor]))).sum()
            together = rate * 255**2 / 3 * float(error / parts.clamp(min=1e-12))
            out[anchor] += math.log2(min(max(together, 0.5), 4.0))
    return out
