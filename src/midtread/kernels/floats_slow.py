"""The bits of numbers as byte planes: the definition that `floats` repeats faster.

All arrays are vectors of unsigned integers, the bits of the numbers, of one width (8, 16, 32 or 64 bits). A residual is
such a vector whose upper bytes are worth compressing: what is common to neighbours stands at the top.
"""

from __future__ import annotations

import numpy as np

from midtread.kernels import rans_slow
from midtread.kernels.packed import Packed

WINDOW = 32  # values of one byte that can be coded in pairs
PAIRS = WINDOW * WINDOW  # symbols from here on are pairs with a byte outside the window


def rotate(bits: np.ndarray, base: np.ndarray | None, out: np.ndarray) -> None:
    """Move the sign of a floating-point number below its mantissa, so that the exponent is on top.

    Args:
        bits: uint [n].
        base: uint [n], flipped out of `bits` first (exclusive or); None for zeros.
        out: uint [n], the residual.
    """
    mixed = bits if base is None else bits ^ base
    one, rest = _shifts(bits)
    out[:] = mixed << one | mixed >> rest


def unrotate(residual: np.ndarray, base: np.ndarray | None, out: np.ndarray) -> None:
    """Undo `rotate`."""
    one, rest = _shifts(residual)
    bits = residual >> one | residual << rest
    out[:] = bits if base is None else bits ^ base


def difference(bits: np.ndarray, base: np.ndarray, signed: bool, out: np.ndarray) -> None:
    """Zigzag of the difference (mod 2**width) to `base`: 0, -1, 1, -2 ... become 0, 1, 2, 3.

    Args:
        bits: uint [n].
        base: uint [n].
        signed: the numbers are sign and magnitude (floating point); they are put in order first, so that the difference
            counts the numbers between two of them.
        out: uint [n], the residual.
    """
    one, rest = _shifts(bits)
    delta = _ordered(bits, signed) - _ordered(base, signed)
    out[:] = delta << one ^ _mask(delta >> rest)


def undifference(residual: np.ndarray, base: np.ndarray, signed: bool, out: np.ndarray) -> None:
    """Undo `difference`."""
    one, _ = _shifts(residual)
    delta = residual >> one ^ _mask(residual & one)
    out[:] = _unordered(_ordered(base, signed) + delta, signed)


def previous(bits: np.ndarray, signed: bool, out: np.ndarray) -> None:
    """`difference` to the number before; the first one is taken to follow a zero."""
    base = np.zeros_like(bits)
    base[1:] = bits[:-1]
    difference(bits, base, signed, out)


def unprevious(residual: np.ndarray, signed: bool, out: np.ndarray) -> None:
    """Undo `previous`."""
    one, _ = _shifts(residual)
    delta = residual >> one ^ _mask(residual & one)
    start = _ordered(np.zeros(1, residual.dtype), signed)
    out[:] = _unordered(np.cumsum(np.concatenate([start, delta]), dtype=residual.dtype)[1:], signed)


def split(residual: np.ndarray, out: np.ndarray) -> None:
    """The bytes of each of uint [n], the highest first: uint8 [bytes of a number, n]."""
    big = residual.astype(residual.dtype.newbyteorder(">"))
    out[:] = big.view(np.uint8).reshape(residual.size, residual.itemsize).T


def merge(planes: tuple[np.ndarray, ...], out: np.ndarray) -> None:
    """Undo `split`: fill uint [n] from a vector uint8 [n] for each of its bytes."""
    big = np.ascontiguousarray(np.stack(planes, axis=1))
    out[:] = big.view(out.dtype.newbyteorder(">")).reshape(out.size)


def rotate_split(bits: np.ndarray, base: np.ndarray | None, out: np.ndarray) -> None:
    """`split` of what `rotate` makes."""
    residual = np.empty_like(bits)
    rotate(bits, base, residual)
    split(residual, out)


def merge_unrotate(planes: tuple[np.ndarray, ...], base: np.ndarray | None, out: np.ndarray) -> None:
    """Undo `rotate_split`."""
    residual = np.empty_like(out)
    merge(planes, residual)
    unrotate(residual, base, out)


def count(values: np.ndarray, out: np.ndarray) -> None:
    """Add to int64 [256] how often each byte occurs in uint8 [n]."""
    out += np.bincount(values, minlength=256)


def pairs(values: np.ndarray, low: int, out: np.ndarray) -> None:
    """Two bytes as one symbol.

    Args:
        values: uint8 [n].
        low: first byte of the window.
        out: int32 [(n + 1) // 2]: (a - low) + 32 (b - low) where both are in the window, else 1024 + a + 256 b. The
            partner of a last byte alone is `low`.
    """
    even = np.append(values, np.uint8(low)) if values.size % 2 else values
    a, b = even[::2].astype(np.int32), even[1::2].astype(np.int32)
    near = (a >= low) & (a < low + WINDOW) & (b >= low) & (b < low + WINDOW)
    out[:] = np.where(near, (a - low) + WINDOW * (b - low), PAIRS + a + 256 * b)


def unpairs(symbols: np.ndarray, low: int, out: np.ndarray) -> None:
    """Undo `pairs`; a symbol that it never makes gives some bytes."""
    near = symbols < PAIRS
    far = symbols - PAIRS
    a = np.where(near, (symbols & WINDOW - 1) + low, far)
    b = np.where(near, (symbols >> 5 & WINDOW - 1) + low, far >> 8)
    out[:] = (np.stack([a, b], axis=1) & 255).astype(np.uint8).ravel()[: out.size]


def encode_pairs(
    values: np.ndarray, low: int, packed: Packed, states: np.ndarray, words: np.ndarray, q: int
) -> int:  # fmt: skip
    """`pairs`, and those in front of words[q:] as `rans_slow.encode` puts them; returns where the words begin now."""
    symbols = np.empty((values.size + 1) // 2, np.int32)
    pairs(values, low, symbols)
    return rans_slow.encode(symbols, None, packed, 0, states, words, q)


def decode_pairs(
    out: np.ndarray, low: int, packed: Packed, states: np.ndarray, words: np.ndarray, p: int, end: int
) -> int:  # fmt: skip
    """Undo `encode_pairs`: fill `out` from words[p:end]; returns the next word, or -1 as `rans_slow.decode`."""
    symbols = np.empty((out.size + 1) // 2, np.int32)
    p = rans_slow.decode(symbols, None, packed, 0, states, words, p, end)
    if p >= 0:
        unpairs(symbols, low, out)
    return p


def _shifts(x: np.ndarray) -> tuple[np.unsignedinteger, np.unsignedinteger]:
    """One, and the width less one, in the type of `x`: shifts by other types would widen it."""
    return x.dtype.type(1), x.dtype.type(8 * x.dtype.itemsize - 1)


def _mask(bit: np.ndarray) -> np.ndarray:
    """All ones where `bit` is 1."""
    return ~bit + bit.dtype.type(1)


def _ordered(bits: np.ndarray, signed: bool) -> np.ndarray:
    """Integers in the order of the numbers."""
    if not signed:
        return bits
    one, rest = _shifts(bits)
    return bits ^ (_mask(bits >> rest) | one << rest)


def _unordered(order: np.ndarray, signed: bool) -> np.ndarray:
    if not signed:
        return order
    one, rest = _shifts(order)
    return order ^ (_mask(~order >> rest) | one << rest)
