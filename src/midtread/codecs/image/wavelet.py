"""wavelet: a picture by resolutions, from a thumbnail to all of it, lossy or lossless.

    lossy      pixels ─► YCbCr ─► 9/7 wavelet ─► rate-distortion quantizer ┐
                                                                           ├─► contexts ─► adaptive rANS ─► chunks
    lossless   pixels ─► YCoCg-R ─► 5/3 wavelet, or prediction ────────────┘

One step serves every band of every plane: each is scaled so that a unit in it adds the same squared error to the
pixels. File layout: docs/formats/wavelet.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from midtread.codecs.image.wavelet_bands import Decoder, Encoder, resolutions
from midtread.codecs.image.wavelet_planes import (
    STEP_UNIT,
    colour_forward,
    colour_inverse,
    colours,
    guess_bits,
    low_band,
    shifts_of,
    steps,
    to_fixed,
    to_floats,
)
from midtread.container import Chunk, File, Reader, read, write
from midtread.container.file import Tag, shape_and_dtype
from midtread.errors import BitstreamError
from midtread.spec import Accepts, Codec, Knob, Limits, check_choice, check_range, stage
from midtread.transforms.predict import Med
from midtread.transforms.wavelet import Wavelet53, Wavelet97

VERSION = 1
LEVELS = 5
LOSSY, LOSSLESS = 0, 1
FRACTION = 8  # bits behind the point of what the quantizer sees
# Bits behind the point, what is added before rounding down, price of a bit in 2**-12 squared steps.
EFFORTS = ((FRACTION, 100, 0), (FRACTION, 128, 380))


@dataclass(frozen=True)
class Wavelet(Codec):
    """A picture as wavelet bands under adaptive contexts; every prefix of its chunks is a smaller picture."""

    name: ClassVar[str] = "wavelet"
    summary: ClassVar[str] = "9/7 or reversible 5/3 wavelet, adaptive contexts, rANS; progressive by resolution"
    family: ClassVar[str] = "wavelet"
    accepts: ClassVar[Accepts] = Accepts(("uint8", "uint16"), (1, 2, 3, 4))
    knob: ClassVar[Knob] = Knob("step", 0.25, 512, "down", meaning="quantizer step, 8-bit units", log=True)

    step: float = 16.0  # of 8-bit samples, 257 times that of 16-bit ones; no meaning when lossless
    lossless: bool = False
    effort: int = 1  # 0: plain dead zone; 1: every coefficient is weighed against its bits

    def __post_init__(self) -> None:
        check_range(self.name, "step", self.step, 0.25, 512)
        check_choice(self.name, "lossless", self.lossless, (True, False))
        check_range(self.name, "effort", self.effort, 0, 1, integer=True)

    def encode(self, x: np.ndarray) -> bytes:
        """uint8 or uint16 [H, W] or [H, W, 2..4] -> a midtread file."""
        x = self.check(x)
        parameters, payloads = self._lossless(x) if self.lossless else self._lossy(x)
        shape, dtype = shape_and_dtype(x)
        chunks = [Chunk(Tag.PARAMETERS, parameters), *(Chunk(Tag.PAYLOAD, data) for data in payloads)]
        return write(File(self.name, dtype, shape, tuple(chunks)))

    def decode(self, data: bytes) -> np.ndarray:
        """What `encode` wrote -> the picture. Raises BitstreamError or LimitError."""
        return decode_reduced(data, 0)

    def _lossy(self, x: np.ndarray) -> tuple[bytes, list[bytes]]:
        step = round(self.step / STEP_UNIT)
        with stage("transform"):
            z = Wavelet97(LEVELS).forward(colour_forward(x, exact=False))
        with stage("quantize"):
            y = to_fixed(z, steps(step, x.shape, x.dtype), FRACTION)
            low = low_band(y, LEVELS)
            low[...] = Med().forward((low + (1 << FRACTION >> 1)) >> FRACTION)
        coder, chunks = Encoder(y), []
        with stage("entropy"):
            for parts in resolutions(y.shape, LEVELS, colours(x.shape)):
                data = coder.chunk(parts, EFFORTS[self.effort])
                chunks.append((shifts_of(y, coder.q, parts, FRACTION) if parts[0].kind != "LL" else b"") + data)
        return bytes([VERSION, LOSSY, LEVELS]) + step.to_bytes(4, "little"), chunks

    def _lossless(self, x: np.ndarray) -> tuple[bytes, list[bytes]]:
        with stage("transform"):
            planes = colour_forward(x, exact=True)
            levels, y = LEVELS, Wavelet53(LEVELS).forward(planes).astype(np.int32)
            low = low_band(y, LEVELS)
            low[...] = Med().forward(low)
            if self.effort:
                residuals = Med().forward(planes)
                if guess_bits(residuals) < guess_bits(y):
                    levels, y = 0, residuals
        coder = Encoder(y)
        with stage("entropy"):
            chunks = [coder.chunk(parts, (0, 0, 0)) for parts in resolutions(y.shape, levels, colours(x.shape))]
        return bytes([VERSION, LOSSLESS, levels]), chunks


def decode_reduced(data: bytes, drop: int, limits: Limits = Limits()) -> np.ndarray:
    """The picture of a `wavelet` file without its `drop` finest resolutions: 2**drop times smaller, rounded up.

    Chunks missing at the end of the file count as zeros: a blurrier picture.

    Raises:
        BitstreamError, LimitError: not what `Wavelet.encode` writes.
    """
    file = read(data, limits)
    mode, levels, step = _header(file)
    shape = (file.shape[2] if len(file.shape) == 3 else 1, *file.shape[:2])
    order = list(resolutions(shape, levels, colours(file.shape)))
    payloads = [chunk.data for chunk in file.chunks if chunk.tag == Tag.PAYLOAD]
    if not 0 < len(payloads) <= len(order):
        raise BitstreamError(f"a picture of {len(order)} resolutions has {len(payloads)} payload chunks")
    drop = min(drop, len(order) - 1)
    coder, shifts = Decoder(shape), np.zeros((len(order), shape[0], 3), np.int8)
    with stage("entropy"):
        for index, (parts, payload) in enumerate(zip(order[: len(order) - drop], payloads, strict=False)):
            reader = Reader(payload)
            if mode == LOSSY and index:
                shifts[index] = np.frombuffer(reader.take(3 * shape[0], "shifts"), np.int8).reshape(-1, 3)
            coder.chunk(parts, reader, f"chunk {index} of the picture")
    dtype, q = np.dtype(file.dtype), coder.q
    with stage("transform"):
        low = low_band(q, levels)
        low[...] = Med().inverse(low)
        if mode == LOSSLESS:
            narrow = q.astype(np.int16) if dtype == np.uint8 else q  # int16: twice as fast
            return colour_inverse(Wavelet53(levels).inverse(narrow, drop), file.shape, dtype, exact=True)
        z = to_floats(q, order, shifts, steps(step, file.shape, dtype))
        return colour_inverse(Wavelet97(levels).inverse(z, drop), file.shape, dtype, exact=False)


def _header(file: File) -> tuple[int, int, int]:
    """Mode, levels and step. Raises BitstreamError when they, or the picture, are none that `encode` writes."""
    if file.codec != Wavelet.name:
        raise BitstreamError(f"this file was made by codec {file.codec!r}, not by {Wavelet.name!r}")
    channels = file.shape[2] if len(file.shape) == 3 else 1
    if file.dtype not in Wavelet.accepts.dtypes or len(file.shape) not in (2, 3) or not 0 < channels <= 4:
        raise BitstreamError(f"no wavelet file holds a picture of shape {list(file.shape)} and dtype {file.dtype}")
    if 0 in file.shape or (len(file.shape) == 3 and channels == 1):
        raise BitstreamError(f"this wavelet file claims a picture of shape {list(file.shape)}")
    reader = Reader(file.need(Tag.PARAMETERS))
    version = reader.uint(1, "version of the wavelet codec", at_most=255)
    mode = reader.uint(1, "mode", at_most=255)
    levels = reader.uint(1, "levels", at_most=255)
    if version != VERSION or mode not in (LOSSY, LOSSLESS) or levels > 16:
        raise BitstreamError(f"version {version}, mode {mode}, {levels} levels: not of this version of midtread")
    step = reader.uint(4, "step", at_most=2**32 - 1) if mode == LOSSY else 1
    reader.end("the parameters chunk")
    if step == 0:
        raise BitstreamError("the quantizer step is 0")
    return mode, levels, step
