"""Other people's implementations of our metrics, made callable, and pictures to measure. Used by test_metrics.py."""

from __future__ import annotations

import atexit
import functools
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np

from midtread.registry import METRICS


def measure(name: str, x: np.ndarray, x_hat: np.ndarray) -> float:
    """The metric's value, with random weights for the learned metrics."""
    if name not in ("lpips", "dists"):
        return METRICS.get(name)(x, x_hat)
    with mock.patch.dict(os.environ, MIDTREAD_WEIGHTS=str(backbones())):
        return METRICS.get(name)(x, x_hat)


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Threads that wait for each other on a busy machine cost more than small pictures do."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint8 RGB [height, width, 3]: soft areas, hard edges and grain, in integer arithmetic: the same everywhere."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 16 + 3, width // 16 + 3, 3))
    x = coarse.repeat(16, 0).repeat(16, 1)
    for _ in range(2):  # box filters of 16 x 16
        for axis in (0, 1):
            total = np.cumsum(x, axis)
            x = (np.take(total, range(16, total.shape[axis]), axis) - np.delete(total, np.s_[-16:], axis)) // 16
    x = x[:height, :width] + rng.integers(-6, 7, (height, width, 3))
    x[height // 3 : height // 2, width // 4 : width // 2] = (200, 40, 90)
    return np.clip(x, 0, 255).astype(np.uint8)


def damaged(x: np.ndarray, step: int, seed: int = 1) -> np.ndarray:
    """Quantized in steps of `step` and blurred a little, as a codec would; step 1 changes little."""
    rng = np.random.default_rng(seed)
    y = x.astype(np.int64)
    y[:, 1:] = (3 * y[:, 1:] + y[:, :-1]) // 4 if step > 4 else y[:, 1:]
    y = (y + rng.integers(0, step + 1, y.shape)) // step * step
    return np.clip(y, 0, 255).astype(np.uint8)


def png(x: np.ndarray) -> io.BytesIO:
    """A file in memory, for packages that take nothing else."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(x).save(file, "png")
    file.seek(0)
    return file


def ms_ssim_of_plane(x: np.ndarray, y: np.ndarray) -> float:
    """MS-SSIM of one plane in [0, 1] from torchmetrics' contrast-structure means and scikit-image's SSIM.

    torchmetrics' own product takes the SSIM of the fifth scale from outside the valid area too, so it is put together
    here from the parts that are about the valid area.
    """
    import torch
    from skimage.metrics import structural_similarity
    from torchmetrics.functional.image.ssim import _ssim_update

    a, b = (torch.from_numpy(plane.astype(np.float64))[None, None] for plane in (x, y))
    product = 1.0
    for weight in (0.0448, 0.2856, 0.3001, 0.2363):
        product *= float(_ssim_update(a, b, data_range=1.0, return_contrast_sensitivity=True)[1]) ** weight
        a, b = torch.nn.functional.avg_pool2d(a, 2), torch.nn.functional.avg_pool2d(b, 2)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    return product * structural_similarity(a[0, 0].numpy(), b[0, 0].numpy(), **options) ** 0.1333


def recursive_gaussian(signal: np.ndarray, sigma: float = 1.5) -> np.ndarray:
    """The blur of the SSIMULACRA 2 reference as its source paper runs it: three second-order recursions, zeros outside.

    Source: Charalampidis 2016, equations (33), (35), (37), (44), (50), (52) to (57).
    """
    radius = round(3.2795 * sigma + 0.2546)
    omega = np.array([1, 3, 5]) * np.pi / (2 * radius)
    p = np.array([1, -1, 1]) / np.tan(omega / 2)
    r = np.array([1, -1, 1]) * p**2 / np.sin(omega)
    rho = np.exp(-0.5 * sigma**2 * omega**2) / radius
    d = np.cross(p, r)  # (p3 r5 - r3 p5, p5 r1 - r5 p1, p1 r3 - r1 p3)
    zeta = d / d[2]
    beta = np.linalg.solve(np.stack([p, r, zeta]), [1, radius**2 - sigma**2, zeta @ rho])
    gain, feedback = -beta * np.cos(omega * (radius + 1)), 2 * np.cos(omega)
    padded = np.pad(signal, radius + 1)
    out = np.zeros(len(signal))
    before, before_that = np.zeros(3), np.zeros(3)
    for n in range(1 - radius, len(signal)):
        left, right = n - radius - 1, n + radius - 1
        pushed = (padded[left + radius + 1] if left >= 0 else 0.0) + padded[min(right, len(signal)) + radius + 1]
        before, before_that = gain * pushed + feedback * before - before_that, before
        if n >= 0:
            out[n] = before.sum()
    return out


def alexnet_features():
    """The feature layers of torchvision's AlexNet, random weights."""
    from torch import nn

    def conv(*args, **kwargs):
        return nn.Conv2d(*args, **kwargs), nn.ReLU()

    return nn.Sequential(
        *conv(3, 64, 11, stride=4, padding=2),
        nn.MaxPool2d(3, 2),
        *conv(64, 192, 5, padding=2),
        nn.MaxPool2d(3, 2),
        *conv(192, 384, 3, padding=1),
        *conv(384, 256, 3, padding=1),
        *conv(256, 256, 3, padding=1),
        nn.MaxPool2d(3, 2),
    )


def vgg16_features():
    """The feature layers of torchvision's VGG16, random weights."""
    from torch import nn

    layers, inputs = [], 3
    for outputs in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0):
        if outputs:
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
            inputs = outputs
        else:
            layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers)


@functools.cache
def backbones() -> Path:
    """A folder of random weights named as torchvision's files are, a classifier that nobody asks for included."""
    import torch

    folder = Path(tempfile.mkdtemp(prefix="midtread-weights-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    torch.manual_seed(3)
    for file, features in (("alexnet-owt-7be5be79.pth", alexnet_features()), ("vgg16-397923af.pth", vgg16_features())):
        for module in features:
            if isinstance(module, torch.nn.Conv2d):  # keep the signal alive through the depth of VGG16
                torch.nn.init.kaiming_normal_(module.weight)
        state = {f"features.{key}": value for key, value in features.state_dict().items()}
        torch.save(state | {"classifier.6.bias": torch.zeros(1000)}, folder / file)
    return folder


def _filled(features, file: Path):
    import torch

    state = torch.load(file, weights_only=True)
    own = {key.removeprefix("features."): value for key, value in state.items() if key.startswith("features.")}
    features.load_state_dict(own)
    return features


def torchmetrics_lpips(monkeypatch):
    """torchmetrics' LPIPS network on our random AlexNet, with its own bundled linear heads; no torchvision."""
    from torchmetrics.functional.image import lpips

    backbone = _filled(alexnet_features(), backbones() / "alexnet-owt-7be5be79.pth")
    monkeypatch.setattr(lpips, "_get_tv_model_features", lambda *_: backbone)
    return lpips._LPIPS(pretrained=True, net="alex").eval()


def torchmetrics_dists(monkeypatch):
    """torchmetrics' DISTS network on our random VGG16, with its own bundled alpha and beta; no torchvision."""
    import types

    import torch
    from torchmetrics.functional.image import dists

    backbone = _filled(vgg16_features(), backbones() / "vgg16-397923af.pth")
    monkeypatch.setattr(dists, "_TORCHVISION_AVAILABLE", True)
    monkeypatch.setattr(dists, "VGG16_Weights", types.SimpleNamespace(DEFAULT=None), raising=False)
    monkeypatch.setattr(dists, "vgg16", lambda **_: types.SimpleNamespace(features=backbone), raising=False)
    network = dists.DISTSNetwork(load_weights=False)
    bundled = torch.load(dists._PATH_WEIGHT_DISTS, map_location="cpu", weights_only=True)
    network.alpha.data, network.beta.data = bundled["alpha"], bundled["beta"]
    return network.eval()
