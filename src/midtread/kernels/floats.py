"""The bits of numbers as byte planes, compiled; `floats_slow` says what it does, and is the definition."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from midtread.kernels import rans
from midtread.kernels.floats_slow import PAIRS
from midtread.kernels.jit import inlined, int32, intrinsic, jit, uint8, uint32, uint64
from midtread.kernels.packed import Packed

BLOCK = 1 << 12  # numbers


@intrinsic
def _width(context: Any, x: Any) -> Any:
    """Bits of a number of the array: a constant for the compiler, so that loops stay as narrow as their numbers."""
    bits = x.dtype.bitwidth

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.get_constant(types.uint64, bits)

    return types.uint64(x), generate


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


@inlined
def _plane(residual: np.ndarray, shift: int, out: np.ndarray) -> None:
    for i in range(residual.size):
        out[i] = uint8(uint64(residual[i]) >> uint64(shift))


@inlined
def _add_plane(values: np.ndarray, shift: int, residual: np.ndarray) -> None:
    for i in range(values.size):
        residual[i] |= uint64(values[i]) << uint64(shift)


@jit
def _split(residual: np.ndarray, start: int, out: np.ndarray) -> None:
    width = _width(residual)
    for k in range(width // uint64(8)):
        _plane(residual, width - uint64(8) - uint64(8) * uint64(k), out[k, start : start + residual.size])


@jit
def split(residual: np.ndarray, out: np.ndarray) -> None:
    """The byte planes; see `floats_slow.split`. Block by block, so that each is read from the nearest cache."""
    for start in range(0, residual.size, BLOCK):
        _split(residual[start : start + BLOCK], start, out)


@jit
def rotate_split(bits: np.ndarray, base: np.ndarray | None, out: np.ndarray) -> None:
    """`rotate` and `split` in one pass over the memory."""
    room = np.empty(BLOCK, bits.dtype)
    for start in range(0, bits.size, BLOCK):
        part = bits[start : start + BLOCK]
        rotate(part, None if base is None else base[start : start + BLOCK], room[: part.size])
        _split(room[: part.size], start, out)


@jit
def _merge(planes: tuple[np.ndarray, ...], start: int, out: np.ndarray) -> None:
    out[:] = 0
    for k in range(len(planes)):
        _add_plane(planes[k][start : start + out.size], 8 * (len(planes) - 1 - k), out)


@jit
def merge(planes: tuple[np.ndarray, ...], out: np.ndarray) -> None:
    """Undo `split`."""
    for start in range(0, out.size, BLOCK):
        _merge(planes, start, out[start : start + BLOCK])


@jit
def merge_unrotate(planes: tuple[np.ndarray, ...], base: np.ndarray | None, out: np.ndarray) -> None:
    """Undo `rotate_split`."""
    room = np.empty(BLOCK, out.dtype)
    for start in range(0, out.size, BLOCK):
        part = out[start : start + BLOCK]
        _merge(planes, start, room[: part.size])
        unrotate(room[: part.size], None if base is None else base[start : start + BLOCK], part)


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


@inlined
def _pair(a: Any, b: Any, low: Any) -> Any:
    """Symbol of two bytes. A byte before the window makes its own difference large, whatever that borrows."""
    both = uint32(a) | (uint32(b) << uint32(8))
    inside = both - uint32(257) * uint32(low)
    far = (inside & uint32(0xE0E0)) != uint32(0)
    return int32(uint32(PAIRS) + both if far else (inside & uint32(31)) | ((inside >> uint32(3)) & uint32(0x3E0)))


@jit
def pairs(values: np.ndarray, low: int, out: np.ndarray) -> None:
    """Two bytes as one symbol; see `floats_slow.pairs`."""
    n = uint64(values.size // 2)
    for i in range(n):
        out[i] = _pair(values[uint64(2) * i], values[uint64(2) * i + uint64(1)], low)
    if values.size % 2:
        out[n] = _pair(values[values.size - 1], low, low)


@jit
def unpairs(symbols: np.ndarray, low: int, out: np.ndarray) -> None:
    """Undo `pairs`."""
    first, n = int32(257) * int32(low), uint64(out.size // 2)
    for i in range(n):
        symbol = symbols[i]
        near = ((symbol & int32(31)) | ((symbol & int32(0x3E0)) << int32(3))) + first
        both = symbol - int32(PAIRS) if symbol >= int32(PAIRS) else near
        out[uint64(2) * i], out[uint64(2) * i + uint64(1)] = uint8(both), uint8(both >> int32(8))
    if out.size % 2:
        last = symbols[n]
        out[out.size - 1] = uint8(last - int32(PAIRS) if last >= int32(PAIRS) else (last & int32(31)) + int32(low))


@jit
def encode_pairs(
    values: np.ndarray, low: int, packed: Packed, states: np.ndarray, words: np.ndarray, q: int
) -> int:  # fmt: skip
    """`pairs`, and rANS of the symbols, which never leave the nearest cache; see `floats_slow.encode_pairs`."""
    room, stop = np.empty(BLOCK, np.int32), (values.size + 1) // 2
    while stop > 0:
        start = (stop - 1) // BLOCK * BLOCK
        symbols = room[: stop - start]
        pairs(values[2 * start : 2 * stop], low, symbols)
        q = rans.encode(symbols, None, packed, start, states, words, q)
        stop = start
    return q


@jit
def decode_pairs(
    out: np.ndarray, low: int, packed: Packed, states: np.ndarray, words: np.ndarray, p: int, end: int
) -> int:  # fmt: skip
    """Undo `encode_pairs`."""
    room, count = np.empty(BLOCK, np.int32), (out.size + 1) // 2
    for start in range(0, count, BLOCK):
        symbols = room[: min(BLOCK, count - start)]
        p = rans.decode(symbols, None, packed, start, states, words, p, end)
        if p < 0:
            break
        unpairs(symbols, low, out[2 * start : 2 * (start + BLOCK)])
    return p
