"""wavelet: a picture by resolutions, from a thumbnail to all of it, lossy or lossless.

    lossy      pixels ─► YCbCr ─► 9/7 wavelet ─► rate-distortion quantizer ┐
                                                                           ├─► contexts ─► tables ─► rANS ─► chunks
    lossless   pixels ─► YCoCg-R or RCT ─► 5/3 wavelet, or prediction ─────┘
    lossless, when much repeats                                       pixels ─► zstd ─► a chunk

One step serves every band of every plane: each is scaled so that a unit in it adds the same squared error to the
pixels. File layout: docs/formats/wavelet.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from midtread.codecs.image.wavelet_bands import Block, Decoder, Encoder, blocks
from midtread.codecs.image.wavelet_exact import (
    from_ranks,
    read_values,
    repeats,
    squeeze,
    to_ranks,
    unsqueeze,
    values_of,
    write_values,
)
from midtread.codecs.image.wavelet_planes import (
    RCT,
    STEP_UNIT,
    YCBCR,
    YCOCG_R,
    colour_forward,
    colour_inverse,
    colours,
    guess_colour,
    low_band,
    planes_of,
    predicts_better,
    shifts_of,
    steps,
    to_fixed,
    to_floats,
    to_integers,
)
from midtread.codecs.image.wavelet_tables import learned
from midtread.container import Chunk, File, Reader, read, read_header, write
from midtread.container.file import Tag, shape_and_dtype
from midtread.errors import BitstreamError, UsageError
from midtread.kernels.twins import pick
from midtread.quantize.base import Index
from midtread.spec import Accepts, Codec, Knob, Limits, check_choice, check_range, stage
from midtread.transforms.predict import Med
from midtread.transforms.wavelet import Wavelet53, Wavelet97, depth
from midtread.transforms.window import Window, window

VERSION = 1
LEVELS = 5
LOSSY, LOSSLESS, REPEATS = 0, 1, 2
MOST_LAYERS = 8
MOST_BANDS = 64
FRACTION = 8  # bits behind the point of what the quantizer sees
# Bits behind the point, what is added before rounding down, price of a bit in 2**-12 squared steps.
EFFORTS = ((FRACTION, 100, 0), (FRACTION, 128, 400), (FRACTION, 128, 400))


@dataclass(frozen=True)
class Wavelet(Codec):
    """A picture as wavelet bands under learned contexts; every prefix of its chunks is a picture."""

    name: ClassVar[str] = "wavelet"
    summary: ClassVar[str] = (
        "9/7 or reversible 5/3 wavelet, learned contexts, rANS; any resolution, quality or region of one file"
    )
    family: ClassVar[str] = "wavelet"
    accepts: ClassVar[Accepts] = Accepts(("uint8", "uint16"), tuple(range(1, MOST_BANDS + 1)))
    knob: ClassVar[Knob] = Knob("step", 0.25, 512, "down", meaning="quantizer step, 8-bit units", log=True)

    step: float = 16.0  # of 8-bit samples, 257 times that of 16-bit ones; no meaning when lossless
    lossless: bool = False
    # 0: plain dead zone, no choices. 1: coefficients are weighed against their bits, what suits a lossless picture is
    # guessed. 2: of a lossless one, everything is tried.
    effort: int = 1
    layers: int = 1  # of quality: all resolutions at 2**(layers - 1) times the step, then a bit more of each, and so on

    def __post_init__(self) -> None:
        check_range(self.name, "step", self.step, 0.25, 512)
        check_choice(self.name, "lossless", self.lossless, (True, False))
        check_range(self.name, "effort", self.effort, 0, 2, integer=True)
        check_range(self.name, "layers", self.layers, 1, MOST_LAYERS, integer=True)

    def encode(self, x: np.ndarray) -> bytes:
        """uint8 or uint16 [H, W] or [H, W, 2 .. 64] -> a midtread file."""
        x = self.check(x)
        pick("predict", x.size)  # the corner of a large picture is small, but worth the compiled twin
        parameters, payloads = self._lossless(x) if self.lossless else self._lossy(x)
        shape, dtype = shape_and_dtype(x)
        chunks = [Chunk(Tag.PARAMETERS, parameters), *(Chunk(Tag.PAYLOAD, data) for data in payloads)]
        return write(File(self.name, dtype, shape, tuple(chunks)))

    def decode(self, data: bytes) -> np.ndarray:
        """What `encode` wrote -> the picture. Raises BitstreamError or LimitError."""
        return decode_part(data)

    def decode_within(self, data: bytes, limits: Limits) -> np.ndarray:
        """`decode` under the caller's limits."""
        return decode_part(data, limits=limits)

    def decode_part(
        self, data: bytes, *, scale: float = 1.0, region: tuple[int, int, int, int] | None = None,
        limits: Limits = Limits(),
    ) -> np.ndarray:  # fmt: skip
        """At 1, 1/2, 1/4 ... of its sides."""
        drop = round(-math.log2(scale)) if 0 < scale < math.inf else -1
        if drop < 0 or scale != 2.0**-drop:
            raise UsageError(f"scale={scale}; codec 'wavelet' decodes at 1, 1/2, 1/4, 1/8 ... of its size")
        if region is None:
            return decode_part(data, drop, limits=limits)
        top, left, height, width = (side << drop for side in region)
        rows, columns = read_header(data, limits).shape[:2]
        inside = min(top, left) >= 0 and min(height, width) > 0
        if not (inside and top + height < rows + (1 << drop) and left + width < columns + (1 << drop)):
            raise UsageError(f"region {region} is not within the picture of {rows} x {columns} pixels at scale {scale}")
        return decode_part(data, drop, ((top, min(top + height, rows)), (left, min(left + width, columns))), limits)

    def _lossy(self, x: np.ndarray) -> tuple[bytes, list[bytes]]:
        step = round(self.step / STEP_UNIT)
        with stage("transform"):
            z = Wavelet97(LEVELS).forward(colour_forward(x, YCBCR))
        with stage("quantize"):
            y = to_fixed(z, steps(step, x.shape, x.dtype), FRACTION)
            low = low_band(y, LEVELS)
            low[...] = Med().forward((low + (1 << FRACTION >> 1)) >> FRACTION)
        with stage("entropy"):
            order = blocks(y.shape, LEVELS, colours(x.shape))
            coder, chunks = Encoder(y, learned("lossy"), EFFORTS[self.effort]), []
            if self.layers > 1:
                for block in order:
                    coder.note(block)
                chunks = self._layered(coder.q, y, order)
            else:
                for block in order:
                    data = coder.chunk(block)
                    chunks.append(_shifts(y, coder.q, block, FRACTION) + data)
        return bytes([VERSION, LOSSY, LEVELS, self.layers]) + step.to_bytes(4, "little"), chunks

    def _lossless(self, x: np.ndarray) -> tuple[bytes, list[bytes]]:
        values = values_of(x)
        parameters, chunks = self._smooth(x if values is None else to_ranks(x, values))
        parameters += write_values(values)
        if self.effort and self.layers == 1 and repeats(x):
            with stage("repeats"):
                squeezed = squeeze(x, self.effort)
            if len(squeezed) < sum(map(len, chunks)) + len(parameters):
                return bytes([VERSION, REPEATS, 0, 1]), [squeezed]
        return parameters, chunks

    def _smooth(self, x: np.ndarray) -> tuple[bytes, list[bytes]]:
        """The lossless picture by wavelet or prediction: the smallest of all, or as it is guessed."""
        guess, related, made = self.effort == 1, colours(x.shape), []
        for colour in (guess_colour(x),) if guess else (YCOCG_R, RCT)[: 1 + (self.effort > 1)]:
            with stage("transform"):
                planes = colour_forward(x, colour)
                y = Wavelet53(LEVELS).forward(planes).astype(np.int32)
                low = low_band(y, LEVELS)
                low[...] = Med().forward(low)
                predict = self.layers == 1 and self.effort > 0 and (not guess or predicts_better(planes, y))
            if not (guess and predict):
                made.append((bytes([VERSION, LOSSLESS, LEVELS, self.layers, colour]), self._exact(y, LEVELS, related)))
            if predict:
                y = Med().forward(planes).astype(np.int32, copy=False)
                made.append((bytes([VERSION, LOSSLESS, 0, 1, colour]), self._exact(y, 0, related)))
        return min(made, key=lambda one: sum(map(len, one[1])))

    def _exact(self, y: np.ndarray, levels: int, related: int) -> list[bytes]:
        with stage("entropy"):
            order = blocks(y.shape, levels, related)
            if self.layers > 1:
                return self._layered(y, None, order)
            coder = Encoder(y, learned("lossless"), (0, 0, 0))
            return [coder.chunk(block) for block in order]

    def _layered(self, q: np.ndarray, y: np.ndarray | None, order: tuple[Block, ...]) -> list[bytes]:
        """Chunks of integers q, layer by layer; y: what they were made of, in 2**-FRACTION, when lossy."""
        chunks = []
        for missing in reversed(range(self.layers)):
            known = np.sign(q) * (np.abs(q) >> missing)
            low_band(known, LEVELS)[...] = low_band(q, LEVELS)  # all of LL comes first
            if missing == self.layers - 1:
                coder = Encoder(known, learned("lossless" if y is None else "lossy"), (0, 0, 0))
            else:
                coder.next_layer(known, order)
            for block in order if missing == self.layers - 1 else order[1:]:
                data = coder.chunk(block)
                chunks.append(data if y is None else _shifts(y, coder.q, block, FRACTION + missing) + data)
        return chunks


def _shifts(y: np.ndarray, q: np.ndarray, block: Block, fraction: int) -> bytes:
    return shifts_of(y, q, block, fraction).tobytes() if block.parts[0].kind != "LL" else b""


Region = tuple[tuple[int, int], tuple[int, int]]  # first and last row, first and last column (last: one beyond)


def decode_part(data: bytes, drop: int = 0, region: Region | None = None, limits: Limits = Limits()) -> np.ndarray:
    """A `wavelet` file's picture, or less of it, without decoding the rest.

    Args:
        data: the file. Chunks missing at its end count as zeros: a blurrier picture.
        drop: leave out so many of the finest resolutions: a picture 2**drop times smaller, rounded up.
        region: rows and columns of the whole picture; with `drop`, those samples of the small one that lie on them.
        limits: of the picture as a whole.

    Raises:
        BitstreamError, LimitError: not what `Wavelet.encode` writes.
        UsageError: the region is not inside the picture.
    """
    file = read(data, limits)
    head = _header(file)
    shape = planes_of(file.shape)
    levels = LEVELS if head.mode == REPEATS else head.levels
    drop = min(drop, depth(levels, shape))
    wavelet = (Wavelet97 if head.mode == LOSSY else Wavelet53)(levels)
    view = window(wavelet, shape, *region, drop=drop) if region else None
    if view and any(side.start >= side.stop for side in view.crop):
        raise UsageError(f"region {region} holds no sample of a picture {2**drop} times smaller; make it larger")
    if head.mode == REPEATS:
        return _repeated(file, drop, region)
    z = _latents(file, head, drop, view)
    with stage("transform"):
        if head.mode == LOSSLESS and head.samples == np.uint8:
            z = z.astype(np.int16)  # twice as fast
        planes = wavelet.inverse(view.gather(z) if view else z, drop)
        planes = planes[(..., *view.crop)] if view else planes
        x = colour_inverse(planes, file.shape, head.samples, head.colour)
    return x if head.values is None else from_ranks(x, head.values, np.dtype(file.dtype))


def _repeated(file: File, drop: int, region: Region | None) -> np.ndarray:
    """The picture of mode REPEATS: smaller ones are its samples, not their means."""
    payloads = [chunk.data for chunk in file.chunks if chunk.tag == Tag.PAYLOAD]
    if len(payloads) != 1:
        raise BitstreamError(f"a picture of 1 chunk has {len(payloads)} of them")
    with stage("entropy"):
        x = unsqueeze(payloads[0], file.shape, np.dtype(file.dtype))
    (top, bottom), (left, right) = region or ((0, x.shape[0]), (0, x.shape[1]))
    every = 1 << drop
    rows, columns = (slice(-(-low // every) * every, high, every) for low, high in ((top, bottom), (left, right)))
    return np.ascontiguousarray(x[rows, columns])


def _latents(file: File, head: Header, drop: int, view: Window | None) -> np.ndarray:
    """Coefficients [C, H, W], float32 or int32, of the blocks that are wanted and in the file; zeros elsewhere."""
    shape = planes_of(file.shape)
    order, lossy, layers = blocks(shape, head.levels, colours(file.shape)), head.mode == LOSSY, head.layers
    wanted = _wanted(order, drop, view)
    payloads = [chunk.data for chunk in file.chunks if chunk.tag == Tag.PAYLOAD]
    places = [(0, 0), *((layer, index) for layer in range(layers) for index in range(1, len(order)))]
    if not 0 < len(payloads) <= len(places):
        raise BitstreamError(f"a picture of {len(places)} chunks has {len(payloads)} of them")
    pick("predict", math.prod(shape))  # the corner of a large picture is small, but worth the compiled twin
    coder = Decoder(shape, learned("lossy" if lossy else "lossless"))
    z = np.zeros(shape, np.float32) if lossy else np.zeros(shape, np.int32) if layers > 1 else coder.q
    for number, ((layer, index), payload) in enumerate(zip(places, payloads, strict=False)):
        if layer and index == 1:
            coder.next_layer(order)
        if index not in wanted:
            continue
        block, reader, shifts = order[index], Reader(payload), np.zeros((shape[0], 3), np.int8)
        missing = layers - 1 - layer if index else 0
        with stage("entropy"):
            if lossy and index:
                shifts = np.frombuffer(reader.take(shifts.size, "shifts"), np.int8).reshape(-1, 3)
            coder.chunk(block, reader, f"chunk {number} of the picture")
        with stage("quantize"):
            if index == 0:
                low = low_band(coder.q, head.levels)
                low[...] = Med().inverse(low)
            if lossy:
                to_floats(coder.q, z, block, shifts, steps(head.step << missing, file.shape, head.samples))
            elif layers > 1:
                to_integers(coder.q, z, block, missing)
    return z


def _wanted(order: tuple[Block, ...], drop: int, view: Window | None) -> set[int]:
    """Which blocks the picture without its `drop` finest resolutions, or the window of it, is made of.

    Parents of a block that a window meets are met as well: a window is as large at every level.
    """
    return {0} | {
        index
        for index, block in enumerate(order)
        if block.level > drop
        and (view is None or any(_meet(part.box, source) for part in block.parts for _, source in view.pieces))
    }


def _meet(box: tuple[int, ...], source: Index) -> bool:
    rows, columns = (axis for axis in source if isinstance(axis, slice))
    return box[1] < rows.stop and rows.start < box[2] and box[3] < columns.stop and columns.start < box[4]


@dataclass(frozen=True)
class Header:
    """What the PARAMETERS chunk says."""

    mode: int
    levels: int
    layers: int
    step: int  # lossy only
    colour: int
    values: np.ndarray | None  # lossless only: samples are numbers of these
    samples: np.dtype  # of what was transformed: ranks of few values fit uint8


def _header(file: File) -> Header:
    """Raises BitstreamError when the parameters, or the picture, are none that `encode` writes."""
    if file.codec != Wavelet.name:
        raise BitstreamError(f"this file was made by codec {file.codec!r}, not by {Wavelet.name!r}")
    channels = file.shape[2] if len(file.shape) == 3 else 1
    if file.dtype not in Wavelet.accepts.dtypes or len(file.shape) not in (2, 3) or not 0 < channels <= MOST_BANDS:
        raise BitstreamError(f"no wavelet file holds a picture of shape {list(file.shape)} and dtype {file.dtype}")
    if 0 in file.shape or (len(file.shape) == 3 and channels == 1):
        raise BitstreamError(f"this wavelet file claims a picture of shape {list(file.shape)}")
    reader, samples = Reader(file.need(Tag.PARAMETERS)), np.dtype(file.dtype)
    names = ("version of the wavelet codec", "mode", "levels", "layers")
    version, mode, levels, layers = (reader.uint(1, name, at_most=255) for name in names)
    if version != VERSION or mode not in (LOSSY, LOSSLESS, REPEATS) or levels > 16 or not 1 <= layers <= MOST_LAYERS:
        raise BitstreamError(
            f"version {version}, mode {mode}, {levels} levels, {layers} layers: not of this version of midtread"
        )
    step = reader.uint(4, "step", at_most=2**32 - 1) if mode == LOSSY else 1
    colour = reader.uint(1, "colour transform", at_most=255) if mode == LOSSLESS else YCBCR
    if mode == LOSSLESS and colour not in (YCOCG_R, RCT):
        raise BitstreamError(f"colour transform {colour}: not of this version of midtread")
    values = read_values(reader, int(np.iinfo(samples).max)) if mode == LOSSLESS else None
    reader.end("the parameters chunk")
    if step == 0:
        raise BitstreamError("the quantizer step is 0")
    if values is not None and values.size <= 256:
        samples = np.dtype(np.uint8)
    return Header(mode, levels, layers, step, colour, values, samples)
