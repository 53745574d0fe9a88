"""Layers of Gaussians to bytes and back: a layer is an unordered set, its symbols are told column by column.

    cells ──► levels, sizes ──► colours ──► rings, turns, parts ──► parts of cells

Whatever is told before, of this Gaussian and of its neighbours, chooses the probabilities of what comes next, and
`Memory` keeps what was learned from layer to layer.
"""

from __future__ import annotations

import json
from dataclasses import fields
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np

from midtread.codecs.image import gaussian_symbols as columns
from midtread.codecs.image.gaussian_header import LEVELS, Header
from midtread.codecs.image.gaussian_symbols import LARGEST, WORTH, Symbols, layout_of
from midtread.container import Reader, varint
from midtread.errors import BitstreamError, UsageError
from midtread.kernels.splat_coder_slow import (
    CLASSES,
    DECISIONS,
    EIGHTHS,
    ROWS_OF_CELLS,
    ROWS_OF_SIGNS,
    ROWS_OF_TURNS,
)
from midtread.kernels.splat_counts import SIZES, SMALLEST
from midtread.kernels.splat_layer_slow import (
    BITS,
    NO_LAYER,
    SECOND_ROWS,
    SIZE_ROWS,
    SPANS,
    THIRD_ROWS,
    WRONG_COLOUR,
    WRONG_END,
    WRONG_LEVELS,
    Columns,
    Fields,
    Layout,
    Models,
)
from midtread.kernels.twins import pick

MOST_TOLD = 2**20  # Gaussians of all layers: sums of a field, squared, stay below 2**63
COST = 256  # bytes that a Gaussian can need at most
MODELS = {
    "cells": (ROWS_OF_CELLS, EIGHTHS),
    "levels": (SPANS, 1 << BITS),
    "sizes": (SIZE_ROWS * CLASSES, 1 << BITS),
    "second": (SECOND_ROWS * CLASSES, DECISIONS),
    "third": (THIRD_ROWS * CLASSES, DECISIONS),
    "second_sign": (ROWS_OF_SIGNS, 2),
    "third_sign": (ROWS_OF_SIGNS, 2),
    "rings": (LEVELS, DECISIONS),
    "turns": (ROWS_OF_TURNS, EIGHTHS),
}


_WRONG = {
    NO_LAYER: " does not begin as one",
    WRONG_LEVELS: " has its highest level below its lowest one",
    WRONG_COLOUR: " has a colour that cannot be",
    WRONG_END: " does not end where its bytes do",
}


class Memory:
    """What the layers of a file taught so far; begin each file with a new one, and use it in the order of layers."""

    def __init__(self, header: Header) -> None:
        self.left = MOST_TOLD
        self.models = {name: model.copy() for name, model in _start().items()}
        for name, rows in (("shape", header.shape_entries), ("colour", header.colour_entries)):
            self.models[name] = np.full((len(rows), max(rows, default=0), 2), (32768, 0), np.uint16)
        self.layout = layout_of(header)
        blocks = self.layout.across * self.layout.down
        self.fields = {name: np.zeros((blocks, 3 if name == "turns" else 2), np.int32) for name in Fields._fields}

    def of(self, symbols: Symbols) -> tuple[Models, Fields, Columns, Layout]:
        """What kernels take."""
        return Models(**self.models), Fields(**self.fields), symbols.columns(), self.layout


@lru_cache
def _start() -> dict[str, np.ndarray]:
    """Models that a file begins with: what `tools/train_gaussian.py` learned, part of the format."""
    text = (resources.files("midtread.codecs.image") / "gaussian.json").read_text(encoding="utf-8")
    models = {}
    for name, told in json.loads(text).items():
        models[name] = np.full((*MODELS[name], 2), (32768, 0), np.uint16)
        for row, digits in enumerate(told):
            states = bytes.fromhex(digits)
            likely, met = np.frombuffer(states, np.uint8).reshape(-1, 2).T
            models[name][row, : likely.size, 0] = likely.astype(np.uint16) * 256 + 128
            models[name][row, : likely.size, 1] = met
    return models


def _kernel(n: int) -> Any:
    return pick("splat_layer", n * WORTH)


def _int32(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x, np.int32)


def encode_layer(symbols: Symbols, header: Header, memory: Memory | None = None) -> bytes:
    """Bytes of a set of Gaussians.

    Args:
        symbols: in any order.
        header: of the file.
        memory: of the layers before; changed. Without, this is the first layer.

    Raises:
        UsageError: a symbol is outside of what the header and the symbols before it allow.
    """
    memory, n = memory or Memory(header), len(symbols)
    if n > memory.left:
        raise UsageError(f"a layer of {n} Gaussians, where all layers may have {MOST_TOLD}: {memory.left} are left")
    symbols = canonical(symbols, header)
    _check(symbols, header)
    memory.left -= n
    data = np.empty(COST * (n + 1), np.uint8)
    return varint(n) + data[: _kernel(n).write(data, *memory.of(symbols))].tobytes()


def decode_layer(
    data: bytes | memoryview, header: Header, memory: Memory | None = None, *, at_most: int = MOST_TOLD
) -> Symbols:
    """Read what `encode_layer` wrote, in the order of `canonical`.

    Args:
        data: all bytes of the layer.
        header: of the file.
        memory: of the layers before; changed. Without, this is the first layer.
        at_most: Gaussians that the layer may have.

    Raises:
        LimitError: it has more.
        BitstreamError: the bytes are not what an encoder would have written.
    """
    reader, memory = Reader(data), memory or Memory(header)
    n = reader.varint("Gaussians of a layer", at_most=min(at_most, memory.left))
    memory.left -= n
    if not header.colour_entries and n > 8 * (reader.left + 4):  # a sign is a bit; the last zero bytes are left out
        raise BitstreamError(f"{n} Gaussians cannot be in a layer of {len(data)} bytes; it is damaged")
    symbols = Symbols.zeros(n, header)
    given = np.frombuffer(reader.take(reader.left, "layer"), np.uint8).copy()  # kernels want what they could write to
    if wrong := _kernel(n).read(given, *memory.of(symbols)):
        raise BitstreamError(f"a layer of {n} Gaussians{_WRONG[wrong]}; its {len(data)} bytes are damaged")
    return symbols


def canonical(symbols: Symbols, header: Header) -> Symbols:
    """The same set in the order in which it is told: along the boxes of cells, then by all that is told."""
    ranks = _kernel(len(symbols)).order(_int32(symbols.cells), *header.grid)
    order = np.argsort(ranks, kind="stable")
    same = np.concatenate([[False], np.diff(ranks[order]) == 0, [False]])
    tied = np.flatnonzero(same[1:] | same[:-1])
    which = order[tied]
    keys = np.concatenate([np.atleast_2d(getattr(symbols, f.name)[which].T) for f in fields(symbols)])
    order[tied] = which[np.lexsort([*keys[::-1], ranks[which]])]
    return symbols[order]


def _check(symbols: Symbols, header: Header) -> None:
    """Raise UsageError for what no file can hold: kernels look at no bounds."""
    _inside("cells", symbols.cells, np.array(header.grid))
    for name, entries in (("shape_rows", header.shape_entries), ("colour_rows", header.colour_entries)):
        _inside(name, getattr(symbols, name), np.array(entries, np.int64))
    if not header.shape_entries:
        _inside("size", symbols.size - SMALLEST, SIZES)
    if not header.colour_entries:
        _inside("colour", symbols.colour + LARGEST, 2 * LARGEST + 1)
        if not symbols.colour.any(1).all():
            raise UsageError("a Gaussian has colour 0; leave it out")
    parts, ratio_step, rings = columns.precision(columns.told_level(symbols, header))
    _inside("part", symbols.part, parts)
    _inside("ring", symbols.ring, rings + 1)
    _inside("turn", symbols.turn, columns.turns(symbols.ring, ratio_step))
    told = columns.counts(symbols, header)
    _inside("parts_xy", symbols.parts_xy, np.stack([told.across, told.down], 1))


def _inside(name: str, values: np.ndarray, count: np.ndarray | int) -> None:
    wrong = np.argwhere((values < 0) | (values >= count))
    if wrong.size:
        raise UsageError(f"{name} of Gaussian {wrong[0][0]}, in the order that it is told, is not one that it can have")
