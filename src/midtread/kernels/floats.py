"""The bits of numbers as byte planes, compiled; `floats_slow` says what it does, and is the definition."""

from __future__ import annotations

from typing import Any

import numpy as np

from midtread.kernels.floats_slow import PAIRS, WINDOW
from midtread.kernels.jit import inlined, int32, jit, uint8, uint32, uint64


@inlined
def _width(x: Any) -> Any:
    return uint64(8 * x.itemsize)


@inlined
def _mask(bit: Any) -> Any:
    """All ones where `bit` is 1."""
    return ~uint64(bit) + uint64(1)


@inlined
def _ordered(bits: Any, signed: Any, width: Any) -> Any:
    if not signed:
        return uint64(bits)
    return uint64(bits) ^ (_mask(uint64(bits) >> (width - uint64(1))) | (uint64(1) << (width - uint64(1))))


@inlined
def _unordered(order: Any, signed: Any, width: Any) -> Any:
    if not signed:
        return order
    top = (order >> (width - uint64(1))) & uint64(1)
    return order ^ (_mask(uint64(1) - top) | (uint64(1) << (width - uint64(1))))


@inlined
def _zigzag(delta: Any, width: Any) -> Any:
    return (delta << uint64(1)) ^ _mask((delta >> (width - uint64(1))) & uint64(1))


@inlined
def _unzigzag(residual: Any) -> Any:
    return (uint64(residual) >> uint64(1)) ^ _mask(uint64(residual) & uint64(1))


@jit
def rotate(bits: np.ndarray, base: np.ndarray | None, out: np.ndarray) -> None:
    """Exponent on top, sign at the bottom; see `floats_slow.rotate`."""
    rest = _width(bits) - uint64(1)
    for i in range(bits.size):
        mixed = uint64(bits[i]) if base is None else uint64(bits[i] ^ base[i])
        out[i] = (mixed << uint64(1)) | (mixed >> rest)


@jit
def unrotate(residual: np.ndarray, base: np.ndarray | None, out: np.ndarray) -> None:
    """Undo `rotate`."""
    rest = _width(residual) - uint64(1)
    for i in range(residual.size):
        bits = (uint64(residual[i]) >> uint64(1)) | (uint64(residual[i]) << rest)
        out[i] = bits if base is None else bits ^ uint64(base[i])


@jit
def difference(bits: np.ndarray, base: np.ndarray, signed: bool, out: np.ndarray) -> None:
    """Zigzag of the difference to `base`; see `floats_slow.difference`."""
    width = _width(bits)
    for i in range(bits.size):
        out[i] = _zigzag(_ordered(bits[i], signed, width) - _ordered(base[i], signed, width), width)


@jit
def undifference(residual: np.ndarray, base: np.ndarray, signed: bool, out: np.ndarray) -> None:
    """Undo `difference`."""
    width = _width(residual)
    for i in range(residual.size):
        out[i] = _unordered(_ordered(base[i], signed, width) + _unzigzag(residual[i]), signed, width)


@jit
def previous(bits: np.ndarray, signed: bool, out: np.ndarray) -> None:
    """`difference` to the number before; see `floats_slow.previous`."""
    width = _width(bits)
    if bits.size:
        out[0] = _zigzag(_ordered(bits[0], signed, width) - _ordered(uint64(0), signed, width), width)
    for i in range(1, bits.size):
        out[i] = _zigzag(_ordered(bits[i], signed, width) - _ordered(bits[i - 1], signed, width), width)


@jit
def unprevious(residual: np.ndarray, signed: bool, out: np.ndarray) -> None:
    """Undo `previous`."""
    width = _width(residual)
    order = _ordered(uint64(0), signed, width)
    for i in range(residual.size):
        order += _unzigzag(residual[i])
        out[i] = _unordered(order, signed, width)


@jit
def plane(residual: np.ndarray, shift: int, out: np.ndarray) -> None:
    """One byte of each number; see `floats_slow.plane`."""
    for i in range(residual.size):
        out[i] = uint8(uint64(residual[i]) >> uint64(shift))


@jit
def add_plane(values: np.ndarray, shift: int, residual: np.ndarray) -> None:
    """Undo `plane`, where `residual` has zeros."""
    for i in range(values.size):
        residual[i] |= uint64(values[i]) << uint64(shift)


@jit
def count(values: np.ndarray, out: np.ndarray) -> None:
    """How often each byte occurs; see `floats_slow.count`. Four counters, so that equal bytes do not wait."""
    times = np.zeros((4, 256), np.uint32)
    fours = values.size // 4
    for i in range(fours):
        at = uint64(4) * uint64(i)
        for k in range(4):
            times[k, values[at + uint64(k)]] += uint32(1)
    for i in range(4 * fours, values.size):
        times[0, values[i]] += uint32(1)
    for k in range(256):
        out[k] += times[0, k] + times[1, k] + times[2, k] + times[3, k]


@jit
def pairs(values: np.ndarray, low: int, out: np.ndarray) -> None:
    """Two bytes as one symbol; see `floats_slow.pairs`."""
    first, n = int32(low), uint64(values.size // 2)
    for i in range(n):
        a, b = int32(values[uint64(2) * i]), int32(values[uint64(2) * i + uint64(1)])
        c, d = uint32(a - first), uint32(b - first)
        far = (c | d) >= uint32(WINDOW)
        out[i] = int32(PAIRS) + a + (b << int32(8)) if far else int32(c + (d << uint32(5)))
    if values.size % 2:
        a = int32(values[values.size - 1])
        c = uint32(a - first)
        far = c >= uint32(WINDOW)
        out[n] = int32(PAIRS) + a + (first << int32(8)) if far else int32(c)


@jit
def unpairs(symbols: np.ndarray, low: int, out: np.ndarray) -> None:
    """Undo `pairs`."""
    first = int32(low)
    for i in range(out.size // 2):
        symbol = symbols[i]
        far = symbol >= int32(PAIRS)
        a = symbol - int32(PAIRS) if far else (symbol & int32(WINDOW - 1)) + first
        b = (symbol - int32(PAIRS)) >> int32(8) if far else ((symbol >> int32(5)) & int32(WINDOW - 1)) + first
        out[2 * i], out[2 * i + 1] = uint8(a), uint8(b)
    if out.size % 2:
        symbol = symbols[out.size // 2]
        far = symbol >= int32(PAIRS)
        out[out.size - 1] = uint8(symbol - int32(PAIRS) if far else (symbol & int32(WINDOW - 1)) + first)
