"""The learned picture codec as a network: analysis, synthesis and an integer entropy model in four groups.

    x ─► analysis ─► y ─► gain(quality), round ─► symbols ─► rANS
                     │                              ▲
                     └─► hyper-analysis ─► z ─► hyper-synthesis ─► mean and scale of each group, given those before
    x_hat ◄─ synthesis ◄─ y_hat ◄───────────────────┘

Made for low precision: pixel-(un)shuffle, 1x1 and depthwise 3x3 convolutions, residual blocks, activations of one
variable, everything at 1/8 of the resolution and below. One model has all qualities: each has its own gain per channel
(Cui et al., "Asymmetric gained deep image compression with continuous rate adaptation", CVPR 2021), interpolated
between `ANCHORS` of them. y is in units that do not depend on the quality, and so is all that the entropy model sees:
it predicts in these units, and the gain turns means and scales into those of the symbols.

Groups: (slice A, even squares of a checkerboard), (A, odd), (B, even), (B, odd), each given those before it
(He et al., "Checkerboard context model", CVPR 2021; Minnen & Singh, "Channel-wise autoregressive entropy models",
ICIP 2020).
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from midtread.nn.integer import IntegerConv, activation, clip_through, round_through

ANCHORS = 8  # qualities that have parameters of their own; those between are interpolated
RANGE = 4.0  # of pixels inside the network: such that a quantizer step is about 1
SCALES_PER_OCTAVE = 8
LOWEST_SCALE = 2.0**-3.25  # of symbols; under it a Gaussian's mass is in one of them
_LOWEST_TRAINED = (
    2.0**-7
)  # with noise in place of rounding, a scale costs about as many bits for each symbol, even of 0


@dataclasses.dataclass(frozen=True, slots=True)
class ImageConfig:
    """Widths and depths. The largest part of the MACs is 2 * width**2 * expansion * blocks / (64 or 256) per pixel."""

    width8: int = 128  # channels at 1/8
    width16: int = 320  # channels at 1/16, and latents
    blocks8: int = 3
    blocks16: int = 1
    expansion: int = 1  # of the residual blocks
    slice_a: int = 96  # latents of the first slice
    hyper: int = 64  # hyper-latents, at 1/64
    hyper_width: int = 128
    features: int = 192  # of the hyper-synthesis, at 1/16
    hidden: int = 256  # of each group's prediction


class Block(nn.Module):
    """x + mix(activation(expand(depthwise(x)))): identity at the start."""

    def __init__(self, width: int, expansion: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.expand = nn.Conv2d(width, width * expansion, 1)
        self.mix = nn.Conv2d(width * expansion, width, 1)
        with torch.no_grad():
            for parameter in self.mix.parameters():
                parameter.zero_()
            self.depthwise.weight.mul_(0.5)
            self.depthwise.weight[:, :, 1, 1] += 1.0

    def forward(self, x: Tensor) -> Tensor:
        """[n, width, h, w] -> the same."""
        return x + self.mix(F.silu(self.expand(self.depthwise(x))))


class PerQuality(nn.Module):
    """Vectors of the anchors, interpolated: parameters [ANCHORS, size]."""

    def __init__(self, size: int, start: float = 0.0) -> None:
        super().__init__()
        self.anchors = nn.Parameter(torch.full((ANCHORS, size), start))

    def forward(self, quality: Tensor) -> Tensor:
        """Of each picture's quality, [n] in [0, 1]: [n, size, 1, 1]."""
        place = quality * (ANCHORS - 1)
        low = place.floor().clamp(0, ANCHORS - 2)
        part = (place - low)[:, None]
        low = low.long()
        return (self.anchors[low] * (1 - part) + self.anchors[low + 1] * part)[:, :, None, None]


class Stage(nn.Module):
    """Residual blocks behind a scale and an offset per channel that depend on the quality."""

    def __init__(self, width: int, blocks: int, expansion: int) -> None:
        super().__init__()
        self.scale = PerQuality(width, 1.0)
        self.offset = PerQuality(width)
        self.blocks = nn.Sequential(*[Block(width, expansion) for _ in range(blocks)])

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        """[n, width, h, w] and quality [n] -> [n, width, h, w]."""
        return self.blocks(x * self.scale(quality).to(x.dtype) + self.offset(quality).to(x.dtype))


class Analysis(nn.Module):
    """Pixels [n, 3, h, w] in [-0.5, 0.5] -> latents [n, width16, h/16, w/16], in units of `1 / RANGE`."""

    def __init__(self, c: ImageConfig) -> None:
        super().__init__()
        self.first = nn.Conv2d(192, c.width8, 1)
        self.stage8 = Stage(c.width8, c.blocks8, c.expansion)
        self.down = nn.Conv2d(4 * c.width8, c.width16, 1)
        self.stage16 = Stage(c.width16, c.blocks16, c.expansion)

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        """As the class says; quality [n] in [0, 1]."""
        x = self.stage8(self.first(F.pixel_unshuffle(x * RANGE, 8)), quality)
        return self.stage16(self.down(F.pixel_unshuffle(x, 2)), quality)


class Synthesis(nn.Module):
    """Latents -> pixels, the mirror of `Analysis`."""

    def __init__(self, c: ImageConfig) -> None:
        super().__init__()
        self.stage16 = Stage(c.width16, c.blocks16, c.expansion)
        self.up = nn.Conv2d(c.width16, 4 * c.width8, 1)
        self.stage8 = Stage(c.width8, c.blocks8, c.expansion)
        self.last = nn.Conv2d(c.width8, 192, 1)

    def forward(self, y: Tensor, quality: Tensor) -> Tensor:
        """As the class says; quality [n] in [0, 1]."""
        x = F.pixel_shuffle(self.up(self.stage16(y, quality)), 2)
        return F.pixel_shuffle(self.last(self.stage8(x, quality)), 8) / RANGE


class HyperAnalysis(nn.Module):
    """Latents -> hyper-latents [n, hyper, h/64, w/64]. Only the encoder runs it: floats."""

    def __init__(self, c: ImageConfig) -> None:
        super().__init__()
        self.first = nn.Conv2d(c.width16, c.hyper_width, 1)
        self.depthwise = nn.Conv2d(c.hyper_width, c.hyper_width, 3, padding=1, groups=c.hyper_width)
        self.down = nn.Conv2d(4 * c.hyper_width, c.hyper_width, 1)
        self.last = nn.Conv2d(4 * c.hyper_width, c.hyper, 1)

    def forward(self, y: Tensor) -> Tensor:
        """As the class says."""
        x = F.silu(self.depthwise(F.silu(self.first(y))))
        return self.last(F.pixel_unshuffle(F.silu(self.down(F.pixel_unshuffle(x, 2))), 2))


class HyperSynthesis(nn.Module):
    """Hyper-latents -> features of every latent position [n, features, h/16, w/16]. Integers."""

    def __init__(self, c: ImageConfig) -> None:
        super().__init__()
        self.first = IntegerConv(c.hyper, 4 * c.hyper_width, init=2.0)
        self.depthwise32 = IntegerConv(c.hyper_width, c.hyper_width, depthwise=True, init=2.0)
        self.up = IntegerConv(c.hyper_width, 4 * c.features, init=2.0)
        self.depthwise16 = IntegerConv(c.features, c.features, depthwise=True, init=2.0)
        self.quality_offset = PerQuality(c.features)

    def forward(self, z: Tensor, quality: Tensor, exact: bool) -> Tensor:
        """As the class says; exact: whether it rounds."""
        x = activation(F.pixel_shuffle(self.first(activation(z, exact, -8.0), exact), 2), exact)
        x = activation(self.depthwise32(x, exact), exact)
        x = activation(F.pixel_shuffle(self.up(x, exact), 2), exact)
        offset = self.quality_offset(quality)
        if exact:
            offset = round_through(offset * 16) / 16
        return activation(activation(self.depthwise16(x, exact), exact, -8.0) + offset, exact)


class Prior(nn.Module):
    """What is known -> mean and log2 of the scale of a group's latents, in units of y."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.first = IntegerConv(inputs, hidden, init=1.4)
        self.mean = IntegerConv(hidden, outputs, init=0.1)
        self.log_scale = IntegerConv(hidden, outputs, init=0.1)

    def forward(self, known: Tensor, exact: bool) -> tuple[Tensor, Tensor]:
        """Known [n, inputs, h, w] -> twice [n, outputs, h, w]; exact: whether it rounds."""
        x = activation(self.first(known, exact), exact)
        mean, log_scale = self.mean(x, exact).clamp(-16, 16), self.log_scale(x, exact)
        if exact:
            mean, log_scale = round_through(mean * 64) / 64, round_through(log_scale * 8) / 8
        return mean, log_scale


class ImageModel(nn.Module):
    """Everything that is trained. `forward` gives the reconstruction and the bits it would cost."""

    deviation: Tensor

    def __init__(self, config: ImageConfig) -> None:
        super().__init__()
        self.config = c = config
        self.analysis, self.synthesis = Analysis(c), Synthesis(c)
        self.hyper_analysis, self.hyper_synthesis = HyperAnalysis(c), HyperSynthesis(c)
        a, b = c.slice_a, c.width16 - c.slice_a
        self.near_a = IntegerConv(a, a, depthwise=True)
        self.near_b = IntegerConv(b, b, depthwise=True)
        self.near_a_odd = IntegerConv(a, a, depthwise=True)
        self.priors = nn.ModuleList(
            [
                Prior(c.features, c.hidden, a),
                Prior(c.features + a, c.hidden, a),
                Prior(c.features + 2 * a, c.hidden, b),
                Prior(c.features + 2 * a + b, c.hidden, b),
            ]
        )
        self.register_buffer("deviation", torch.ones(c.width16, 1, 1))  # of each latent: the entropy model's unit
        self.log_gain = PerQuality(c.width16)  # log2 of symbols per unit of y
        self.log_regain = PerQuality(c.width16)  # the synthesis may undo it a little differently
        self.log_gain_z = PerQuality(c.hyper, 0.0)
        self.log_scale_z = PerQuality(c.hyper, 1.0)

    def forward(self, x: Tensor, quality: Tensor, exact: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Returns x_hat [n, 3, h, w], bits of the latents [n] and of the hyper-latents [n].

        Args:
            x: pixels in [-0.5, 0.5], sides multiples of 64.
            quality: [n] in [0, 1].
            exact: whether the integer layers round.
        """
        y = self.analysis(x, quality) / self.deviation
        z = self.hyper_analysis(y).float()
        gain_z = torch.exp2(self.log_gain_z(quality))
        bits_z = bits(noisy(z * gain_z, self.training), self.log_scale_z(quality))
        features = self.hyper_synthesis(round_through(z * gain_z) / gain_z, quality, exact)
        y_hat, bits_y = self.code(y.float(), features, quality, exact)
        x_hat = self.synthesis(y_hat * (self.deviation * torch.exp2(self.log_regain(quality))), quality)
        return x_hat, bits_y, bits_z

    def code(self, y: Tensor, features: Tensor, quality: Tensor, exact: bool) -> tuple[Tensor, Tensor]:
        """Go through the groups. Returns y_hat, in units of y, and the bits [n] of the latents."""
        a = self.config.slice_a
        log_gain = self.log_gain(quality)
        told = split(features)
        known: list[tuple[Tensor, Tensor]] = []  # of the slices before, on the even and on the odd squares
        decoded, total = [], torch.zeros(len(y), device=y.device)
        for number, channels in enumerate((slice(0, a), slice(a, None))):
            squares, log_g = split(y[:, channels]), log_gain[:, channels]
            parts: list[Tensor] = []
            for odd in (0, 1):
                near = [self._near(number, parts[0], exact)] if odd else []
                inputs = [told[odd], *(pair[odd] for pair in known), *near]
                mean, log_scale = self.priors[2 * number + odd](torch.cat(inputs, 1), exact)
                part, cost = self._rounded(squares[odd], mean.float(), log_scale.float(), log_g)
                parts.append(part)
                total = total + cost
            whole = join(parts[0], parts[1])
            decoded.append(whole)
            if number == 0:
                seen = activation(whole, exact, -8.0)
                known += [split(seen), split(activation(self.near_a(seen, exact), exact, -8.0))]
        return torch.cat(decoded, 1), total

    def _near(self, number: int, even: Tensor, exact: bool) -> Tensor:
        """What the even squares of a slice tell of its odd ones, on the odd squares."""
        layer = self.near_b if number else self.near_a_odd
        seen = activation(join(even, torch.zeros_like(even)), exact, -8.0)
        return split(activation(layer(seen, exact), exact, -8.0))[1]

    def _rounded(self, y: Tensor, mean: Tensor, log_scale: Tensor, log_gain: Tensor) -> tuple[Tensor, Tensor]:
        """Latents as they are decoded, in units of y, and their bits [n]."""
        gain = torch.exp2(log_gain)
        residual = (y - mean) * gain
        return round_through(residual) / gain + mean, bits(noisy(residual, self.training), log_scale + log_gain)


def split(x: Tensor) -> tuple[Tensor, Tensor]:
    """The even and the odd squares of a checkerboard: [n, c, h, w] -> twice [n, c, h, w / 2]. w is even."""
    left, right = x[..., 0::2], x[..., 1::2]
    shifted = _odd_rows(x)
    return torch.where(shifted, right, left), torch.where(shifted, left, right)


def join(even: Tensor, odd: Tensor) -> Tensor:
    """What `split` took apart."""
    shifted = _odd_rows(even)
    pairs = torch.stack((torch.where(shifted, odd, even), torch.where(shifted, even, odd)), -1)
    return pairs.flatten(-2)


def _odd_rows(x: Tensor) -> Tensor:
    """Bool [h, 1]"""
    return (torch.arange(x.shape[-2], device=x.device) % 2 == 1)[:, None]


def noisy(x: Tensor, train: bool) -> Tensor:
    """X rounded or, while training, with uniform noise instead (Ballé, Laparra, Simoncelli, ICLR 2017)."""
    return x + torch.rand_like(x) - 0.5 if train else torch.round(x)


def bits(residual: Tensor, log_scale: Tensor) -> Tensor:
    """Bits [n] of symbols under zero-mean Gaussians of scale 2**log_scale, each integrated over one symbol."""
    inverse = math.sqrt(0.5) * torch.exp2(-clip_through(log_scale, math.log2(_LOWEST_TRAINED), 12.0))
    distance = residual.abs()
    mass = 0.5 * (torch.erfc((distance - 0.5) * inverse) - torch.erfc((distance + 0.5) * inverse))
    return -torch.log2(clip_through(mass, 1e-9, 2.0)).flatten(1).sum(1)
