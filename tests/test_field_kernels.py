"""The field codec's kernels: the compiled twins give the same integers, and the same floats, as the readable ones."""

import numpy as np
import pytest

from midtread.codecs.tensor import field_interpolation, field_tables
from midtread.codecs.tensor.field_grid import Box, whole
from midtread.kernels import (
    field_counts,
    field_counts_slow,
    field_extent,
    field_extent_slow,
    field_levels,
    field_levels_slow,
    field_lorenzo,
    field_lorenzo_slow,
    field_planes,
    field_planes_slow,
)

DIGEST = 0xF4B7F027
TYPES = [np.float32, np.float64]


def rough(shape, dtype, seed=0):
    """A walk along the last axis with everything that floats have: NaN, infinities, fill values, denormals, -0."""
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.normal(size=shape), -1).astype(dtype)
    odd = np.array([np.nan, np.inf, -np.inf, 1e20, 1e30, np.finfo(dtype).smallest_subnormal, -0.0], dtype)
    where = rng.integers(0, x.size, x.size // 12 + 1)
    x.reshape(-1)[where] = odd[rng.integers(0, odd.size, where.size)]
    return x


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("sides", [(1, 1, 1), (1, 1, 70), (1, 9, 31), (4, 5, 37), (3, 6, 1)])
def test_lorenzo_twins_agree_on_boxes_inside_of_arrays(dtype, order, sides):
    x = rough((6, 9, 80), dtype).reshape(-1)
    x.flags.writeable = False
    box = Box(81, np.array([720, 80]), np.array(sides))
    results = []
    for run in (field_lorenzo, field_lorenzo_slow):
        out, found, back = np.empty(box.size, np.uint32), np.zeros(box.size, np.int32), np.zeros(x.size, dtype)
        count = run.forward(x, box.start, box.strides, box.shape, order, 0.02, 0.01, out, found)
        run.inverse(out.copy(), box.start, box.strides, box.shape, order, 0.02, back)
        results.append((count, out, found, back))
    for fast, slow in zip(*results, strict=True):
        np.testing.assert_array_equal(fast, slow)
    count, _, found, back = results[0]
    kept = np.ones(box.size, bool)
    kept[found[:count]] = False
    values, x_hat = (np.ascontiguousarray(box.view(array)).reshape(-1)[kept].astype(np.float64) for array in (x, back))
    assert np.abs(values - x_hat).max(initial=0) <= 0.01
    assert np.count_nonzero(box.view(back)) == np.count_nonzero(back), "nothing outside of the box is touched"


@pytest.mark.parametrize("run", [field_lorenzo, field_lorenzo_slow])
def test_what_is_over_the_bound_by_a_hair_is_an_exception(run):
    inside, outside = 0.4 * (1 - 1e-6), 0.4 * (1 + 1e-6)
    x = np.array([3, 3 + inside, 3 + outside, -7 - inside, -7 - outside, 0])
    x.flags.writeable = False
    box, out, found = whole((1, 1, 6)), np.empty(6, np.uint32), np.zeros(6, np.int32)
    assert run.forward(x, 0, box.strides, box.shape, 1, 1.0, 0.4, out, found) == 2
    assert found[:2].tolist() == [2, 4]


def test_differences_that_do_not_fit_32_bits_come_back():
    x = np.array([-1, 1, -1, 1, 1, -1, 0, 1], np.float64) * (2.0**30 - 1)
    x.flags.writeable = False
    box = whole((2, 2, 2))
    for order in (1, 2, 3):
        out, found, back = np.empty(8, np.uint32), np.zeros(8, np.int32), np.empty(8)
        assert field_lorenzo.forward(x, 0, box.strides, box.shape, order, 1.0, 0.5, out, found) == 0
        field_lorenzo.inverse(out, 0, box.strides, box.shape, order, 1.0, back)
        np.testing.assert_array_equal(back, x)


@pytest.mark.parametrize("base", [0, 3])
def test_bit_planes_agree_and_come_back(base):
    rng = np.random.default_rng(1)
    values = (
        rng.integers(0, 2**32, size=(90, 32), dtype=np.uint64) >> rng.integers(0, 33, (90, 1)).astype(np.uint64)
    ).astype(np.uint32)
    if base:
        values >>= np.uint32(14)
    flat, width, other = values.reshape(-1), np.empty(90, np.uint8), np.empty(90, np.uint8)
    assert field_planes.widths(flat, width) == field_planes_slow.widths(flat, other) == (18 if base else 32)
    np.testing.assert_array_equal(width, other)
    width = np.where(width == 0, 0, np.maximum(width, base + 1) - base).astype(np.uint8)
    fast, slow = np.zeros(flat.size + 99, np.uint32), np.zeros(flat.size + 99, np.uint32)
    assert field_planes.pack(flat, width, base, fast) == field_planes_slow.pack(flat, width, base, slow)
    np.testing.assert_array_equal(fast, slow)
    for run in (field_planes, field_planes_slow):
        back = np.full(flat.size, 7, np.uint32)
        run.unpack(fast, width, base, back)
        np.testing.assert_array_equal(back, flat)


@pytest.mark.parametrize("dtype", TYPES)
def test_extremes_agree_with_numpy(dtype):
    x = rough((5, 7, 40), dtype, 2).reshape(-1)
    bits, infinity = x.view(f"i{x.itemsize}"), int(np.array(np.inf, dtype).view(f"i{x.itemsize}"))
    ends = field_extent.extent(bits, infinity)
    assert ends == field_extent_slow.extent(bits, infinity)
    found = [(-1 if key < 0 else 1) * np.array(key if key >= 0 else -1 - key, bits.dtype).view(dtype) for key in ends]
    finite = x[np.isfinite(x)]
    assert found == [finite.min(), finite.max()]
    box, limit = Box(41, np.array([280, 40]), np.array([3, 5, 30])), np.array(3.0, dtype)
    arguments = (bits, box.start, box.strides, box.shape, int(limit.view(bits.dtype)))
    most = field_extent.largest(*arguments)
    assert most == field_extent_slow.largest(*arguments)
    part = np.abs(box.view(x))
    assert np.array(most, bits.dtype).view(dtype) == part[part < limit].max()


SHAPES = [(1, 1, 2), (1, 1, 9), (1, 5, 7), (6, 5, 8), (9, 2, 3), (2, 3, 17), (4, 8, 8), (1, 2, 3), (2, 1, 1), (5, 1, 1)]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(1, 1, 1), *SHAPES], ids=str)
def test_interpolation_twins_give_the_same_symbols_and_the_same_floats(dtype, shape, monkeypatch):
    x = np.random.default_rng(3).normal(size=shape).astype(dtype)
    x.flat[-1] = np.nan
    x.flat[0] = 1e30
    x.flags.writeable = False
    results = []
    for run in (field_levels, field_levels_slow):
        monkeypatch.setattr(field_interpolation, "kernel", lambda *_, run=run: run)
        symbols, x_hat = field_interpolation.quantize(x, 0.1)
        np.testing.assert_array_equal(field_interpolation.restore(symbols, shape, 0.1, np.dtype(dtype)), x_hat)
        results.append((symbols, x_hat))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])
    good = np.isfinite(x) & (np.abs(x) < 1e20)
    assert np.abs(x - results[0][1])[good].max(initial=0) < 0.0501


def test_a_cubic_polynomial_is_predicted_inside_up_to_the_error_of_the_known_points():
    z, y, x = np.meshgrid(*(np.arange(16.0),) * 3, indexing="ij")
    field = (x**3 - 2 * y**2 * z + z**3) / 64
    symbols, _ = field_interpolation.quantize(field, 2.0**-10)
    finest = field_interpolation.levels(field.shape)[-1].parts
    for part in finest:
        inner = symbols[part.start : part.stop].reshape(part.shape)[2:-2, 2:-2, 2:-2]
        assert inner.size
        assert np.abs(inner).max() <= 1  # without the cubic, hundreds


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_levels_hold_every_point_once(shape):
    parts = [part for level in field_interpolation.levels(shape) for part in level.parts]
    assert [part.start for part in parts] == [1, *[part.stop for part in parts[:-1]]]
    assert parts[-1].stop == np.prod(shape)


@pytest.mark.parametrize("odd", range(1, 8))
def test_contexts_agree_and_grow_with_the_symbols_beside(odd):
    rng = np.random.default_rng(odd)
    for shape in [(1, 1, 1), (3, 4, 5), (2, 3, 40)]:
        near = [
            rng.integers(0, 256, [n + (axis == a) * int(rng.integers(0, 2)) for a, n in enumerate(shape)], np.uint8)
            for axis in range(3)
        ]
        fast, slow = np.empty(shape, np.uint8), np.empty(shape, np.uint8)
        field_levels.contexts(*near, odd, 5, fast)
        field_levels_slow.contexts(*near, odd, 5, slow)
        np.testing.assert_array_equal(fast, slow)
        zeros = [np.zeros_like(part) for part in near]
        field_levels.contexts(*zeros, odd, 5, slow)
        assert (slow == 5).all()
        assert (fast > 5).all()
    assert (np.diff(field_levels_slow.CONTEXT_OF.astype(int)) >= 0).all()


def test_counting_twins_agree():
    rng = np.random.default_rng(5)
    symbols = rng.integers(-300, 300, 1000).astype(np.int32)
    contexts = np.sort(rng.integers(1, 5, 1000)).astype(np.uint8)
    results = []
    for run in (field_counts, field_counts_slow):
        histogram, sums, quiet = np.zeros((9, 128), np.uint32), np.empty(15, np.int64), np.empty(15, np.uint8)
        run.histogram(symbols, contexts, 3, histogram)
        run.tile_sums(symbols[:960], sums)
        assert run.quiet_tiles(contexts, 3, quiet) == quiet.sum() > 0
        room, back = np.zeros(1000, np.int32), np.full(1000, 9, np.int32)
        count = run.gather_tiles(symbols, quiet, room)
        assert count == 40 + 64 * quiet.sum()
        run.scatter_tiles(room, quiet, back)
        np.testing.assert_array_equal(back[960:], symbols[960:])
        np.testing.assert_array_equal(back[:960].reshape(15, 64), symbols[:960].reshape(15, 64) * quiet[:, None])
        zigzag, signed = np.empty(1000, np.uint32), np.empty(1000, np.int32)
        run.zigzag(symbols, zigzag)
        run.unzigzag(zigzag, signed)
        np.testing.assert_array_equal(signed, symbols)
        results.append((histogram, sums, quiet, room, zigzag))
    for fast, slow in zip(*results, strict=True):
        np.testing.assert_array_equal(fast, slow)


def test_magnitudes_are_bytes_even_of_the_lowest_symbol():
    symbols = np.array([0, -1, 254, -255, 256, 2**31 - 1, -(2**31)], np.int32)
    for run in (field_levels, field_levels_slow):
        out = np.empty(symbols.size, np.uint8)
        run.magnitudes(symbols, out)
        assert out.tolist() == [0, 1, 254, 255, 255, 255, 255]


def test_the_tables_are_the_same_on_every_machine():
    """Files depend on them: another digest is another format."""
    assert (len(field_tables.tables()), field_tables.tables().digest) == (64, DIGEST)


def test_the_cheapest_table_is_that_of_the_source():
    rng = np.random.default_rng(6)
    for scale in (0.3, 2.0, 11.0):
        symbols = np.rint(rng.laplace(scale=scale, size=20_000)).astype(np.int32)
        histogram = field_tables.new_histogram(1)
        field_counts_slow.histogram(symbols, np.zeros(symbols.size, np.uint8), 1, histogram)
        chosen, bits = field_tables.choose(histogram)
        tables = field_tables.tables()
        real = [tables.bits(symbols, np.full(symbols.size, t, np.uint8)) for t in range(len(tables))]
        assert real[int(chosen[0])] < 1.001 * min(real)
        assert bits == pytest.approx(min(real), rel=0.01)
