"""Ways to spoil a file, from one flipped bit to a hostile payload under right checksums."""

from __future__ import annotations

import dataclasses
import random

from midtread.container import Chunk, File, is_midtread, read, write
from midtread.container.file import DTYPES
from midtread.errors import CodecError

EXTREMES = [0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1]


def mutate(rng: random.Random, corpus: list[bytes]) -> bytes:
    """A spoiled copy of some file of `corpus`."""
    data = rng.choice(corpus)
    if is_midtread(data) and rng.random() < 0.6:
        return _refixed(rng, data, corpus)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        data = rng.choice(SPOILERS)(rng, data, corpus)
    return data


def _flip(rng: random.Random, data: bytes, corpus: list[bytes]) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8, 32])):
        if out:
            out[_place(rng, len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def _extreme(rng: random.Random, data: bytes, corpus: list[bytes]) -> bytes:
    """A field of 1, 2 or 4 bytes set to a value at the border of its range."""
    width = rng.choice([1, 2, 4])
    value = (rng.choice(EXTREMES) % 256**width).to_bytes(width, rng.choice(["little", "big"]))
    place = _place(rng, len(data) + 1)
    return data[:place] + value + data[place + width :]


def _cut(rng: random.Random, data: bytes, corpus: list[bytes]) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _remove(rng: random.Random, data: bytes, corpus: list[bytes]) -> bytes:
    start = _place(rng, len(data) + 1)
    return data[:start] + data[start + rng.choice([1, 2, 4, 16, 64]) :]


def _repeat(rng: random.Random, data: bytes, corpus: list[bytes]) -> bytes:
    start = _place(rng, len(data) + 1)
    return data[:start] + data[start : start + rng.choice([1, 4, 16, 64])] * rng.choice([2, 3, 50]) + data[start:]


def _splice(rng: random.Random, data: bytes, corpus: list[bytes]) -> bytes:
    other = rng.choice(corpus)
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


def _noise(rng: random.Random, data: bytes, corpus: list[bytes]) -> bytes:
    start = _place(rng, len(data) + 1)
    noise = rng.randbytes(rng.choice([1, 4, 16, 64]))
    return data[:start] + noise + data[start + rng.choice([0, len(noise)]) :]


SPOILERS = [_flip, _flip, _extreme, _extreme, _cut, _remove, _repeat, _splice, _noise]


def _place(rng: random.Random, length: int) -> int:
    """A place in a file, half of the time in its first 64 bytes, where the headers are."""
    return rng.randrange(min(length, 64) if rng.random() < 0.5 else length) if length else 0


def _refixed(rng: random.Random, data: bytes, corpus: list[bytes]) -> bytes:
    """A midtread file whose content was spoiled and whose checksums are right again."""
    try:
        file = read(data)
    except CodecError:
        return data
    spoiled = rng.choice([_spoil_payload, _spoil_payload, _spoil_payload, _spoil_header, _spoil_chunks])(
        rng, file, corpus
    )
    return write(spoiled)


def _spoil_payload(rng: random.Random, file: File, corpus: list[bytes]) -> File:
    index = rng.randrange(len(file.chunks)) if file.chunks else 0
    chunks = list(file.chunks)
    if chunks:
        chunks[index] = Chunk(chunks[index].tag, rng.choice(SPOILERS)(rng, chunks[index].data, corpus))
    return dataclasses.replace(file, chunks=tuple(chunks))


def _spoil_header(rng: random.Random, file: File, corpus: list[bytes]) -> File:
    what = rng.randrange(3)
    if what == 0:
        return dataclasses.replace(file, dtype=rng.choice(DTYPES))
    if what == 1:
        other = rng.choice(corpus)
        return dataclasses.replace(file, codec=read(other).codec if is_midtread(other) else "nobody")
    sizes = [rng.choice([0, 1, 2, 13, 17, 1000, 65536, 2**31]) for _ in range(rng.randrange(5))]
    return dataclasses.replace(file, shape=tuple(sizes))


def _spoil_chunks(rng: random.Random, file: File, corpus: list[bytes]) -> File:
    """Chunks lost, doubled or in another order."""
    return dataclasses.replace(file, chunks=tuple(rng.choices(file.chunks, k=rng.randrange(5)) if file.chunks else ()))
