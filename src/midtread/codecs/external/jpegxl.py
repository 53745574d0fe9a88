"""jpegxl: JPEG XL (ISO/IEC 18181) by libjxl, and exact transcoding of JPEG files.

imagecodecs marks every uint16 file as linear light, which other programs would show far too bright. Ours holds display
values, so `_as_linear` gives libjxl the linear light it is promised (its perceptual model needs that too), and
`_declare_srgb` corrects the mark in the header. Lossless files need the mark only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np

from midtread.codecs.external.native import NativeCodec, check_sides, cpus, encoding, imagecodecs_backend
from midtread.errors import BitstreamError, UsageError
from midtread.spec import Accepts, Knob, check_choice, check_range, stage

_LINEAR, _SRGB = 8, 13  # transfer functions, ISO/IEC 18181-1 table E.7


@dataclass(frozen=True)
class JpegXL(NativeCodec):
    """JPEG XL; `distance` is in just noticeable differences, so 1.0 looks the same as the source."""

    name: ClassVar[str] = "jpegxl"
    summary: ClassVar[str] = "JPEG XL, lossy or lossless, 8 and 16 bits or float; libjxl"
    accepts: ClassVar[Accepts] = Accepts(("uint8", "uint16", "float16", "float32"), (1, 2, 3, 4))
    knob: ClassVar[Knob] = Knob("distance", 0.01, 25, "down", meaning="Butteraugli distance; 1 is invisible", log=True)
    native: ClassVar[str] = "jpegxl"

    distance: float = 1.0  # no meaning when lossless
    effort: int = 7  # 1 fastest, 10 smallest
    lossless: bool = False

    def __post_init__(self) -> None:
        check_range(self.name, "distance", self.distance, 0.01, 25)
        check_range(self.name, "effort", self.effort, 1, 10, integer=True)
        check_choice(self.name, "lossless", self.lossless, (True, False))

    def encode(self, x: np.ndarray) -> bytes:
        """[H, W] or [H, W, 2..4] -> a JPEG XL file; integers are marked sRGB, floats linear (white = 1.0)."""
        import imagecodecs

        x = self.check(x)
        check_sides(self.name, x, 2**30)
        wide = x.dtype == np.uint16
        if wide and not self.lossless:
            with stage("colour"):
                x = _as_linear(x)
        distance = None if self.lossless else float(self.distance)
        with encoding(self.name):
            data = bytes(
                imagecodecs.jpegxl_encode(
                    x, distance=distance, lossless=self.lossless, effort=self.effort, numthreads=cpus()
                )
            )
        return _declare_srgb(data) if wide else data

    @classmethod
    def backend(cls) -> str:
        """As imagecodecs has it."""
        return imagecodecs_backend("jpegxl")


def transcode_jpeg(data: bytes) -> bytes:
    """A JPEG file as a JPEG XL file about a fifth smaller, from which `restore_jpeg` gets every byte back.

    Raises:
        UsageError: `data` is no JPEG, or one that JPEG XL cannot hold (CMYK, arithmetic coding, 12 bits, damage).
    """
    import imagecodecs

    if bytes(data[:3]) != b"\xff\xd8\xff":
        raise UsageError(f"these {len(data)} bytes are no JPEG file: they do not begin with FF D8 FF")
    try:
        packed = bytes(imagecodecs.jpegxl_encode_jpeg(data, numthreads=cpus()))
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            "libjxl cannot transcode this JPEG; it takes whole baseline and progressive 8-bit files, "
            f"gray or YCbCr, without arithmetic coding ({error})"
        ) from error
    if restore_jpeg(packed) != data:
        raise UsageError("libjxl did not give this JPEG back byte for byte; keep the JPEG")
    return packed


def restore_jpeg(data: bytes) -> bytes:
    """The JPEG file that `transcode_jpeg` was given.

    Raises:
        BitstreamError: `data` is damaged, or a JPEG XL file that was not made from a JPEG.
    """
    import imagecodecs

    try:
        return bytes(imagecodecs.jpegxl_decode_jpeg(data, numthreads=cpus()))
    except (RuntimeError, ValueError) as error:
        raise BitstreamError(f"these bytes are not a JPEG XL file made from a JPEG ({error})") from error


@cache
def _linear_of_srgb() -> np.ndarray:
    """uint16 [65536]: IEC 61966-2-1 display value -> linear light. Its rounding costs less than 80 dB PSNR hides."""
    v = np.arange(65536) / 65535
    linear = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    table = np.rint(linear * 65535).astype(np.uint16)
    table.flags.writeable = False
    return table


def _as_linear(x: np.ndarray) -> np.ndarray:
    """uint16 display values -> linear light; alpha stays."""
    out = _linear_of_srgb()[x]
    if x.ndim == 3 and x.shape[2] in (2, 4):
        out[..., -1] = x[..., -1]
    return out


class _Bits:
    """A cursor over bits, lowest of each byte first, with the integer codes of ISO/IEC 18181-1 annex B."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

    def take(self, count: int) -> int:
        value = int.from_bytes(self.data[self.at // 8 : (self.at + count + 7) // 8], "little") >> self.at % 8
        self.at += count
        return value & (1 << count) - 1

    def u32(self, *choices: tuple[int, int]) -> int:
        """Two bits pick (offset, width)."""
        offset, width = choices[self.take(2)]
        return offset + self.take(width)

    def enum(self) -> int:
        return self.u32((0, 0), (1, 0), (2, 4), (18, 6))

    def bit_depth(self) -> None:
        if self.take(1):
            self.u32((32, 0), (16, 0), (24, 0), (1, 6))
            self.take(4)
        else:
            self.u32((8, 0), (10, 0), (12, 0), (1, 6))


def _codestream(data: bytes) -> int:
    """Where the code stream starts: at once, or in the first `jxlc` or `jxlp` box (18181-2)."""
    if data[:2] == b"\xff\x0a":
        return 0
    at = 0
    while data[at + 4 : at + 8] not in (b"jxlc", b"jxlp"):
        at += int.from_bytes(data[at : at + 4], "big")
    large = data[at : at + 4] == b"\0\0\0\1"  # a box of 4 GiB has its size in 8 more bytes
    return at + 8 + 8 * large + 4 * (data[at + 4 : at + 8] == b"jxlp")


def _declare_srgb(data: bytes) -> bytes:
    """The same file with the transfer function sRGB where libjxl was told linear (both codes are 6 bits long)."""
    bits = _Bits(data, 8 * _codestream(data) + 16)
    side = ((1, 9), (1, 13), (1, 18), (1, 30))
    small = bits.take(1)
    bits.take(5) if small else bits.u32(*side)  # height
    if bits.take(3) == 0:  # width; otherwise a fixed ratio
        bits.take(5) if small else bits.u32(*side)
    bits.take(2)  # all_default and extra_fields: both 0 for 16-bit samples from imagecodecs
    bits.bit_depth()
    bits.take(1)  # modular_16bit_buffers
    for _ in range(bits.u32((0, 0), (1, 0), (2, 4), (1, 12))):  # alpha
        if not bits.take(1):
            bits.enum()
            bits.bit_depth()
            bits.u32((0, 0), (3, 0), (4, 0), (1, 3))
            bits.u32((0, 0), (0, 4), (16, 5), (48, 10))  # length of the name: 0
            bits.take(1)
    bits.take(3)  # xyb_encoded; colour encoding: all_default 0, want_icc 0
    if bits.enum() == 0:  # RGB has primaries, gray has none
        bits.enum()
    bits.enum()
    bits.take(1)  # have_gamma: 0
    at = bits.at + 2  # behind the selector, four bits hold the transfer function - 2
    if bits.enum() != _LINEAR:
        raise AssertionError("libjxl's header does not have the transfer function where this version expects it")
    word = int.from_bytes(data[at // 8 : at // 8 + 2], "little")
    word = word & ~(15 << at % 8) | (_SRGB - 2) << at % 8
    return data[: at // 8] + word.to_bytes(2, "little") + data[at // 8 + 2 :]
