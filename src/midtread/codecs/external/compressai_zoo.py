"""CompressAI's models: imported without what they do not need, loaded from a checkpoint, watched.

`import compressai` wants torchvision and torch_geometric for its data sets. Its models need neither: here only the
modules under them are executed, inside empty packages (`_import_models`).
"""

from __future__ import annotations

import pickle
import sys
import threading
import zlib
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from midtread.codecs.external.weights import DOWNLOAD, mark, may_download, place_of
from midtread.errors import MissingError, UsageError
from midtread.spec import Complexity, StageCost

# The place in these lists is what files hold: append only.
ARCHITECTURES = ("bmshj2018-factorized", "bmshj2018-hyperprior", "mbt2018-mean", "mbt2018", "cheng2020-anchor")
METRICS = ("mse", "ms-ssim")
_SUFFIXES = (".safetensors", ".pth", ".pth.tar")
_EMPTY = ("compressai", "compressai.registry", "compressai.models", "compressai.zoo")  # packages not to be executed
_lock = threading.Lock()
_digest: ContextVar[list[int] | None] = ContextVar("midtread_compressai_digest", default=None)


@dataclass(frozen=True)
class Loaded:
    """A model in evaluation mode, ready to code, and the mark of its weights and tables."""

    net: Any
    mark: bytes
    source: Path

    @property
    def strings(self) -> int:
        """Streams of one picture: the latents, and the hyper-latents if there are any."""
        return 2 if hasattr(self.net, "gaussian_conditional") else 1

    def symbols(self, pixels: int) -> tuple[int, ...]:
        """Most symbols of each stream, for a picture of so many pixels (a multiple of 64 x 64)."""
        if self.strings == 1:
            return (self.net.M * pixels // 256,)
        return self.net.M * pixels // 256, self.net.N * pixels // 4096

    def complexity(self) -> Complexity:
        """Counted by torch while 64 x 64 pixels are coded."""
        import torch
        from torch.utils.flop_counter import FlopCounterMode

        with torch.no_grad():
            with FlopCounterMode(display=False) as encode:
                coded = self.net.compress(torch.zeros(1, 3, 64, 64))
            with FlopCounterMode(display=False) as decode:
                self.net.decompress(**coded)
        return Complexity(
            parameters=sum(one.numel() for one in self.net.parameters()),
            weights_bytes=self.source.stat().st_size,
            encode=(StageCost("encode", encode.get_total_flops() / 2 / 64**2),),  # a MAC is two
            decode=(StageCost("decode", decode.get_total_flops() / 2 / 64**2),),
        )


def load(architecture: str, metric: str, quality: int, weights: str, download: bool) -> Loaded:
    """The model of a checkpoint; each is read once, and again when its file changes.

    Raises:
        MissingError: there is none; says which file goes where.
        UsageError: the file is no checkpoint of this architecture.
    """
    path = _locate(architecture, metric, quality, weights, download)
    return _load(architecture, path, path.stat().st_mtime_ns)


def _locate(architecture: str, metric: str, quality: int, weights: str, download: bool) -> Path:
    url = published_at(architecture, metric, quality)
    place, published = place_of("compressai", weights), url.rsplit("/", 1)[-1]
    if place.is_file():
        return place
    stem = f"{architecture}-{metric}-{quality}"
    names = (published, *(stem + suffix for suffix in _SUFFIXES))
    import torch

    cached = Path(torch.hub.get_dir()) / "checkpoints" / published
    for path in (*(place / name for name in names), *(() if weights else (cached,))):
        if path.is_file():
            return path
    if may_download(download):
        return _fetch(url, place / published)
    raise MissingError(
        f"codec 'compressai' needs the weights {place / published} ({url}), or your own as {stem}.safetensors or "
        f"{stem}.pth there; nothing is downloaded unless you pass download=True or set {DOWNLOAD}=1"
    )


def _fetch(url: str, path: Path) -> Path:
    """Downloaded by torch, which checks the 8 hexadecimal digits of SHA-256 that end the name."""
    import torch

    prefix = path.name.removesuffix(".pth.tar").rsplit("-", 1)[-1]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=prefix, progress=False)
    except (OSError, RuntimeError) as error:
        raise MissingError(f"codec 'compressai': {url} could not be fetched to {path}: {error}") from error
    return path


@lru_cache(maxsize=2)
def _load(architecture: str, path: Path, changed_ns: int) -> Loaded:
    classes, pretrained = zoo().model_architectures, import_module("compressai.zoo.pretrained")
    state = _read(path)
    try:
        net = classes[architecture].from_state_dict(pretrained.load_pretrained(state))
        net.eval()
        net.update()  # tables, unless the checkpoint has them
    except (KeyError, IndexError, RuntimeError, ValueError, AttributeError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"{path} is no checkpoint of CompressAI's {architecture}: {why}") from error
    net.requires_grad_(False)
    found = mark(net.state_dict())
    if hasattr(net, "gaussian_conditional"):
        _watch(net.gaussian_conditional)
    return Loaded(net, found, path)


def _read(path: Path) -> dict[str, Any]:
    """Named tensors of a file. It runs no code: safetensors, or torch.load with weights_only."""
    import torch

    try:
        if path.suffix == ".safetensors":
            state = import_module("safetensors.torch").load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except ImportError as error:
        raise MissingError(f"{path} needs safetensors; install it with: pip install safetensors") from error
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise UsageError(f"{path} is not a file of tensors: {str(error).splitlines()[0]}") from error
    except Exception as error:  # safetensors has an error class of its own
        raise UsageError(f"{path} is not a file of tensors: {error}") from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):  # as CompressAI's training writes them
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise UsageError(f"{path} holds no dictionary of tensors")
    return dict(state)


# --- which tables the decoder uses ---------------------------------------------------------------------------------


def watched(run: Callable[[], Any]) -> tuple[Any, int]:
    """(what `run` returns, CRC-32 of every index of a table that models compute from floats on the way).

    CompressAI's decoder computes them again. In other surroundings a rounding may fall to the other side, and all
    symbols after it are noise: the digest tells.
    """
    seen = [0]
    token = _digest.set(seen)
    try:
        result = run()
        return result, seen[0]
    finally:
        _digest.reset(token)


def _watch(conditional: Any) -> None:
    build = conditional.build_indexes

    def build_indexes(scales: Any) -> Any:
        indexes = build(scales)
        if (seen := _digest.get()) is not None:
            seen[0] = zlib.crc32(indexes.cpu().contiguous().numpy().astype(np.uint8).tobytes(), seen[0])
        return indexes

    conditional.build_indexes = build_indexes


# --- import ---------------------------------------------------------------------------------------------------------


@cache
def zoo() -> ModuleType:
    """`compressai.zoo.image`: classes of models by name, and where their weights are published."""
    with _lock:
        if "compressai" not in sys.modules:
            _import_models()
        return import_module("compressai.zoo.image")


def published_at(architecture: str, metric: str, quality: int) -> str:
    """The address of a checkpoint."""
    return str(zoo().model_urls[architecture][metric][quality])


def _import_models() -> None:
    """Put packages with nothing but a path where CompressAI's own would import half the world."""
    packages = {}
    for name in _EMPTY:
        spec = find_spec(name)
        assert spec is not None, f"{name} is not part of this CompressAI"
        packages[name] = sys.modules[name] = module_from_spec(spec)
    root = packages["compressai"]
    root.available_entropy_coders = lambda: ["ans"]  # type: ignore[attr-defined]
    root.get_entropy_coder = lambda: "ans"  # type: ignore[attr-defined]
    for name in _EMPTY[1:]:
        setattr(root, name.rpartition(".")[2], packages[name])
    _fill(packages["compressai.registry"], import_module("compressai.registry.torch"))
    for name in ("base", "google", "waseda"):
        _fill(packages["compressai.models"], import_module(f"compressai.models.{name}"))


def _fill(package: ModuleType, module: ModuleType) -> None:
    for name, value in vars(module).items():
        if not name.startswith("_"):
            setattr(package, name, value)
