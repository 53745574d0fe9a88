"""floats: numbers of any type, every bit kept.

    numbers ─► residual: sign below, exponent on top │ byte planes ─► rANS, or as they are ─► chunks
               or: difference to the number before
               or: difference to a base array

Exponents repeat, the lower bits of a mantissa are noise: a plane that saves nothing is stored as it is. File layout:
docs/formats/floats.md.
"""

from __future__ import annotations

import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar, Literal

import numpy as np

from midtread import container
from midtread.codecs.tensor import floats_planes as planes
from midtread.container import Header, Parts, Reader, varint
from midtread.container.file import Tag, shape_and_dtype
from midtread.container.reader import crc32
from midtread.errors import BitstreamError, CodecError, MissingError, TruncatedError, UsageError
from midtread.spec import (
    FLOATS,
    INTEGERS,
    Accepts,
    Codec,
    Limits,
    check_choice,
    check_range,
    check_tensor,
    dtype_of,
    stage,
)  # fmt: skip

VERSION = 1
CHUNK_BYTES = 1 << 22  # of the array; what a reader of a few numbers has to decode
_LARGE = 1 << 23  # bytes; chunks of larger arrays are twice as long, which makes encoding 12 % faster
BITS, PREVIOUS, XOR, DIFFERENCE = range(4)  # kinds of residuals
_GAIN = 0.98  # a difference has to beat the bits themselves by so much: it takes longer to undo

ACCEPTS = Accepts((*FLOATS, *INTEGERS, "bool", "complex64", "complex128"))


@dataclass(frozen=True)
class Floats(Codec):
    """decode(encode(x)) has every bit of x, NaN payloads and negative zeros included."""

    name: ClassVar[str] = "floats"
    summary: ClassVar[str] = "lossless: byte planes of sign, exponent and mantissa, rANS per plane; any dtype and shape"
    signal: ClassVar = "tensor"
    family: ClassVar[str] = "lossless"
    accepts: ClassVar[Accepts] = ACCEPTS

    threads: int = 1  # chunks at a time; the bytes do not depend on it

    def __post_init__(self) -> None:
        check_range(self.name, "threads", self.threads, 1, 1024, integer=True)

    def encode(self, x: np.ndarray) -> bytes:
        """An array of any rank -> a midtread file."""
        return encode(x, threads=self.threads)

    def encode_against(self, x: np.ndarray, base: np.ndarray) -> bytes:
        """The difference to `base`, an array of the same shape and dtype, where that is smaller."""
        return encode(x, base, threads=self.threads)

    def decode(self, data: bytes) -> np.ndarray:
        """What `encode` wrote -> the array. Raises BitstreamError or LimitError."""
        return decode(data, threads=self.threads)

    def decode_against(self, data: bytes, base: np.ndarray, limits: Limits = Limits()) -> np.ndarray:
        """What `encode_against` wrote -> the array. Raises MissingError, too: `base` is another one."""
        return decode(data, base, limits=limits, threads=self.threads)

    def decode_within(self, data: bytes, limits: Limits) -> np.ndarray:
        """The same for arrays that `limits` allow."""
        return decode(data, limits=limits, threads=self.threads)

    @property
    def lossless(self) -> bool:
        """Always."""
        return True


def encode(x: np.ndarray, base: np.ndarray | None = None, *, threads: int = 1) -> bytes:
    """Compress an array of any rank into a midtread file.

    Args:
        x: floating-point or complex numbers, integers or booleans.
        base: an array of the same shape and dtype that whoever decodes has too, such as an earlier checkpoint; then
            the difference is stored where that is smaller.
        threads: chunks at a time.

    Raises:
        UsageError: another dtype, or a base of another shape or dtype.
    """
    x = check_tensor(x, "codec 'floats'", ACCEPTS)
    if base is not None:
        base = _checked_base(base, x.shape, x.dtype)
    bits, number = _bits(x), _number(x.dtype)
    base_bits = None if base is None else _bits(base)
    step = max(1, CHUNK_BYTES * (2 if x.nbytes > _LARGE else 1) // bits.itemsize)
    scratch = _Scratch(min(step, bits.size), bits.dtype)

    def job(start: int) -> list[bytes | memoryview]:
        part = slice(start, start + step)
        pieces = _encode_chunk(bits[part], None if base_bits is None else base_bits[part], number, scratch)
        return pieces if threads == 1 else [b"".join(pieces)]  # with threads, the next chunk does not wait for this one

    starts = range(0, bits.size, step)
    parameters = bytes([VERSION]) + varint(step) + (b"\0" if base is None else b"\1" + _digest(base))
    payloads = (Parts(Tag.PAYLOAD, parts) for parts in _map(job, starts, threads))
    shape, dtype = shape_and_dtype(x)
    header = Header(Floats.name, dtype, shape, 1 + len(starts))
    chunks = chain([Parts(Tag.PARAMETERS, [parameters])], payloads)
    return container.write_each(header, chunks, x.nbytes + x.nbytes // 1000 + 1000)


def decode(
    data: bytes | memoryview,
    base: np.ndarray | None = None,
    *,
    limits: Limits = Limits(),
    threads: int = 1,
    errors: Literal["raise", "mask"] = "raise",
) -> np.ndarray:
    """What `encode` was given.

    Args:
        data: a whole file.
        base: the base it was encoded with.
        limits: checked before anything is allocated.
        threads: chunks at a time.
        errors: "mask" returns a masked array, in which what damaged or missing chunks held is 0 and masked, and warns
            with their numbers.

    Raises:
        BitstreamError, LimitError: damaged bytes (with "mask": only where header or parameters are), or of something
            else.
        MissingError: the file holds the difference to a base, and `base` is none or another one.
    """
    check_choice("floats", "errors", errors, ("raise", "mask"))
    source = _Source(data, base, limits, cut=errors == "mask")
    damaged: list[int] | None = [] if errors == "mask" else None
    x = source.values(0, source.size, threads, damaged).reshape(source.header.shape)
    if damaged is None:
        return x
    mask = np.zeros((source.size, source.parts), bool)
    for chunk in damaged:
        mask.reshape(-1)[chunk * source.step : (chunk + 1) * source.step] = True
    if damaged:
        many = ", ".join(map(str, sorted(damaged)[:20])) + (" ..." if len(damaged) > 20 else "")
        warnings.warn(
            f"{len(damaged)} of {source.chunks} payloads of this floats file are masked: {many}", stacklevel=2
        )
    return np.ma.MaskedArray(x, mask.any(axis=1).reshape(x.shape))


def decode_part(
    data: bytes | memoryview,
    start: int,
    stop: int,
    base: np.ndarray | None = None,
    *,
    limits: Limits = Limits(),
    threads: int = 1,
) -> np.ndarray:
    """Values start to stop of the flattened array; only the chunks that hold them are read. Raises as `decode`."""
    source = _Source(data, base, limits)
    if not 0 <= start <= stop <= source.size:
        raise UsageError(f"this file holds {source.size} values, asked for {start} to {stop}")
    return source.values(start, stop, threads)


def encode_values(values: np.ndarray) -> bytes:
    """A vector of at least one number as the payload of one chunk, for codecs that keep some numbers exactly."""
    bits = _bits(values)
    return b"".join(_encode_chunk(bits, None, _number(values.dtype), _Scratch(bits.size, bits.dtype)))


def decode_values(reader: Reader, out: np.ndarray) -> None:
    """Undo `encode_values`: fill a vector. Raises BitstreamError, LimitError."""
    _decode_chunk(reader, out.view(f"u{out.dtype.itemsize}"), None, _number(out.dtype))


class _Source:
    """A file whose header and index are read; its chunks are still to be."""

    def __init__(self, data: bytes | memoryview, base: np.ndarray | None, limits: Limits, *, cut: bool = False) -> None:
        self.data = data
        self.header, spans = container.index(data, limits, cut=cut)
        self.dtype = _dtype(self.header)
        self.size = int(np.prod(self.header.shape, dtype=np.int64))
        self.parts = 2 if self.dtype.kind == "c" else 1  # numbers of one value
        found = next((span for span in spans if span.tag == Tag.PARAMETERS), None)
        if found is None:
            raise BitstreamError("this floats file has no parameters chunk")
        reader = Reader(container.content(data, found, "the parameters chunk"))
        version = reader.uint(1, "version of the floats codec", at_most=255)
        if version != VERSION:
            raise BitstreamError(f"this is version {version} of the floats codec; this midtread reads {VERSION}")
        self.step = reader.varint("numbers in a chunk", at_most=2**32)
        against_base = reader.uint(1, "base flag", at_most=1)
        self.base = _matching_base(base, self.header.shape, self.dtype, reader) if against_base else None
        reader.end("the parameters chunk")
        self._spans = [span for span in spans if span.tag == Tag.PAYLOAD]
        numbers = self.size * self.parts
        self.chunks = -(-numbers // max(self.step, 1))
        whole = len(spans) == self.header.chunks
        if not self.step or len(self._spans) > self.chunks or (whole and len(self._spans) < self.chunks):
            raise BitstreamError(
                f"{numbers} numbers in chunks of {self.step} do not make the {len(self._spans)} chunks of this file"
            )

    def values(self, start: int, stop: int, threads: int, damaged: list[int] | None = None) -> np.ndarray:
        """Values start to stop, [stop - start]; with a list for the numbers of damaged chunks, 0 for those."""
        if start == stop:
            return np.empty(0, self.dtype)
        start, stop = start * self.parts, stop * self.parts
        first, last = start // self.step, -(-stop // self.step)
        begin = first * self.step
        kind = f"u{self.dtype.itemsize // self.parts}"
        bits = np.empty(min(last * self.step, self.size * self.parts) - begin, kind)
        base = None if self.base is None else _bits(self.base)[begin:]

        def job(chunk: int) -> None:
            part = slice(chunk * self.step - begin, (chunk + 1) * self.step - begin)
            try:
                self._chunk(chunk, bits[part], None if base is None else base[part])
            except CodecError:
                if damaged is None:
                    raise
                damaged.append(chunk)
                bits[part] = 0

        deque(_map(job, range(first, last), threads), maxlen=0)
        return bits[start - begin : stop - begin].view(self.dtype)

    def _chunk(self, chunk: int, out: np.ndarray, base: np.ndarray | None) -> None:
        what = f"payload {chunk} of {self.chunks}"
        try:
            if chunk >= len(self._spans):
                raise TruncatedError("the file ends before it")
            reader = Reader(container.content(self.data, self._spans[chunk], what))
            _decode_chunk(reader, out, base, _number(self.dtype))
            reader.end(what)
        except CodecError as error:
            raise type(error)(f"{what} of this floats file: {error}") from error


class _Scratch(threading.local):
    """Memory of one thread, used again for every chunk: fresh memory would cost more time than the work in it."""

    def __init__(self, size: int, dtype: np.dtype) -> None:
        self.residual = np.empty(size, dtype)
        self._planes = np.empty(dtype.itemsize * size, np.uint8)

    def planes(self, size: int) -> np.ndarray:
        """uint8 [bytes of a number, size], C-contiguous."""
        return self._planes[: self.residual.itemsize * size].reshape(-1, size)


def _encode_chunk(
    bits: np.ndarray, base: np.ndarray | None, number: str, scratch: _Scratch
) -> list[bytes | memoryview]:
    """Pieces of a payload, some of them in the memory of `scratch`."""
    with stage("transform"):
        kind = _best_kind(bits, base, number)
        rows = scratch.planes(bits.size)
        if number == "float" and kind in (BITS, XOR):
            run = planes.kernels(bits.size, "rotate_split", str(kind), bits.dtype.str)
            run.rotate_split(bits, base if kind == XOR else None, rows)
        else:
            residual = scratch.residual[: bits.size]
            _residual(kind, bits, base, number, residual)
            planes.kernels(bits.size, "split", bits.dtype.str).split(residual, rows)
    with stage("entropy"):
        return [bytes([kind]), *(part for row in rows for part in planes.encode(row))]


def _decode_chunk(reader: Reader, out: np.ndarray, base: np.ndarray | None, number: str) -> None:
    kind = reader.uint(1, "kind of residual", at_most=DIFFERENCE)
    if kind in (XOR, DIFFERENCE) and base is None:
        raise BitstreamError("a difference to a base stands in a file that names none")
    with stage("entropy"):
        rows = tuple(planes.decode(reader, out.size) for _ in range(out.itemsize))
    with stage("transform"):
        run = planes.kernels(out.size, "inverse", str(kind), out.dtype.str)
        if number == "float" and kind in (BITS, XOR):
            run.merge_unrotate(rows, base if kind == XOR else None, out)
            return
        plain = number == "unsigned" and kind == BITS
        residual = out if plain else np.empty_like(out)
        run.merge(rows, residual)
        if kind == PREVIOUS:
            run.unprevious(residual, number == "float", out)
        elif kind == DIFFERENCE or number == "signed":
            run.undifference(residual, _frozen(np.zeros_like(out)) if kind == BITS else base, number == "float", out)
        elif kind == XOR:
            run.unrotate(residual, base, out)


def _residual(kind: int, bits: np.ndarray, base: np.ndarray | None, number: str, out: np.ndarray) -> None:
    """Fill uint [n] with what is common to neighbours on top; see `floats_slow`."""
    run = planes.kernels(bits.size, "forward", str(kind), bits.dtype.str)
    if kind == BITS and number == "unsigned":
        out[:] = bits
    elif kind == PREVIOUS:
        run.previous(bits, number == "float", out)
    elif kind == DIFFERENCE or (kind == BITS and number == "signed"):
        run.difference(bits, _frozen(np.zeros_like(bits)) if kind == BITS else base, number == "float", out)
    else:
        run.rotate(bits, base if kind == XOR else None, out)


def _best_kind(bits: np.ndarray, base: np.ndarray | None, number: str) -> int:
    """The residual with the fewest bits, as a sample tells."""
    part, base_part = planes.sample(bits, 256), None if base is None else planes.sample(base, 256)
    cost, residual = {}, np.empty_like(part)
    for kind in (BITS, PREVIOUS) if base is None else (BITS, PREVIOUS, XOR, DIFFERENCE):
        _residual(kind, part, base_part, number, residual)
        cost[kind] = sum(planes.entropy_bits(counts) for counts in planes.plane_counts(residual))
    best = min(cost, key=cost.__getitem__)
    return best if cost[best] < _GAIN * cost[BITS] else BITS


def _number(dtype: np.dtype) -> str:
    if dtype.name in FLOATS or dtype.kind == "c":
        return "float"
    return "signed" if dtype.kind == "i" else "unsigned"


def _bits(x: np.ndarray) -> np.ndarray:
    """Unsigned integers with the bits of `x`, a read-only vector; two for a complex number."""
    return _frozen(x.reshape(-1).view(f"u{x.dtype.itemsize // (2 if x.dtype.kind == 'c' else 1)}"))


def _frozen(x: np.ndarray) -> np.ndarray:
    """Read-only: one type for the compiler, wherever it comes from."""
    x = x.view()
    x.flags.writeable = False
    return x


def _dtype(header: Header) -> np.dtype:
    if header.codec != Floats.name:
        raise BitstreamError(f"this file was made by codec {header.codec!r}, not by {Floats.name!r}")
    return dtype_of(header.dtype)


def _checked_base(base: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    base = check_tensor(base, "the base of codec 'floats'", ACCEPTS)
    if base.shape != shape or base.dtype != dtype:
        raise UsageError(
            f"the base is {list(base.shape)} of {base.dtype}, the array is {list(shape)} of {dtype}; they must agree"
        )
    return base


def _matching_base(base: np.ndarray | None, shape: tuple[int, ...], dtype: np.dtype, reader: Reader) -> np.ndarray:
    digest = bytes(reader.take(4, "checksum of the base"))
    what = f"this file holds the difference to a base of CRC-32 {digest[::-1].hex()}"
    if base is None:
        raise MissingError(f"{what}; decode it with that array: floats.decode(data, base), or --base FILE")
    base = _checked_base(base, shape, dtype)
    if _digest(base) != digest:
        raise MissingError(f"{what}; the one given has {_digest(base)[::-1].hex()}")
    return base


def _digest(x: np.ndarray) -> bytes:
    return crc32(_bits(x).data.cast("B")).to_bytes(4, "little")


def _map(function: Callable[[int], Any], jobs: range, threads: int) -> Iterator[Any]:
    if threads == 1 or len(jobs) < 2:
        yield from map(function, jobs)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(function, jobs)
