"""The quantised autoencoders of four diffusion models, as diffusers stores and runs them.

    pixels ──► encode ──► latents [n, D] │ n entries of the codebook ──► decode ──► pixels

A folder holds `config.json` and `diffusion_pytorch_model.safetensors` (or `.bin`, read with weights_only).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from midtread.codecs.external.vq_codebook import order_of, representatives, to_integers
from midtread.codecs.external.weights import DOWNLOAD, mark, may_download, place_of
from midtread.errors import MissingError, UsageError
from midtread.spec import Complexity, StageCost

_FILES = ("config.json", "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
_COUNTED = 256  # side of the picture whose multiplications are counted
_BLOCK = 1024  # latents whose distances to all entries are in memory at a time


@dataclass(frozen=True)
class Origin:
    """Where a model comes from, and what its pixels are."""

    repository: str  # on the Hugging Face hub
    subfolder: str
    kind: str  # class in diffusers
    black: float  # value of sample 0; white is 1


# The place in this list is what files hold: append only.
ORIGINS = {
    "ldm-sr": Origin("CompVis/ldm-super-resolution-4x-openimages", "vqvae", "VQModel", -1),
    "vq-diffusion": Origin("microsoft/vq-diffusion-ithq", "vqvae", "VQModel", -1),
    "kandinsky-movq": Origin("kandinsky-community/kandinsky-2-1", "movq", "VQModel", -1),
    "stable-cascade": Origin("stabilityai/stable-cascade", "vqgan", "PaellaVQModel", 0),
    "wuerstchen": Origin("warp-ai/wuerstchen", "vqgan", "PaellaVQModel", 0),
}


@dataclass(frozen=True)
class Loaded:
    """A model in evaluation mode, and the mark of its weights."""

    net: Any
    origin: Origin
    mark: bytes
    source: Path

    @property
    def factor(self) -> int:
        """Pixels for each latent, along either side."""
        config = self.net.config
        if self.origin.kind == "VQModel":
            return int(2 ** (len(config.block_out_channels) - 1))
        return int(config.up_down_scale_factor * 2 ** (config.levels - 1))

    @cached_property
    def codebook(self) -> np.ndarray:
        """float32 [N, D]."""
        quantizer = self.net.quantize if self.origin.kind == "VQModel" else self.net.vquantizer
        return np.ascontiguousarray(quantizer.embedding.weight.detach().float().numpy())

    def entries(self, depth: int) -> np.ndarray:
        """Rank -> entry of the codebook, int64: of all, or of the 2**depth that stand for the others."""
        order = self._order
        return representatives(self._integers, order, depth) if depth else order

    @cached_property
    def _integers(self) -> np.ndarray:
        return to_integers(self.codebook)

    @cached_property
    def _order(self) -> np.ndarray:
        return order_of(self._integers)

    def analyse(self, planes: np.ndarray, entries: np.ndarray) -> np.ndarray:
        """float32 [3, H, W] in [0, 1], sides multiples of `factor` -> rank of the nearest entry, int64 [h, w]."""
        import torch

        black = self.origin.black
        x = torch.from_numpy(planes[None] * np.float32(1 - black) + np.float32(black))
        latents = self.net.encode(x).latents[0]
        flat = latents.flatten(1).T
        book = torch.from_numpy(self.codebook[entries])
        ranks = [torch.cdist(part, book).argmin(1) for part in flat.split(_BLOCK)]
        return np.asarray(torch.cat(ranks).reshape(latents.shape[1:]).numpy())

    def synthesise(self, indices: np.ndarray) -> np.ndarray:
        """Entries of the codebook [h, w] -> float32 [3, H, W] in about [0, 1]."""
        import torch

        latents = torch.from_numpy(np.ascontiguousarray(self.codebook[indices].transpose(2, 0, 1))[None])
        x = self.net.decode(latents, force_not_quantize=True).sample[0].numpy()
        return np.asarray((x - self.origin.black) / (1 - self.origin.black))

    def complexity(self) -> Complexity:
        """Counted by torch for 256 x 256 pixels; attention costs more for larger pictures, also for each pixel."""
        import copy

        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel
        from torch.utils.flop_counter import FlopCounterMode

        net = copy.deepcopy(self.net).to("meta")  # shapes without numbers
        side = _COUNTED // self.factor
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):  # the only one that is counted right
            with FlopCounterMode(display=False) as encode:
                net.encode(torch.zeros(1, 3, _COUNTED, _COUNTED, device="meta"))
            with FlopCounterMode(display=False) as decode:
                latents = torch.zeros(1, self.codebook.shape[1], side, side, device="meta")
                net.decode(latents, force_not_quantize=True)
        return Complexity(
            parameters=sum(one.numel() for one in net.parameters()),
            weights_bytes=sum((self.source / name).stat().st_size for name in _weights_in(self.source)),
            encode=(StageCost("analysis", encode.get_total_flops() / 2 / _COUNTED**2),),  # a MAC is two
            decode=(StageCost("synthesis", decode.get_total_flops() / 2 / _COUNTED**2),),
        )


def _weights_in(folder: Path) -> list[str]:
    """The file that diffusers reads, of those that are there."""
    return [name for name in _FILES[1:] if (folder / name).is_file()][:1]


def load(model: str, weights: str, download: bool) -> Loaded:
    """A model from a folder; each is read once, and again when its files change.

    Raises:
        MissingError: there is none; says which files go where.
        UsageError: the folder holds something else.
    """
    folder = _locate(model, weights, download)
    changed = tuple((folder / name).stat().st_mtime_ns for name in _FILES if (folder / name).is_file())
    return _load(model, folder, changed)


def _locate(model: str, weights: str, download: bool) -> Path:
    origin, place = ORIGINS[model], place_of("vqvae", weights)
    inner = place / model
    for folder in (place, place / origin.subfolder, inner, inner / origin.subfolder):
        if (folder / "config.json").is_file() and (weights or folder not in (place, place / origin.subfolder)):
            return folder
    if not weights and (found := _from_hub(origin, may_download(download))):
        return found
    where = f"{origin.repository}, folder {origin.subfolder}, of huggingface.co"
    raise MissingError(
        f"codec 'vqvae' needs config.json and diffusion_pytorch_model.safetensors (or .bin) of {where} in "
        f"{inner if not weights else place}; nothing is downloaded unless you pass download=True or set {DOWNLOAD}=1"
    )


def _from_hub(origin: Origin, download: bool) -> Path | None:
    """The folder in the hub's own cache, filled before when that is allowed."""
    hub = import_module("huggingface_hub")
    patterns = [f"{origin.subfolder}/{name}" for name in _FILES]
    try:
        root = hub.snapshot_download(origin.repository, allow_patterns=patterns, local_files_only=not download)
    except Exception as error:  # of the hub, of HTTP, of the file system: many classes
        if download:
            raise MissingError(f"codec 'vqvae': {origin.repository} could not be fetched: {error}") from error
        return None
    folder = Path(root) / origin.subfolder
    return folder if (folder / "config.json").is_file() else None


@lru_cache(maxsize=2)
def _load(model: str, folder: Path, changed_ns: tuple[int, ...]) -> Loaded:
    origin = ORIGINS[model]
    try:
        named = json.loads((folder / "config.json").read_text()).get("_class_name")
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"{folder / 'config.json'} is no configuration of a model: {error}") from error
    if named != origin.kind:
        raise UsageError(f"{folder} holds a {named}, model {model!r} is a {origin.kind}")
    try:
        net, report = _class(origin.kind).from_pretrained(
            folder, local_files_only=True, low_cpu_mem_usage=False, output_loading_info=True
        )
    except Exception as error:  # diffusers, safetensors and torch each raise their own
        raise UsageError(f"{folder} holds no weights that fit its configuration: {error}") from error
    if absent := [*report["missing_keys"], *report["mismatched_keys"]]:
        raise UsageError(f"{folder} lacks weights of its model: {absent[0]} and {len(absent) - 1} more")
    net = net.float().eval().requires_grad_(False)
    return Loaded(net, origin, mark(net.state_dict()), folder)


def _class(kind: str) -> Any:
    if kind == "VQModel":
        return import_module("diffusers").VQModel
    for module in ("diffusers.pipelines.wuerstchen", "diffusers.pipelines.deprecated.wuerstchen"):  # by version
        try:
            return import_module(f"{module}.modeling_paella_vq_model").PaellaVQModel
        except ModuleNotFoundError:
            continue
    raise MissingError("this version of diffusers has no PaellaVQModel; install it with: pip install diffusers==0.42.1")
