"""What a codec is, what a metric is, and the few facts about signals that every room shares.

A picture is a C-contiguous array, gray [H, W] or interleaved [H, W, C] with C = 2 (gray + alpha), 3 (RGB) or
4 (RGBA, straight alpha). uint8 and uint16 samples use their full scale (white = 255 or 65535); float samples are
linear or display values as the file had them, white = 1.0. With more channels they are bands that mean themselves.

A tensor is an array of any rank, empty ones and single numbers (0-d) included: a field, a model's weights. Its values
mean themselves: nothing rescales them.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, Literal

import numpy as np

from midtread.errors import LimitError, MissingError, UnknownNameError, UsageError
from midtread.registry import CODECS, nearest

FLOATS = ("float16", "bfloat16", "float32", "float64")
INTEGERS = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """How much outside bytes may ask for. Checked before anything is allocated; raise them to open bigger files."""

    max_elements: int = 2**29  # samples of one array: 536 million, a 178-megapixel RGB picture
    max_chunks: int = 2**20
    max_nesting: int = 8

    def check_shape(self, shape: tuple[int, ...], what: str) -> None:
        """Raise LimitError when an array of `shape` has more elements than allowed."""
        elements = 1
        for size in shape:
            elements *= max(size, 1)  # an empty array may still have sides that break somebody's arithmetic
        if elements > self.max_elements:
            text = " x ".join(map(str, shape))
            raise LimitError(
                f"{what} claims {text} = {elements} samples, more than the {self.max_elements} allowed; "
                "pass limits=Limits(max_elements=...) or --max-elements to allow more"
            )


@dataclasses.dataclass(frozen=True, slots=True)
class Knob:
    """The option of a codec that trades size for quality."""

    option: str  # name of the codec's field
    low: float
    high: float
    finer: Literal["up", "down"]  # which way the quality (and the size) rises
    integer: bool = False
    meaning: str = ""  # one line, with the unit
    log: bool = False  # a step or distance: equal ratios, not equal differences, are equal steps of quality

    def at(self, quality: float) -> float:
        """The value at `quality` in [0, 1], 0 the coarsest end and 1 the finest."""
        low, high = (self.low, self.high) if self.finer == "up" else (self.high, self.low)
        value = low * (high / low) ** quality if self.log else low + (high - low) * quality
        return float(round(value)) if self.integer else float(value)


@dataclasses.dataclass(frozen=True, slots=True)
class Accepts:
    """Which arrays a codec takes: dtypes by name; channels of pictures (1 stands for gray [H, W]), ranks of tensors."""

    dtypes: tuple[str, ...] = ("uint8",)
    channels: tuple[int, ...] = (1, 3)
    but_not: tuple[tuple[str, int], ...] = ()  # pairs of the two that do not go together
    ranks: tuple[int, int] = (0, 15)  # fewest and most axes of a tensor
    finite: bool = False  # no NaN and no infinities in a tensor; pictures never have them
    empty: bool = True  # tensors without values


# How the numbers of a network are multiplied: as floats, or as integers with an int32 sum.
PRECISIONS = ("fp32", "fp16", "bf16", "fp8", "int8")


@dataclasses.dataclass(frozen=True, slots=True)
class StageCost:
    """What one stage of a network costs. A MAC is one multiplication with its addition."""

    stage: str  # as `stage` marks it, where its time is measured
    macs_per_pixel: float  # of the picture; of one whose sides need no padding
    precision: str = "fp32"  # in which they run, one of PRECISIONS

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            known = ", ".join(map(repr, PRECISIONS))
            raise UsageError(f"stage {self.stage!r} has precision={self.precision!r}; it takes {known}")


@dataclasses.dataclass(frozen=True, slots=True)
class Complexity:
    """What the network of a codec costs with its options: counted when the model was frozen, and read from there."""

    parameters: int  # of encoder and decoder
    weights_bytes: int  # of the files that hold them
    encode: tuple[StageCost, ...]  # in the order in which they run
    decode: tuple[StageCost, ...]

    @property
    def encode_macs_per_pixel(self) -> float:
        """MACs of all stages of `encode`."""
        return sum(cost.macs_per_pixel for cost in self.encode)

    @property
    def decode_macs_per_pixel(self) -> float:
        """MACs of all stages of `decode`."""
        return sum(cost.macs_per_pixel for cost in self.decode)


class Codec(ABC):
    """An array in, a complete file out, and back; subclasses are frozen dataclasses whose fields are the options.

    `encode` returns a whole self-describing file: the native format of `native`, or a midtread container. `decode`
    needs those bytes only, never the options. Both leave their argument untouched, keep no state, and may be called
    from several threads.
    """

    name: ClassVar[str]
    summary: ClassVar[str]  # one line for `midtread list`
    signal: ClassVar[Literal["picture", "tensor"]] = "picture"  # what it takes; decides which half of `accepts` counts
    family: ClassVar[str] = "conventional"
    accepts: ClassVar[Accepts] = Accepts()
    knob: ClassVar[Knob | None] = None
    native: ClassVar[str | None] = None  # name of the native format in `midtread.media`; None: a midtread file
    needs: ClassVar[tuple[tuple[str, str], ...]] = ()  # (module, install line) beyond the base install
    fragile: ClassVar[bool] = False  # hostile bytes can crash its decoder: the front door runs it in a helper process

    @abstractmethod
    def encode(self, x: np.ndarray) -> bytes:
        """Compress a picture or tensor. Raises UsageError for an array this codec does not take."""

    @abstractmethod
    def decode(self, data: bytes) -> np.ndarray:
        """Decompress what `encode` of this class wrote. Raises BitstreamError or LimitError."""

    def pieces(self, x: np.ndarray, progress: Callable[[float], None] | None = None) -> Iterator[bytes | memoryview]:
        """The bytes of `encode`, one piece after the other; each is valid until the next is asked for.

        Args:
            x: as for `encode`.
            progress: called with the part that is done, 0 to 1, now and then, by codecs that work piece by piece.
        """
        yield self.encode(x)

    def decode_within(self, data: bytes, limits: Limits) -> np.ndarray:
        """`decode` under the caller's limits, for codecs that know them; for the others theirs hold, too."""
        return self.decode(data)

    def decode_part(
        self, data: bytes, *, scale: float = 1.0, region: tuple[int, int, int, int] | None = None,
        limits: Limits = Limits(),
    ) -> np.ndarray:  # fmt: skip
        """The picture at another size, or a region (top, left, height, width) of that, without decoding all of it.

        Raises UsageError: this codec cannot, or not so; BitstreamError, LimitError as `decode`.
        """
        raise UsageError(f"codec {self.name!r} decodes whole pictures at their own size; resize or crop the result")

    @classmethod
    def backend(cls) -> str:
        """Library and version that does the work, as in 'libwebp 1.6.0'."""
        return "midtread"

    @property
    def lossless(self) -> bool:
        """Whether decode(encode(x)) equals x with these options."""
        return False

    @property
    def chroma(self) -> str:
        """Chroma format with these options: '4:4:4', '4:2:0', ..."""
        return "4:4:4"

    def aim(self, x: np.ndarray, option: str, wanted: float) -> dict[str, Any]:
        """Options, the knob among them, that are likely to reach a goal, where that can be told without encoding.

        A search begins there and turns the knob only. option: "rate_bpp", "size_bytes", "psnr_db" or "max_error".
        """
        return {}

    def complexity(self) -> Complexity | None:
        """What the network of a learned codec costs with these options; None: there is no network."""
        return None

    def check(self, x: np.ndarray) -> np.ndarray:
        """Return `x` contiguous and in native byte order, or raise UsageError that says what is wrong with it."""
        check = check_tensor if self.signal == "tensor" else check_picture
        return check(x, f"codec {self.name!r}", self.accepts)


def missing(needs: tuple[tuple[str, str], ...]) -> str | None:
    """The install line of the first of `needs` (module, install line) that is not installed here, or None."""
    for module, line in needs:
        if importlib.util.find_spec(module) is None:
            return line
    return None


def open_codec(name: str, /, **options: Any) -> Codec:
    """A codec by name, its options checked.

    Raises:
        UnknownNameError: no such codec or option; the message names the nearest.
        MissingError: the codec is known but its backend is not installed.
        UsageError: an option has a value it cannot take.
    """
    cls: type[Codec] = CODECS.get(name)
    known = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for option in options:
        if option not in known:
            takes = nearest(option, known) if known else "; it takes none"
            raise UnknownNameError(f"codec {name!r} has no option {option!r}{takes}")
    if line := missing(cls.needs):
        raise MissingError(f"codec {name!r} is not installed here; install it with: {line}")
    return cls(**options)


def check_choice(codec: str, option: str, value: object, allowed: tuple[Any, ...]) -> None:
    """Raise UsageError when `value` is not one of `allowed`."""
    if value not in allowed or isinstance(value, bool) != isinstance(allowed[0], bool):
        raise UsageError(f"codec {codec!r}: {option}={value!r}; it takes {', '.join(map(repr, allowed))}")


def check_range(codec: str, option: str, value: object, low: float, high: float, *, integer: bool = False) -> None:
    """Raise UsageError when `value` is not a number in [low, high] (NaN is not)."""
    kind = int if integer else (int, float)
    if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
        what = "a whole number" if integer else "a number"
        raise UsageError(f"codec {codec!r}: {option}={value!r}; it takes {what} from {low:g} to {high:g}")


def check_picture(x: np.ndarray, who: str, accepts: Accepts) -> np.ndarray:
    """Return `x` C-contiguous in native byte order, or raise UsageError: what, where, got, allowed, what to do."""
    if not isinstance(x, np.ndarray):
        raise UsageError(f"{who} takes a NumPy array, got {type(x).__name__}; convert it with numpy.asarray")
    if x.ndim not in (2, 3) or (x.ndim == 3 and x.shape[2] not in accepts.channels) or 0 in x.shape:
        many = accepts.channels[1:] if len(accepts.channels) < 6 else (f"2 to {accepts.channels[-1]}",)
        shapes = " or ".join("[H, W]" if c == 1 else f"[H, W, {c}]" for c in (accepts.channels[0], *many))
        raise UsageError(f"{who} takes pictures of shape {shapes} with H, W >= 1, got {list(x.shape)}")
    if x.ndim == 2 and 1 not in accepts.channels:
        raise UsageError(f"{who} takes no gray pictures, got shape {list(x.shape)}; stack the plane three times")
    if x.dtype.name not in accepts.dtypes:
        raise UsageError(f"{who} takes {' or '.join(accepts.dtypes)} samples, got {x.dtype.name}")
    if (x.dtype.name, 1 if x.ndim == 2 else x.shape[2]) in accepts.but_not:
        kind = "gray" if x.ndim == 2 else f"{x.shape[2]}-channel"
        raise UsageError(f"{who} takes no {kind} pictures of {x.dtype.name} samples; shape {list(x.shape)}")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
        raise UsageError(f"{who} takes finite samples only; sample {where} is {x[where]}")
    return np.ascontiguousarray(x, dtype=x.dtype.newbyteorder("="))


_INSTEAD = {  # what to do with the kinds of dtypes that hold something else than real numbers
    "c": "; view it as pairs of floats: x.view(x.real.dtype)",
    "M": "; view it as whole numbers: x.view('int64')",
    "m": "; view it as whole numbers: x.view('int64')",
    "O": "; Python objects have no fixed size: convert them, as with x.astype(float)",
}


def check_tensor(x: np.ndarray, who: str, accepts: Accepts) -> np.ndarray:
    """Return `x` C-contiguous, aligned, in native byte order and with its rank, or raise UsageError.

    Native code must never see anything else: libraries take foreign strides and byte orders for theirs, without a word.
    """
    if not isinstance(x, np.ndarray):
        raise UsageError(f"{who} takes a NumPy array, got {type(x).__name__}; convert it with numpy.asarray")
    if isinstance(x, np.ma.MaskedArray):
        raise UsageError(f"{who} would lose the mask of a masked array; put a value in its place with x.filled(value)")
    if x.dtype.name not in accepts.dtypes:
        instead = _INSTEAD.get(x.dtype.kind, "")
        raise UsageError(f"{who} takes values of {', '.join(accepts.dtypes)}; got {x.dtype.name}{instead}")
    low, high = accepts.ranks
    if not low <= x.ndim <= high:
        raise UsageError(f"{who} takes arrays of {low} to {high} axes, got shape {list(x.shape)}; reshape it")
    if x.size == 0 and not accepts.empty:
        raise UsageError(f"{who} takes arrays with at least one value, got shape {list(x.shape)}")
    if accepts.finite and x.dtype.name in FLOATS and not (finite := np.isfinite(x)).all():
        where = tuple(int(i) for i in np.unravel_index(int(np.argmin(finite)), x.shape))
        raise UsageError(
            f"{who} takes finite values only; the value at {where} is {x[where]}; "
            "replace it, or use a codec that keeps it, such as 'floats'"
        )
    x = np.asarray(x, dtype=x.dtype.newbyteorder("="), order="C")
    return x if x.flags.aligned and x.strides == np.empty(x.shape, x.dtype).strides else x.copy()


def dtype_of(name: str) -> np.dtype:
    """The NumPy dtype of a name that a midtread file holds. Raises MissingError for bfloat16 without ml_dtypes."""
    if name == "bfloat16":
        if importlib.util.find_spec("ml_dtypes") is None:
            raise MissingError("bfloat16 arrays need the package ml_dtypes; install it with: pip install ml_dtypes")
        importlib.import_module("ml_dtypes")  # teaches NumPy the name
    return np.dtype(name)


def full_scale(dtype: np.dtype) -> float:
    """White: 255, 65535, or 1.0 for float samples."""
    return float(np.iinfo(dtype).max) if dtype.kind in "ui" else 1.0


def to_dtype(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The same picture with samples of `dtype`: rescaled to its full scale, rounded to nearest, clipped."""
    dtype = np.dtype(dtype)
    if x.dtype == dtype:
        return x
    scaled = x.astype(np.float64) * (full_scale(dtype) / full_scale(x.dtype))
    if dtype.kind in "ui":
        scaled = np.clip(np.rint(scaled), 0, full_scale(dtype))
    return scaled.astype(dtype)


@dataclasses.dataclass(frozen=True, slots=True)
class Metric:
    """A distance between a picture or tensor and its reconstruction."""

    name: str  # with its unit: "psnr_db"
    label: str  # for people: "PSNR (RGB)"
    better: Literal["higher", "lower"]
    measure: Callable[[np.ndarray, np.ndarray], float]  # (x, x_hat) of one shape and dtype -> value
    recipe: str  # colour space, window, scale, averaging: what somebody needs to reproduce the number
    unit: str = ""
    signal: Literal["picture", "tensor", "any"] = "picture"  # what it means something for
    missing: Callable[[], str | None] = lambda: None  # why it cannot run here and what to do, or None

    def __call__(self, x: np.ndarray, x_hat: np.ndarray) -> float:
        """Measure. Raises UsageError when shapes or dtypes differ, MissingError when it cannot run here."""
        if x.shape != x_hat.shape or x.dtype != x_hat.dtype:
            raise UsageError(
                f"metric {self.name!r} compares arrays of one shape and dtype, "
                f"got {list(x.shape)} {x.dtype} and {list(x_hat.shape)} {x_hat.dtype}"
            )
        if why := self.missing():
            raise MissingError(f"metric {self.name!r} cannot run here: {why}")
        return float(self.measure(x, x_hat))


_listener: ContextVar[Callable[[str, bool], None] | None] = ContextVar("midtread_stage_listener", default=None)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Mark a stage of a codec ("analysis", "entropy", ...) so that the bench can time it; costs nothing otherwise."""
    listener = _listener.get()
    if listener is None:
        yield
        return
    listener(name, True)
    try:
        yield
    finally:
        listener(name, False)


@contextmanager
def listen_to_stages(listener: Callable[[str, bool], None]) -> Iterator[None]:
    """Call `listener(name, entering)` at every stage border of what runs inside (same thread)."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


_notes: ContextVar[dict[str, float] | None] = ContextVar("midtread_notes", default=None)


def note(**numbers: float | Callable[[], float]) -> None:
    """Tell the bench a number about the file being made, as in `note(ideal_bytes=...)`; numbers of one name add up.

    Known names: `ideal_bytes`, the code length -sum log2 p / 8 of every symbol under the model that coded it: what a
    perfect coder would have written. A number that takes time to compute comes as a function: it is called only when
    somebody listens.
    """
    notes = _notes.get()
    if notes is not None:
        for name, value in numbers.items():
            notes[name] = notes.get(name, 0.0) + (value() if callable(value) else value)


@contextmanager
def collect_notes() -> Iterator[dict[str, float]]:
    """What is noted inside (same thread), by name."""
    notes: dict[str, float] = {}
    token = _notes.set(notes)
    try:
        yield notes
    finally:
        _notes.reset(token)
