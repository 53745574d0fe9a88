"""An adaptive binary arithmetic coder in plain Python: the definition of `cabac`, and what short streams use.

A symbol becomes binary decisions, each with a probability of its own in the symbol's context:

    0           zero?                           1           negative?
    2 .. 15     |symbol| > 1?, > 2?, ... > 14?  (as long as the answer is yes)
    16 .. 48    |symbol| - 14 has more than 1, 2, 3 ... bits?, then its bits below the highest, at 1/2 each

A probability (of "no", 16 bits) is the mean of a fast and a slow estimate, which move 1/16 and 1/128 of the way. The
arithmetic coder has a width of 32 bits and moves bytes.

Source: Marpe, Schwarz & Wiegand, IEEE T-CSVT 13(7), 2003 (CABAC); two rates as in H.266, 9.3.4.3; the arithmetic of
LZMA (Pavlov).
"""

from __future__ import annotations

import numpy as np

DECISIONS = 49
END = 0xB5A6  # 16 bits after the last symbol; a decoder that does not find them is out of step
UNARY, LONG = 14, 16  # up to here each |symbol| has a decision of its own; the first decision of the lengths


class _Encoder:
    def __init__(self) -> None:
        self.low, self.width, self.out = 0, 0xFFFFFFFF, bytearray()

    def _shift(self) -> None:
        if self.low >> 32:
            self.low &= 0xFFFFFFFF
            at = len(self.out) - 1
            while self.out[at] == 255:
                self.out[at] = 0
                at -= 1
            self.out[at] += 1
        while self.width < 1 << 24:
            self.out.append(self.low >> 24)
            self.low = self.low << 8 & 0xFFFFFFFF
            self.width <<= 8

    def decide(self, pair: list[int], yes: bool) -> None:
        part = (self.width >> 16) * (pair[0] + pair[1] >> 1)
        if yes:
            self.low += part
            self.width -= part
        else:
            self.width = part
        learn(pair, yes)
        self._shift()

    def bits(self, value: int, count: int) -> None:
        for i in range(count - 1, -1, -1):
            self.width >>= 1
            self.low += self.width * (value >> i & 1)
            self._shift()


def learn(pair: list[int], yes: bool) -> None:
    """Move both estimates of the probability of "no"."""
    for i, rate in ((0, 4), (1, 7)):
        pair[i] -= pair[i] >> rate if yes else -((65536 - pair[i]) >> rate)


def encode(symbols: np.ndarray, contexts: np.ndarray, count: int, out: np.ndarray) -> int:
    """Encode `symbols` and the end mark.

    Args:
        symbols: int32 [n].
        contexts: uint16 [n], below `count`.
        count: number of contexts.
        out: uint8 [at least 80 n + 64], filled from the start.

    Returns:
        Bytes written.
    """
    coder = _Encoder()
    pairs = [[[32768, 32768] for _ in range(DECISIONS)] for _ in range(count)]
    for symbol, context in zip(symbols.tolist(), contexts.tolist(), strict=True):
        mine = pairs[context]
        coder.decide(mine[0], symbol != 0)
        if symbol == 0:
            continue
        coder.decide(mine[1], symbol < 0)
        size = abs(symbol)
        for step in range(1, UNARY + 1):
            coder.decide(mine[1 + step], size > step)
            if size == step:
                break
        if size > UNARY:
            rest = size - UNARY
            length = rest.bit_length()
            for step in range(1, length + 1):
                coder.decide(mine[LONG + step - 1], length > step)
            coder.bits(rest - (1 << length - 1), length - 1)
    coder.bits(END, 16)
    end = _flush(coder)
    out[: len(end)] = np.frombuffer(end, dtype=np.uint8)
    return len(end)


def shortest(low: int, width: int) -> tuple[int, int]:
    """(bytes, value): the number in [low, low + width) whose last bytes, of 4, may be left out."""
    for size in range(5):
        mask = (1 << 32 - 8 * size) - 1
        value = low + mask & ~mask
        if value < low + width:
            break
    return size, value


def _flush(coder: _Encoder) -> bytes:
    size, coder.low = shortest(coder.low, coder.width)
    coder.width = 1 << 32  # carries, but moves nothing out
    coder._shift()
    return bytes(coder.out) + (coder.low >> 32 - 8 * size).to_bytes(size, "big")


class _Decoder:
    def __init__(self, given: list[int]) -> None:
        self.given, self.width, self.p = given, 0xFFFFFFFF, 4
        self.code = int.from_bytes(bytes(given[:4]).ljust(4, b"\0"), "big")

    def _shift(self) -> None:
        while self.width < 1 << 24:
            self.code = self.code << 8 | (self.given[self.p] if self.p < len(self.given) else 0)
            self.width <<= 8
            self.p += 1

    def decide(self, pair: list[int]) -> bool:
        part = (self.width >> 16) * (pair[0] + pair[1] >> 1)
        yes = self.code >= part
        if yes:
            self.code -= part
            self.width -= part
        else:
            self.width = part
        learn(pair, yes)
        self._shift()
        return yes

    def bits(self, count: int) -> int:
        value = 0
        for _ in range(count):
            self.width >>= 1
            value = value << 1 | (self.code >= self.width)
            self.code -= self.width * (value & 1)
            self._shift()
        return value

    def size(self, mine: list[list[int]]) -> int:
        """|symbol| of one that is not 0; more than 2**31 when there is no such number."""
        size = 1
        while size <= UNARY and self.decide(mine[1 + size]):
            size += 1
        if size <= UNARY:
            return size
        length = 1
        while length <= 32 and self.decide(mine[LONG + length - 1]):
            length += 1
        return UNARY + (1 << length - 1 | self.bits(length - 1)) if length <= 32 else 1 << 32

    def at_the_end(self) -> bool:
        """Whether an encoder that got here would have written exactly these bytes."""
        if self.bits(16) != END:
            return False
        number = int.from_bytes(bytes(self.given[self.p - 4 : self.p]).ljust(4, b"\0"), "big")
        size, value = shortest((number - self.code) & 0xFFFFFFFF, self.width)
        return len(self.given) == self.p - 4 + size and value & 0xFFFFFFFF == number


def decode(out: np.ndarray, contexts: np.ndarray, count: int, data: np.ndarray) -> bool:
    """Decode into `out`.

    Args:
        out: int32 [n], filled.
        contexts: uint16 [n], below `count`.
        count: number of contexts.
        data: uint8; zeros are read past the end.

    Returns:
        Whether an encoder could have written exactly these bytes.
    """
    coder = _Decoder(data.tolist())
    if coder.code >= coder.width:
        return False
    pairs = [[[32768, 32768] for _ in range(DECISIONS)] for _ in range(count)]
    symbols = []
    for context in contexts.tolist():
        mine = pairs[context]
        if not coder.decide(mine[0]):
            symbols.append(0)
            continue
        negative, size = coder.decide(mine[1]), coder.size(mine)
        if size > 2**31 - (not negative):
            return False
        symbols.append(-size if negative else size)
    if not coder.at_the_end():
        return False
    out[:] = symbols
    return True
