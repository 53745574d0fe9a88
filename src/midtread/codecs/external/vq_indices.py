"""Maps of codebook indices as bytes: the shortest of three ways.

    u8 way │ rest
    PLAIN      fixed width, packed
    ADAPTIVE   one alphabet whose table follows the symbols (`entropy.adaptive`), rANS
    TREE       u32 digest │ rANS of the bits of every index, highest first, each in a context of bits that are known

TREE suits indices whose high bits say which cluster an entry is in (`vq_codebook`). The bits of one place value are
coded coarse to fine: places between known ones see what their four neighbours have at this place value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

from midtread.container import Reader
from midtread.entropy.adaptive import MAX_ALPHABET, Adaptive
from midtread.entropy.coders.rans import Rans
from midtread.entropy.frozen import Digest
from midtread.entropy.tables import Tables
from midtread.errors import BitstreamError

PLAIN, ADAPTIVE, TREE = 0, 1, 2
_PRECISION = 15
_VOTES = 4  # -4 .. 4 after halving
_CLUSTERS = 3  # so many of the highest bits choose the context
_FIRST, _LAST = 64, 4096  # bits coded under one table, at first and at most
_DIAGONAL = ((-1, -1), (-1, 1), (1, -1), (1, 1))
_DIRECT = ((-1, 0), (1, 0), (0, -1), (0, 1))


def encode(indices: np.ndarray, bits: int) -> bytes:
    """Indices [H, W], each below 2**bits -> bytes."""
    ways = [bytes([PLAIN]) + _pack(indices, bits)]
    if 2**bits <= MAX_ALPHABET:
        ways.append(bytes([ADAPTIVE]) + Adaptive(0, 2**bits).encode(indices.astype(np.int32), Rans()))
    ways.append(bytes([TREE]) + _encode_tree(indices.astype(np.int64), bits))
    return min(ways, key=len)


def decode(data: bytes, shape: tuple[int, int], bits: int) -> np.ndarray:
    """int64 of `shape`, each below 2**bits. Raises BitstreamError; the caller has limited the shape."""
    reader = Reader(data)
    way = reader.uint(1, "way of coding", at_most=255)
    rest = reader.take(reader.left, "indices")
    if way == PLAIN:
        found = _unpack(rest, shape, bits)
    elif way == ADAPTIVE and 2**bits <= MAX_ALPHABET:
        found = Adaptive(0, 2**bits).decode(rest, shape, Rans()).astype(np.int64)
    elif way == TREE:
        found = _decode_tree(rest, shape, bits)
    else:
        raise BitstreamError(f"indices coded in way {way}: not of this version of midtread")
    if found.min() < 0 or found.max() >= 2**bits:
        raise BitstreamError(f"indices from {found.min()} to {found.max()} in a codebook of {2**bits}")
    return found


def _pack(indices: np.ndarray, bits: int) -> bytes:
    planes = [indices.reshape(-1) >> place & 1 for place in range(bits)]
    return np.packbits(np.stack(planes).astype(np.uint8)).tobytes() if bits else b""


def _unpack(data: memoryview, shape: tuple[int, int], bits: int) -> np.ndarray:
    count = prod(shape)
    if len(data) != -(-count * bits // 8):
        raise BitstreamError(f"{count} indices of {bits} bits do not take {len(data)} bytes")
    planes = np.unpackbits(np.frombuffer(data, np.uint8), count=count * bits).reshape(bits, count)
    found = np.zeros(count, np.int64)
    for place, plane in enumerate(planes):
        found |= plane.astype(np.int64) << place
    return found.reshape(shape)


# --- TREE -------------------------------------------------------------------------------------------------------------


def _encode_tree(indices: np.ndarray, bits: int) -> bytes:
    digest, encoder, known = Digest(bytes([bits])), Rans().encoder(), np.zeros_like(indices)
    for place in range(bits - 1, -1, -1):
        model = _Counts()
        for group in _groups(known, bits - 1 - place):
            wanted = indices[group.rows, group.columns] >> place & 1
            for begin, stop in _blocks(group.size):
                tables, contexts = model.tables(), group.contexts[begin:stop]
                digest.add(contexts.tobytes())
                part = wanted[begin:stop].astype(np.int32)
                encoder.put(part, tables, contexts)
                model.add(part, contexts)
            group.put(known, wanted)
    return digest.bytes() + encoder.finish()


def _decode_tree(data: memoryview, shape: tuple[int, int], bits: int) -> np.ndarray:
    reader = Reader(data)
    stored, digest = reader.uint(4, "digest", at_most=2**32 - 1), Digest(bytes([bits]))
    decoder, known = Rans().decoder(reader.take(reader.left, "bits"), prod(shape) * bits), np.zeros(shape, np.int64)
    for depth in range(bits):
        model = _Counts()
        for group in _groups(known, depth):
            found = np.empty(group.size, np.int64)
            for begin, stop in _blocks(group.size):
                tables, contexts = model.tables(), group.contexts[begin:stop]
                digest.add(contexts.tobytes())
                part = decoder.take(stop - begin, tables, contexts)
                model.add(part, contexts)
                found[begin:stop] = part
            group.put(known, found)
    digest.check(stored)
    decoder.finish()
    return known


@dataclass(frozen=True)
class _Group:
    """Places whose bit is coded at once, and the context of each."""

    rows: np.ndarray
    columns: np.ndarray
    contexts: np.ndarray  # uint8 [n]

    @property
    def size(self) -> int:
        return self.rows.size

    def put(self, known: np.ndarray, bits: np.ndarray) -> None:
        known[self.rows, self.columns] |= bits


def _groups(known: np.ndarray, depth: int) -> Iterator[_Group]:
    """All places, coarse to fine; `known` holds the first `depth` bits of each and gets the next one on the way."""
    known <<= 1
    height, width = known.shape
    done = np.zeros(known.shape, bool)
    y, x = np.arange(height)[:, None], np.arange(width)
    step = 1 << max(0, (max(height, width) - 1).bit_length() - 1)
    rows, columns = np.nonzero((y % step == 0) & (x % step == 0))
    yield _group(known, done, depth, rows, columns, ())
    while step > 1:
        step //= 2
        for odd, near in ((True, _DIAGONAL), (False, _DIRECT)):
            on_y, on_x = y % (2 * step) == step, x % (2 * step) == step
            other_y, other_x = y % (2 * step) == 0, x % (2 * step) == 0
            new = on_y & on_x if odd else (on_y & other_x) | (other_y & on_x)
            rows, columns = np.nonzero(new)
            if rows.size:
                yield _group(known, done, depth, rows, columns, tuple((dy * step, dx * step) for dy, dx in near))


def _group(
    known: np.ndarray,
    done: np.ndarray,
    depth: int,
    rows: np.ndarray,
    columns: np.ndarray,
    near: tuple[tuple[int, int], ...],
) -> _Group:
    """Contexts: the highest bits, and how the neighbours vote.

    A neighbour of the same cluster votes twice for its own bit, one of the next cluster once for the nearer bit.
    """
    mine, votes = known[rows, columns] >> 1, np.zeros(rows.size, np.int64)
    for dy, dx in near:
        r, c = rows + dy, columns + dx
        inside = (r >= 0) & (r < known.shape[0]) & (c >= 0) & (c < known.shape[1])
        r, c = np.where(inside, r, 0), np.where(inside, c, 0)
        inside &= done[r, c]
        other = known[r, c]
        away = (other >> 1) - mine
        vote = np.where(away == 0, 4 * (other & 1) - 2, np.where(np.abs(away) == 1, away, 0))
        votes += np.where(inside, vote, 0)
    done[rows, columns] = True
    votes = np.sign(votes) * ((np.abs(votes) + 1) >> 1)
    cluster = mine >> max(0, depth - _CLUSTERS)
    contexts = (cluster * (2 * _VOTES + 1) + votes + _VOTES) * 2 + (len(near) > 0)
    return _Group(rows, columns, contexts.astype(np.uint8))


_CONTEXTS = 2**_CLUSTERS * (2 * _VOTES + 1) * 2


class _Counts:
    """Zeros and ones seen in each context, and the tables that follow; whole numbers only."""

    def __init__(self) -> None:
        self._seen = np.zeros((_CONTEXTS, 2), np.int64)

    def tables(self) -> Tables:
        zeros, ones = self._seen[:, 0], self._seen[:, 1]
        most = (1 << _PRECISION) - 2
        one = 1 + (2 * ones + 1) * most // (2 * (zeros + ones + 1))
        rows = np.stack([(1 << _PRECISION) - one, one, np.zeros_like(one)], -1)  # no escape
        return Tables.build(_PRECISION, np.zeros(_CONTEXTS, int), np.full(_CONTEXTS, 2), rows.reshape(-1))

    def add(self, bits: np.ndarray, contexts: np.ndarray) -> None:
        np.add.at(self._seen, (contexts, bits), 1)


def _blocks(count: int) -> Iterator[tuple[int, int]]:
    begin, length = 0, _FIRST
    while begin < count:
        yield begin, min(count, begin + length)
        begin, length = begin + length, min(_LAST, 2 * length)
