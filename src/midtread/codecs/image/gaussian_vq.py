"""Gaussians with codebooks: `vq`, the encoder's side.

    shapes ──► codebooks ──► places rounded ──► colours solved ──► codebooks ──► indices move to where the picture gains

Vectors are weighted by what an error of each costs the picture. An index is chosen for the squared error it leaves and,
at a price, for its bits: a Gaussian of little energy takes a common entry. So is the number of entries, whose bytes
count. The price of a bit is what numbers told in steps pay for it.

Sources: Chou, Lookabaugh & Gray, "Entropy-constrained vector quantization", 1989; Juang & Gray, "Multiple stage vector
quantization for speech coding", 1982.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from midtread.codecs import codebook
from midtread.codecs.image import gaussian_symbols as columns
from midtread.codecs.image.gaussian_books import Books, Quantized, Stages, factors, shapes
from midtread.codecs.image.gaussian_header import Header
from midtread.codecs.image.gaussian_refine import PART, by_axes
from midtread.codecs.image.gaussian_symbols import Symbols
from midtread.container import Reader
from midtread.kernels.splat_counts import LEVELS, NORM, NORM_PLACE, NORM_RATIO, NORM_SIZE
from midtread.quantize.vector.train import sums_of, train
from midtread.transforms.gaussians_canvas import Canvas
from midtread.transforms.gaussians_fit import Parts, by_place

# Entries of the stages that are tried, until one more bit costs more than it gains.
ENTRIES = ((64,), (64, 64), (128, 64), (128, 128), (256, 128), (256, 256), (512, 256), (512, 512), (1024, 1024))
PER_ENTRY = 4  # Gaussians, at least
SAMPLE = 8192  # vectors that are tried
BEAM = 4  # sums of the stages so far that a search goes on with
PASSES = 3  # of Lloyd's iteration, after one in which all entries have the same price
COARSER = 0.1  # more error, by rounding the entries
SOLVING = 10  # iterations of conjugate gradients
LEAST = 1e-9  # weight: a Gaussian of no energy has a shape, too
_BLOCK = 2**21  # distances at a time


def quantized(canvas: Canvas, parts: Parts, header: Header, rounds: int, seed: int) -> Quantized:
    """The symbols and codebooks of a fit.

    Args:
        canvas: the picture without its background.
        parts: the Gaussians fitted to it, at least one.
        header: of the file, with the step.
        rounds: of moves at the end.
        seed: of k-means++ and of the moves.
    """
    xy, factor, colour = parts
    told, price = flat(header, factor, colour), price_of(header.step)
    shape, shape_rows = trained(shapes(factor), energies(factor, colour), price, seed)
    factor = factors(shape.sums(shape_rows))
    symbols = placed(xy, told)
    colour = canvas.solve(columns.dequantize(symbols, told)[0], factor, colour, SOLVING)
    colours, colour_rows = trained(colour, NORM**2 * areas(factor), price, seed)
    symbols.shape_rows, symbols.colour_rows = shape_rows, colour_rows
    told = replace(told, quantizer="vq", shape_entries=shape.entries, colour_entries=colours.entries)
    return _refined(canvas, Quantized(symbols, told, Books(shape, colours)), rounds, seed)


def price_of(step: float) -> float:
    """Squared error that a bit is worth where numbers are told in steps: the slope of step^2 / 12 * 2**(-2 bits)."""
    return math.log(2) / 6 * step * step


def areas(factor: np.ndarray) -> np.ndarray:
    """Sigma squared, [n]."""
    return 1 / (factor[:, 0] * factor[:, 2])


def energies(factor: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """|c|^2 sigma^2, [n]."""
    return np.maximum(np.square(colour).sum(1) * areas(factor), LEAST)


def flat(header: Header, factor: np.ndarray, colour: np.ndarray) -> Header:
    """With the precision of places: steps that are the same for all, in pixels, and cost step^2 / 12 on average."""
    a, b, c = factor.astype(np.float64).T
    stiff = float((np.square(colour).sum(1) * (a * a + b * b + c * c) / (2 * a * c)).mean())
    return replace(header, quantizer="uniform", level=level_of(NORM**2 * stiff / header.step**2))


def level_of(squares: float) -> int:
    """The nearest level to a sum of squared colour symbols."""
    return int(np.clip(round(math.log2(max(squares, 1.0))), 0, LEVELS - 1))


def placed(xy: np.ndarray, told: Header) -> Symbols:
    """Symbols of places, all others 0; of a header from `flat`."""
    symbols, zeros = Symbols.zeros(len(xy), told), np.zeros(len(xy))
    columns.requantize(symbols, xy, zeros, zeros, zeros, told)
    symbols.part[:] = 0
    return symbols


def search(
    stages: Stages, vectors: np.ndarray, weights: np.ndarray, price: float, rows: np.ndarray | None
) -> np.ndarray:
    """Indices int32 [n, stages] of least weights * squared error + price * bits, nearly.

    Args:
        stages: to search in.
        vectors: float32 [n, dimensions].
        weights: [n].
        price: of a bit.
        rows: indices in use, whose frequencies say how many bits each takes; None: all take the same.
    """
    bits = _bits(stages, np.zeros((0, len(stages.books)), np.int32) if rows is None else rows)
    prices = [np.float32(price) * each.astype(np.float32) for each in bits]
    block = max(1, _BLOCK // (BEAM * max(stages.entries)))
    parts = range(0, len(vectors), block)
    found = [_search(vectors[i : i + block], weights[i : i + block], stages.books, prices) for i in parts]
    return np.concatenate([np.zeros((0, len(stages.books)), np.int32), *found])


def _search(
    vectors: np.ndarray, weights: np.ndarray, books: tuple[np.ndarray, ...], prices: list[np.ndarray]
) -> np.ndarray:
    left, paid = vectors.astype(np.float32)[:, None], np.zeros((len(vectors), 1), np.float32)
    told, weights = np.zeros((len(vectors), 1, 0), np.int32), weights.astype(np.float32)[:, None, None]
    for stage, (book, price) in enumerate(zip(books, prices, strict=True)):
        squares = np.square(left).sum(2)[:, :, None] - 2 * left @ book.T + np.square(book).sum(1)
        costs = (weights * squares + (paid[:, :, None] + price)).reshape(len(vectors), -1)
        most = 1 if stage == len(books) - 1 else min(BEAM, costs.shape[1])
        best = np.argpartition(costs, most - 1, axis=1)[:, :most] if most > 1 else costs.argmin(1)[:, None]
        before, entry = np.divmod(best, len(book))
        paid = np.take_along_axis(paid, before, 1) + price[entry]
        left = np.take_along_axis(left, before[:, :, None], 1) - book[entry]
        told = np.concatenate([np.take_along_axis(told, before[:, :, None], 1), entry[:, :, None]], 2)
    return told[:, 0].astype(np.int32)


def _bits(stages: Stages, rows: np.ndarray) -> list[np.ndarray]:
    counts = [np.bincount(row, minlength=size) + 0.5 for size, row in zip(stages.entries, rows.T, strict=True)]
    return [-np.log2(count / count.sum()) for count in counts]


def bits_of(stages: Stages, rows: np.ndarray) -> float:
    """Of indices, nearly, and of the codebooks."""
    told = zip(_bits(stages, rows), rows.T, strict=True)
    return sum(float(bits[row].sum()) for bits, row in told) + 8 * len(stages.data)


def trained(
    vectors: np.ndarray, weights: np.ndarray, price: float, seed: int, entries: tuple[int, ...] | None = None
) -> tuple[Stages, np.ndarray]:
    """Codebooks as a reader has them, and the indices of the vectors.

    Args:
        vectors: float32 [n, dimensions], n at least 1.
        weights: [n], what the squared error of each counts; above 0.
        price: of a bit, in weighted squared error.
        seed: of k-means++.
        entries: of each stage, at most; None: those for which error, indices and codebooks together cost least.
    """
    if entries is None:
        few = np.random.default_rng(seed).permutation(len(vectors))[:SAMPLE]
        entries = _best_entries(vectors[few], weights[few], price, seed)
    return _trained(vectors, weights, price, seed, entries)


def _best_entries(vectors: np.ndarray, weights: np.ndarray, price: float, seed: int) -> tuple[int, ...]:
    least, best = math.inf, tuple[int, ...]([max(1, len(vectors) // PER_ENTRY)])
    for entries in ENTRIES:
        if entries[0] * PER_ENTRY > len(vectors):
            break
        stages, rows = _trained(vectors, weights, price, seed, entries)
        cost = float(weights @ np.square(vectors - stages.sums(rows)).sum(1)) + price * bits_of(stages, rows)
        if cost > least:
            break
        least, best = cost, entries
    return best


def _trained(
    vectors: np.ndarray, weights: np.ndarray, price: float, seed: int, entries: tuple[int, ...]
) -> tuple[Stages, np.ndarray]:
    left, books = vectors, list[np.ndarray]()
    for size in entries:
        books.append(train(left, size, seed, weights))
        own = Stages((books[-1],))
        left = left - own.sums(search(own, left, weights, 0.0, None))
    stages = Stages(tuple(books))
    stages, rows = _centred(stages, vectors, weights, search(stages, vectors, weights, price, None))
    for _ in range(PASSES):
        stages, rows = _centred(stages, vectors, weights, search(stages, vectors, weights, price, rows))
    error = float(weights @ np.square(vectors - stages.sums(rows)).sum(1) / weights.sum())
    step = max(math.sqrt(12 * COARSER * error / vectors.shape[1]), 1e-6 * float(np.abs(vectors).max()), 1e-9)
    data = [codebook.write(book, step) for book in stages.books]
    stages = Stages(tuple(codebook.read(Reader(each)) for each in data), b"".join(data))
    return stages, search(stages, vectors, weights, price, search(stages, vectors, weights, price, None))


def _centred(stages: Stages, vectors: np.ndarray, weights: np.ndarray, rows: np.ndarray) -> tuple[Stages, np.ndarray]:
    """Each entry in the middle of what the other stages leave of its vectors; those without any are dropped."""
    books, rows = list(stages.books), rows.copy()
    for stage in range(len(books)):
        left = vectors - Stages(tuple(books)).sums(rows) + books[stage][rows[:, stage]]
        used, rows[:, stage] = np.unique(rows[:, stage], return_inverse=True)
        load = np.bincount(rows[:, stage], weights, len(used))
        books[stage] = (sums_of(left, weights, rows[:, stage], len(used)) / load[:, None]).astype(np.float32)
    return Stages(tuple(books)), rows


def _refined(canvas: Canvas, found: Quantized, rounds: int, seed: int) -> Quantized:
    """`gaussian_refine.refine` for codebooks: indices go where their Gaussians alone are best, where that pays."""
    rng, part, price = np.random.default_rng(seed), PART, price_of(found.header.step)
    energy, moments = canvas.moments(*found.parts())
    least = energy + price * _told(found)
    for _ in range(rounds):
        moved = _moved(found, moments, part, price, rng)
        energy, there = canvas.moments(*moved.parts())
        cost = energy + price * _told(moved)
        if cost < least:
            found, least, moments, part = moved, cost, there, min(1.1 * part, 0.5)
        else:
            part *= 0.6
    return found


def _told(found: Quantized) -> float:
    assert found.books
    bits = bits_of(found.books.shape, found.symbols.shape_rows)
    return bits + bits_of(found.books.colour, found.symbols.colour_rows)


def _moved(found: Quantized, moments: np.ndarray, part: float, price: float, rng: np.random.Generator) -> Quantized:
    """A part of the shapes, colours and places at the minimum of a parabola: gradient and own curvature."""
    assert found.books
    old, books, n = found.symbols, found.books, len(found.symbols)
    xy, factor, colour = found.parts()
    symbols, mass, stiff = old[np.arange(n)], energies(factor, colour), NORM**2 * areas(factor)
    now = rng.random(n) < part
    wanted = shapes(factor)[now] - _by_vector(moments[now], factor[now]) / mass[now, None]
    symbols.shape_rows[now] = search(books.shape, wanted, mass[now], price, old.shape_rows)
    now = rng.random(n) < part
    wanted = colour[now] - moments[now, 5:] / stiff[now, None]
    symbols.colour_rows[now] = search(books.colour, wanted, stiff[now], price, old.colour_rows)
    now = rng.random(n) < part
    a, b, c = factor[now].T
    hard = NORM_PLACE**2 * mass[now, None] * np.stack([a * a + b * b, c * c], 1)
    told = replace(found.header, quantizer="uniform", shape_entries=(), colour_entries=())
    there = placed(xy[now] - by_place(moments[now], factor[now]) / hard, told)
    symbols.cells[now], symbols.parts_xy[now] = there.cells, there.parts_xy
    return found._replace(symbols=symbols)


def _by_vector(moments: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Gradient of half the squared error by the vectors of shapes, [n, 3], of `splat.moments`.

    Angles are stiffer than their vectors say, sinh(r) / r times: the gradient is made smaller by the square of that.
    """
    _, ratio, angle = columns.axes(factor)
    by_size, by_ratio, by_angle = by_axes(factor, ratio, angle, moments)
    ratio = np.maximum(ratio, 1e-3)
    along, around = by_ratio / NORM_RATIO, by_angle * ratio / np.square(np.sinh(ratio)) / (2 * NORM_RATIO)
    cosine, sine = np.cos(2 * angle), np.sin(2 * angle)
    return np.stack([by_size / NORM_SIZE, along * cosine - around * sine, along * sine + around * cosine], 1)
