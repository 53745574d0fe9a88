"""Columns of numbers to and from one arithmetic-coded stream, in plain Python: the definition of `splat_coder`.

Every function walks both ways: when state[3] is 0 it writes `values` to `data`, else it fills `values` from there. So
the caller has one walk over its columns, and its encoder and decoder cannot disagree.

    state   uint64 [4]: low (a decoder: code), width, byte of `data` to go on at, whether this is a decoder
    model   uint16 [rows, decisions, 2]: how likely "no" is in 2**-16, and how often the decision was met (to LIMIT)

A probability moves 1 / (met + 2) of the way, as counting does, and at least 1 / (LIMIT + 2). A number that is one of
n equally likely ones takes a share of the width, by a division, and no decisions. Arithmetic and end: `cabac_slow`.
"""

from __future__ import annotations

import numpy as np

from midtread.kernels.cabac_slow import shortest

LIMIT = 126
RATES = np.array([65536 // (met + 2) for met in range(LIMIT + 1)], np.uint64)
END = 0xB5  # 8 bits after the last number
OCTAVES, HALVES = 20, 6  # decisions of `magnitudes`: the octave, and for each of the first 6 which half of it
DECISIONS = OCTAVES + HALVES + 1
EIGHTHS = 8  # of `cells` and `angles`
EIGHTH_BITS = 3
ROWS_OF_CELLS = 10

# What was told around a Gaussian: its block counts for 4, those at its sides for 2, those at its corners for 1. Fields
# keep what is weighted across already, see `_grow`, and `_around` weighs it down.
DIRECTIONS, UNIT = 32, 64  # of a whole turn; of cosines
_TURN = np.arange(2 * DIRECTIONS) * (np.pi / DIRECTIONS)  # no UNIT * cosine is near a tie
COSINES, SINES = (np.rint(UNIT * wave).astype(np.int64) for wave in (np.cos(_TURN), np.sin(_TURN)))
LONGEST = 3 << 16  # log ratio of the axes; beyond, angles count no more
ROWS_OF_TURNS, ROWS_OF_SIGNS = 8, 6
CLASSES = 6  # of what the numbers around are on average, see `class_of`


class _Coder:
    def __init__(self, state: np.ndarray, data: np.ndarray) -> None:
        self.state, self.array = state, data
        self.low, self.width, self.at, decoding = (int(v) for v in state)
        self.decoding, self.data = bool(decoding), data.tolist() if decoding else data

    def save(self) -> None:
        self.state[:3] = self.low, self.width, self.at

    def _shift(self) -> None:
        if self.decoding:
            while self.width < 1 << 24:
                self.low = self.low << 8 | (self.data[self.at] if self.at < len(self.data) else 0)
                self.width <<= 8
                self.at += 1
            return
        if self.low >> 32:
            self.low &= 0xFFFFFFFF
            at = self.at - 1
            while self.data[at] == 255:
                self.data[at] = 0
                at -= 1
            self.data[at] += 1
        while self.width < 1 << 24:
            self.data[self.at] = self.low >> 24
            self.at += 1
            self.low = self.low << 8 & 0xFFFFFFFF
            self.width <<= 8

    def decide(self, pair: list[int], yes: bool) -> bool:
        part = (self.width >> 16) * pair[0]
        if self.decoding:
            yes = self.low >= part
        rate = int(RATES[pair[1]])
        if yes:
            self.low += -part if self.decoding else part
            self.width -= part
            pair[0] -= pair[0] * rate >> 16
        else:
            self.width = part
            pair[0] += (65536 - pair[0]) * rate >> 16
        pair[1] = min(pair[1] + 1, LIMIT)
        self._shift()
        return yes

    def uniform(self, value: int, count: int) -> int:
        """One of `count` <= 2**18 equally likely values."""
        if count == 1:
            return 0
        part = self.width // count
        if self.decoding:
            value = min(self.low // part, count - 1)
            self.low -= value * part
        else:
            self.low += value * part
        self.width = part
        self._shift()
        return value

    def share(self, pairs: list[list[int]], value: int, count: int, bits: int) -> int:
        """One of `count` values, the decision between [low, high) being that of the middle.

        More than 2**bits are told as one of 2**bits equal parts and the place in that.
        """
        whole = count <= 1 << bits
        part = value if whole else (value << bits) // count
        low, high = 0, count if whole else 1 << bits
        while high - low > 1:
            middle = (low + high) >> 1
            if self.decide(pairs[middle], part >= middle):
                low = middle
            else:
                high = middle
        if whole:
            return low
        first, end = -(-low * count >> bits), -(-high * count >> bits)
        return first + self.uniform(value - first, end - first)

    def magnitude(self, pairs: list[list[int]], value: int, bound: int) -> tuple[int, int]:
        """0 to `bound`: octaves below the highest possible, the half of its octave, the rest -> (value, octaves)."""
        octave, least = 0, 1 << bound.bit_length() >> 1
        while least and self.decide(pairs[octave], value < least):
            octave += 1
            least >>= 1
        count = min(2 * least - 1, bound) - least + 1
        if count < 2:
            return least, octave
        half = OCTAVES + min(octave, HALVES - 1)
        return least + self.share(pairs[half : half + 2], value - least, count, 1), octave


def uniform(state: np.ndarray, data: np.ndarray, values: np.ndarray, counts: np.ndarray) -> None:
    """Numbers that are all equally likely.

    Args:
        state: see above.
        data: uint8; zeros are read past its end, and nothing may be written there.
        values: int32 [n], values[i] in [0, counts[i]).
        counts: int32 [n], 1 to 2**18.
    """
    coder = _Coder(state, data)
    values[:] = [coder.uniform(value, count) for value, count in zip(values.tolist(), counts.tolist(), strict=True)]
    coder.save()


def shares(
    state: np.ndarray, data: np.ndarray, model: np.ndarray, rows: np.ndarray, values: np.ndarray, counts: np.ndarray,
    bits: int, blocks: np.ndarray, field: np.ndarray, across: int,
) -> None:  # fmt: skip
    """Numbers of which the first bits are learned and the rest is equally likely.

    Args:
        state: see above.
        data: as in `uniform`.
        model: see above; 2**bits decisions, or the largest of `counts`.
        rows: int32 [n], which row of the model; with a field, which of CLASSES rows.
        values: int32 [n], values[i] in [0, counts[i]).
        counts: int32 [n], 1 to 2**18.
        bits: that are learned, where there are so many.
        blocks: int32 [n], rows of `field`.
        field: int32 [down * across, 2]: sums of values // 2, and how many there are; those of this column are added.
            The outermost blocks are never in `blocks`. Without rows, there are no such contexts.
        across: blocks in a row of the field.
    """
    coder, pairs = _Coder(state, data), model.tolist()
    columns = (rows, values, counts, blocks)
    for i, (row, value, count, block) in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        mine = row * CLASSES + class_of(*_around(field, block, across)) if len(field) else row
        values[i] = value = coder.share(pairs[mine], value, count, bits)
        if len(field):
            _grow(field, block, value >> 1, 1)
    model[:] = pairs
    coder.save()


def magnitudes(
    state: np.ndarray, data: np.ndarray, model: np.ndarray, rows: np.ndarray, values: np.ndarray, bounds: np.ndarray,
    blocks: np.ndarray, field: np.ndarray, across: int,
) -> None:  # fmt: skip
    """Numbers from 0 to a bound, of which the order of magnitude is learned.

    Args:
        state: see above.
        data: as in `uniform`.
        model: see above; DECISIONS decisions.
        rows: as in `shares`.
        values: int32 [n], values[i] in [0, bounds[i]].
        bounds: int32 [n], below 2**OCTAVES.
        blocks: as in `shares`.
        field: as in `shares`; sums of octaves below the bound.
        across: as in `shares`.
    """
    coder, pairs = _Coder(state, data), model.tolist()
    columns = (rows, values, bounds, blocks)
    for i, (row, value, bound, block) in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        mine = row * CLASSES + class_of(*_around(field, block, across)) if len(field) else row
        values[i], octave = coder.magnitude(pairs[mine], value, bound)
        if len(field):
            _grow(field, block, octave, 1)
    model[:] = pairs
    coder.save()


def class_of(total: int, weight: int) -> int:
    """0 where nothing is around, else the mean rounded down, 1 to CLASSES - 1."""
    return min(max(total // weight, 1), CLASSES - 1) if weight else 0


def _around(field: np.ndarray, block: int, across: int) -> list[int]:
    rows = (field[at].tolist() for at in (block - across, block, block + across))
    return [above + 2 * here + below for above, here, below in zip(*rows, strict=True)]


def _grow(field: np.ndarray, block: int, *values: int) -> None:
    told = np.array(values, np.int32)
    field[block - 1] += told
    field[block] += 2 * told
    field[block + 1] += told


def length(x: int) -> int:
    """Bits of x >= 0."""
    return int(x).bit_length()


def direction(x: int, y: int) -> int:
    """That of DIRECTIONS which is nearest to that of (x, y); of equally near ones, the one nearer to the x axis."""
    quarter = DIRECTIONS // 4
    near = sum(abs(y) * int(COSINES[i]) > abs(x) * int(SINES[i]) for i in range(1, 2 * quarter, 2))
    near = 2 * quarter - near if x < 0 else near
    return (DIRECTIONS - near) % DIRECTIONS if y < 0 else near


def row_of_turn(x: int, y: int, weight: int) -> int:
    """How much angles around agree: 6 |mean| of (x, y) up to 6, or 7 where there are none."""
    square, row = 9 * (x * x + y * y), 0
    while row < ROWS_OF_TURNS - 2 and square >= ((row + 1) * weight * UNIT) ** 2:
        row += 1
    return row if weight else ROWS_OF_TURNS - 1


def angles(
    state: np.ndarray, data: np.ndarray, model: np.ndarray, values: np.ndarray, counts: np.ndarray, ratios: np.ndarray,
    blocks: np.ndarray, field: np.ndarray, across: int,
) -> None:  # fmt: skip
    """Angles, from that which the angles around have on average: as vectors of twice the angle, as long as `ratios`.

    Args:
        state: see above.
        data: as in `uniform`.
        model: see above; [ROWS_OF_TURNS, EIGHTHS].
        values: int32 [n], values[i] in [0, counts[i]), which stand for half a turn.
        counts: int32 [n], 1 to 65536.
        ratios: int32 [n], log of the ratio of the axes in 2**-16.
        blocks: int32 [n], rows of `field`.
        field: int32 [down * across, 3]: sums of vectors, x and y, and how many there are; those of this column are
            added. The outermost blocks are never in `blocks`.
        across: blocks in a row.
    """
    coder, pairs = _Coder(state, data), model.tolist()
    columns = (values, counts, ratios, blocks)
    for i, (value, count, ratio, block) in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        x, y, weight = _around(field, block, across)
        first = count * (direction(x, y) - 2) // DIRECTIONS
        row = pairs[row_of_turn(x, y, weight)]
        value = (coder.share(row, (value - first) % count, count, EIGHTH_BITS) + first) % count
        values[i] = value
        angle, length = (2 * value + 1) * DIRECTIONS // count, min(ratio, LONGEST)
        _grow(field, block, int(COSINES[angle]) * length >> 16, int(SINES[angle]) * length >> 16, 1)
    model[:] = pairs
    coder.save()


def row_of_sign(agreed: int, weight: int) -> int:
    """A fifth of [-weight, weight], or the last row where there is none."""
    return 5 * (agreed + weight) // (2 * weight + 1) if weight else ROWS_OF_SIGNS - 1


def signs(
    state: np.ndarray, data: np.ndarray, model: np.ndarray, values: np.ndarray, blocks: np.ndarray, field: np.ndarray,
    across: int,
) -> None:  # fmt: skip
    """Zeros and ones, of which those around tell which is likely.

    Args:
        state: see above.
        data: as in `uniform`.
        model: see above; [ROWS_OF_SIGNS, 2].
        values: int32 [n], 0 or 1.
        blocks: as in `angles`.
        field: int32 [down * across, 2]: ones less zeros, and how many there are; those of this column are added.
        across: blocks in a row.
    """
    coder, pairs = _Coder(state, data), model.tolist()
    for i, (value, block) in enumerate(zip(values.tolist(), blocks.tolist(), strict=True)):
        one = coder.decide(pairs[row_of_sign(*_around(field, block, across))][1], value == 1)
        values[i] = one
        _grow(field, block, 2 * one - 1, 1)
    model[:] = pairs
    coder.save()


def row_of_count(count: int) -> int:
    """The row of `cells` for a box that holds `count` > 1."""
    return min(count, 8 + (count > 15) + (count > 63) + (count > 255)) - 2


def cells(state: np.ndarray, data: np.ndarray, model: np.ndarray, where: np.ndarray, width: int, height: int) -> None:
    """An unordered set of cells, as counts: a box is halved across its longer side, and told what its first half holds.

    Args:
        state: see above.
        data: as in `uniform`.
        model: see above; [ROWS_OF_CELLS, EIGHTHS].
        where: int32 [n, 2], x in [0, width) and y in [0, height), in the order this makes: first halves first.
        width: 1 to 65536 cells.
        height: the same.
    """
    coder, pairs = _Coder(state, data), model.tolist()
    boxes = [(0, width, 0, height, len(where))]
    at = 0
    while boxes:
        x, right, y, bottom, count = boxes.pop()
        wide, high = right - x, bottom - y
        if count == 0:
            continue
        if count == 1 or wide * high == 1:
            given = where[at].tolist()
            where[at : at + count] = x + coder.uniform(given[0] - x, wide), y + coder.uniform(given[1] - y, high)
            at += count
            continue
        axis = int(high > wide)
        middle = (x + right) >> 1 if axis == 0 else (y + bottom) >> 1
        first = int((where[at : at + count, axis] < middle).sum())
        row = pairs[row_of_count(count)]
        first = coder.share(row, first, count + 1, EIGHTH_BITS)
        if axis == 0:
            boxes += [(middle, right, y, bottom, count - first), (x, middle, y, bottom, first)]
        else:
            boxes += [(x, right, middle, bottom, count - first), (x, right, y, middle, first)]
    model[:] = pairs
    coder.save()


def order(where: np.ndarray, width: int, height: int) -> np.ndarray:
    """Ranks of cells int32 [n, 2] in the order of `cells`, int64 [n]: equal for equal cells."""
    x, y = where[:, 0].astype(np.int64), where[:, 1].astype(np.int64)
    left, right, top, bottom = (np.full(len(where), side, np.int64) for side in (0, width, 0, height))
    ranks = np.zeros(len(where), np.int64)
    for _ in range((width - 1).bit_length() + (height - 1).bit_length()):
        across = bottom - top > right - left
        middle = np.where(across, top + bottom, left + right) >> 1
        second = np.where(across, y, x) >= middle
        ranks = 2 * ranks + second
        left, right = np.where(~across & second, middle, left), np.where(~across & ~second, middle, right)
        top, bottom = np.where(across & second, middle, top), np.where(across & ~second, middle, bottom)
    return ranks


def finish(state: np.ndarray, data: np.ndarray) -> int:
    """Write the end mark; returns how many bytes of `data` are the stream."""
    coder = _Coder(state, data)
    coder.uniform(END, 256)
    size, coder.low = shortest(coder.low, coder.width)
    coder.width = 1 << 32  # carries, but moves nothing out
    coder._shift()
    data[coder.at : coder.at + size] = list((coder.low >> 32 - 8 * size).to_bytes(size, "big"))
    return coder.at + size


def start(state: np.ndarray, data: np.ndarray) -> bool:
    """Begin to decode; False when no encoder begins like this."""
    code = int.from_bytes(data[:4].tobytes().ljust(4, b"\0"), "big")
    state[:] = code, 0xFFFFFFFF, 4, 1
    return code < 0xFFFFFFFF


def finished(state: np.ndarray, data: np.ndarray) -> bool:
    """Read the end mark; whether an encoder that got here would have written exactly these bytes."""
    coder = _Coder(state, data)
    if coder.uniform(0, 256) != END:
        return False
    number = int.from_bytes(data[coder.at - 4 : coder.at].tobytes().ljust(4, b"\0"), "big")
    size, value = shortest((number - coder.low) & 0xFFFFFFFF, coder.width)
    return len(data) == coder.at - 4 + size and value & 0xFFFFFFFF == number
