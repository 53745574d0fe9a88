"""vqvae: pictures as indices into the codebooks of quantised autoencoders (LDM-SR, VQ-Diffusion, MoVQ, Paella).

    pixels ──► smaller picture ──► encoder ──► nearest entries of a (coarser) codebook ──► `vq_indices` ──► bytes
    bytes ──► indices ──► decoder ──► picture of the first size

File layout, version 1, little-endian:
    PARAMETERS   u8 version │ u8 model │ u8 depth: 2**depth entries, 0 for all │ 8 bytes SHA-256 of the weights │
                 varint height │ varint width of the smaller picture
    PAYLOAD      indices (`vq_indices`)

Indices are exact everywhere; pixels may differ in the last bit. A generated texture is not the one that was there.
Sources: Rombach et al., arXiv:2112.10752; Gu et al., arXiv:2111.14822; Zheng et al., arXiv:2209.09002 (MoVQ);
Rampas et al., arXiv:2211.07292 (Paella), Pernias et al., arXiv:2306.00637 (Würstchen, Stable Cascade).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from math import prod
from typing import ClassVar

import numpy as np

from midtread import container
from midtread.codecs.external import vq_indices, vq_models
from midtread.codecs.external.vq_models import ORIGINS
from midtread.codecs.external.weights import MARK_BYTES, check_mark
from midtread.container import Chunk, File, Reader, varint
from midtread.container.file import Tag, shape_and_dtype
from midtread.errors import BitstreamError, LimitError, UsageError
from midtread.media.header import blame_the_bytes
from midtread.spec import Accepts, Codec, Complexity, Knob, Limits, check_choice, check_range, stage

VERSION = 1
MOST_PIXELS = 2**22  # that the networks see: some attend from every latent to every other
_MODELS = tuple(ORIGINS)
_INSTALL = "pip install torch diffusers"


@dataclass(frozen=True)
class VqVae(Codec):
    """Rate by `resize` and by `codebook`. The weights are the user's to provide."""

    name: ClassVar[str] = "vqvae"
    summary: ClassVar[str] = "codebook indices of diffusers' autoencoders, entropy-coded; with weights of yours"
    family: ClassVar[str] = "learned"
    accepts: ClassVar[Accepts] = Accepts(("uint8",), (1, 3))
    knob: ClassVar[Knob] = Knob("resize", 0.125, 1, "up", meaning="sides of what is coded to those of the picture")
    needs: ClassVar = (("torch", _INSTALL), ("diffusers", _INSTALL))

    model: str = "kandinsky-movq"
    resize: float = 1.0
    codebook: int = 0  # 2**codebook entries stand for all; 0: all of them
    weights: str = ""  # folder of the model; empty: the cache folder, see `external.weights`
    download: bool = False  # fetch weights that are not here

    def __post_init__(self) -> None:
        check_choice(self.name, "model", self.model, _MODELS)
        check_range(self.name, "resize", self.resize, 0.125, 1)
        check_range(self.name, "codebook", self.codebook, 0, 16, integer=True)
        check_choice(self.name, "download", self.download, (True, False))

    def encode(self, x: np.ndarray) -> bytes:
        """uint8 [H, W] (coded as three equal planes) or [H, W, 3] -> a midtread file."""
        import torch

        x = self.check(x)
        size = tuple(max(1, round(side * self.resize)) for side in x.shape[:2])
        if prod(size) > MOST_PIXELS:
            raise UsageError(
                f"codec {self.name!r} codes up to {MOST_PIXELS} pixels, got {list(size)}; choose a smaller resize"
            )
        model = vq_models.load(self.model, self.weights, self.download)
        if self.codebook and 2**self.codebook > len(model.codebook):
            raise UsageError(
                f"codec {self.name!r}: codebook={self.codebook}; {self.model} has {len(model.codebook)} entries, "
                f"so it takes 1 to {len(model.codebook).bit_length() - 1}, or 0 for all"
            )
        entries = model.entries(self.codebook)
        with stage("analysis"), torch.inference_mode():
            ranks = model.analyse(_to_planes(x, size, model.factor), entries)
        with stage("entropy"):
            payload = vq_indices.encode(ranks, _bits(len(entries)))
        parameters = bytes([VERSION, _MODELS.index(self.model), self.codebook]) + model.mark
        parameters += varint(size[0]) + varint(size[1])
        shape, dtype = shape_and_dtype(x)
        chunks = (Chunk(Tag.PARAMETERS, parameters), Chunk(Tag.PAYLOAD, payload))
        return container.write(File(self.name, dtype, shape, chunks))

    def decode(self, data: bytes) -> np.ndarray:
        """What `encode` wrote -> the picture. Raises BitstreamError, LimitError, MissingError (weights)."""
        return self.decode_within(data, Limits())

    def decode_within(self, data: bytes, limits: Limits) -> np.ndarray:
        """The same for pictures that `limits` allow."""
        import torch

        file = container.read(data, limits)
        name, depth, mark, size = _parameters(file)
        model = vq_models.load(name, self.weights, self.download)
        check_mark(self.name, mark, model.mark, model.source)
        if depth and 2**depth > len(model.codebook):
            raise BitstreamError(f"2**{depth} entries are more than the {len(model.codebook)} of {name}")
        entries, payload = model.entries(depth), file.need(Tag.PAYLOAD)
        places = _places(size, model.factor)
        with stage("entropy"):
            ranks = vq_indices.decode(payload, places, _bits(len(entries)))
        if ranks.max() >= len(entries):
            raise BitstreamError(f"entry {ranks.max()} of a codebook of {len(entries)}")
        with stage("synthesis"), blame_the_bytes(self.name), torch.inference_mode():
            planes = model.synthesise(entries[ranks])
        return _to_picture(planes, size, file.shape)

    def complexity(self) -> Complexity:
        """Parameters and multiplications of a picture that is coded in its own size. Raises MissingError."""
        return vq_models.load(self.model, self.weights, self.download).complexity()

    @classmethod
    def backend(cls) -> str:
        """Versions of diffusers and torch."""
        return f"diffusers {version('diffusers')}, torch {version('torch')}"


def _bits(entries: int) -> int:
    return (entries - 1).bit_length()


def _places(size: tuple[int, ...], factor: int) -> tuple[int, int]:
    """Rows and columns of latents; at least two of each, as one alone has nothing to be normalised by."""
    return max(2, -(-size[0] // factor)), max(2, -(-size[1] // factor))


def _to_planes(x: np.ndarray, size: tuple[int, ...], factor: int) -> np.ndarray:
    """float32 [3, H, W] in [0, 1]: of `size`, then filled up to whole latents."""
    x = _resized(np.repeat(x[..., None], 3, -1) if x.ndim == 2 else x, size)
    fill = [(0, count * factor - side) for count, side in zip(_places(size, factor), x.shape[:2], strict=True)]
    x = np.pad(x, (*fill, (0, 0)), mode="edge")
    return np.ascontiguousarray(x.transpose(2, 0, 1)).astype(np.float32) / np.float32(255)


def _to_picture(planes: np.ndarray, size: tuple[int, ...], shape: tuple[int, ...]) -> np.ndarray:
    x = planes[:, : size[0], : size[1]].transpose(1, 2, 0)
    x = x.mean(2, keepdims=True).repeat(3, 2) if len(shape) == 2 else x
    x = np.nan_to_num(x, nan=0.0)
    x = _resized(np.rint(255 * np.clip(x, 0, 1)).astype(np.uint8), shape[:2])
    return np.ascontiguousarray(x[..., 0] if len(shape) == 2 else x)


def _resized(x: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """uint8 [H, W, 3] with sides `size`, by Lanczos' window, in Pillow's whole numbers."""
    if x.shape[:2] == tuple(size):
        return x
    from PIL import Image

    return np.asarray(Image.fromarray(x).resize((size[1], size[0]), Image.Resampling.LANCZOS))


def _parameters(file: File) -> tuple[str, int, bytes, tuple[int, int]]:
    """(model, depth of the codebook, mark of the weights, height and width of what was coded)."""
    shape = file.shape
    if file.codec != VqVae.name or file.dtype != "uint8":
        raise BitstreamError(f"codec 'vqvae' made no file of codec {file.codec!r} and dtype {file.dtype}")
    if len(shape) not in (2, 3) or 0 in shape or shape[2:] not in ((), (3,)):
        raise BitstreamError(f"no vqvae file holds a picture of shape {list(shape)}")
    reader = Reader(file.need(Tag.PARAMETERS))
    one, model, depth = (reader.uint(1, name, at_most=255) for name in ("version", "model", "depth"))
    if one != VERSION or model >= len(_MODELS) or depth > 16:
        raise BitstreamError(f"version {one}, model {model}, depth {depth}: not of this version of midtread")
    mark = bytes(reader.take(MARK_BYTES, "mark of the weights"))
    height, width = (reader.varint(side, at_most=2**31) for side in ("coded height", "coded width"))
    reader.end("the parameters chunk")
    if not 1 <= height <= shape[0] or not 1 <= width <= shape[1]:
        raise BitstreamError(f"{height} x {width} pixels were coded of a picture of {list(shape)}")
    if height * width > MOST_PIXELS:
        raise LimitError(f"this vqvae file claims {height} x {width} coded pixels, more than {MOST_PIXELS}")
    return _MODELS[model], depth, mark, (height, width)
