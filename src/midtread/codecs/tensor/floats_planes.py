"""One byte of every number, as bytes: the cheapest of five ways (docs/formats/floats.md).

    u8 0 │ n bytes                                    noise, as it is
    u8 1 │ u8                                         always the same byte
    u8 2 │ table │ varint length │ rANS               byte by byte
    u8 3 │ table │ varint length │ rANS               two bytes at a time, where nearly all lie within 32 values
    u8 4 │ u8 │ varint n │ u16 gap[n - 1] │ u8[n]     nearly always the same byte; the others, and where they stand
    table: u8 first byte │ u8 number of bytes - 1 │ varint frequency of each; the rest of 2**14 or 2**15 is the escape's

Two exponents at a time cost half as many steps of the coder; their table is the outer product of the single one, so
the rate is the same.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np

from midtread.container import Reader, varint
from midtread.entropy import exact_math, rans_stream
from midtread.entropy.loading import kernel
from midtread.entropy.tables import Tables, normalise
from midtread.errors import BitstreamError
from midtread.kernels.floats_slow import PAIRS, WINDOW

RAW, CONSTANT, BYTES, IN_PAIRS, SPARSE = range(5)
_BITS = {BYTES: 14, IN_PAIRS: 15}  # precision of the tables
_WORTH = 0.985  # of the raw size; what saves less is not worth the time of decoding it
_SPAN = 1 << 16  # the largest gap
_LOG2 = exact_math.log(np.arange(4096, 8193) / 4096.0) / exact_math.log(np.array(2.0))
_RARE = 512  # where one byte in so many is another, a list of them is as good as a coder, and takes no time
_FEW = 4096  # one byte in so many may lie outside the window: it takes six bytes and the time of many others


def kernels(count: int, *types: str) -> ModuleType:
    """`midtread.kernels.floats`, or its slow twin for short vectors of these dtypes."""
    return kernel("floats", count, types)


def encode(values: np.ndarray) -> list[bytes | memoryview]:
    """uint8 [n], n >= 1 -> pieces of the plane's bytes, one of which may be `values` itself."""
    raw: list[bytes | memoryview] = [bytes([RAW]), values.data]
    part = sample(values)
    counts = _count(part)
    if part.size - counts.max() <= part.size // _RARE and (listed := _encode_sparse(values, int(counts.argmax()))):
        return [listed]
    if entropy_bits(counts) > _WORTH * 8 * part.size:
        return raw
    low = _window(counts)
    near = counts[low : low + WINDOW]
    far = part.size - int(near.sum())
    # A byte outside the window that the sample does not show is an escape, too.
    coded = _encode_pairs(values, low, near, far) if far * _FEW <= part.size else _encode_bytes(values)
    return coded if sum(map(len, coded)) < values.size else raw


def decode(reader: Reader, count: int) -> np.ndarray:
    """uint8 [count], read-only. Raises BitstreamError, LimitError."""
    kind = reader.uint(1, "kind of plane", at_most=255)
    if kind == RAW:
        out = np.frombuffer(reader.take(count, "plane of bytes"), dtype=np.uint8)
    elif kind == CONSTANT:
        out = np.full(count, reader.uint(1, "byte of a constant plane", at_most=255), dtype=np.uint8)
    elif kind == BYTES:
        low, frequencies = _read_table(reader, _BITS[BYTES])
        out = _decode_bytes(reader, count, Tables.build(_BITS[BYTES], [low], [frequencies.size - 1], frequencies))
    elif kind == IN_PAIRS:
        low, frequencies = _read_table(reader, _BITS[IN_PAIRS])
        out = _decode_pairs(reader, count, low, _pair_tables(frequencies))
    elif kind == SPARSE:
        out = _decode_sparse(reader, count)
    else:
        raise BitstreamError(f"a plane of kind {kind} is not known to this version of midtread")
    out.flags.writeable = False
    return out


def entropy_bits(counts: np.ndarray) -> float:
    """Bits of all symbols together under their own frequencies, to 0.1 %; the same on every machine."""
    used = counts[counts > 0].astype(np.float64)
    return float(_n_log_n(used.sum(keepdims=True))[0] - np.cumsum(_n_log_n(used))[-1])


def _n_log_n(n: np.ndarray) -> np.ndarray:
    """Each n times log2(n), float64 n >= 1; the logarithm to 2**-13."""
    fraction, exponent = np.frexp(n)
    return n * (_LOG2[(fraction * 8192).astype(np.int64) - 4096] + (exponent - 1))


def sample(x: np.ndarray, piece: int | None = None) -> np.ndarray:
    """64 pieces of a long vector, together 1/32 of it or of `piece` numbers each; all of a short one."""
    piece = piece or x.size // 2048
    if piece < 128 or x.size < 128 * piece:
        return x
    part = np.concatenate([x[i * (x.size // 64) :][:piece] for i in range(64)])
    part.flags.writeable = x.flags.writeable
    return part


def plane_counts(residual: np.ndarray) -> list[np.ndarray]:
    """int64 [256] for each byte of uint [n]: how often each value stands there."""
    rows = np.empty((residual.itemsize, residual.size), np.uint8)
    kernels(residual.size, "split", residual.dtype.str).split(residual, rows)
    return [_count(row) for row in rows]


def _count(values: np.ndarray) -> np.ndarray:
    counts = np.zeros(256, dtype=np.int64)
    kernels(values.size, "count").count(values, counts)
    return counts


def _window(counts: np.ndarray) -> int:
    """Where the window with the most bytes begins."""
    total = np.concatenate([[0], np.cumsum(counts)])
    return int(np.argmax(total[WINDOW:] - total[:-WINDOW]))


def _encode_sparse(values: np.ndarray, usual: int) -> bytes | None:
    """What is not the usual byte, and one byte in 65,536 whatever it is; None where that is too much."""
    places = np.flatnonzero(values != usual)
    if not places.size:
        return bytes([CONSTANT, usual])
    if places.size * _RARE > 4 * values.size:
        return None
    places = np.union1d(places, np.arange(0, values.size, _SPAN))
    gaps = (np.diff(places) - 1).astype("<u2")
    return bytes([SPARSE, usual]) + varint(places.size) + gaps.tobytes() + values[places].tobytes()


def _decode_sparse(reader: Reader, count: int) -> np.ndarray:
    usual = reader.uint(1, "usual byte of a plane", at_most=255)
    listed = reader.varint("number of other bytes", at_most=count)
    gaps = np.frombuffer(reader.take(2 * max(listed - 1, 0), "gaps"), "<u2").astype(np.int64)
    places = np.concatenate([[0], np.cumsum(gaps + 1)])[:listed]
    if listed and places[-1] >= count:
        raise BitstreamError(f"a byte stands at {places[-1]} of a plane of {count}")
    out = np.full(count, usual, dtype=np.uint8)
    out[places] = np.frombuffer(reader.take(listed, "other bytes"), np.uint8)
    return out


def _encode_bytes(values: np.ndarray) -> list[bytes | memoryview]:
    counts = _count(values)  # of all: an escape would cost time here, too
    used = np.flatnonzero(counts)
    low = int(used[0])
    frequencies = normalise(np.append(counts[low : used[-1] + 1], 1), _BITS[BYTES])
    tables = Tables.build(_BITS[BYTES], [low], [frequencies.size - 1], frequencies)
    coded = rans_stream.encode_chunk([rans_stream.segment(values.astype(np.int32), tables, None)])
    return [bytes([BYTES]) + _table(low, frequencies) + varint(len(coded)), coded]


def _encode_pairs(values: np.ndarray, low: int, near: np.ndarray, far: int) -> list[bytes | memoryview]:
    frequencies = normalise(np.append(near, max(1, far)), _BITS[IN_PAIRS])
    packed = _pair_tables(frequencies).packed
    run = kernels(values.size, "encode_pairs", packed.lut.dtype.str)
    coded = rans_stream.chunk_of(
        (values.size + 1) // 2, lambda states, words, q: run.encode_pairs(values, low, packed, states, words, q)
    )
    return [bytes([IN_PAIRS]) + _table(low, frequencies) + varint(sum(map(len, coded))), *coded]


def _decode_pairs(reader: Reader, count: int, low: int, tables: Tables) -> np.ndarray:
    out, cursor, packed = np.empty(count, dtype=np.uint8), _cursor(reader), tables.packed
    run = kernels(count, "decode_pairs", packed.lut.dtype.str)
    cursor.move(run.decode_pairs(out, low, packed, cursor.states, cursor.words, cursor.p, cursor.end))
    cursor.finish()
    return out


def _pair_tables(frequencies: np.ndarray) -> Tables:
    """The table of (first byte) + 32 (second byte); pairs too rare for it are left to the escape."""
    bits = _BITS[IN_PAIRS]
    single = np.zeros(WINDOW, dtype=np.int64)
    single[: frequencies.size - 1] = frequencies[:-1]
    weights = np.outer(single, single).ravel()
    weights[weights < 1 << bits - 2] = 0
    escape = max(1, (1 << 2 * bits) - int(weights.sum()))
    return Tables.build(bits, [0], [PAIRS], normalise(np.append(weights, escape), bits))


def _decode_bytes(reader: Reader, count: int, tables: Tables) -> np.ndarray:
    symbols, cursor = np.empty(count, dtype=np.int32), _cursor(reader)
    rans_stream.decode_into(symbols, None, tables, cursor, 0, count)
    cursor.finish()
    return symbols.astype(np.uint8)


def _cursor(reader: Reader) -> rans_stream.Cursor:
    return rans_stream.Cursor(reader.take(reader.varint("length of a coded plane", at_most=2**40), "coded plane"))


def _table(low: int, frequencies: np.ndarray) -> bytes:
    """All frequencies but the last, the escape's."""
    return bytes([low, frequencies.size - 2]) + b"".join(varint(f) for f in frequencies[:-1].tolist())


def _read_table(reader: Reader, bits: int) -> tuple[int, np.ndarray]:
    """(first byte, frequencies with the escape last)."""
    low = reader.uint(1, "first byte of a table", at_most=255)
    size = reader.uint(1, "size of a table", at_most=255) + 1
    if low + size > 256 or (bits == _BITS[IN_PAIRS] and size != WINDOW):
        raise BitstreamError(f"a table of {size} bytes from {low} on is none that a plane of this kind has")
    frequencies = [reader.varint("frequency", at_most=1 << bits) for _ in range(size)]
    escape = (1 << bits) - sum(frequencies)
    if escape < 1:
        raise BitstreamError(f"the frequencies of a plane sum to {sum(frequencies)}, more than {(1 << bits) - 1}")
    return low, np.array([*frequencies, escape])
