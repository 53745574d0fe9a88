"""The bands of a picture in coding order, and the chunks that hold them: blocks of each resolution, coarsest first.

    chunk   varint bytes of rANS │ rANS chunk │ raw bits to the end

`kernels/wavelet_coder_slow.py` defines contexts, symbols and raw bits; docs/formats/entropy.md the rANS chunk. A block
needs nothing but the block of its parents, and within its own chunk the planes and bands before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from midtread.codecs.image.wavelet_tables import Learned
from midtread.container import Reader, varint
from midtread.entropy import rans_stream
from midtread.entropy.loading import expecting
from midtread.errors import BitstreamError
from midtread.kernels.twins import pick
from midtread.kernels.wavelet_coder_slow import SEGMENT
from midtread.spec import note
from midtread.transforms.wavelet import mallat_bands

BLOCK = 512  # rows and columns of a band in one chunk; even, so that parents of a block are in one block
_KINDS = ("LL", "HL", "LH", "HH")
_NONE = (0, 0, 0, 0, 0)

Box = tuple[int, int, int, int, int]  # plane, first and last row, first and last column (last: one beyond)


@dataclass(frozen=True, slots=True)
class Part:
    """One block of one band of one plane, and where its contexts look."""

    kind: str
    plane: int
    role: int  # how many planes before it tell of it, 2 at most
    box: Box
    boxes: np.ndarray  # int64 [6, 5]: this, parents, two siblings, two other planes


@dataclass(frozen=True, slots=True)
class Block:
    """What one chunk holds."""

    level: int  # that its bands belong to, 1 the finest
    index: tuple[int, int]  # row and column among the blocks of its resolution
    parts: tuple[Part, ...]

    @property
    def parent(self) -> tuple[int, tuple[int, int]]:
        """Level and index of the block that has its parents."""
        return self.level + 1, (self.index[0] // 2, self.index[1] // 2)


@lru_cache(16)
def blocks(shape: tuple[int, ...], levels: int, colours: int) -> tuple[Block, ...]:
    """Blocks of planes [C, H, W] in coding order; the first `colours` of them tell of each other."""
    bands = mallat_bands(shape, levels, "53")
    found: dict[tuple[int, str], tuple[int, int, int, int]] = {}
    for band in bands:
        rows, columns = (axis for axis in band.index if isinstance(axis, slice))
        found[band.level, band.kind] = (rows.start, rows.stop, columns.start, columns.stop)
    made = []
    for level, whole in dict.fromkeys((band.level, band.kind == "LL") for band in bands):
        kinds = [band.kind for band in bands if (band.level, band.kind == "LL") == (level, whole)]
        if whole:
            made.append(Block(level, (0, 0), _parts(found, level, kinds, shape[0], colours, (0, 0, max(shape[1:])))))
            continue
        boxes = [found[level, kind] for kind in kinds]
        high, wide = max(b[1] - b[0] for b in boxes), max(b[3] - b[2] for b in boxes)
        for top in range(0, high, BLOCK):
            for left in range(0, wide, BLOCK):
                parts = _parts(found, level, kinds, shape[0], colours, (top, left, BLOCK))
                made.append(Block(level, (top // BLOCK, left // BLOCK), parts))
    return tuple(made)


def _parts(
    found: dict[tuple[int, str], tuple[int, int, int, int]], level: int, kinds: list[str], planes: int, colours: int,
    where: tuple[int, int, int],
) -> tuple[Part, ...]:  # fmt: skip
    """Parts of the block at row and column `where`[:2] of its bands, of side `where`[2]; empty ones are left out."""

    def box(level: int, kind: str, plane: int, scale: int = 1) -> Box:
        if (level, kind) not in found:
            return _NONE
        (first, last, left, right), side = found[level, kind], where[2] // scale
        top, start = first + where[0] // scale, left + where[1] // scale
        if top >= last or start >= right:
            return _NONE
        return plane, top, min(top + side, last), start, min(start + side, right)

    parts = []
    for plane in range(planes):
        role = min(plane, 2) if plane < colours else 0
        for kind in kinds:
            this = box(level, kind, plane)
            if this is _NONE:
                continue
            siblings = {"LL": (), "HL": (), "LH": ("HL",), "HH": ("HL", "LH")}[kind]
            near = [box(level, sibling, plane) for sibling in siblings]
            others = [box(level, kind, other) for other in range(plane - role, plane)]
            parent = box(level + 1, kind, plane, 2) if kind != "LL" else _NONE
            boxes = [this, parent, *[*near, _NONE, _NONE][:2], *[*others, _NONE, _NONE][:2]]
            parts.append(Part(kind, plane, role, this, np.array(boxes, np.int64)))
    return tuple(parts)


class Encoder:
    """Planes of numbers to chunks."""

    def __init__(self, y: np.ndarray, learned: Learned, settings: tuple[int, int, int]) -> None:
        """Make ready.

        Args:
            y: int32 [C, H, W]: LL as integers, the rest in 2**-fraction. With fraction 0, `next_layer` changes it.
            learned: of the mode.
            settings: fraction; what is added before rounding down; price of a bit in 2**-12 squared steps.
        """
        self._learned, (fraction, rounding, price) = learned, settings
        self.y, self.q = y, np.zeros_like(y) if fraction else y  # nothing is chosen of integers: they are y
        self._memory, self._refine, self._kernel = _Memory(learned, len(y)), False, pick("wavelet_coder", y.size)
        self._plain = learned.thresholds(0, 0), (0, 0)
        self._priced = learned.thresholds(fraction, price), (fraction, rounding)

    def next_layer(self, y: np.ndarray, order: tuple[Block, ...]) -> None:
        """Go on with integers y that have one bit more than those coded; LL is not coded again."""
        self.y, self._refine, self._memory = y, True, _Memory(self._learned, len(y))
        double(self.q, order)

    def chunk(self, block: Block) -> bytes:
        """Code one block. What is chosen for it stands in `q` then."""
        symbols, indices, raw, state = self.note(block)
        count, done, held = (int(v) for v in state[:3])
        raw[done] = int(state[3])
        bits = raw[: done + 1].astype("<u4").tobytes()[: 4 * done + (held + 7) // 8]
        tables = self._learned.tables
        note(ideal_bytes=lambda: tables.bits(symbols[:count], indices[:count]) / 8 + len(bits))
        with expecting(self.y.size):
            coded = rans_stream.encode_chunk([(symbols[:count], indices[:count], tables.packed)])
        return varint(len(coded)) + coded + bits

    def learnt_of(self, block: Block) -> np.ndarray:
        """What the contexts of a block that was coded have met: counts and totals int64 [planes, CONTEXTS, 2]."""
        return self._memory.known[block.level, block.index]

    def note(self, block: Block) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Symbols, their tables, raw bits and the state (`wavelet_coder_slow`) of one block."""
        room = sum((b - t) * (r - c + (r - c) // SEGMENT + 16) for _, t, b, c, r in (part.box for part in block.parts))
        symbols, indices = np.empty(room + SEGMENT, np.int32), np.empty(room + SEGMENT, np.uint8)
        raw, state, learnt = np.empty(room + 2, np.uint32), np.zeros(4, np.uint64), self._memory.of(block)
        for part in block.parts:
            thresholds, settings = self._plain if part.kind == "LL" else self._priced
            weights = self._learned.weights[part.role, _KINDS.index(part.kind)]
            args = (self.y, self.q, part.boxes, weights, learnt[part.plane], thresholds)
            self._kernel.encode_block(*args, symbols, indices, raw, state, settings, self._refine)
        return symbols, indices, raw, state


class Decoder:
    """Chunks to planes of integers."""

    def __init__(self, shape: tuple[int, ...], learned: Learned) -> None:
        self.q, self._learned, self._memory = np.zeros(shape, np.int32), learned, _Memory(learned, shape[0])
        self._kernel: Any = pick("wavelet_coder", self.q.size)
        self._refine = False

    def next_layer(self, order: tuple[Block, ...]) -> None:
        """Go on with integers of one bit more."""
        self._refine, self._memory = True, _Memory(self._learned, len(self.q))
        double(self.q, order)

    def chunk(self, block: Block, reader: Reader, what: str) -> None:
        """Decode one block into `q`. Raises BitstreamError."""
        coded = reader.take(reader.varint(f"{what}: bytes of rANS", at_most=2**40), f"{what}: rANS")
        cursor, learned, learnt = rans_stream.Cursor(coded), self._learned, self._memory.of(block)
        bits = bytes(reader.take(reader.left, what))
        raw = np.frombuffer(bits + bytes(-len(bits) % 4), "<u4").astype(np.uint32)
        state, place = np.zeros(4, np.uint64), np.array([cursor.p], np.int64)
        for part in block.parts:
            weights = learned.weights[part.role, _KINDS.index(part.kind)]
            args = (part.boxes, weights, learnt[part.plane], learned.tables.packed, cursor.states, cursor.words, place)
            if not self._kernel.decode_block(self.q, *args, cursor.end, raw, state, self._refine):
                raise BitstreamError(f"{what} ends too early, or holds a number that no picture needs")
        cursor.p = int(place[0])
        cursor.finish()
        words, held, acc = (int(v) for v in state[1:])
        if (32 * words - held + 7) // 8 != len(bits) or acc:
            raise BitstreamError(f"{what} does not end where its {len(block.parts)} bands do")


def double(q: np.ndarray, order: tuple[Block, ...]) -> None:
    """Twice the integers of all bands but LL, in place."""
    for block in order[1:]:
        for part in block.parts:
            plane, top, bottom, left, right = part.box
            q[plane, top:bottom, left:right] <<= 1


class _Memory:
    """What the contexts of each block have met: a block goes on from that of its parents."""

    def __init__(self, learned: Learned, planes: int) -> None:
        self._start = np.repeat(learned.start[None], planes, axis=0)
        self.known: dict[tuple[int, tuple[int, int]], np.ndarray] = {}

    def of(self, block: Block) -> np.ndarray:
        """Counts and totals int64 [planes, CONTEXTS, 2] for a block to start with, and to change."""
        learnt = self.known.get(block.parent, self._start).copy()
        if block.parts[0].kind != "LL":  # whose symbols are residuals, and tell nothing of others
            self.known[block.level, block.index] = learnt
        return learnt
