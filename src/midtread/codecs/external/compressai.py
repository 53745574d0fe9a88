"""compressai: the learned picture codecs of CompressAI's zoo, as files of real size.

    pixels ──► edges repeated to multiples of 64 ──► model.compress ──► streams ──► model.decompress ──► cropped pixels

File layout, version 1, little-endian:
    PARAMETERS   u8 version │ u8 architecture │ u8 metric │ u8 quality │ 8 bytes SHA-256 of weights and tables │
                 u32 CRC-32 of the indices of tables
    PAYLOAD      latents │ a second one: hyper-latents                                 (CompressAI's rANS, word by word)

The shape of the latents follows from that of the picture. All but bmshj2018-factorized compute which table codes a
symbol with floats, so a file is sure to decode only where it was made: same machine, torch and number of threads.
Elsewhere it may not, and then the digest of the indices says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from math import prod
from typing import Any, ClassVar

import numpy as np

from midtread import container
from midtread.codecs.external import compressai_zoo
from midtread.codecs.external.compressai_zoo import ARCHITECTURES, METRICS, Loaded
from midtread.codecs.external.weights import MARK_BYTES, check_mark
from midtread.container import Chunk, File, Reader
from midtread.container.file import Tag, shape_and_dtype
from midtread.errors import BitstreamError, LimitError, UsageError
from midtread.media.header import blame_the_bytes
from midtread.spec import Accepts, Codec, Complexity, Knob, Limits, check_choice, check_range, stage

VERSION = 1
MULTIPLE = 64  # what sides are filled up to
MOST_PIXELS = 2**24  # the networks need up to 1 KiB for each
_BEST = {"cheng2020-anchor": 6}
_INSTALL = "pip install --no-deps compressai==1.2.8 && pip install torch scipy"


@dataclass(frozen=True)
class CompressAI(Codec):
    """Five architectures; each quality is a model of its own. The weights are the user's to provide."""

    name: ClassVar[str] = "compressai"
    summary: ClassVar[str] = "CompressAI's learned codecs, with weights of yours; decodes where it was encoded"
    family: ClassVar[str] = "learned"
    accepts: ClassVar[Accepts] = Accepts(("uint8",), (1, 3))
    knob: ClassVar[Knob] = Knob("quality", 1, 8, "up", integer=True, meaning="CompressAI's, 1 to 6 for cheng2020")
    needs: ClassVar = (("torch", _INSTALL), ("scipy", _INSTALL), ("compressai", _INSTALL))

    architecture: str = "mbt2018-mean"
    quality: int = 4
    metric: str = "mse"  # what the model was trained for: "mse", "ms-ssim"
    weights: str = ""  # a checkpoint, or a folder of them; empty: the cache folder, see `external.weights`
    download: bool = False  # fetch weights that are not here

    def __post_init__(self) -> None:
        check_choice(self.name, "architecture", self.architecture, ARCHITECTURES)
        check_choice(self.name, "metric", self.metric, METRICS)
        check_range(self.name, "quality", self.quality, 1, _BEST.get(self.architecture, 8), integer=True)
        check_choice(self.name, "download", self.download, (True, False))

    def encode(self, x: np.ndarray) -> bytes:
        """uint8 [H, W] (coded as three equal planes) or [H, W, 3] -> a midtread file."""
        import torch

        x = self.check(x)
        if x.shape[0] * x.shape[1] > MOST_PIXELS:
            raise UsageError(f"codec {self.name!r} takes up to {MOST_PIXELS} pixels, got {list(x.shape)}; cut it up")
        model = self._model(self.architecture, self.metric, self.quality)
        with stage("encode"), torch.inference_mode():
            coded, indices = compressai_zoo.watched(lambda: model.net.compress(_to_planes(x)))
        parameters = bytes([VERSION, ARCHITECTURES.index(self.architecture), METRICS.index(self.metric), self.quality])
        parameters += model.mark + indices.to_bytes(4, "little")
        chunks = [Chunk(Tag.PARAMETERS, parameters), *(Chunk(Tag.PAYLOAD, one) for (one,) in coded["strings"])]
        shape, dtype = shape_and_dtype(x)
        return container.write(File(self.name, dtype, shape, tuple(chunks)))

    def decode(self, data: bytes) -> np.ndarray:
        """What `encode` wrote -> the picture. Raises BitstreamError, LimitError, MissingError (weights)."""
        return self.decode_within(data, Limits())

    def decode_within(self, data: bytes, limits: Limits) -> np.ndarray:
        """The same for pictures that `limits` allow, 16.7 megapixels at most."""
        import torch

        file = container.read(data, limits)
        shape = _check_shape(file)
        architecture, metric, quality, mark, indices = _parameters(file)
        model = self._model(architecture, metric, quality)
        check_mark(self.name, mark, model.mark, model.source)
        height, width = (-(-side // MULTIPLE) * MULTIPLE for side in shape[:2])
        strings = _streams(file, model, height * width)
        coarse = 16 if model.strings == 1 else 64
        latents = (height // coarse, width // coarse)
        with stage("decode"), blame_the_bytes(self.name), torch.inference_mode():
            planes, found = compressai_zoo.watched(lambda: model.net.decompress([[one] for one in strings], latents))
        if found != indices:
            raise BitstreamError(
                f"the decoder's indices of tables have the digest {found:08x}, the encoder's had {indices:08x}: "
                f"{architecture} computes them with floats, so decode where the file was made (same machine, torch "
                "and number of threads); or the bytes are damaged"
            )
        return _to_picture(planes["x_hat"], shape)

    def complexity(self) -> Complexity:
        """Parameters and multiplications. Raises MissingError without the weights."""
        return self._model(self.architecture, self.metric, self.quality).complexity()

    def _model(self, architecture: str, metric: str, quality: int) -> Loaded:
        return compressai_zoo.load(architecture, metric, quality, self.weights, self.download)

    @classmethod
    def backend(cls) -> str:
        """Versions of CompressAI and torch."""
        return f"CompressAI {version('compressai')}, torch {version('torch')}"


def _to_planes(x: np.ndarray) -> Any:
    """float32 [1, 3, H, W] in [0, 1], sides filled up to multiples of 64."""
    import torch

    x = np.repeat(x[..., None], 3, -1) if x.ndim == 2 else x
    fill = [(0, -side % MULTIPLE) for side in x.shape[:2]]
    x = np.pad(x, (*fill, (0, 0)), mode="edge")
    return torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1))[None].astype(np.float32) / 255)


def _to_picture(planes: Any, shape: tuple[int, ...]) -> np.ndarray:
    x = planes[0, :, : shape[0], : shape[1]].numpy()
    x = x.mean(0) if len(shape) == 2 else x.transpose(1, 2, 0)
    x = np.nan_to_num(x, nan=0.0)  # latents that no encoder writes overflow
    return np.ascontiguousarray(np.rint(255 * np.clip(x, 0, 1)).astype(np.uint8))


def _check_shape(file: File) -> tuple[int, ...]:
    shape = file.shape
    if file.codec != CompressAI.name or file.dtype != "uint8":
        raise BitstreamError(f"codec 'compressai' made no file of codec {file.codec!r} and dtype {file.dtype}")
    if len(shape) not in (2, 3) or 0 in shape or shape[2:] not in ((), (3,)):
        raise BitstreamError(f"no compressai file holds a picture of shape {list(shape)}")
    if prod(shape[:2]) > MOST_PIXELS:
        raise LimitError(f"this compressai file claims {list(shape)}, more than {MOST_PIXELS} pixels")
    return shape


def _parameters(file: File) -> tuple[str, str, int, bytes, int]:
    """(architecture, metric, quality, mark of the weights, digest of the indices)."""
    reader = Reader(file.need(Tag.PARAMETERS))
    names = ("version", "architecture", "metric", "quality")
    one, architecture, metric, quality = (reader.uint(1, name, at_most=255) for name in names)
    if one != VERSION or architecture >= len(ARCHITECTURES) or metric >= len(METRICS):
        raise BitstreamError(
            f"version {one}, architecture {architecture}, metric {metric}: not of this version of midtread"
        )
    name = ARCHITECTURES[architecture]
    if not 1 <= quality <= _BEST.get(name, 8):
        raise BitstreamError(f"{name} has no quality {quality}")
    mark = bytes(reader.take(MARK_BYTES, "mark of the weights"))
    indices = reader.uint(4, "digest of the indices", at_most=2**32 - 1)
    reader.end("the parameters chunk")
    return name, METRICS[metric], quality, mark, indices


def _streams(file: File, model: Loaded, pixels: int) -> list[bytes]:
    """The streams, each with as many zeros behind it as its decoder can ever read.

    CompressAI's native decoder does not know where its bytes end. A symbol takes 16 bits, and outside its table 4 more
    for every 15 nibbles of its length, then the nibbles. So W words hold at most 8 W nibbles, which announce at most
    120 W more, or 15 W words. Once the decoder has reached the zeros, the 63 bits of its state end after 15 nibbles,
    which announce at most 240, or 30 words; and 3 words go for the symbol and the announcement.
    """
    payloads, counts = [chunk.data for chunk in file.chunks if chunk.tag == Tag.PAYLOAD], model.symbols(pixels)
    if len(payloads) != len(counts):
        raise BitstreamError(f"a file of this architecture has {len(counts)} streams, this one has {len(payloads)}")
    padded = []
    for number, (data, symbols) in enumerate(zip(payloads, counts, strict=True)):
        if len(data) % 4 or not 8 <= len(data) <= 7 * symbols + 16:  # 16 + 4 + 32 bits a symbol at most
            raise BitstreamError(f"stream {number} of {symbols} symbols cannot have {len(data)} bytes")
        padded.append(data + bytes(15 * len(data) + 4 * (33 * symbols + 16)))
    return padded
