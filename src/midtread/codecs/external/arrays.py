"""pcodec, blosc2, zstd: lossless; bitround: mantissas shortened to a bound, then zstd. Arrays of any rank."""

from __future__ import annotations

from dataclasses import dataclass
from math import frexp, prod
from typing import ClassVar

import numpy as np

from midtread.codecs.external.fields import Bounded
from midtread.codecs.external.native import cpus, imagecodecs_backend
from midtread.codecs.external.peer import Peer
from midtread.container import Reader
from midtread.errors import BitstreamError
from midtread.spec import FLOATS, INTEGERS, Accepts, check_choice, check_range

_MANTISSA_BITS = {"float16": 10, "bfloat16": 7, "float32": 23, "float64": 52}
_LEAST_EXPONENT = {"float16": -13, "bfloat16": -125, "float32": -125, "float64": -1021}  # frexp's of a normal number


@dataclass(frozen=True)
class Pcodec(Peer):
    """pcodec: bins and deltas of numbers in sequence; sees no axes."""

    name: ClassVar[str] = "pcodec"
    summary: ClassVar[str] = "pcodec, lossless numbers in sequence"
    accepts: ClassVar[Accepts] = Accepts(("float16", "float32", "float64", *INTEGERS))

    level: int = 8  # 0 to 12

    def __post_init__(self) -> None:
        check_range(self.name, "level", self.level, 0, 12, integer=True)

    def _encode(self, x: np.ndarray) -> tuple[bytes, bytes]:
        import imagecodecs

        return b"", bytes(imagecodecs.pcodec_encode(x.reshape(-1), self.level))

    def _decode(self, payload: bytes, shape: tuple[int, ...], dtype: np.dtype, extra: Reader) -> np.ndarray:
        import imagecodecs

        return imagecodecs.pcodec_decode(payload, (prod(shape),), dtype)

    @property
    def lossless(self) -> bool:
        """Always."""
        return True

    @classmethod
    def backend(cls) -> str:
        """As imagecodecs has it."""
        return imagecodecs_backend("pcodec")


@dataclass(frozen=True)
class Blosc2(Peer):
    """Blosc2: bytes or bits of a block's numbers sorted by weight, then a fast compressor."""

    name: ClassVar[str] = "blosc2"
    summary: ClassVar[str] = "Blosc2, lossless: shuffle and zstd, LZ4 or BloscLZ in blocks"
    accepts: ClassVar[Accepts] = Accepts((*FLOATS, *INTEGERS, "bool"))

    compressor: str = "zstd"
    shuffle: str = "shuffle"
    level: int = 5  # 1 to 9

    def __post_init__(self) -> None:
        check_choice(self.name, "compressor", self.compressor, ("zstd", "lz4", "lz4hc", "zlib", "blosclz"))
        check_choice(self.name, "shuffle", self.shuffle, ("shuffle", "bitshuffle", "noshuffle"))
        check_range(self.name, "level", self.level, 1, 9, integer=True)

    def _encode(self, x: np.ndarray) -> tuple[bytes, bytes]:
        import imagecodecs

        data = imagecodecs.blosc2_encode(
            x.reshape(-1).view(np.uint8).data,  # type: ignore[arg-type]  # any buffer will do
            self.level,
            compressor=self.compressor,
            shuffle="nofilter" if self.shuffle == "noshuffle" else self.shuffle,
            typesize=x.dtype.itemsize,
            numthreads=cpus(),
        )
        return b"", bytes(data)

    def _decode(self, payload: bytes, shape: tuple[int, ...], dtype: np.dtype, extra: Reader) -> np.ndarray:
        import imagecodecs

        out = np.empty(prod(shape), dtype)  # room that no header can argue with
        data = imagecodecs.blosc2_decode(payload, numthreads=cpus(), out=out.view(np.uint8).data)
        if len(data) != out.nbytes:
            raise BitstreamError(f"the payload holds {len(data)} bytes, the array has {out.nbytes}")
        return out

    @property
    def lossless(self) -> bool:
        """Always."""
        return True

    @classmethod
    def backend(cls) -> str:
        """As imagecodecs has it."""
        return imagecodecs_backend("blosc2")


@dataclass(frozen=True)
class Zstd(Peer):
    """zstd on the array's bytes, or on all lowest bytes, then all second ones, and so on."""

    name: ClassVar[str] = "zstd"
    summary: ClassVar[str] = "zstd, lossless: the bytes as they are, or shuffled"
    accepts: ClassVar[Accepts] = Accepts((*FLOATS, *INTEGERS, "bool"))
    fragile: ClassVar[bool] = False

    level: int = 3  # 1 to 22
    shuffle: bool = False

    def __post_init__(self) -> None:
        check_range(self.name, "level", self.level, 1, 22, integer=True)
        check_choice(self.name, "shuffle", self.shuffle, (True, False))

    def _encode(self, x: np.ndarray) -> tuple[bytes, bytes]:
        return bytes([self.shuffle]), _compress(x, self.level, self.shuffle)

    def _decode(self, payload: bytes, shape: tuple[int, ...], dtype: np.dtype, extra: Reader) -> np.ndarray:
        return _decompress(payload, shape, dtype, bool(extra.uint(1, "shuffle", at_most=1)))

    @property
    def lossless(self) -> bool:
        """Always."""
        return True

    @classmethod
    def backend(cls) -> str:
        """The library behind the package zstandard."""
        return _zstd_version()


@dataclass(frozen=True)
class BitRound(Bounded):
    """Mantissas rounded to the fewest bits, the same for all values, that keep the bound; then shuffle and zstd.

    Source: Kloewer et al., "Compressing atmospheric data into its real information content", Nature Comp. Sci. 1, 2021.
    """

    name: ClassVar[str] = "bitround"
    summary: ClassVar[str] = "mantissas rounded to a bound, shuffle, zstd; keeps NaN"
    accepts: ClassVar[Accepts] = Accepts(FLOATS)
    fragile: ClassVar[bool] = False

    level: int = 3  # of zstd, 1 to 22

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self.name, "level", self.level, 1, 22, integer=True)

    def _encode(self, x: np.ndarray) -> tuple[bytes, bytes]:
        bits = _MANTISSA_BITS[x.dtype.name]
        finite = np.isfinite(x)
        bound, largest = self.bound(x), float(np.abs(x[finite]).max(initial=0))
        # Values below 2**e with k bits behind the point are off by 2**(e - 2 - k) at most.
        e = max(frexp(largest)[1], _LEAST_EXPONENT[x.dtype.name])
        kept = bits if bound <= 0 else e - 1 - frexp(bound)[1]
        rounded = round_mantissas(x, min(max(kept, 0), bits))
        return b"", _compress(rounded, self.level, shuffle=True)

    def _decode(self, payload: bytes, shape: tuple[int, ...], dtype: np.dtype, extra: Reader) -> np.ndarray:
        return _decompress(payload, shape, dtype, shuffled=True)

    @classmethod
    def backend(cls) -> str:
        """The library behind the package zstandard."""
        return _zstd_version()


def round_mantissas(x: np.ndarray, kept: int) -> np.ndarray:
    """Round to `kept` bits of mantissa, ties to even; NaN, infinities and what would become infinite stay."""
    bits = x.view(f"u{x.dtype.itemsize}")
    drop = _MANTISSA_BITS[x.dtype.name] - kept
    if drop == 0:
        return x
    one, shift = bits.dtype.type(1), bits.dtype.type(drop)
    half = (one << shift - one) - one
    with np.errstate(over="ignore"):
        rounded = ((bits + half + (bits >> shift & one)) >> shift << shift).view(x.dtype)
    return np.where(np.isfinite(x) & np.isfinite(rounded), rounded, x)


def _compress(x: np.ndarray, level: int, shuffle: bool) -> bytes:
    import zstandard

    raw = x.reshape(-1).view(np.uint8)
    if shuffle:
        raw = np.ascontiguousarray(raw.reshape(-1, x.dtype.itemsize).T).reshape(-1)
    return zstandard.ZstdCompressor(level=level).compress(raw.data)


def _decompress(payload: bytes, shape: tuple[int, ...], dtype: np.dtype, shuffled: bool) -> np.ndarray:
    import zstandard

    size = prod(shape) * dtype.itemsize
    claimed = zstandard.frame_content_size(payload)
    if claimed != size:
        raise BitstreamError(f"the zstd frame claims {claimed} bytes, the array has {size}")
    raw = np.frombuffer(zstandard.ZstdDecompressor().decompress(payload, allow_extra_data=False), np.uint8)
    if shuffled:
        raw = np.ascontiguousarray(raw.reshape(dtype.itemsize, -1).T)
    return raw.reshape(-1).view(dtype)


def _zstd_version() -> str:
    import zstandard

    return f"libzstd {'.'.join(map(str, zstandard.ZSTD_VERSION))} (zstandard {zstandard.__version__})"
