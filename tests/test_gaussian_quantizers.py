"""The quantizers of the `gaussian` codec: what each tells, codebooks in files, fits that look at them."""

import math
from dataclasses import replace

import numpy as np
import pytest

import midtread
from midtread.codecs.image import gaussian_symbols as columns
from midtread.codecs.image import gaussian_vq as vq
from midtread.codecs.image.gaussian import place_of
from midtread.codecs.image.gaussian_aware import RETRAINED, Following, nearest, noisy
from midtread.codecs.image.gaussian_books import Books, Stages, factors, shapes
from midtread.codecs.image.gaussian_file import decode_part, read_file
from midtread.codecs.image.gaussian_header import QUANTIZERS, Header
from midtread.codecs.image.gaussian_quantize import quantized, uniform
from midtread.container import Reader, read, write
from midtread.errors import BitstreamError, CodecError, LimitError
from midtread.quantize.vector.codebook import VectorQuantizer
from midtread.transforms.gaussians_canvas import Canvas
from midtread.transforms.gaussians_fit import SNAPS, Budget, fit

SIDE = 64


def picture(channels: int = 3) -> np.ndarray:
    """uint8 [64, 64, 3] or [64, 64]: soft spots and an edge."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:SIDE, :SIDE]
    out = np.full((SIDE, SIDE, 3), 90.0)
    for _ in range(24):
        px, py, size = *rng.uniform(0, SIDE, 2), rng.uniform(2, 9)
        stretched = np.square(x - px) + np.square(y - py) * rng.uniform(0.5, 3)
        out += rng.uniform(-70, 90, 3) * np.exp(-stretched / (2 * size**2))[:, :, None]
    out[:, 40:] += 25
    out = np.clip(out, 0, 255).astype(np.uint8)
    return out if channels == 3 else np.ascontiguousarray(out[:, :, 1])


@pytest.fixture(scope="module")
def fitted():
    """A canvas, Gaussians, the header before quantizing."""
    x = (picture().astype(np.float32) - 90) / np.float32(255)
    gaussians, _ = fit(x, 300, Budget(60))
    return Canvas(x), gaussians, Header(SIDE, SIDE, 3, place_of(60))


def parts_of(gaussians):
    return gaussians.xy, gaussians.factor, gaussians.colour


def psnr_db(x, y) -> float:
    return -10 * math.log10(np.square(x.astype(np.float64) - y).mean() / 255**2)


@pytest.mark.parametrize("aware", [False, True])
@pytest.mark.parametrize("quantizer", QUANTIZERS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_file_decodes_to_what_its_quantizer_drew(quantizer, aware, channels):
    x = picture(channels)
    options = {"quantizer": quantizer, "aware": aware, "count": 200, "iterations": 40, "step": 40}
    data = midtread.encode(x, "gaussian", **options)
    assert data == midtread.encode(x, "gaussian", **options), "the same fit, the same bytes"
    assert psnr_db(x, midtread.decode(data)) > 25
    assert read_file(data).xy.shape == read_file(data, layers=4).xy.shape != read_file(data, layers=1).xy.shape


@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_a_finer_step_costs_more_bytes_and_leaves_less_error(quantizer):
    x = picture()
    files = [
        midtread.encode(x, "gaussian", quantizer=quantizer, count=300, iterations=60, step=step)
        for step in (15, 60, 240)
    ]
    sizes, qualities = [len(data) for data in files], [psnr_db(x, midtread.decode(data)) for data in files]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3
    assert qualities == sorted(qualities, reverse=True)
    assert len(set(qualities)) == 3


def test_codebooks_lose_little_where_one_for_all_numbers_loses_the_picture(fitted):
    """LGI's scheme, one codebook with places in it, loses 19 to 28 dB on photographs."""
    canvas, gaussians, header = fitted
    found = quantized(canvas, gaussians, replace(header, step_place=place_of(20)), "vq", 10, 0)
    most = 300 // vq.PER_ENTRY
    assert max(*found.header.shape_entries, *found.header.colour_entries) <= most
    xy, factor, colour = parts_of(gaussians)
    numbers = np.column_stack([xy, shapes(factor), colour])
    numbers /= (scale := numbers.std(0))
    one = VectorQuantizer.fit(numbers, most)
    told = (one.dequantize(one.quantize(numbers)) * scale).astype(np.float32)
    lost = canvas.energy(*(np.ascontiguousarray(part) for part in (told[:, :2], factors(told[:, 2:5]), told[:, 5:])))
    assert canvas.energy(*found.parts()) < lost / 30


def test_shapes_are_vectors_and_come_back(fitted):
    factor = fitted[1].factor
    assert np.allclose(factors(shapes(factor)), factor, rtol=2e-4, atol=1e-5)


def test_an_error_of_a_shape_costs_its_length_times_the_energy():
    """Drawn twice, one Gaussian and the same a little off: the squared difference is what the weights say."""
    blank = Canvas(np.zeros((SIDE, SIDE, 1), np.float32))
    factor, colour = factors(np.array([[4.0, 0.3, 0.1]], np.float32)), np.array([[0.7]], np.float32)
    xy = np.array([[31.3, 32.1], [31.3, 32.1]], np.float32)
    for direction in np.eye(3, dtype=np.float32):
        other = factors(shapes(factor) + 0.02 * direction)
        drawn = blank.energy(xy, np.concatenate([factor, other]), np.concatenate([colour, -colour]))
        assert drawn == pytest.approx(float(vq.energies(factor, colour)[0]) * 0.02**2, rel=0.08)


def test_a_search_finds_the_best_sum_of_entries():
    rng = np.random.default_rng(0)
    stages = Stages(tuple(rng.normal(size=(8, 3)).astype(np.float32) / scale for scale in (1, 3)))
    z, weights = rng.normal(size=(200, 3)).astype(np.float32), rng.uniform(0.5, 2, 200)
    every = np.stack(np.meshgrid(range(8), range(8), indexing="ij"), -1).reshape(-1, 2)
    best = np.square(z[:, None] - stages.sums(every)[None]).sum(2).min(1)
    found = np.square(z - stages.sums(vq.search(stages, z, weights, 0.0, None))).sum(1)
    assert (found <= best * 1.0001).mean() > 0.9
    assert found.sum() < 1.05 * best.sum()


def test_a_price_makes_indices_cheaper_and_errors_larger():
    rng = np.random.default_rng(1)
    z, weights = rng.normal(size=(2000, 3)).astype(np.float32), np.ones(2000)
    results = [vq.trained(z, weights, price, 0, (64,)) for price in (0.0, 0.5)]
    bits = [vq.bits_of(stages, rows) - 8 * len(stages.data) for stages, rows in results]
    errors = [np.square(z - stages.sums(rows)).sum() for stages, rows in results]
    assert bits[1] < 0.95 * bits[0]
    assert errors[1] > errors[0]


def test_more_gaussians_get_larger_codebooks():
    rng = np.random.default_rng(2)
    entries = []
    for n in (100, 600, 3000):
        z = rng.normal(size=(n, 3)).astype(np.float32)
        entries.append(sum(vq.trained(z, np.ones(n), 0.02, 0)[0].entries))
    assert entries == sorted(set(entries))
    assert entries[-1] >= 64


def test_energy_decides_which_gaussians_are_told_well():
    rng = np.random.default_rng(3)
    z, weights = rng.normal(size=(1000, 3)).astype(np.float32), np.where(np.arange(1000) < 200, 100.0, 1.0)
    stages, rows = vq.trained(z, weights, 0.1, 0, (64,))
    errors = np.square(z - stages.sums(rows)).sum(1)
    assert errors[:200].mean() < 0.5 * errors[200:].mean()


def test_uniform_tells_shapes_as_precisely_as_pays(fitted):
    """A level up or down makes the error and the bits, at their price, cost more together."""
    canvas, gaussians, header = fitted
    xy, factor, colour = parts_of(gaussians)
    wanted = replace(header, step_place=place_of(40))
    header = uniform(wanted, factor, colour)
    assert header.step * math.sqrt(vq.areas(factor).mean()) == pytest.approx(wanted.step, rel=0.02)
    costs = []
    for level in range(header.level - 4, header.level + 5, 2):
        told = replace(header, level=level)
        symbols, _ = columns.quantize(xy, factor, colour, told)
        counts = columns.counts(symbols, told)
        bits = sum(float(np.log2(n).sum()) for n in (counts.parts, counts.turns, counts.across, counts.down))
        bits += float(np.log2(1 + counts.rings).sum())
        errors = canvas.energy(*columns.dequantize(symbols, told))
        area = float(vq.areas(factor).mean())
        costs.append(errors + vq.price_of(header.step) * area * bits)
    assert int(np.argmin(costs)) in (1, 2, 3)


@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_noise_is_the_error_of_rounding_with_a_random_sign(fitted, quantizer):
    _, gaussians, header = fitted
    parts = parts_of(gaussians)
    rounded, seen = nearest(header, quantizer, 0)(*parts), noisy(header, quantizer, 0)(*parts)
    for part, exact, noise in ((0, rounded[0], seen[0]), (2, rounded[2], seen[2])):
        assert np.allclose(np.abs(noise - parts[part]), np.abs(exact - parts[part]), atol=1e-4)
        moved = np.abs(exact - parts[part]).max(1) > 1e-2
        assert 0.3 < (np.abs(noise - exact)[moved].max(1) < 1e-4).mean() < 0.7, "half go the other way"
    assert (seen[1][:, ::2] > 0).all()


def test_codebooks_follow_their_vectors_and_keep_their_sizes():
    z, weights = np.random.default_rng(6).normal(size=(600, 3)).astype(np.float32), np.ones(600)
    follow = Following(0.02, 0)
    follow(z, weights)
    first = follow.stages
    for _ in range(RETRAINED - 1):
        follow(3 * z, weights)
    assert follow.stages is first
    near = follow(3 * z, weights)
    assert follow.stages.entries == pytest.approx(first.entries, abs=3)
    assert np.square(near - 3 * z).mean() < 0.2 * np.square(3 * z).mean()


def test_a_fit_looks_at_the_quantizer_at_its_end_only():
    x, calls = (picture()[:32, :32].astype(np.float32) - 90) / np.float32(255), []

    def snap(*parts):
        calls.append(len(parts[0]))
        return parts

    plain, _ = fit(x, 40, Budget(50))
    snapped, _ = fit(x, 40, Budget(50), snap=snap)
    assert calls == [40] * (50 - math.ceil(SNAPS * 50))
    assert not np.array_equal(plain.xy, snapped.xy), "it goes slower then"


def test_fits_that_looked_at_a_quantizer_are_kept_apart():
    x, options = picture()[:32, :32].copy(), {"count": 60, "iterations": 20}
    cases = [{"aware": False}, *({"aware": True, "quantizer": quantizer} for quantizer in QUANTIZERS)]
    fits = [midtread.encode(x, "gaussian", **options, **case) for case in cases]
    assert [midtread.encode(x, "gaussian", **options, **case) for case in reversed(cases)] == fits[::-1]
    assert fits[0] != fits[1]


def vq_file() -> bytes:
    return midtread.encode(picture()[:32, :32].copy(), "gaussian", quantizer="vq", count=60, iterations=20, layers=2)


def test_damaged_files_are_refused_or_decoded_but_never_crash():
    good = vq_file()
    rng = np.random.default_rng(0)
    for cut in range(0, len(good), 37):
        with pytest.raises(CodecError):
            decode_part(good[:cut])
    file = read(good)
    for _ in range(150):  # with checksums that are right
        chunks = list(file.chunks)
        where = int(rng.integers(len(chunks)))
        bad = bytearray(chunks[where].data)
        bad[int(rng.integers(len(bad)))] ^= 1 << int(rng.integers(8))
        chunks[where] = replace(chunks[where], data=bytes(bad))
        try:
            seen = decode_part(write(replace(file, chunks=tuple(chunks))))
        except (BitstreamError, LimitError):
            continue
        assert seen.shape == (32, 32, 3)


def books_of(entries: int = 5, scale: float = 1.0) -> tuple[Header, bytes]:
    rng = np.random.default_rng(4)
    z = (scale * rng.normal(size=(80, 3))).astype(np.float32)
    shape, colour = (vq.trained(z, np.ones(80), 0.0, seed, (entries,))[0] for seed in (0, 1))
    header = Header(8, 8, 3, 100, quantizer="vq", shape_entries=shape.entries, colour_entries=colour.entries)
    return header, Books(shape, colour).data


def test_codebooks_are_read_as_they_were_written():
    header, data = books_of()
    reader = Reader(data)
    books = Books.read(reader, header)
    reader.end("codebooks")
    assert (books.shape.entries, books.colour.entries) == (header.shape_entries, header.colour_entries)


def test_hostile_codebooks_are_refused():
    header, data = books_of()
    with pytest.raises(LimitError, match="entries"):  # before anything is allocated
        Books.read(Reader(b"\xff\xff\xff\x7f" + data[4:]), header)
    with pytest.raises(BitstreamError, match="stands where Gaussians have"):
        Books.read(Reader(data), replace(header, shape_entries=(6,)))
    with pytest.raises(BitstreamError, match="for shapes and for colours"):
        Books.read(Reader(data), replace(header, colour_entries=()))
    header, data = books_of(scale=1e7)
    with pytest.raises(BitstreamError, match="stands where Gaussians have"):
        Books.read(Reader(data), header)
    rng = np.random.default_rng(5)
    header, data = books_of()
    for _ in range(200):
        bad = bytearray(data)
        bad[int(rng.integers(len(bad)))] = int(rng.integers(256))
        try:
            books = Books.read(Reader(bytes(bad)), header)
        except CodecError:
            continue
        shape = factors(books.shape.sums(np.zeros((1, 1), np.int32)))
        assert np.isfinite(shape).all()
        assert (shape[:, ::2] > 0).all()
