"""Layers that are trained as floats and run as integers: what chooses a probability table must be exact everywhere.

An activation is a multiple of 1/16 in [-8, 8): an int8 number of sixteenths. A weight is a multiple of 2**-shift with
at most 7 bits and a sign, where the shift belongs to its output. So the accumulator is an integer, at most
sum(|weight|) * 128 + |bias| of its units, far under 2**24: even a float32 convolution adds it up without an error, in
any order (Ballé, Johnston, Minnen: "Integer networks for data compression with latent-variable models", ICLR 2019).

With `exact=False` the layers clip but do not round, which is how training begins; with `exact=True` they round, and
gradients pass the rounding unchanged. The numbers are then those that `midtread train freeze` writes down.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STEP = 16  # activations are multiples of 1 / STEP
LARGEST_WEIGHT = 63
SHIFTS = (2, 12)  # fewest and most fractional bits of a weight


def round_through(x: Tensor) -> Tensor:
    """X rounded half up, the gradient as if it were not."""
    return x + (torch.floor(x + 0.5) - x).detach()


def clip_through(x: Tensor, low: float, high: float) -> Tensor:
    """X clipped to [low, high]; the gradient passes where it leads back inside."""
    return _Clip.apply(x, low, high)


class _Clip(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, low, high):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x)
        ctx.bounds = low, high
        return x.clamp(low, high)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        (x,) = ctx.saved_tensors
        low, high = ctx.bounds
        stuck = ((x < low) & (gradient > 0)) | ((x > high) & (gradient < 0))
        return gradient.masked_fill(stuck, 0.0), None, None


def activation(x: Tensor, exact: bool, low: float = 0.0) -> Tensor:
    """X as an activation: clipped to [low, 8) and, when exact, rounded to sixteenths. low 0 makes it a ReLU."""
    x = x.clamp(low, 8 - 1 / STEP)
    return round_through(x * STEP) / STEP if exact else x


class IntegerConv(nn.Module):
    """A 1x1 or depthwise 3x3 convolution whose weights have 7 bits. [n, in, h, w] -> [n, out, h, w]."""

    def __init__(self, inputs: int, outputs: int, depthwise: bool = False, init: float = 1.0) -> None:
        super().__init__()
        fan_in = 9 if depthwise else inputs
        shape = (outputs, 1, 3, 3) if depthwise else (outputs, inputs, 1, 1)
        self.weight = nn.Parameter(torch.randn(shape) * init / fan_in**0.5)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.groups = outputs if depthwise else 1

    def shift(self) -> Tensor:
        """Fractional bits of the weights, float [out, 1, 1, 1]: as many as keep the largest within 7 bits."""
        largest = self.weight.detach().abs().amax(dim=(1, 2, 3), keepdim=True).clamp_min(1e-9)
        return torch.floor(torch.log2(LARGEST_WEIGHT / largest)).clamp(*SHIFTS)

    def forward(self, x: Tensor, exact: bool) -> Tensor:
        """As the class says; exact: whether the weights are rounded. The sum is not."""
        weight: Tensor = self.weight
        bias: Tensor = self.bias
        if exact:
            unit = torch.exp2(self.shift())
            weight = round_through(weight * unit).clamp(-LARGEST_WEIGHT, LARGEST_WEIGHT) / unit
            unit = unit.flatten() * STEP
            bias = round_through(bias * unit) / unit
        return F.conv2d(x, weight, bias, padding=self.weight.shape[-1] // 2, groups=self.groups)
