"""Lossless image coders on planes of integers: JPEG-LS, JPEG XL, WebP, PNG.

    varint width │ varint filling │ u8 bits of a sample (8, 16, 32) │ varint zigzag(lowest) │ varint length │ file │ ...

The samples are symbol - lowest, unsigned. 32 bits are two files (with a length each), the low 16 bits and the high
ones. The plane is the shape of the symbols, all axes but the last taken together; other shapes become rows of 4096. A
last row that is not full has so many copies of its last sample as filling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from midtread import media
from midtread.container import Reader, varint
from midtread.entropy import checks, integers
from midtread.entropy.coder import Coder, Traits
from midtread.entropy.tables import Tables
from midtread.errors import BitstreamError, UsageError
from midtread.spec import Limits, check_range

LONGEST = 16383  # of a side, in every one of these formats
_ROW = 4096


class _PlaneCoder(Coder):
    """What all have in common: symbols to one or two pictures."""

    traits: ClassVar[Traits] = Traits(adaptive=True, planes=True)

    def _compress(self, samples: np.ndarray) -> bytes:
        """uint8 or uint16 [H, W] -> file."""
        raise NotImplementedError

    def _decompress(self, data: bytes, bits: int, limits: Limits) -> np.ndarray:
        return media.decode(self.name, data, limits)

    def encode(self, symbols: np.ndarray, tables: Tables | None = None, indices: np.ndarray | None = None) -> bytes:
        shape, symbols = np.shape(symbols), checks.int32(symbols)
        if not symbols.size:
            return b""
        height, width = _plane(shape, symbols.size)
        lowest = symbols.min()
        samples = (symbols.astype(np.int64) - lowest).astype(np.uint32)
        samples = np.append(samples, np.full(height * width - samples.size, samples[-1])).reshape(height, width)
        bits = next(bits for bits in (8, 16, 32) if int(samples.max()) < 1 << bits)
        if bits == 32:
            files = [
                self._compress(part.astype(np.uint16))
                for part in (samples & np.uint32(65535), samples >> np.uint32(16))
            ]
        else:
            files = [self._compress(samples.astype(np.uint8 if bits == 8 else np.uint16))]
        filling = varint(width) + varint(samples.size - symbols.size)
        head = filling + bytes([bits]) + varint(int(integers.zigzag(np.array([lowest]))[0]))
        return head + b"".join(varint(len(file)) + file for file in files)

    def decode(
        self, data: bytes | memoryview, count: int, tables: Tables | None = None, indices: np.ndarray | None = None
    ) -> np.ndarray:
        reader = Reader(data)
        if not count:
            reader.end("a stream of no symbols")
            return np.zeros(0, dtype=np.int32)
        width = reader.varint("width of the plane", at_most=LONGEST)
        filling = reader.varint("filling", at_most=LONGEST)
        if filling >= width or (count + filling) % width or (count + filling) // width > LONGEST:
            raise BitstreamError(f"{count} symbols and {filling} to fill are not up to {LONGEST} rows of {width}")
        height = (count + filling) // width
        bits = reader.uint(1, "bits of a sample", at_most=255)
        if bits not in (8, 16, 32):
            raise BitstreamError(f"samples have 8, 16 or 32 bits; the stream says {bits}")
        lowest = reader.varint("lowest symbol", at_most=2**32 - 1)
        samples = np.zeros(height * width, dtype=np.int64)
        for shift in range(0, bits, 16):
            file = reader.take(reader.varint("length of the file", at_most=2**40), "file")
            samples += self._samples(bytes(file), min(bits, 16), height, width) << shift
        reader.end("the stream")
        symbols = samples[:count] + integers.unzigzag(np.array([lowest], dtype=np.uint32)).astype(np.int64)
        if symbols.max() > 2**31 - 1:
            raise BitstreamError(f"a symbol is {symbols.max()}, more than an int32 holds")
        return symbols.astype(np.int32)

    def _samples(self, file: bytes, bits: int, height: int, width: int) -> np.ndarray:
        picture = self._decompress(file, bits, Limits(max_elements=4 * height * width))
        expected = np.dtype(np.uint8 if bits == 8 else np.uint16)
        if picture.shape != (height, width) or picture.dtype != expected:
            raise BitstreamError(
                f"the file holds a picture {list(picture.shape)} of {picture.dtype}, "
                f"the stream says [{height}, {width}] of {expected}"
            )
        return picture.reshape(-1).astype(np.int64)


def _plane(shape: tuple[int, ...], count: int) -> tuple[int, int]:
    """(height, width) of the picture."""
    width = shape[-1] if len(shape) > 1 else min(count, _ROW)
    if width > LONGEST or -(-count // width) > LONGEST:
        width = _ROW
    height = -(-count // width)
    if height > LONGEST:
        raise UsageError(f"image coders take up to {_ROW * LONGEST} symbols, got {count}; cut them into tiles")
    return height, width


@dataclass(frozen=True, slots=True)
class JpegLsPlanes(_PlaneCoder):
    """LOCO-I: prediction from three neighbours, Golomb codes with contexts."""

    name: ClassVar[str] = "jpegls"
    summary: ClassVar[str] = "JPEG-LS on planes of integers"

    def _compress(self, samples: np.ndarray) -> bytes:
        import imagecodecs

        try:
            return bytes(imagecodecs.jpegls_encode(samples))
        except imagecodecs.JpeglsError:  # noise can grow, up to 64 bits a sample; imagecodecs makes room for less
            return bytes(imagecodecs.jpegls_encode(samples, out=8 * samples.size + 4096))


@dataclass(frozen=True, slots=True)
class JpegXlPlanes(_PlaneCoder):
    """Modular mode: learned decision trees over neighbours; `effort` 1 (fast) to 9 (small)."""

    name: ClassVar[str] = "jpegxl"
    summary: ClassVar[str] = "lossless JPEG XL on planes of integers"

    effort: int = 5

    def __post_init__(self) -> None:
        check_range(self.name, "effort", self.effort, 1, 9, integer=True)

    def _compress(self, samples: np.ndarray) -> bytes:
        import imagecodecs

        return bytes(imagecodecs.jpegxl_encode(samples, lossless=True, effort=self.effort, numthreads=1))


@dataclass(frozen=True, slots=True)
class WebpPlanes(_PlaneCoder):
    """Lossless WebP: the low byte in green, the high one in red; 8-bit samples in all three channels."""

    name: ClassVar[str] = "webp"
    summary: ClassVar[str] = "lossless WebP on planes of integers"

    def _compress(self, samples: np.ndarray) -> bytes:
        import imagecodecs

        low = (samples & 255).astype(np.uint8)
        high = (samples >> 8).astype(np.uint8) if samples.dtype == np.uint16 else low
        blue = np.zeros_like(low) if samples.dtype == np.uint16 else low
        return bytes(imagecodecs.webp_encode(np.stack([high, low, blue], axis=-1), lossless=True))

    def _decompress(self, data: bytes, bits: int, limits: Limits) -> np.ndarray:
        picture = media.decode(self.name, data, limits)
        if picture.ndim != 3 or picture.shape[2] != 3:
            raise BitstreamError(f"the WebP file holds {list(picture.shape)}, not three channels")
        if bits == 8:
            return np.ascontiguousarray(picture[..., 1])
        return picture[..., 0].astype(np.uint16) << np.uint16(8) | picture[..., 1]


@dataclass(frozen=True, slots=True)
class PngPlanes(_PlaneCoder):
    """Row filters and deflate; `level` 1 (fast) to 9 (small)."""

    name: ClassVar[str] = "png"
    summary: ClassVar[str] = "PNG on planes of integers"

    level: int = 6

    def __post_init__(self) -> None:
        check_range(self.name, "level", self.level, 1, 9, integer=True)

    def _compress(self, samples: np.ndarray) -> bytes:
        import imagecodecs

        return bytes(imagecodecs.png_encode(samples, self.level))
