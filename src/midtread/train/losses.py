"""What training makes small: rate + lambda * distortion, for all qualities at once.

Quality t in [0, 1] stands for lambda = low * (high / low)**t. Each crop of a batch has its own. The high qualities
cost many bits, so each is weighed down by a power of its lambda: their gradients are then about as large.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from midtread.metrics import structure

PEAK = 255**2  # the lambdas of mse are for differences of 8-bit samples
MS_SSIM_TO_MSE = 8e-4  # lambda of mse over that of ms-ssim for like rates: 0.0018 / 2.40 to 0.18 / 220 in CompressAI
_TAME = 0.6  # exponent of the weight


class Objective:
    """The loss of a training: `kind` is "mse" or "ms-ssim", `lambdas` those of quality 0 and 1."""

    def __init__(self, kind: str, lambdas: tuple[float, ...]) -> None:
        self.kind = kind
        self.low, self.high = lambdas

    def rate(self, quality: Tensor) -> Tensor:
        """The lambda [n] of each quality [n]: bits per pixel that a unit of distortion is worth."""
        return self.low * (self.high / self.low) ** quality

    def mse_rate(self, quality: float) -> float:
        """The lambda that would give about this quality's rate if the loss were "mse"."""
        rate = self.low * (self.high / self.low) ** quality
        return rate if self.kind == "mse" else rate * MS_SSIM_TO_MSE

    def distortion(self, x: Tensor, x_hat: Tensor) -> Tensor:
        """Of each picture [n]: mean squared error in (1 / 255)**2, or 1 - MS-SSIM.

        Args:
            x: float32 [n, 3, h, w] in [-0.5, 0.5].
            x_hat: the same, of any float type.
        """
        x_hat = x_hat.float()
        if self.kind == "ms-ssim":
            return 1 - ms_ssim(x, x_hat)
        return (x_hat - x).pow(2).flatten(1).mean(1) * PEAK

    def __call__(self, distortion: Tensor, rate_bpp: Tensor, quality: Tensor) -> Tensor:
        """The loss of a batch, a scalar: all three are [n]."""
        rate = self.rate(quality)
        weight = (rate / math.sqrt(self.low * self.high)) ** -_TAME
        return (weight * (rate * distortion + rate_bpp)).mean()


def ms_ssim(x: Tensor, x_hat: Tensor) -> Tensor:
    """Multi-scale structural similarity [n], differentiable: `metrics.structure.ms_ssim` of pictures minus 0.5.

    A mean contrast-structure under 1e-6 (anti-correlated pictures) counts as 1e-6: its power has no slope at 0.

    Args:
        x: float32 [n, 3, h, w] in [-0.5, 0.5], sides of 176 pixels or more.
        x_hat: the same.
    """
    x, x_hat = (planes.flatten(0, 1)[:, None] for planes in (x, x_hat))
    product = torch.ones(len(x), device=x.device)
    last = len(structure.SCALE_WEIGHTS) - 1
    for scale, weight in enumerate(structure.SCALE_WEIGHTS):
        similarity, contrast = _similarities(x, x_hat)
        product = product * (similarity if scale == last else contrast).clamp_min(1e-6) ** weight
        if scale < last:
            x, x_hat = (F.avg_pool2d(planes, 2) for planes in (x, x_hat))
    return product.unflatten(0, (-1, 3)).mean(1)


def _similarities(x: Tensor, x_hat: Tensor) -> tuple[Tensor, Tensor]:
    """Means [n] of SSIM and of its contrast-structure factor over planes [n, 1, h, w] minus 0.5."""
    window = torch.as_tensor(structure.WINDOW, dtype=x.dtype, device=x.device)
    moments = torch.cat([x, x_hat, x * x + x_hat * x_hat, x * x_hat], 1).flatten(0, 1)[:, None]
    filtered = F.conv2d(F.conv2d(moments, window[None, None, None]), window[None, None, :, None])
    mean_x, mean_hat, power, product = filtered.unflatten(0, (-1, 4))[:, :, 0].unbind(1)
    power = power - mean_x * mean_x - mean_hat * mean_hat
    product = product - mean_x * mean_hat
    contrast = (2 * product + structure.C2) / (power + structure.C2)
    mean_x, mean_hat = mean_x + 0.5, mean_hat + 0.5
    luminance = (2 * mean_x * mean_hat + structure.C1) / (mean_x * mean_x + mean_hat * mean_hat + structure.C1)
    return (luminance * contrast).flatten(1).mean(1), contrast.flatten(1).mean(1)
