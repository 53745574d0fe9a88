"""learned: pictures by a small trained network, with everything that chooses a probability table in integers.

    pixels ─► analysis ─► y ─► gain, round ─► symbols ─► tables by integer networks ─► rANS ─► tiles
    pixels ◄─ synthesis ◄─ y_hat ◄──────────────────────────────────────────────────────────────┘

One model has all qualities. Tiles of at most 1024 x 1024 pixels are coded on their own; analysis and synthesis look
over their edges, so there are no seams. Alpha is kept exactly. File layout: docs/formats/learned.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from midtread.codecs.image import learned_model as models
from midtread.codecs.image.alpha import colours_of, read_alpha, write_alpha
from midtread.codecs.image.learned_latents import CELL, Decoder, Quality, quality_at
from midtread.codecs.image.learned_refine import Refiner, refine_macs
from midtread.codecs.image.learned_runtime import RUNTIMES, open_run
from midtread.codecs.image.learned_tiles import UNIT, Span, Tile, synthesise
from midtread.container import Chunk, File, Reader, read, write
from midtread.container.file import Tag, shape_and_dtype
from midtread.entropy.coder import Coder, open_coder
from midtread.entropy.loading import expecting
from midtread.errors import BitstreamError, UnknownNameError
from midtread.registry import CODERS
from midtread.spec import (
    Accepts,
    Codec,
    Complexity,
    Knob,
    Limits,
    StageCost,
    check_choice,
    check_range,
    note,
    stage,
)

VERSION, NAMED = 1, 0x80
TILE = 64  # latents along a side of a tile, at most
EFFORTS = ("fast", "normal", "high")


@dataclass(frozen=True)
class Learned(Codec):
    """A learned picture codec that decodes without PyTorch, to the same symbols on every machine."""

    name: ClassVar[str] = "learned"
    summary: ClassVar[str] = "learned transform with integer entropy networks; one model for all qualities"
    family: ClassVar[str] = "learned"
    accepts: ClassVar[Accepts] = Accepts(("uint8",), (1, 2, 3, 4))
    knob: ClassVar[Knob] = Knob("quality", 0, models.HIGHEST, "up", meaning="0 smallest, 63 finest; any number between")
    needs: ClassVar[tuple[tuple[str, str], ...]] = (("onnxruntime", "pip install onnxruntime"),)

    model: str = "s"  # a shipped model, one in a folder that MIDTREAD_MODELS names, or the path of one
    quality: float = 32.0
    effort: str = "normal"  # fast: rounds. normal: weighs symbols against their bits. high: searches latents, too
    coder: str = "rans"
    runtime: str = "onnxruntime"  # decodes with it, too; torch and cuda (both with -bf16) need PyTorch
    threads: int = 1

    def __post_init__(self) -> None:
        check_range(self.name, "quality", self.quality, 0, models.HIGHEST)
        check_choice(self.name, "effort", self.effort, EFFORTS)
        check_choice(self.name, "runtime", self.runtime, RUNTIMES)
        check_range(self.name, "threads", self.threads, 1, 1024, integer=True)
        if self.coder not in CODERS.names():
            raise UnknownNameError(f"codec {self.name!r}: there is no coder {self.coder!r}")

    def complexity(self) -> Complexity:
        """MACs as counted when the model was frozen, and what the effort adds."""
        model = models.load(self.model)
        counted, floats = model.facts["complexity"], "bf16" if self.runtime.endswith("bf16") else "fp32"
        entropy = StageCost("entropy", counted["entropy"], "int8")
        analysis = StageCost("analysis", counted["analysis"] + counted["hyper_analysis"], floats)
        synthesis = StageCost("synthesis", counted["synthesis"], floats)
        search = StageCost("refine", refine_macs(self.effort, counted["synthesis"], counted["entropy"]), "fp32")
        encode = (analysis, entropy) if self.effort == "fast" else (analysis, search, entropy)
        return Complexity(counted["parameters"], model.size_bytes, encode, (entropy, synthesis))

    def encode(self, x: np.ndarray) -> bytes:
        """uint8 [H, W] or [H, W, 2 .. 4] -> a midtread file."""
        return self._encode(x, None)

    def pieces(self, x: np.ndarray, progress: Callable[[float], None] | None = None) -> Iterator[bytes | memoryview]:
        """The whole file as one piece, with progress by tiles."""
        yield self._encode(x, progress)

    def _encode(self, x: np.ndarray, progress: Callable[[float], None] | None) -> bytes:
        x = self.check(x)
        model, coder = models.load(self.model), open_coder(self.coder)
        quality = quality_at(model, place_of(self.quality))
        run = open_run(model, self.runtime, self.threads)
        head = _head(model, quality, self.coder)
        colours, payloads = colours_of(x), list[bytes]()
        layout = tiles(x.shape)
        # the graph of the gradient is onnxruntime's alone: only an encoder needs it, and any gradient will do
        refiner = Refiner(self.effort, quality, run, open_run(model, "onnxruntime", self.threads), colours)
        worth = _worth(layout, model)
        for number, tile in enumerate(layout):
            with stage("analysis"):
                y, z = refiner.analyse(tile)
            choice = refiner.choose(tile, y, z)
            with stage("entropy"), expecting(worth):
                tiled = choice.encoder(quality, run)
                data, decoded = tiled.encode(z, coder)
                note(estimated_bits=tiled.bits)
            refiner.keep(tile, decoded)
            payloads.append(data)
            if progress:
                progress((number + 1) / len(layout))
        payloads[0] = head + payloads[0]
        payloads += write_alpha(x)
        shape, dtype = shape_and_dtype(x)
        return write(File(self.name, dtype, shape, tuple(Chunk(Tag.PAYLOAD, data) for data in payloads)))

    def decode(self, data: bytes) -> np.ndarray:
        """What `encode` wrote -> the picture. Raises BitstreamError, LimitError; MissingError without its model."""
        return self.decode_within(data, Limits())

    def decode_within(self, data: bytes, limits: Limits) -> np.ndarray:
        """`decode` under the caller's limits."""
        file = read(data, limits)
        colours, channels = _checked(file)
        layout = tiles(file.shape)
        payloads: list[bytes | memoryview] = [chunk.data for chunk in file.chunks if chunk.tag == Tag.PAYLOAD]
        expected = len(layout) + (channels in (2, 4))
        if len(payloads) != expected:
            raise BitstreamError(f"this picture has {len(payloads)} chunks, its size and channels need {expected}")
        reader = Reader(payloads[0])
        quality, coder = _header(reader, self.model)
        payloads[0] = reader.take(reader.left, "the first tile")
        run = open_run(quality.model, self.runtime, self.threads)
        rows, columns = (-(-side // UNIT) for side in file.shape[:2])
        shape = rows, columns, quality.model.latents
        limits.check_shape(shape, "the latents of this picture")  # a row of pixels has as many as sixteen rows
        y = np.empty(shape, np.int16)
        worth = _worth(layout, quality.model)
        for body, (down, across) in zip(payloads, layout, strict=False):
            with stage("entropy"), expecting(worth):
                sides = (down[1] - down[0], across[1] - across[0])
                y[slice(*down), slice(*across)] = Decoder(quality, run, body, sides, coder).decode()
        out = np.empty((*file.shape[:2], channels) if channels > 1 else file.shape, np.uint8)
        for tile in layout:
            with stage("synthesis"):
                _place(out, synthesise(run, quality, y, tile), tile, colours)
        if channels in (2, 4):
            out[:, :, -1] = read_alpha(payloads[-1], file.shape[:2], limits)
        return out


def _worth(layout: list[Tile], model: models.Model) -> int:
    """Symbols still to come when a tile is done: those of further tiles pay for a compiled coder."""
    return sum((down[1] - down[0]) * (across[1] - across[0]) for down, across in layout[1:]) * model.latents


def place_of(quality: float) -> int:
    """Where a quality from 0 to 63 lies between the anchors."""
    return round(quality / models.HIGHEST * (models.ANCHORS - 1) * models.FINE)


def tiles(shape: tuple[int, ...]) -> list[Tile]:
    """Rows and columns of latents of each tile, row by row."""
    down, across = (_spans(-(-side // UNIT)) for side in shape[:2])
    return [(rows, columns) for rows in down for columns in across]


def _spans(latents: int) -> list[Span]:
    """As few parts as may be, about equal, cut where a position of z begins."""
    count = -(-latents // TILE)
    cells = -(-latents // CELL)
    edges = [i * cells // count * CELL for i in range(count)] + [latents]
    return list(itertools.pairwise(edges))


def _head(model: models.Model, quality: Quality, coder: str) -> bytes:
    """u8 version, with NAMED when a coder's name follows │ 4 bytes of the model's hash │ u16 quality │ text coder."""
    name = b"" if coder == "rans" else bytes([len(coder)]) + coder.encode("ascii")
    first = VERSION | (NAMED if name else 0)
    return bytes([first]) + model.digest + quality.place.to_bytes(2, "little") + name


def _header(reader: Reader, near: str) -> tuple[Quality, Coder]:
    first = reader.uint(1, "version of the learned codec", at_most=255)
    if first & ~NAMED != VERSION:
        raise BitstreamError(
            f"a learned file of version {first & ~NAMED}; this midtread reads version {VERSION}, update midtread"
        )
    digest = bytes(reader.take(4, "hash of the model"))
    place = reader.uint(2, "quality", at_most=(models.ANCHORS - 1) * models.FINE)
    name = reader.text("name of the coder", at_most=63) if first & NAMED else "rans"
    try:
        coder = open_coder(name)
    except UnknownNameError as error:
        raise BitstreamError(f"this file was written with a coder that is not known: {error}") from error
    return quality_at(models.of_digest(digest, near), place), coder


def _checked(file: File) -> tuple[int, int]:
    """(channels that the network makes, all channels). Raises BitstreamError."""
    channels = file.shape[2] if len(file.shape) == 3 else 1
    shaped = len(file.shape) == 2 or (len(file.shape) == 3 and channels in (2, 3, 4))
    if file.codec != Learned.name or file.dtype != "uint8" or not shaped or 0 in file.shape:
        raise BitstreamError(
            f"no learned file holds a picture of shape {list(file.shape)} and dtype {file.dtype} by {file.codec!r}"
        )
    return (1 if channels < 3 else 3), channels


def _place(out: np.ndarray, pixels: np.ndarray, tile: Tile, colours: int) -> None:
    """Put the pixels of a tile into the picture; grey is the mean of what the network made."""
    where = tuple(slice(start * UNIT, stop * UNIT) for start, stop in tile)
    target = out[where]
    pixels = pixels[: target.shape[0], : target.shape[1]]
    if colours == 1:
        grey = ((pixels.sum(2, dtype=np.uint16) + 1) // 3).astype(np.uint8)
        if out.ndim == 2:
            target[...] = grey
        else:
            target[:, :, 0] = grey
    else:
        target[:, :, :3] = pixels
