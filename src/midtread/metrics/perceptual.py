"""Perceptual metrics: SSIMULACRA 2 and FLIP."""

from __future__ import annotations

from midtread.metrics.flip import flip
from midtread.metrics.ssimulacra2 import ssimulacra2
from midtread.spec import Metric

SSIMULACRA2 = Metric(
    name="ssimulacra2",
    label="SSIMULACRA 2",
    better="higher",
    measure=ssimulacra2,
    recipe=(
        "SSIMULACRA 2.1 (2023) as its reference tool computes it, but in float64; sRGB; alpha: the worse of a dark "
        "(0.1) and a bright (0.9) background; floats in [0, 1]; at least 8 x 8 pixels"
    ),
)

FLIP = Metric(
    name="flip",
    label="FLIP",
    better="lower",
    measure=flip,
    recipe=(
        "LDR-FLIP (2020), mean of the error map, 67.02 pixels per degree (0.7 m from a display 3840 pixels and 0.7 m "
        "wide), sRGB, float32; alpha over mid-gray; floats in [0, 1]"
    ),
)
