"""pipeline: any transform x quantizer x model x coder by name, as a file that decodes.

    pixels ─► colour ─► transform ─► every band to unit norm ─► quantizer ─► model + coder ─► chunks

A unit in any band then adds the same squared error to the pixels, so that one step serves all. Digit planes are a
chunk each: a file cut behind any of them is a coarser picture. File layout: docs/formats/pipeline.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from midtread.codecs.pipeline import recipe
from midtread.codecs.pipeline.fit import check_quantizer, choose_model, fit_model, fit_quantizer
from midtread.codecs.pipeline.latents import Latents
from midtread.codecs.pipeline.recipe import Stage
from midtread.container import Chunk, File, Reader, read, write
from midtread.container.file import Tag, shape_and_dtype
from midtread.entropy.coder import Coder
from midtread.entropy.frozen import read_model
from midtread.errors import BitstreamError, UsageError
from midtread.quantize.base import Quantizer
from midtread.quantize.digit_planes import DigitPlanes
from midtread.quantize.uniform import Identity
from midtread.registry import CODERS, QUANTIZERS
from midtread.spec import Accepts, Codec, Knob, Limits, check_range, note, stage

VERSION = 1


@dataclass(frozen=True)
class Pipeline(Codec):
    """Stages by name, each with options where wanted, as in `transform="ycbcr+wavelet97(levels=4)"`."""

    name: ClassVar[str] = "pipeline"
    summary: ClassVar[str] = "any transform, quantizer, model and coder by name; lossless when none of them loses"
    family: ClassVar[str] = "pipeline"
    accepts: ClassVar[Accepts] = Accepts(("uint8", "uint16"), (1, 2, 3, 4))
    knob: ClassVar[Knob] = Knob("step", 0.25, 512, "down", meaning="quantizer step, 8-bit units", log=True)

    transform: str = "wavelet97"  # a chain with "+"; colour by itself: ycbcr before floats, ycocg-r before exact ones
    quantizer: str = "deadzone"
    model: str = "auto"  # context, or none for a coder with statistics of its own
    coder: str = "rans"
    step: float = 16.0  # of 8-bit samples, 257 times that of 16-bit ones; no meaning for quantizer none

    def __post_init__(self) -> None:
        check_range(self.name, "step", self.step, 0.25, 512)
        check_quantizer(self._quantizer)
        _check_integers(self._latents, self._quantizer.name)
        choose_model(self._one("model"), self._coder)

    def encode(self, x: np.ndarray) -> bytes:
        """uint8 or uint16 [H, W] or [H, W, 2..4] -> a midtread file."""
        x = self.check(x)
        with stage("transform"):
            latents = self._latents.fit(x)
            z = latents.forward(x)
            z = latents.gather(z if self.lossless else latents.weigh(z, x.shape, 1))
        with stage("quantize"):
            width = self.step * (257 if x.dtype == np.uint16 else 1)
            quantizer = fit_quantizer(self._quantizer, width, z)
            symbols = quantizer.quantize(z)
            layers = quantizer.digits(symbols) if isinstance(quantizer, DigitPlanes) else symbols[None]
        coder = self._coder
        text = "\n".join((latents.text, recipe.write([quantizer]), recipe.write([coder])))
        chunks = [Chunk(Tag.PARAMETERS, bytes([VERSION]) + text.encode("ascii"))]
        chunks += [Chunk(Tag.PAYLOAD, self._layer(layer.astype(np.int32, copy=False), coder)) for layer in layers]
        shape, dtype = shape_and_dtype(x)
        return write(File(self.name, dtype, shape, tuple(chunks)))

    def decode(self, data: bytes) -> np.ndarray:
        """What `encode` wrote -> the picture. Raises BitstreamError or LimitError."""
        return decode_part(data)

    def decode_within(self, data: bytes, limits: Limits) -> np.ndarray:
        """`decode` under the caller's limits."""
        return decode_part(data, limits=limits)

    @property
    def lossless(self) -> bool:
        """Whether no stage loses anything."""
        return self._latents.exact and self._quantizer.name == "none"

    def _layer(self, symbols: np.ndarray, coder: Coder) -> bytes:
        with stage("model"):
            model = fit_model(choose_model(self._one("model"), coder), coder, symbols)
            if coder.traits.needs_tables:  # the others have statistics of their own
                note(ideal_bytes=lambda: model.bits(symbols) / 8)
        with stage("entropy"):
            return bytes(model.write() + model.encode(symbols, coder))

    @cached_property
    def _latents(self) -> Latents:
        return Latents.of(self.transform, "transform")

    @cached_property
    def _quantizer(self) -> Stage:
        return self._one("quantizer")

    @cached_property
    def _coder(self) -> Coder:
        coder: Coder = recipe.build(CODERS, self._one("coder"))
        return coder

    def _one(self, kind: str) -> Stage:
        return _single(getattr(self, kind), kind)


def decode_part(data: bytes, upto: int | None = None, limits: Limits = Limits()) -> np.ndarray:
    """A `pipeline` file's picture, or what the first `upto` of its digit planes tell of it.

    Args:
        data: the file. Digit planes missing at its end were never told.
        upto: how many payload chunks to use, at least one; None: all there are.
        limits: of the picture.

    Raises:
        BitstreamError, LimitError: not what `Pipeline.encode` writes.
        UsageError: upto is below 1.
    """
    if upto is not None and upto < 1:
        raise UsageError(f"upto={upto!r}; a picture needs one payload chunk at least")
    file = read(data, limits)
    _check_header(file)
    payloads = [chunk.data for chunk in file.chunks if chunk.tag == Tag.PAYLOAD][:upto]
    try:
        latents, quantizer, coder = _stages(file.need(Tag.PARAMETERS))
        latents.check_shape(file.shape)
        layered = isinstance(quantizer, DigitPlanes)
        if not 0 < len(payloads) <= (quantizer.parts if layered else 1):
            raise BitstreamError(f"{len(payloads)} payload chunks for {quantizer.parts} parts of {quantizer.name}")
        shape = (file.shape[2] if len(file.shape) == 3 else 1, *file.shape[:2])
        symbols = np.zeros(shape, np.int32)
        for index, payload in enumerate(payloads):
            with stage("entropy"):
                layer = _read_layer(payload, shape, coder)
            worth = quantizer.base ** (quantizer.planes - 1 - index) if isinstance(quantizer, DigitPlanes) else 1
            symbols += layer * np.int32(worth)  # hostile digits may wrap
        with stage("quantize"):
            z = quantizer.dequantize(symbols, len(payloads) if layered else None)
        with stage("transform"):
            z = latents.gather(z, back=True)
            z = z if isinstance(quantizer, Identity) else latents.weigh(z, file.shape, -1)
            return latents.inverse(z, file.shape, np.dtype(file.dtype))
    except UsageError as error:  # stages speak to users; here the bytes are to blame
        raise BitstreamError(f"this pipeline file cannot be: {error}") from error


def _read_layer(payload: bytes, shape: tuple[int, ...], coder: Coder) -> np.ndarray:
    reader = Reader(payload)
    model = read_model(reader)
    return model.decode(reader.take(reader.left, "symbols"), shape, coder)


def _stages(parameters: bytes) -> tuple[Latents, Quantizer, Coder]:
    reader = Reader(parameters)
    version = reader.uint(1, "version of the pipeline codec", at_most=255)
    lines = bytes(reader.take(reader.left, "recipe")).decode("ascii", "replace").split("\n")
    if version != VERSION or len(lines) != 3:
        raise BitstreamError(f"version {version} with a recipe of {len(lines)} lines: not of this version of midtread")
    latents = Latents.of(lines[0], "transform")
    if latents.colour is None:
        raise BitstreamError(f"the recipe {lines[0]!r} does not begin with a colour transform")
    quantizer: Quantizer = recipe.build(QUANTIZERS, _single(lines[1], "quantizer"))
    _check_integers(latents, quantizer.name)
    return latents, quantizer, recipe.build(CODERS, _single(lines[2], "coder"))


def _single(text: str, what: str) -> Stage:
    stages = recipe.parse(text, what)
    if len(stages) > 1:
        raise UsageError(f"{what}={text}: one {what}, not a chain; only transforms are chained with '+'")
    return stages[0]


def _check_integers(latents: Latents, quantizer: str) -> None:
    if quantizer == "none" and not latents.exact:
        raise UsageError(
            f"quantizer 'none' keeps integers, but {latents.text} gives floats; "
            "take an exact transform, such as wavelet53, dct-int or med, or another quantizer"
        )


def _check_header(file: File) -> None:
    """Raise BitstreamError for a file of another codec, or a picture that `encode` does not take."""
    if file.codec != Pipeline.name:
        raise BitstreamError(f"this file was made by codec {file.codec!r}, not by {Pipeline.name!r}")
    good = len(file.shape) == 2 or (len(file.shape) == 3 and 2 <= file.shape[2] <= 4)
    if file.dtype not in Pipeline.accepts.dtypes or not good or 0 in file.shape:
        raise BitstreamError(f"no pipeline file holds a picture of shape {list(file.shape)} and dtype {file.dtype}")
