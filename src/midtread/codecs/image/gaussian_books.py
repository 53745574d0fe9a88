"""The codebooks of a file of Gaussians, and what is drawn of its symbols.

A shape or a colour is a sum of entries, one of each stage; places are never in a codebook. A shape is the vector
(2.526 log sigma, 0.893 r cos 2t, 0.893 r sin 2t), with r the log of the ratio of the axes and t the angle of the
shorter one: an error of it costs the picture about its squared length times the energy of the Gaussian.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from midtread.codecs import codebook
from midtread.codecs.image import gaussian_symbols as columns
from midtread.codecs.image.gaussian_header import Header
from midtread.codecs.image.gaussian_symbols import Symbols
from midtread.container import Reader
from midtread.errors import BitstreamError
from midtread.kernels.splat_counts import NORM_RATIO, NORM_SIZE, RATIO_LIMIT
from midtread.transforms.gaussians_fit import Parts

LARGEST = 1e5  # number in a codebook
LOG_SIGMA = 6.0  # at most, either sign


@dataclass(frozen=True, eq=False)
class Stages:
    """Codebooks whose entries add up.

    Attributes:
        books: float32 [entries, dimensions] of each stage.
        data: what a file holds of them.
    """

    books: tuple[np.ndarray, ...]
    data: bytes = b""

    @property
    def entries(self) -> tuple[int, ...]:
        """Of each stage."""
        return tuple(len(book) for book in self.books)

    def sums(self, rows: np.ndarray) -> np.ndarray:
        """Float32 [n, dimensions] of indices int32 [n, stages], at least one stage."""
        total = np.zeros((len(rows), self.books[0].shape[1]), np.float32)
        for book, row in zip(self.books, rows.T, strict=True):
            total += book[row]
        return total

    @classmethod
    def read(cls, reader: Reader, entries: tuple[int, ...], dimensions: int) -> Stages:
        """Those that a header announces. Raises BitstreamError, TruncatedError, LimitError."""
        books = []
        for rows in entries:
            book = codebook.read(reader, most_entries=rows, most_dimensions=dimensions)
            if book.shape != (rows, dimensions) or np.abs(book).max() > LARGEST:
                raise BitstreamError(
                    f"a codebook of {list(book.shape)} numbers up to {np.abs(book).max():g} stands where Gaussians "
                    f"have one of {[rows, dimensions]} up to {LARGEST:g}; the file is damaged"
                )
            books.append(book)
        return cls(tuple(books))


@dataclass(frozen=True, eq=False)
class Books:
    """What the quantizer `vq` tells of all Gaussians together."""

    shape: Stages
    colour: Stages

    @property
    def data(self) -> bytes:
        """In the parameters chunk."""
        return self.shape.data + self.colour.data

    @classmethod
    def read(cls, reader: Reader, header: Header) -> Books:
        """Raises BitstreamError, TruncatedError, LimitError."""
        if not (header.shape_entries and header.colour_entries):
            raise BitstreamError("Gaussians have codebooks for shapes and for colours, or none; this file is damaged")
        shape = Stages.read(reader, header.shape_entries, 3)
        return cls(shape, Stages.read(reader, header.colour_entries, header.channels))


class Quantized(NamedTuple):
    """What a file tells of its Gaussians."""

    symbols: Symbols
    header: Header
    books: Books | None = None

    def parts(self) -> Parts:
        """What is drawn."""
        return dequantize(self.symbols, self.header, self.books)

    def by_energy(self, layers: int) -> list[Symbols]:
        """Sets of about equally many, those that matter most first; none is empty."""
        _, factor, colour = self.parts()
        energy = np.square(colour).sum(1) / (factor[:, 0] * factor[:, 2])
        order = np.argsort(-energy, kind="stable")
        return [self.symbols[part] for part in np.array_split(order, min(layers, max(1, len(order)))) if part.size]


def dequantize(symbols: Symbols, header: Header, books: Books | None) -> Parts:
    """`gaussian_symbols.dequantize` for every quantizer."""
    xy, factor, colour = columns.dequantize(symbols, header)
    if books is None:
        return xy, factor, colour
    return xy, factors(books.shape.sums(symbols.shape_rows)), books.colour.sums(symbols.colour_rows)


def shapes(factor: np.ndarray) -> np.ndarray:
    """The vectors of shapes, float32 [n, 3], of a, b and c."""
    log_sigma, ratio, angle = columns.axes(factor)
    ratio = NORM_RATIO * np.minimum(ratio, RATIO_LIMIT)
    vectors = [NORM_SIZE * log_sigma, ratio * np.cos(2 * angle), ratio * np.sin(2 * angle)]
    return np.stack(vectors, 1).astype(np.float32)


def factors(vectors: np.ndarray) -> np.ndarray:
    """A, b and c, float32 [n, 3], of the vectors of shapes."""
    log_sigma = np.clip(vectors[:, 0] / np.float32(NORM_SIZE), -LOG_SIGMA, LOG_SIGMA)
    ratio = np.minimum(np.hypot(vectors[:, 1], vectors[:, 2]) / np.float32(NORM_RATIO), np.float32(RATIO_LIMIT))
    angle = np.arctan2(vectors[:, 2], vectors[:, 1]) / 2
    inverse, stretch = np.exp(-log_sigma), np.exp(ratio)
    sine, cosine = np.sin(angle), np.cos(angle)
    down = np.sqrt(stretch * sine * sine + cosine * cosine / stretch)
    slant = (stretch - 1 / stretch) * sine * cosine / down
    return np.stack([inverse / down, inverse * slant, inverse * down], 1)
