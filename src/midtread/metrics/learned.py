"""Learned metrics: LPIPS and DISTS, distances between the features of a classification network.

    LPIPS   RGB ──► AlexNet, five layers ──► unit length per place ──► squared difference ──► 1 x 1 weights ──► sum
    DISTS   RGB ──► VGG16 with L2 pooling, five layers and the picture ──► means, variances ──► weighted similarity

The networks are run here with torch; their weights come from files of yours and nothing is ever downloaded. Folder:
$MIDTREAD_WEIGHTS, else $XDG_CACHE_HOME/midtread/weights, else ~/.cache/midtread/weights. Files, named as published:

    alexnet-owt-7be5be79.pth   AlexNet of torchvision                                        LPIPS
    vgg16-397923af.pth         VGG16 of torchvision                                          DISTS
    lpips_alex.pth             weights/v0.1/alex.pth of richzhang/PerceptualSimilarity       LPIPS
    dists.pt                   DISTS_pytorch/weights.pt of dingkeyan93/DISTS                 DISTS

The two small ones are also taken from an installed torchmetrics, which ships them.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from midtread.errors import MissingError, UsageError
from midtread.metrics import pictures
from midtread.spec import Metric

if TYPE_CHECKING:
    import torch

    Weights = Mapping[str, torch.Tensor]

_ALEXNET, _VGG16 = "alexnet-owt-7be5be79.pth", "vgg16-397923af.pth"
_LPIPS_HEADS, _DISTS_HEADS = "lpips_alex.pth", "dists.pt"
_PUBLISHED_AT = {
    _ALEXNET: f"https://download.pytorch.org/models/{_ALEXNET}",
    _VGG16: f"https://download.pytorch.org/models/{_VGG16}",
    _LPIPS_HEADS: "weights/v0.1/alex.pth of github.com/richzhang/PerceptualSimilarity, or install torchmetrics",
    _DISTS_HEADS: "DISTS_pytorch/weights.pt of github.com/dingkeyan93/DISTS, or install torchmetrics",
}
_IN_TORCHMETRICS = {_LPIPS_HEADS: "lpips_models/alex.pth", _DISTS_HEADS: "dists_models/weights.pt"}

# AlexNet: index of the convolution in torchvision's `features`, stride, padding, whether max pooling comes before it.
_ALEXNET_LAYERS = ((0, 4, 2, False), (3, 1, 2, True), (6, 1, 1, True), (8, 1, 1, False), (10, 1, 1, False))
_VGG16_STAGES = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
_SMALLEST_ALEXNET = 31  # the second max pooling needs 3 x 3 samples
_SMALLEST_VGG16 = 16  # the fifth stage sees one sample of 16 x 16 pixels


def lpips(x: np.ndarray, x_hat: np.ndarray) -> float:
    """LPIPS v0.1 with AlexNet: 0 for equal pictures, larger is worse.

    Source: Zhang, Isola, Efros, Shechtman & Wang, "The Unreasonable Effectiveness of Deep Features as a Perceptual
    Metric", CVPR 2018, eq. (1).

    Args:
        x: gray or RGB picture of at least 31 x 31 pixels, see `pictures`; not resized.
        x_hat: same shape and dtype.

    Raises:
        UsageError: not a picture, too small, or a weight file that is not what its name says.
    """
    import torch

    pair = pictures.pair("lpips", x, x_hat, at_least=_SMALLEST_ALEXNET)
    heads = _weights(_LPIPS_HEADS, _lpips_shapes())
    backbone = _weights(_ALEXNET, _alexnet_shapes())
    # Scaled as the authors trained it: [-1, 1], then the ImageNet mean and deviation of that range.
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    with torch.inference_mode():
        inputs = [(2 * _tensor(planes) - 1 - shift[:, None, None]) / scale[:, None, None] for planes in pair]
        total = 0.0
        for layer, (a, b) in enumerate(zip(*(_alexnet(i, backbone) for i in inputs), strict=True)):
            difference = (_unit(a) - _unit(b)) ** 2
            total += float(torch.nn.functional.conv2d(difference, heads[f"lin{layer}.model.1.weight"]).mean())
    return total


def dists(x: np.ndarray, x_hat: np.ndarray) -> float:
    """DISTS with VGG16: 0 for equal pictures, 1 at most for unrelated ones; tolerant of exchanged texture.

    Source: Ding, Ma, Wang & Simoncelli, "Image Quality Assessment: Unifying Structure and Texture Similarity", IEEE
    TPAMI 44(5), 2022, eq. (5) to (8).

    Args:
        x: gray or RGB picture of at least 16 x 16 pixels, see `pictures`; not resized.
        x_hat: same shape and dtype.

    Raises:
        UsageError: not a picture, too small, or a weight file that is not what its name says.
    """
    import torch

    pair = pictures.pair("dists", x, x_hat, at_least=_SMALLEST_VGG16)
    heads = _weights(_DISTS_HEADS, {"alpha": (1, 1475, 1, 1), "beta": (1, 1475, 1, 1)})
    backbone = _weights(_VGG16, _vgg16_shapes())
    total = heads["alpha"].sum() + heads["beta"].sum()
    alpha, beta = heads["alpha"].ravel() / total, heads["beta"].ravel() / total
    similarity, start = 0.0, 0
    with torch.inference_mode():
        for a, b in zip(*(_vgg16(_tensor(planes), backbone) for planes in pair), strict=True):
            texture, structure = _texture_and_structure(a, b)
            end = start + texture.numel()
            similarity += float((alpha[start:end] * texture + beta[start:end] * structure).double().sum())
            start = end
    return 1 - similarity


def _texture_and_structure(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Similarity of means and of deviations, one value per channel [C], of features [1, C, H, W]."""
    tiny = 1e-6
    a, b = a.flatten(2)[0], b.flatten(2)[0]
    mean_a, mean_b = a.mean(1), b.mean(1)
    variance = a.var(1, correction=0) + b.var(1, correction=0)
    covariance = ((a - mean_a[:, None]) * (b - mean_b[:, None])).mean(1)
    texture = (2 * mean_a * mean_b + tiny) / (mean_a**2 + mean_b**2 + tiny)
    return texture, (2 * covariance + tiny) / (variance + tiny)


def _alexnet(x: torch.Tensor, weights: Weights) -> Iterator[torch.Tensor]:
    """The five rectified layers, one at a time, so that two pictures need the memory of one layer."""
    from torch.nn import functional

    for index, stride, padding, pooled in _ALEXNET_LAYERS:
        if pooled:
            x = functional.max_pool2d(x, 3, 2)
        kernel, bias = weights[f"features.{index}.weight"], weights[f"features.{index}.bias"]
        x = functional.relu(functional.conv2d(x, kernel, bias, stride, padding))
        yield x


def _vgg16(x: torch.Tensor, weights: Weights) -> Iterator[torch.Tensor]:
    """The picture itself, then the last rectified layer of five stages with L2 pooling between them."""
    import torch
    from torch.nn import functional

    yield x
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (x - mean[:, None, None]) / deviation[:, None, None]
    row = torch.tensor([0.25, 0.5, 0.25])  # a Hann window of width 5 without its zero ends
    window = torch.outer(row, row)
    for stage, indices in enumerate(_VGG16_STAGES):
        if stage:
            channels = x.shape[1]
            pooled = functional.conv2d(x**2, window.repeat(channels, 1, 1, 1), stride=2, padding=1, groups=channels)
            x = torch.sqrt(pooled + 1e-12)
        for index in indices:
            kernel, bias = weights[f"features.{index}.weight"], weights[f"features.{index}.bias"]
            x = functional.relu(functional.conv2d(x, kernel, bias, padding=1))
        yield x


def _unit(features: torch.Tensor) -> torch.Tensor:
    """Unit length over the channels of each place."""
    length: torch.Tensor = (features**2).sum(1, keepdim=True).sqrt()
    return features / (length + 1e-10)


def _tensor(planes: pictures.Planes) -> torch.Tensor:
    import torch

    return torch.from_numpy(pictures.as_rgb(planes).copy())[None]


# --- weight files -----------------------------------------------------------------------------------------------------


def weights_folder() -> Path:
    """Where the weight files are looked for."""
    if folder := os.environ.get("MIDTREAD_WEIGHTS"):
        return Path(folder)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "midtread" / "weights"


def _locate(file: str) -> Path | None:
    path = weights_folder() / file
    if path.is_file():
        return path
    spec = importlib.util.find_spec("torchmetrics") if file in _IN_TORCHMETRICS else None
    for place in (spec.submodule_search_locations or []) if spec else []:  # found, not imported: that takes seconds
        bundled = Path(place) / "functional" / "image" / _IN_TORCHMETRICS[file]
        if bundled.is_file():
            return bundled
    return None


def _missing(*files: str) -> Callable[[], str | None]:
    def missing() -> str | None:
        if importlib.util.find_spec("torch") is None:
            return "it needs torch; install it with: pip install 'midtread[perceptual]'"
        return next((_absence(file) for file in files if _locate(file) is None), None)

    return missing


def _absence(file: str) -> str:
    return (
        f"it needs the file {weights_folder() / file} ({_PUBLISHED_AT[file]}); nothing is downloaded, and "
        "MIDTREAD_WEIGHTS may name another folder"
    )


def _weights(file: str, shapes: Mapping[str, tuple[int, ...]]) -> Weights:
    """The tensors named in `shapes`, read once per file and again when it changes."""
    path = _locate(file)
    if path is None:
        raise MissingError(_absence(file))
    tensors = _load(path, path.stat().st_mtime_ns)
    for key, shape in shapes.items():
        found = tuple(tensors[key].shape) if key in tensors else "absent"
        if found != shape:
            raise UsageError(f"{path} is not {_PUBLISHED_AT[file]}: tensor {key!r} is {found}, expected {shape}")
    return {key: tensors[key].float() for key in shapes}


@lru_cache(maxsize=4)
def _load(path: Path, changed_ns: int) -> dict[str, Any]:
    import pickle

    import torch

    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)  # tensors only: a weight file runs no code
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise UsageError(f"{path} is not a file of tensors written by torch.save: {error}") from error
    if not isinstance(loaded, dict):
        raise UsageError(f"{path} holds a {type(loaded).__name__}, expected a dictionary of tensors")
    return loaded


def _conv_shapes(layers: Mapping[int, tuple[int, int, int]]) -> dict[str, tuple[int, ...]]:
    """Index -> (outputs, inputs, kernel size) as the names and shapes of torchvision's tensors."""
    shapes: dict[str, tuple[int, ...]] = {}
    for index, (outputs, inputs, kernel) in layers.items():
        shapes[f"features.{index}.weight"] = (outputs, inputs, kernel, kernel)
        shapes[f"features.{index}.bias"] = (outputs,)
    return shapes


def _alexnet_shapes() -> dict[str, tuple[int, ...]]:
    return _conv_shapes({0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)})


def _vgg16_shapes() -> dict[str, tuple[int, ...]]:
    layers, inputs = {}, 3
    for indices, outputs in zip(_VGG16_STAGES, (64, 128, 256, 512, 512), strict=True):
        for index in indices:
            layers[index] = (outputs, inputs, 3)
            inputs = outputs
    return _conv_shapes(layers)


def _lpips_shapes() -> dict[str, tuple[int, ...]]:
    return {f"lin{layer}.model.1.weight": (1, width, 1, 1) for layer, width in enumerate((64, 192, 384, 256, 256))}


LPIPS = Metric(
    name="lpips",
    label="LPIPS (AlexNet)",
    better="lower",
    measure=lpips,
    missing=_missing(_ALEXNET, _LPIPS_HEADS),
    recipe=(
        "LPIPS v0.1, AlexNet, own size, float32; gray as three equal channels; alpha over mid-gray; floats in [0, 1]; "
        "at least 31 x 31 pixels"
    ),
)

DISTS = Metric(
    name="dists",
    label="DISTS (VGG16)",
    better="lower",
    measure=dists,
    missing=_missing(_VGG16, _DISTS_HEADS),
    recipe=(
        "DISTS 2020, VGG16 with L2 pooling, own size (its authors also use 256 pixels on the short side), float32; "
        "gray as three equal channels; alpha over mid-gray; floats in [0, 1]; at least 16 x 16 pixels"
    ),
)
