"""An adaptive binary arithmetic coder, compiled; `cabac_slow` says what it does, and is the definition."""

from __future__ import annotations

from typing import Any

import numpy as np

from midtread.kernels.cabac_slow import DECISIONS, END, LONG, UNARY
from midtread.kernels.jit import inlined, int32, int64, jit, uint8, uint16, uint32, uint64

# Estimates stand side by side: pairs[context, decision, 0 or 1], uint16. `low` is uint64 with a carry bit, `width`
# uint32, `code` uint64.


@inlined
def _learn(mine: Any, decision: Any, yes: Any) -> None:
    fast, slow = uint32(mine[decision, 0]), uint32(mine[decision, 1])
    if yes:
        mine[decision, 0] = uint16(fast - (fast >> uint32(4)))
        mine[decision, 1] = uint16(slow - (slow >> uint32(7)))
    else:
        mine[decision, 0] = uint16(fast + ((uint32(65536) - fast) >> uint32(4)))
        mine[decision, 1] = uint16(slow + ((uint32(65536) - slow) >> uint32(7)))


@inlined
def _part(width: Any, mine: Any, decision: Any) -> Any:
    return (width >> uint64(16)) * ((uint64(mine[decision, 0]) + uint64(mine[decision, 1])) >> uint64(1))


@inlined
def shift(low: Any, width: Any, out: Any, count: Any) -> Any:
    """Carry, and move bytes out -> (low, width, count)."""
    if low >> uint64(32):
        low &= uint64(0xFFFFFFFF)
        at = count - 1
        while out[at] == uint8(255):
            out[at] = uint8(0)
            at -= 1
        out[at] += uint8(1)
    while width < uint64(1 << 24):
        out[count] = uint8(low >> uint64(24))
        count += 1
        low = (low << uint64(8)) & uint64(0xFFFFFFFF)
        width <<= uint64(8)
    return low, width, count


@inlined
def _decide(low: Any, width: Any, out: Any, count: Any, mine: Any, decision: Any, yes: Any) -> Any:
    """Encode one decision -> (low, width, count)."""
    part = _part(width, mine, decision)
    if yes:
        low += part
        width -= part
    else:
        width = part
    _learn(mine, decision, yes)
    return shift(low, width, out, count)


@jit
def _long(low: int, width: int, out: np.ndarray, count: int, mine: np.ndarray, rest: int) -> tuple[int, int, int]:
    """Encode the length of `rest` and its bits -> (low, width, count)."""
    length = 1
    while rest >> uint64(length):
        low, width, count = _decide(low, width, out, count, mine, LONG + length - 1, True)
        length += 1
    low, width, count = _decide(low, width, out, count, mine, LONG + length - 1, False)
    for i in range(length - 2, -1, -1):
        width >>= uint64(1)
        low += width * ((rest >> uint64(i)) & uint64(1))
        low, width, count = shift(low, width, out, count)
    return low, width, count


@jit
def shortest(low: int, width: int) -> tuple[int, int]:
    """(bytes, value) as in `cabac_slow.shortest`."""
    size, value = 0, uint64(0)
    for size in range(5):
        mask = (uint64(1) << uint64(32 - 8 * size)) - uint64(1)
        value = (low + mask) & ~mask
        if value < low + width:
            break
    return size, value


@jit
def encode(symbols: np.ndarray, contexts: np.ndarray, count: int, out: np.ndarray) -> int:
    """Encode `symbols` and the end mark; see `cabac_slow.encode`."""
    pairs = np.full((count, DECISIONS, 2), 32768, np.uint16)
    low, width, done = uint64(0), uint64(0xFFFFFFFF), 0
    for i in range(symbols.size):
        mine = pairs[contexts[i]]
        symbol = int64(symbols[i])
        low, width, done = _decide(low, width, out, done, mine, 0, symbol != 0)
        if symbol == 0:
            continue
        low, width, done = _decide(low, width, out, done, mine, 1, symbol < 0)
        size = abs(symbol)
        for step in range(1, min(size, UNARY) + 1):
            low, width, done = _decide(low, width, out, done, mine, 1 + step, size > step)
        if size > UNARY:
            low, width, done = _long(low, width, out, done, mine, uint64(size - UNARY))
    for i in range(15, -1, -1):
        width >>= uint64(1)
        low += width * (uint64(END >> i) & uint64(1))
        low, width, done = shift(low, width, out, done)
    size, value = shortest(low, width)
    low, width, done = shift(value, uint64(1) << uint64(32), out, done)
    for i in range(size):
        out[done + i] = uint8(low >> uint64(24 - 8 * i))
    return done + size


@inlined
def move(code: Any, width: Any, p: Any, data: Any) -> Any:
    """Move bytes in -> (code, width, p)."""
    while width < uint64(1 << 24):
        code = (code << uint64(8)) | (uint64(data[p]) if p < data.size else uint64(0))
        width <<= uint64(8)
        p += 1
    return code, width, p


@inlined
def _ask(code: Any, width: Any, p: Any, data: Any, mine: Any, decision: Any) -> Any:
    """Decode one decision -> (yes, code, width, p)."""
    part = _part(width, mine, decision)
    yes = code >= part
    if yes:
        code -= part
        width -= part
    else:
        width = part
    _learn(mine, decision, yes)
    code, width, p = move(code, width, p, data)
    return yes, code, width, p


@jit
def _bits(code: int, width: int, p: int, data: np.ndarray, count: int) -> tuple[int, int, int, int]:
    """Decode `count` bits of probability 1/2 -> (value, code, width, p)."""
    value = uint64(0)
    for _ in range(count):
        width >>= uint64(1)
        bit = uint64(code >= width)
        code -= width * bit
        value = (value << uint64(1)) | bit
        code, width, p = move(code, width, p, data)
    return value, code, width, p


@jit
def _long_size(code: int, width: int, p: int, data: np.ndarray, mine: np.ndarray) -> tuple[int, int, int, int]:
    """Decode what `_long` wrote -> (rest, code, width, p); rest = 2**32 when there is no such number."""
    length, yes = 1, True
    while length <= 32:
        yes, code, width, p = _ask(code, width, p, data, mine, LONG + length - 1)
        if not yes:
            break
        length += 1
    if length > 32:
        return uint64(1 << 32), code, width, p
    value, code, width, p = _bits(code, width, p, data, length - 1)
    return (uint64(1) << uint64(length - 1)) | value, code, width, p


@jit
def decode(out: np.ndarray, contexts: np.ndarray, count: int, data: np.ndarray) -> bool:
    """Decode into `out`; see `cabac_slow.decode`."""
    pairs = np.full((count, DECISIONS, 2), 32768, np.uint16)
    code, width, p = uint64(0), uint64(0xFFFFFFFF), 4
    for i in range(4):
        code = (code << uint64(8)) | (uint64(data[i]) if i < data.size else uint64(0))
    if code >= width:
        return False
    for i in range(out.size):
        mine = pairs[contexts[i]]
        yes, code, width, p = _ask(code, width, p, data, mine, 0)
        if not yes:
            out[i] = 0
            continue
        negative, code, width, p = _ask(code, width, p, data, mine, 1)
        size = 1
        while size <= UNARY:
            yes, code, width, p = _ask(code, width, p, data, mine, 1 + size)
            if not yes:
                break
            size += 1
        if size > UNARY:
            rest, code, width, p = _long_size(code, width, p, data, mine)
            size = int64(rest) + UNARY
        if size > 2**31 - (0 if negative else 1):
            return False
        out[i] = int32(-size if negative else size)
    value, code, width, p = _bits(code, width, p, data, 16)
    number = uint64(0)
    for i in range(p - 4, p):
        number = (number << uint64(8)) | (uint64(data[i]) if i < data.size else uint64(0))
    size, last = shortest((number - code) & uint64(0xFFFFFFFF), width)
    return value == uint64(END) and data.size == p - 4 + size and (last & uint64(0xFFFFFFFF)) == number
