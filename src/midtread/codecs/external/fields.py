"""sz3, zfp, sperr, lerc: lossy codecs of scientific fields with a bound on the error of every value.

Each takes `max_error` in the units of the data, or, when that is 0, `max_error_of_range` relative to max - min of the
finite values. The libraries differ in what they cannot do; what is fenced here and why: docs/codecs.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import frexp
from typing import ClassVar

import numpy as np

from midtread.codecs.external.native import cpus, imagecodecs_backend
from midtread.codecs.external.peer import Peer, fold
from midtread.container import Reader
from midtread.errors import UsageError
from midtread.spec import Accepts, Knob, check_range

_FIELDS = ("float32", "float64")
_ZERO = 2048  # of the stored exponent


@dataclass(frozen=True)
class Bounded(Peer):
    """A peer with a bound on the absolute error."""

    accepts: ClassVar[Accepts] = Accepts(_FIELDS, finite=True)
    knob: ClassVar[Knob] = Knob("max_error_of_range", 1e-7, 0.3, "down", meaning="largest error / range", log=True)

    max_error: float = 0.0  # in the units of the data; 0: the other one counts
    max_error_of_range: float = 1e-3  # relative to max - min

    def __post_init__(self) -> None:
        check_range(self.name, "max_error", self.max_error, 0.0, float(np.finfo(np.float64).max))
        check_range(self.name, "max_error_of_range", self.max_error_of_range, 1e-7, 0.3)

    def bound(self, x: np.ndarray) -> float:
        """The absolute bound for this array."""
        if self.max_error:
            return float(self.max_error)
        finite = x[np.isfinite(x)]
        if not finite.size:
            return 0.0
        # Two products: the range of float64 values may be no float64.
        return self.max_error_of_range * float(finite.max()) - self.max_error_of_range * float(finite.min())

    def tight_bound(self, x: np.ndarray) -> tuple[float, float]:
        """(bound less what rounding the decoded value may add, largest magnitude). Raises UsageError when that is none.

        The libraries hold the bound before they round to the type of the values; the last half unit is ours to give.
        """
        bound, largest = self.bound(x), float(np.abs(x).max())
        unit = float(np.spacing(np.nextafter(x.dtype.type(largest), x.dtype.type(0))))
        if not bound > unit:
            raise UsageError(
                f"codec {self.name!r}: a bound of {bound:g} is not above {unit:g}, the precision of {x.dtype} at the "
                f"largest value, {largest:g}; allow more, mask fill values, or keep every bit with codec 'floats'"
            )
        return bound - unit / 2, largest

    @classmethod
    def backend(cls) -> str:
        """As imagecodecs has it."""
        return imagecodecs_backend(cls.name)


@dataclass(frozen=True)
class Sz3(Bounded):
    """SZ3: interpolation or Lorenzo prediction, Huffman, zstd. Keeps NaN and infinities."""

    name: ClassVar[str] = "sz3"
    summary: ClassVar[str] = "SZ3, error-bounded prediction of fields; keeps NaN"
    accepts: ClassVar[Accepts] = Accepts(_FIELDS)

    def _encode(self, x: np.ndarray) -> tuple[bytes, bytes]:
        import imagecodecs

        return b"", bytes(imagecodecs.sz3_encode(x.reshape(fold(x.shape, 4)), mode="abs", abs=self.bound(x)))

    def _decode(self, payload: bytes, shape: tuple[int, ...], dtype: np.dtype, extra: Reader) -> np.ndarray:
        import imagecodecs

        return imagecodecs.sz3_decode(payload, fold(shape, 4), dtype)


class _Scaled(Bounded):
    """A peer that fails where values are far from 1: it sees them times a power of two, largest in [0.5, 1)."""

    def _scaled(self, x: np.ndarray) -> tuple[np.ndarray, float, int]:
        """(scaled values, scaled bound, exponent)."""
        bound, largest = self.tight_bound(x)
        exponent = frexp(largest)[1]
        return np.ldexp(x, -exponent), float(np.ldexp(bound, -exponent)), exponent


def _exponent_bytes(exponent: int) -> bytes:
    return (exponent + _ZERO).to_bytes(2, "little")


def _unscaled(x: np.ndarray, extra: Reader) -> np.ndarray:
    """Undo the scaling; what would round to infinity is the largest finite value."""
    exponent = extra.uint(2, "exponent", at_most=2 * _ZERO) - _ZERO
    largest = np.finfo(x.dtype).max
    with np.errstate(over="ignore", under="ignore"):
        return np.clip(np.ldexp(x, exponent), -largest, largest)


@dataclass(frozen=True)
class Zfp(_Scaled):
    """zfp in its fixed-accuracy mode: blocks of 4**d values, a transform, bit planes. Real errors are far below."""

    name: ClassVar[str] = "zfp"
    summary: ClassVar[str] = "zfp, fixed-accuracy mode; finite values"

    def _encode(self, x: np.ndarray) -> tuple[bytes, bytes]:
        import imagecodecs

        scaled, bound, exponent = self._scaled(x)
        payload = imagecodecs.zfp_encode(
            scaled.reshape(fold(x.shape, 4)),
            bound,  # type: ignore[arg-type]  # it takes fractions in this mode
            mode=imagecodecs.ZFP.MODE.FIXED_ACCURACY,
            numthreads=cpus(),
        )
        return _exponent_bytes(exponent), bytes(payload)

    def _decode(self, payload: bytes, shape: tuple[int, ...], dtype: np.dtype, extra: Reader) -> np.ndarray:
        import imagecodecs

        return _unscaled(imagecodecs.zfp_decode(payload), extra)


@dataclass(frozen=True)
class Sperr(_Scaled):
    """SPERR: wavelets, SPECK and a list of outliers. 2-D and 3-D; other ranks are folded."""

    name: ClassVar[str] = "sperr"
    summary: ClassVar[str] = "SPERR, wavelets with a pointwise bound; finite values"

    def _encode(self, x: np.ndarray) -> tuple[bytes, bytes]:
        import imagecodecs

        scaled, bound, exponent = self._scaled(x)
        # An axis of length 1 in a volume aborts the process.
        folded = np.ascontiguousarray(scaled).reshape(fold(x.shape, 3, least=2, squeeze=True))
        payload = imagecodecs.sperr_encode(folded, bound, mode=imagecodecs.SPERR.MODE.PWE, numthreads=cpus())
        return _exponent_bytes(exponent), bytes(payload)

    def _decode(self, payload: bytes, shape: tuple[int, ...], dtype: np.dtype, extra: Reader) -> np.ndarray:
        import imagecodecs

        return _unscaled(imagecodecs.sperr_decode(payload, numthreads=cpus()), extra)


@dataclass(frozen=True)
class Lerc(Bounded):
    """LERC: blocks of 8 x 8 quantized to the bound and packed; zstd behind it. Bands of 2-D."""

    name: ClassVar[str] = "lerc"
    summary: ClassVar[str] = "LERC + zstd, blocks quantized to the bound; finite values"

    def _encode(self, x: np.ndarray) -> tuple[bytes, bytes]:
        import imagecodecs

        bound, _ = self.tight_bound(x)
        folded = x.reshape(fold(x.shape, 3, least=2, squeeze=True))
        return b"", bytes(imagecodecs.lerc_encode(folded, bound, compression="zstd"))

    def _decode(self, payload: bytes, shape: tuple[int, ...], dtype: np.dtype, extra: Reader) -> np.ndarray:
        import imagecodecs

        return imagecodecs.lerc_decode(payload)
