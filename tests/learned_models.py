"""Tiny models of the codec `learned` for tests: principal components of a few waves, and networks left to chance."""

import math
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from midtread.nn.image import ImageConfig, ImageModel
from midtread.train import freeze
from midtread.train.start import principal_components
from pictures import photo_like

CONFIG = ImageConfig(
    width8=48, width16=40, blocks8=2, blocks16=1, slice_a=12, hyper=8, hyper_width=8, features=16, hidden=24
)
LAMBDAS = [0.0009 * 200 ** (anchor / 7) for anchor in range(8)]
COMPLEXITY = {"parameters": 1000, "analysis": 30.0, "hyper_analysis": 2.0, "entropy": 5.0, "synthesis": 31.0}


def network(seed: int = 0, config: ImageConfig = CONFIG) -> ImageModel:
    """A model whose pictures are recognisable; everything that chooses tables is random, and far from constant."""
    crops = np.stack([photo_like((64, 64, 3), seed=seed + i).transpose(2, 0, 1) for i in range(8)])
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = ImageModel(config).eval()
        principal_components(model, crops, LAMBDAS)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if ".blocks." in name and ".mix." in name:
                    parameter.normal_(0, 0.05)
                elif name.startswith(("hyper_", "priors", "near")) and name.endswith("bias"):
                    parameter.normal_(0, 0.5)
                elif name.endswith(("mean.weight", "log_scale.weight", "hyper_analysis.last.weight")):
                    parameter.mul_(12)
            model.hyper_synthesis.quality_offset.anchors.normal_(0, 1)
            for group in model.priors:
                group.log_scale.bias.normal_(-2, 1.5)
    return model


def frozen(root: Path, seed: int = 0, name: str = "tiny") -> Path:
    """The folder `root`/`name` of a frozen model."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        crops = np.stack([photo_like((64, 64, 3), seed=i).transpose(2, 0, 1) for i in range(2)])
        pixels = torch.from_numpy(crops).float() / 255 - 0.5
        with mock.patch.object(freeze, "complexity", return_value=dict(COMPLEXITY)):  # counting takes seconds
            freeze.freeze(network(seed), root / name, name, LAMBDAS, pixels, "A model of the tests.")
    finally:
        torch.set_num_threads(threads)
    return root / name


def psnr_db(x: np.ndarray, x_hat: np.ndarray) -> float:
    """Of 8-bit pictures."""
    return 10 * math.log10(255**2 / max(float(np.mean((x.astype(float) - x_hat) ** 2)), 1e-9))
