"""Vector quantizers for training: straight-through gradients, codebooks that follow the latents.

    z ──► nearest entry ──► z_hat          forward
    z ◄──────────────────── gradient       backward: as if nothing had been quantized

The codebooks are what `midtread.quantize.vector` decodes with: VectorQuantizer(module.freeze()) and so on. Vectors lie
along the last axis; move the channels of a picture there with `movedim(1, -1)`.

Source of all: van den Oord et al., "Neural discrete representation learning", 2017.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from midtread.errors import UsageError

MARGIN, MOST_LEVELS = 1e-3, 512  # of quantize.vector.finite_scalar
PART = 2**24  # distances at a time


class Quantized(NamedTuple):
    """What became of vectors [..., dimensions]."""

    z_hat: Tensor  # of the shape of the vectors; its gradient is theirs
    indices: Tensor  # int64 [...], or [..., stages or groups]
    commitment: Tensor  # scalar: mean squared distance to the entries; add it, times 0.25 or so, to the loss


class VectorQuantize(nn.Module):
    """The nearest entry; in training mode the codebook moves as `quantize.vector.moving` describes.

    Its entries have no gradient: they are running means of the vectors they stand for, where a batch counts `decay`
    times as much as the next. Entries with less than `revive_below` of the mean load go to the worst coded vectors of
    the batch. Each process follows its own batches: broadcast the buffers where several train one model.
    """

    codebook: Tensor
    load: Tensor

    def __init__(self, codebook: np.ndarray, decay: float = 0.99, revive_below: float = 0.03) -> None:
        """Start from float32 [entries, dimensions], best made by `quantize.vector.train` from a first batch."""
        super().__init__()
        if codebook.ndim != 2 or 0 in codebook.shape or not np.isfinite(codebook).all():
            raise UsageError(f"a codebook is finite [entries, dimensions], got shape {list(codebook.shape)}")
        if not 0 <= decay <= 1 or not 0 <= revive_below <= 1:
            raise UsageError(f"decay={decay} and revive_below={revive_below} take numbers in [0, 1]")
        self.decay, self.revive_below = decay, revive_below
        self.register_buffer("codebook", torch.tensor(codebook, dtype=torch.float32))
        self.register_buffer("load", torch.full((len(codebook),), 1 / len(codebook)))

    def forward(self, z: Tensor) -> Quantized:
        """[..., dimensions] -> the same."""
        flat = z.detach().reshape(-1, self.codebook.shape[1]).float()
        with torch.no_grad():
            indices = nearest(flat, self.codebook)
            entries = self.codebook[indices].reshape(z.shape).to(z.dtype)
            if self.training:
                self._follow(flat, indices)
        commitment = (z - entries).square().mean()
        return Quantized(straight_through(z, entries), indices.reshape(z.shape[:-1]), commitment)

    def _follow(self, flat: Tensor, indices: Tensor) -> None:
        share = (1 - self.decay) / len(flat)
        kept = self.decay * self.load
        load = kept + share * torch.bincount(indices, minlength=len(kept))
        sums = kept[:, None] * self.codebook
        sums.index_add_(0, indices, flat, alpha=share)
        moved = torch.where(load[:, None] > 0, sums / load[:, None], self.codebook)
        errors = (flat - self.codebook[indices]).square().sum(1)
        for entry in torch.nonzero(load < self.revive_below / len(load))[:, 0].tolist():
            worst = flat[errors.argmax()]  # after the entries just revived
            moved[entry], load[entry] = worst, 1 / len(load)
            errors = torch.minimum(errors, (flat - worst).square().sum(1))
        self.codebook.copy_(moved)
        self.load.copy_(load)

    def freeze(self) -> np.ndarray:
        """The codebook, float32 [entries, dimensions]: what VectorQuantizer takes."""
        return self.codebook.cpu().numpy().copy()


class ResidualQuantize(nn.Module):
    """Stages, each on what those before it left. `upto` stages alone can be trained, for prefixes that decode well.

    Source: Zeghidour et al., "SoundStream", 2021 (training with a random number of stages).
    """

    def __init__(self, stages: Iterable[VectorQuantize]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)

    def forward(self, z: Tensor, upto: int | None = None) -> Quantized:
        """[..., dimensions] -> the same, with indices [..., upto]; the commitment is the mean of the stages'."""
        left, indices, commitments = z, [], []
        for stage in self.stages[:upto]:
            part = stage(left)
            left = left - part.z_hat.detach()
            indices.append(part.indices)
            commitments.append(part.commitment)
        z_hat = straight_through(z, (z - left).detach())
        return Quantized(z_hat, torch.stack(indices, -1), torch.stack(commitments).mean())

    def freeze(self) -> list[np.ndarray]:
        """The codebooks: what the stages of ResidualQuantizer take."""
        return [stage.freeze() for stage in self.stages]  # type: ignore[operator]


class ProductQuantize(nn.Module):
    """Groups of columns, from the left to the right, each with a codebook of its own."""

    def __init__(self, groups: Iterable[VectorQuantize]) -> None:
        super().__init__()
        listed = list(groups)
        self.groups = nn.ModuleList(listed)
        self.columns = [group.codebook.shape[1] for group in listed]

    def forward(self, z: Tensor) -> Quantized:
        """[..., dimensions] -> the same, with indices [..., groups]; the commitment is the mean of the groups'."""
        parts = [group(part) for group, part in zip(self.groups, z.split(self.columns, -1), strict=True)]
        return Quantized(
            torch.cat([part.z_hat for part in parts], -1),
            torch.stack([part.indices for part in parts], -1),
            torch.stack([part.commitment for part in parts]).mean(),
        )

    def freeze(self) -> list[np.ndarray]:
        """The codebooks: what the groups of ProductQuantizer take."""
        return [group.freeze() for group in self.groups]  # type: ignore[operator]


class FiniteScalarQuantize(nn.Module):
    """A bounded grid with a few levels a dimension, in place of a codebook: `quantize.vector.finite_scalar`.

    Source: Mentzer et al., "Finite scalar quantization: VQ-VAE made simple", ICLR 2024.
    """

    levels: Tensor

    def __init__(self, levels: tuple[int, ...]) -> None:
        super().__init__()
        if not levels or min(levels) < 2 or max(levels) > MOST_LEVELS or math.prod(levels) > 2**31:
            raise UsageError(f"levels={levels}; it takes 2 to {MOST_LEVELS} for each dimension, 2**31 entries in all")
        self.register_buffer("levels", torch.tensor(levels))

    def forward(self, z: Tensor) -> Quantized:
        """[..., dimensions] -> [..., dimensions] in [-1, 1]; nothing commits: the commitment is 0."""
        half = self.levels // 2
        reach = (self.levels - 1).double() * (1 + MARGIN) / 2
        offset = torch.where(self.levels % 2 == 0, 0.5, 0.0).double()
        bounded = torch.tanh(z.double() + torch.atanh(offset / reach)) * reach - offset
        digits = torch.round(bounded.detach()) + half
        places = torch.cumprod(torch.cat([self.levels.new_ones(1), self.levels[:-1]]), 0)
        z_hat = straight_through(bounded, digits - half) / half
        return Quantized(z_hat.to(z.dtype), (digits.long() * places).sum(-1), z.new_zeros(()))


def straight_through(z: Tensor, z_hat: Tensor) -> Tensor:
    """`z_hat`, to the last bit, with the gradient of `z`."""
    return _StraightThrough.apply(z, z_hat)


class _StraightThrough(torch.autograd.Function):
    # z + (z_hat - z).detach() would give the same gradient, and z_hat only up to rounding.
    @staticmethod
    def forward(z: Tensor, z_hat: Tensor) -> Tensor:
        return z_hat.clone()

    @staticmethod
    def setup_context(ctx: torch.autograd.function.FunctionCtx, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


def nearest(flat: Tensor, codebook: Tensor) -> Tensor:
    """int64 [n]: the entry nearest to each vector of [n, dimensions]; ties within rounding may go either way."""
    half_norms = codebook.square().sum(1) / 2
    parts = flat.split(max(1, PART // len(codebook)))
    with torch.autocast(flat.device.type, enabled=False):  # 8 bits of mantissa would choose other entries
        return torch.cat([torch.addmm(half_norms, part, codebook.T, alpha=-1).argmin(1) for part in parts])
