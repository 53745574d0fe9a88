"""The bands of a picture in coding order, and the chunks that hold them: one for each resolution, coarsest first.

    chunk   i8 shift[planes][3] (lossy only) │ varint words of rANS │ u32 word[...] │ raw bits to the end

`kernels/wavelet_coder_slow.py` defines the rANS and the raw bits; a chunk has its own, the models go on from the chunk
before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from midtread.codecs.image.wavelet_weights import WEIGHTS
from midtread.container import Reader, varint
from midtread.errors import BitstreamError
from midtread.kernels.twins import pick
from midtread.kernels.wavelet_coder_slow import LOW, fresh_models
from midtread.transforms.wavelet import mallat_bands

_KINDS = ("LL", "HL", "LH", "HH")
_NONE = (0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Part:
    """One band of one plane, and the bands that its contexts look at."""

    kind: str
    plane: int
    box: tuple[int, int, int, int, int]  # plane, first and last row, first and last column (last: one beyond)
    boxes: np.ndarray  # int64 [6, 5]: this, parent, two siblings, two other planes
    weights: np.ndarray
    models: int


def resolutions(shape: tuple[int, ...], levels: int, colours: int) -> Iterator[list[Part]]:
    """Parts of planes [C, H, W] in coding order, one list for each resolution; `colours` planes are one picture's."""
    found: dict[tuple[int, str, int], tuple[int, int, int, int, int]] = {}
    bands = mallat_bands(shape, levels, "53")
    for level in dict.fromkeys((band.level, band.kind == "LL") for band in bands):
        parts = []
        for plane in range(shape[0]):
            role = plane if plane < colours else 0
            for band in bands:
                if (band.level, band.kind == "LL") != level:
                    continue
                rows, columns = (axis for axis in band.index if isinstance(axis, slice))
                box = (plane, rows.start, rows.stop, columns.start, columns.stop)
                found[band.level, band.kind, plane] = box
                siblings = {"LL": (), "HL": (), "LH": ("HL",), "HH": ("HL", "LH")}[band.kind]
                near = [found.get((band.level, kind, plane), _NONE) for kind in siblings]
                others = [found.get((band.level, band.kind, other), _NONE) for other in range(role)]
                boxes = [
                    box,
                    found.get((band.level + 1, band.kind, plane), _NONE) if band.kind != "LL" else _NONE,
                    *[*near, _NONE, _NONE][:2],
                    *[*others, _NONE, _NONE][:2],
                ]
                weights = WEIGHTS[role][_KINDS.index(band.kind)]
                models = 2 * plane + (band.kind != "LL")
                parts.append(Part(band.kind, plane, box, np.array(boxes, np.int64), weights, models))
        yield parts


class Encoder:
    """Planes of numbers to chunks."""

    def __init__(self, y: np.ndarray) -> None:
        """Args: y: int32 [C, H, W]: integers (LL: residuals), or numbers in 2**-fraction of `chunk`."""
        self.y, self.q = y, np.zeros_like(y)
        self._models = fresh_models(2 * len(y))
        self._kernel: Any = pick("wavelet_coder", y.size)

    def chunk(self, parts: list[Part], chosen: tuple[int, int, int]) -> bytes:
        """Code one resolution. What is chosen for it stands in `q` then."""
        count = sum((p.box[2] - p.box[1]) * (p.box[4] - p.box[3]) for p in parts)
        tape, raw = np.empty(count, np.uint32), np.empty(2 * count + 4, np.uint32)
        state = np.zeros(5, np.uint64)
        for part in parts:
            settings = (0, 0, 0) if part.kind == "LL" else chosen
            models = self._models[part.models]
            self._kernel.encode_band(self.y, self.q, part.boxes, part.weights, models, tape, raw, state, settings)
        out = np.empty(count + 4, np.uint32)
        words = out[self._kernel.write_words(tape, count, out) :].astype("<u4").tobytes()
        held, done = int(state[2]), int(state[1])
        raw[done] = int(state[3])
        bits = raw[: done + 1].astype("<u4").tobytes()[: 4 * done + (held + 7) // 8]
        return varint(len(words) // 4) + words + bits


class Decoder:
    """Chunks to planes of integers."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.q = np.zeros(shape, np.int32)
        self._models = fresh_models(2 * shape[0])
        self._kernel: Any = pick("wavelet_coder", self.q.size)

    def chunk(self, parts: list[Part], reader: Reader, what: str) -> None:
        """Decode one resolution into `q`. Raises BitstreamError."""
        count = reader.varint(f"{what}: rANS words", at_most=2**40)
        stream = np.frombuffer(reader.take(4 * count, f"{what}: rANS"), "<u4").astype(np.uint32)
        bits = bytes(reader.take(reader.left, what))
        raw = np.frombuffer(bits + bytes(-len(bits) % 4), "<u4").astype(np.uint32)
        if count < 2:
            raise BitstreamError(f"{what} has {count} rANS words; a stream has at least 2")
        first = int(stream[0]) | int(stream[1]) << 32
        state = np.array([2, 0, 0, 0, first], np.uint64)
        for part in parts:
            args = (part.boxes, part.weights, self._models[part.models], stream, raw, state)
            if not self._kernel.decode_band(self.q, *args):
                raise BitstreamError(f"{what} holds a number that no picture needs")
        at, words, held, acc, x = map(int, state)
        used = 32 * words - held
        if at != count or x != LOW or (used + 7) // 8 != len(bits) or acc:
            raise BitstreamError(f"{what} does not end where its {len(parts)} bands do")
