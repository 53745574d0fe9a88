"""Signed and long integers as bytes, whole arrays at a time."""

from __future__ import annotations

import numpy as np

from midtread.entropy.loading import kernel
from midtread.errors import BitstreamError, TruncatedError


def zigzag(values: np.ndarray) -> np.ndarray:
    """int32 -> uint32: 0, -1, 1, -2, 2 ... become 0, 1, 2, 3, 4 ..."""
    wide = values.astype(np.int64)
    return ((wide << 1) ^ (wide >> 63)).astype(np.uint32)


def unzigzag(values: np.ndarray) -> np.ndarray:
    """uint32 -> int32, the inverse of `zigzag`."""
    wide = values.astype(np.int64)
    return ((wide >> 1) ^ -(wide & 1)).astype(np.int32)


def write_varints(values: np.ndarray) -> bytes:
    """uint32 [n] as n LEB128 integers."""
    wide = values.astype(np.uint64)
    groups = np.stack([(wide >> np.uint64(7 * i)) & np.uint64(127) for i in range(5)], axis=1)
    length = np.maximum(1, (np.frexp(wide.astype(np.float64))[1] + 6) // 7)
    places = np.arange(5)
    groups = np.where(places < length[:, None] - 1, groups | np.uint64(128), groups).astype(np.uint8)
    return groups[places < length[:, None]].tobytes()


def read_varints(data: bytes | memoryview, what: str) -> np.ndarray:
    """uint32: all LEB128 integers in `data`. Raises BitstreamError, TruncatedError."""
    raw = np.frombuffer(data, dtype=np.uint8)
    if raw.size == 0:
        return np.zeros(0, dtype=np.uint32)
    if raw[-1] >= 128:
        raise TruncatedError(f"{what}: the last of the integers is cut short")
    last = np.flatnonzero(raw < 128)
    first = np.concatenate([[0], last[:-1] + 1])
    if (last - first).max() > 4:
        raise BitstreamError(f"{what}: an integer runs over 5 bytes")
    place = np.arange(raw.size) - np.repeat(first, last - first + 1)
    values = np.add.reduceat((raw & 127).astype(np.uint64) << (7 * place).astype(np.uint64), first)
    if values.max() > 2**32 - 1:
        raise BitstreamError(f"{what}: an integer is {values.max()}, more than 32 bits")
    return values.astype(np.uint32)


def pack_bits(values: np.ndarray, widths: np.ndarray) -> bytes:
    """The low widths[i] (0 to 57) bits of each number, highest first, one after the other; zeros fill the last byte."""
    out = np.zeros((int(widths.sum(dtype=np.int64)) + 7) // 8, dtype=np.uint8)
    kernel("bits", values.size).pack(values.astype(np.uint64, copy=False), widths.astype(np.uint8, copy=False), out)
    return out.tobytes()


def unpack_bits(data: bytes | memoryview, start: int, widths: np.ndarray, what: str) -> np.ndarray:
    """uint64: numbers of widths[i] bits, from bit `start` of `data` on. Raises TruncatedError."""
    need, bits = start + int(widths.sum(dtype=np.int64)), 8 * len(data)
    if need > bits:
        raise TruncatedError(f"{what} needs {need} bits, there are {bits}")
    out = np.empty(widths.size, dtype=np.uint64)
    padded = np.frombuffer(bytes(data) + bytes(8), dtype=np.uint8)
    kernel("bits", widths.size).unpack(padded, start, widths.astype(np.uint8, copy=False), out)
    return out


def check_padding(data: bytes | memoryview, used_bits: int, what: str) -> None:
    """Raise BitstreamError unless `data` ends with the byte of its last bit, and zeros fill that byte."""
    if len(data) != (used_bits + 7) // 8:
        raise BitstreamError(f"{what} uses {(used_bits + 7) // 8} bytes of {len(data)}")
    if used_bits % 8 and data[-1] & (255 >> used_bits % 8):
        raise BitstreamError(f"the last byte of {what} is not filled with zeros")
