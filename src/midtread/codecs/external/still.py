"""One intra picture of a video codec in a midtread file: what hevc and vvc share.

Chunks of the file, version 1:
    PARAMETERS   u8 depth │ u8 chroma │ u8 matrix │ varint height │ varint width     of the coded picture
    PAYLOAD      the Annex-B stream of one picture

Chroma: 0 gray, 1 4:2:0, 3 4:4:4 (as chroma_format_idc), 4 the three planes of 4:4:4 stacked in one luma plane.
Matrix: `yuv.MATRICES`. The coded picture is the header's picture with its last row and column repeated to sides that
the encoder takes, and possibly as many gray rows again (see `StillCodec.encode`); decoding crops.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from midtread.codecs.external import ffmpeg, yuv
from midtread.container import Chunk, File, Reader, read, varint, write
from midtread.container.file import Tag, shape_and_dtype
from midtread.errors import BitstreamError, CodecError, UsageError
from midtread.spec import Codec, stage

GRAY, C420, C444, STACKED = 0, 1, 3, 4
_PIXELS = {GRAY: "gray", C420: "yuv420p", C444: "yuv444p"}


@dataclass(frozen=True, slots=True)
class Layout:
    """How the coded picture holds the samples."""

    depth: int
    chroma: int
    matrix: int
    height: int
    width: int

    def to_bytes(self) -> bytes:
        """The PARAMETERS chunk."""
        return bytes([self.depth, self.chroma, self.matrix]) + varint(self.height) + varint(self.width)

    @classmethod
    def from_bytes(cls, data: bytes, shape: tuple[int, ...]) -> Layout:
        """Parse a PARAMETERS chunk for a picture of `shape`. Raises BitstreamError, LimitError."""
        reader = Reader(data)
        depth = reader.uint(1, "bit depth", at_most=255)
        chroma = reader.uint(1, "chroma format", at_most=255)
        matrix = reader.uint(1, "matrix", at_most=255)
        # No encoder of ours pads more; a bigger picture would be more than the header promised.
        height = reader.varint("coded height", at_most=2 * (shape[0] + 63))
        width = reader.varint("coded width", at_most=shape[1] + 63)
        reader.end("the parameters chunk")
        gray = len(shape) == 2
        if depth not in (8, 10) or chroma not in (GRAY, C420, C444, STACKED) or (chroma == GRAY) != gray:
            raise BitstreamError(f"no picture of shape {list(shape)} has bit depth {depth} and chroma format {chroma}")
        if matrix not in yuv.MATRICES:
            raise BitstreamError(f"colour matrix {matrix} means nothing in this version of midtread")
        if height < shape[0] or width < shape[1]:
            raise BitstreamError(f"the coded picture, {height} x {width}, is smaller than the header's {list(shape)}")
        return cls(depth, chroma, matrix, height, width)


class StillCodec(Codec):
    """A video codec's intra picture; subclasses name the encoder and its options."""

    needs: ClassVar[tuple[tuple[str, str], ...]] = ffmpeg.NEEDS
    least: ClassVar[int] = 32  # sides of the coded picture; they are even, too
    luma_only: ClassVar[bool] = False  # gray is coded as 4:2:0 with constant chroma: the encoder takes nothing else

    @abstractmethod
    def layout(self, x: np.ndarray) -> tuple[int, int, int]:
        """Depth, chroma and matrix for `x`."""

    @abstractmethod
    def arguments(self, layout: Layout) -> list[str]:
        """Arguments of ffmpeg for the encoder."""

    def encode(self, x: np.ndarray) -> bytes:
        """uint8 or uint16 [H, W] or [H, W, 3] -> a midtread file; sides are padded, never refused."""
        x = self.check(x)
        shape, dtype = shape_and_dtype(x)
        options = self.layout(x)
        x = yuv.pad(x, 2, self.least)
        try:
            layout, stream = self._code(x, *options)
        except UsageError:
            # FFmpeg's libvvenc gives a stream one byte per pixel and fails beyond. Gray rows make room for little.
            rows = np.full_like(x, np.iinfo(x.dtype).max // 2)
            layout, stream = self._code(np.concatenate([x, rows]), *options)
        chunks = (Chunk(Tag.PARAMETERS, layout.to_bytes()), Chunk(Tag.PAYLOAD, stream))
        return write(File(self.name, dtype, shape, chunks))

    def _code(self, x: np.ndarray, depth: int, chroma: int, matrix: int) -> tuple[Layout, bytes]:
        with stage("colour"):
            layout = Layout(depth, chroma, matrix, *x.shape[:2])
            planes = yuv.to_planes(x, depth, "4:2:0" if chroma == C420 else "4:4:4", matrix)
            pixels, height, raw = self._frame(layout, planes)
        with stage("encode"):
            return layout, ffmpeg.encode(raw, pixels, height, layout.width, self.arguments(layout), self.name)

    def decode(self, data: bytes) -> np.ndarray:
        """What `encode` wrote -> the picture. Raises BitstreamError or LimitError."""
        file = read(data)
        shape = file.shape
        if file.codec != self.name:
            raise BitstreamError(f"this file was made by codec {file.codec!r}, not by {self.name!r}")
        if file.dtype not in self.accepts.dtypes or len(shape) not in (2, 3) or shape[2:] not in ((), (3,)):
            raise BitstreamError(f"no {self.name} file holds a picture of shape {list(shape)} and dtype {file.dtype}")
        if 0 in shape:
            raise BitstreamError(f"this {self.name} file claims a picture of shape {list(shape)}")
        layout = Layout.from_bytes(file.need(Tag.PARAMETERS), shape)
        pixels, shapes = self._shapes(layout)
        with stage("decode"):
            length = sum(h * w for h, w in shapes) * (1 if layout.depth == 8 else 2)
            raw = ffmpeg.decode(file.need(Tag.PAYLOAD), self.name, pixels, *shapes[0], length)
        with stage("colour"):
            planes = _split(raw, shapes, layout.depth)
            if layout.chroma == STACKED:
                planes = list(planes[0].reshape(3, layout.height, layout.width))
            elif layout.chroma == GRAY:
                planes = planes[:1]
            x = yuv.from_planes(planes, layout.depth, layout.matrix, np.dtype(file.dtype))
        return np.ascontiguousarray(x[: shape[0], : shape[1]])

    def _frame(self, layout: Layout, planes: list[np.ndarray]) -> tuple[str, int, bytes]:
        """Name of the pixel layout, height of the coded frame, and its bytes."""
        pixels, shapes = self._shapes(layout)
        if layout.chroma == STACKED:
            planes = [np.concatenate(planes)]
        middle = np.uint16(2 ** (layout.depth - 1))
        planes = planes + [np.full(shape, middle) for shape in shapes[len(planes) :]]
        kind = "u1" if layout.depth == 8 else "<u2"
        return pixels, shapes[0][0], b"".join(plane.astype(kind).tobytes() for plane in planes)

    def _shapes(self, layout: Layout) -> tuple[str, list[tuple[int, int]]]:
        """Name of the pixel layout and the shapes of its planes. Raises BitstreamError for one this codec lacks."""
        height = layout.height * (3 if layout.chroma == STACKED else 1)
        kind = C420 if self.luma_only else layout.chroma
        if kind not in _PIXELS or (self.luma_only and (layout.chroma == C444 or layout.depth != 10)):
            raise BitstreamError(f"no {self.name} file has chroma format {layout.chroma} at {layout.depth} bits")
        small = (height // 2, layout.width // 2) if kind == C420 else (height, layout.width)
        pixels = _PIXELS[kind] + ("10le" if layout.depth == 10 else "")
        return pixels, [(height, layout.width)] + [small] * (0 if kind == GRAY else 2)


def _split(raw: bytes, shapes: list[tuple[int, int]], depth: int) -> list[np.ndarray]:
    samples = np.frombuffer(raw, "u1" if depth == 8 else "<u2")
    planes, at = [], 0
    for height, width in shapes:
        planes.append(samples[at : at + height * width].reshape(height, width))
        at += height * width
    if any(int(plane.max()) >> depth for plane in planes):
        raise CodecError(f"ffmpeg gave samples of more than {depth} bits")
    return planes
