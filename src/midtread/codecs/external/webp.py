"""webp: lossy (VP8 intra, always 4:2:0) and lossless (VP8L) WebP by libwebp.

libwebp leaves out an alpha plane that is opaque everywhere, and the file would decode to three channels. The format
itself can hold one, so `_declare_opaque_alpha` puts it back: a flag in a lossless file, 42 bytes in a lossy one.
Source: RFC 9649, sections 2.7 (VP8X, ALPH) and 3 (VP8L).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from midtread.codecs.external.native import NativeCodec, check_sides, cpus, encoding, imagecodecs_backend
from midtread.spec import Accepts, Knob, check_choice, check_range

_MAX_SIDE = 16383

# ALPH: a flag byte (lossless, no filter), then a VP8L stream of a constant 255. Bits, lowest first: no transform, no
# colour cache, no meta prefix; green: simple code, one symbol of 8 bits, 255; red, blue, alpha, distance: symbol 0.
_OPAQUE_ALPH = bytes([1]) + (0b0001_0001_0001_0001_11111111_1_0_1_0_0_0).to_bytes(4, "little")


@dataclass(frozen=True)
class WebP(NativeCodec):
    """WebP; lossy files are 4:2:0, lossless ones keep every sample, also under alpha 0."""

    name: ClassVar[str] = "webp"
    summary: ClassVar[str] = "WebP, lossy 4:2:0 or lossless; libwebp"
    accepts: ClassVar[Accepts] = Accepts(("uint8",), (3, 4))
    knob: ClassVar[Knob] = Knob("quality", 0, 100, "up", integer=True, meaning="libwebp quality, 0 to 100")
    native: ClassVar[str] = "webp"

    quality: int = 75  # no meaning when lossless
    method: int = 4  # 0 fastest, 6 smallest
    lossless: bool = False

    def __post_init__(self) -> None:
        check_range(self.name, "quality", self.quality, 0, 100, integer=True)
        check_range(self.name, "method", self.method, 0, 6, integer=True)
        check_choice(self.name, "lossless", self.lossless, (True, False))

    def encode(self, x: np.ndarray) -> bytes:
        """uint8 [H, W, 3] or [H, W, 4] -> a WebP file; sides up to 16383."""
        import imagecodecs

        x = self.check(x)
        check_sides(self.name, x, _MAX_SIDE)
        # For a lossless file libwebp reads the level as effort, and imagecodecs encodes one unless told otherwise.
        level = None if self.lossless else self.quality
        with encoding(self.name):
            data = bytes(
                imagecodecs.webp_encode(x, level, lossless=self.lossless, method=self.method, numthreads=cpus())
            )
        if x.shape[2] == 4 and x[..., 3].min() == 255:
            return _declare_opaque_alpha(data, x.shape[0], x.shape[1])
        return data

    @classmethod
    def backend(cls) -> str:
        """As imagecodecs has it."""
        return imagecodecs_backend("webp")

    @property
    def chroma(self) -> str:
        """4:2:0; 4:4:4 when lossless."""
        return "4:4:4" if self.lossless else "4:2:0"


def _declare_opaque_alpha(data: bytes, height: int, width: int) -> bytes:
    """The same picture with an alpha plane of 255; `data` is a file of one VP8 or VP8L chunk."""
    if data[12:16] == b"VP8L":  # signature byte, 14 bits width - 1, 14 bits height - 1, the alpha bit
        return data[:24] + bytes([data[24] | 0x10]) + data[25:]
    has_alpha = 0x10
    vp8x = bytes([has_alpha, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBP" + _chunk(b"VP8X", vp8x) + _chunk(b"ALPH", _OPAQUE_ALPH) + data[12:]
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2)
