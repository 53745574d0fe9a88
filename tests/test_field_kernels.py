"""The field codec's kernels: the compiled twins give the same integers, and the same floats, as the readable ones."""

import numpy as np
import pytest

from midtread.codecs.tensor import field_tables
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
    field_parts,
    field_parts_slow,
    field_planes,
    field_planes_slow,
    field_tiles,
    field_tiles_slow,
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


@pytest.mark.parametrize("dtype", TYPES)
def test_roughness_is_that_of_each_axis(dtype):
    x = rough((6, 9, 40), dtype, 4).reshape(-1)
    box, results = Box(41, np.array([360, 40]), np.array([4, 2, 30])), []
    for run in (field_extent, field_extent_slow):
        out = np.full(3, 7, np.int64)
        run.roughness(x, box.start, box.strides, box.shape, 0.01, out)
        results.append(out.tolist())
    assert results[0] == results[1]
    assert results[0][0] > 0 == results[0][1]  # two rows have no middle
    slope = np.arange(6 * 9 * 40.0, dtype=dtype) ** 2
    field_extent.roughness(slope, box.start, box.strides, np.array([4, 5, 30]), 2.0, out)
    assert out.tolist() == [16 * 360**2, 16 * 40**2, 16]  # 2 b - a - c of a square is twice the pitch squared


SHAPES = [(1, 1, 2), (1, 1, 9), (1, 5, 7), (6, 5, 8), (9, 2, 3), (2, 3, 17), (4, 8, 8), (1, 2, 3), (2, 1, 1), (5, 1, 1)]


def interpolated(run, x, box, step, bound, shift=0, axes=0x77):
    """(symbols, contexts, places of exceptions, what `restore` makes of the symbols)."""
    room = 3 * box.size
    scratch = np.empty(room, x.dtype), np.empty(room, x.dtype), np.empty(room, np.uint8)
    symbols, found = np.zeros(box.size, np.int32), np.zeros(box.size, np.int32)
    contexts, out = np.zeros(box.size, np.uint8), np.zeros(x.size, x.dtype)
    arguments = (x, box.start, box.strides, box.shape, step, bound, axes, shift, symbols, contexts, found, scratch)
    count = run.forward(*arguments)
    run.restore(symbols, step, axes, box.start, box.strides, box.shape, out, np.empty(room, x.dtype))
    return symbols, contexts, np.sort(found[:count]), out


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(1, 1, 1), *SHAPES], ids=str)
@pytest.mark.parametrize("axes", [0x77, 0x73, 0x33, 0x15, 0x11, 0x46, 0x64])
def test_interpolation_twins_give_the_same_symbols_and_the_same_floats(dtype, shape, axes):
    x = rough((10, 9, 20), dtype, 3).reshape(-1)
    x.flags.writeable = False
    box = Box(23, np.array([180, 20]), np.array(shape))
    results = [interpolated(run, x, box, 0.1, 0.05, 1, axes) for run in (field_levels, field_levels_slow)]
    for fast, slow in zip(*results, strict=True):
        np.testing.assert_array_equal(fast, slow)
    _, _, found, back = results[0]
    kept = np.ones(box.size, bool)
    kept[found] = False
    values, x_hat = (np.ascontiguousarray(box.view(array)).reshape(-1)[kept].astype(np.float64) for array in (x, back))
    assert np.abs(values - x_hat).max(initial=0) <= 0.05
    assert np.count_nonzero(box.view(back)) == np.count_nonzero(back), "nothing outside of the box is touched"


@pytest.mark.parametrize("run", [field_levels, field_levels_slow])
def test_what_interpolation_misses_by_a_hair_is_an_exception(run):
    inside, outside = np.float32(0.4) * (1 - np.float32(2.0**-23)), np.float32(0.4) * (1 + np.float32(2.0**-22))
    x = np.array([inside, 0, 0, outside, 0, -outside], np.float32)
    x.flags.writeable = False
    assert interpolated(run, x, whole((1, 1, 6)), 1.0, float(np.float32(0.4)))[2].tolist() == [3, 5]


def test_a_cubic_polynomial_is_predicted_inside_up_to_the_error_of_the_known_points():
    z, y, x = np.meshgrid(*(np.arange(16.0),) * 3, indexing="ij")
    field = ((x**3 - 2 * y**2 * z + z**3) / 64).reshape(-1)
    field.flags.writeable = False
    symbols = interpolated(field_levels, field, whole((16, 16, 16)), 2.0**-10, 2.0**-11)[0]
    for part in field_levels_slow.levels((16, 16, 16), 0x77)[-1].parts:
        inner = symbols[part.start : part.stop].reshape(part.shape)[2:-2, 2:-2, 2:-2]
        assert inner.size
        assert np.abs(inner).max() <= 1  # without the cubic, hundreds


@pytest.mark.parametrize("axes", [0x77, 0x33, 0x55, 0x10])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_levels_hold_every_point_once(shape, axes):
    parts = [part for level in field_levels_slow.levels(shape, axes) for part in level.parts]
    ends = [int(np.prod(field_levels_slow.corner(shape, axes))), *[part.stop for part in parts]]
    assert [part.start for part in parts] == ends[:-1]
    assert ends[-1] == np.prod(shape)


def test_contexts_are_the_first_of_their_group_where_nothing_is_beside():
    x = np.zeros((9, 9, 9))
    x[4, 4, 3] = 1e3  # of the finest level, so that no other level knows of it
    x.flags.writeable = False
    symbols, contexts, _, _ = interpolated(field_levels, x.reshape(-1), whole((9, 9, 9)), 1.0, 0.5)
    along_x, along_y, along_z, in_plane, *_ = field_levels_slow.levels((9, 9, 9), 0x77)[-1].parts
    for part in (along_x, along_y, along_z):
        assert (contexts[part.start : part.stop] == part.first).all()
    beside = (contexts[in_plane.start : in_plane.stop] > in_plane.first).reshape(in_plane.shape)
    assert np.argwhere(beside).tolist() == [[2, 1, 1], [2, 2, 1]], "above and below the spike, which is at (2, 2, 1)"
    assert np.count_nonzero(symbols[along_x.start : along_x.stop]) == 1
    assert (np.diff(field_levels_slow.CONTEXT_OF.astype(int)) >= 0).all()


@pytest.mark.parametrize(("streams", "axes"), [(1, 0x77), (4, 0x77), (2, 0x35)])
@pytest.mark.parametrize("scale", [0.002, 40.0])
def test_parts_come_back_from_their_streams_with_both_twins(streams, axes, scale):
    shape, packed = np.array([35, 36, 41]), field_tables.tables().packed
    n = int(shape.prod())
    x = np.cumsum(np.random.default_rng(8).laplace(scale=scale, size=n))
    x.flags.writeable = False
    symbols, contexts, _, _ = interpolated(field_levels, x, whole(shape), 1.0, 0.5, axes=axes)
    table_of = np.arange(field_parts_slow.FLAG + 1, dtype=np.uint8) % 64
    results = []
    for run in (field_parts, field_parts_slow):
        most = 5 + n + n // field_parts_slow.TILE + 1
        coded, which, ends = np.zeros(most, np.int32), np.zeros(most, np.uint8), np.zeros(200, np.int64)
        groups = int(run.gather(symbols, contexts, shape, axes, 0, 5, coded, which, ends))
        size = int(ends[groups - 1])
        dealt, tables, stops = np.zeros(size, np.int32), np.zeros(size, np.uint8), np.zeros(streams, np.int64)
        run.deal(coded[:size], which[:size], table_of, ends[:groups], streams, dealt, tables, stops)
        states, starts = np.full((streams, 4), 1 << 31, np.uint64), np.zeros(streams, np.int64)
        words = np.zeros(2 * size + 16, np.uint32)
        run.encode(dealt, tables, packed, stops, states, words, starts)
        words = words[starts[0] :]
        starts = starts - starts[0]
        results.append((ends[:groups], coded[:size], which[:size], dealt, tables, stops, states, words, starts))
    for fast, slow in zip(*results, strict=True):
        np.testing.assert_array_equal(fast, slow)
    states, words, starts = results[0][-3:]
    assert results[0][1].size < n or scale > 1, "silent tiles are not coded"
    for run in (field_parts, field_parts_slow):
        end = np.append(starts[1:], words.size)
        source = field_parts_slow.Streams(states.copy(), np.append(words, np.zeros(16, np.uint32)), starts.copy(), end,
                                          np.zeros(streams, np.int64))  # fmt: skip
        first, back, room = np.zeros(5, np.int32), np.full(n, 9, np.int32), 3 * n
        assert run.read(first, np.zeros(5, np.uint8), packed, source)
        scratch = np.zeros(room, np.uint8), np.zeros(n, np.uint8), np.zeros(n + 1, np.int32), np.zeros(room, np.uint8)
        assert run.decode(shape, axes, table_of, packed, source, back, scratch)
        np.testing.assert_array_equal(back, symbols)
        np.testing.assert_array_equal(source.p, source.end)


def test_tile_twins_agree():
    rng, costs = np.random.default_rng(9), field_tables.costs()
    symbols = np.rint(rng.laplace(scale=np.repeat([0.01, 1, 30, 1e6], 500))).astype(np.int32)
    symbols[7] = -(2**31)
    residuals = ((symbols << 1) ^ (symbols >> 31)).view(np.uint32)
    for shift in (0, 3):
        results = []
        for run in (field_tiles, field_tiles_slow):
            classes, coded, which = np.zeros(32, np.int32), np.zeros(2100, np.int32), np.zeros(2100, np.uint8)
            cost = run.classify(residuals, shift, costs.tile_limits, costs.tile_zero, costs.tile_more, classes)
            end = int(run.take(residuals, shift, classes, 2, coded, which))
            back = np.full(2000, 9, np.int32)
            run.put(coded[2:end], classes, back)
            np.testing.assert_array_equal(back, np.where(np.repeat(classes, 64)[:2000] > 0, symbols >> shift, 0))
            results.append((cost, run.mean(residuals, 3), end, classes, coded, which))
        for fast, slow in zip(*results, strict=True):
            np.testing.assert_array_equal(fast, slow)
        assert 0 < np.count_nonzero(results[0][3] == 0) < 32


def test_counting_twins_agree():
    rng, costs = np.random.default_rng(5), field_tables.costs()
    symbols = rng.integers(-300, 300, 1000).astype(np.int32)
    contexts = np.sort(rng.integers(1, 5, 1000)).astype(np.uint8)
    symbols[:700] //= 80
    results = []
    for run in (field_counts, field_counts_slow):
        histogram, chosen = np.zeros((9, 128), np.uint32), np.full(9, 77, np.uint8)
        run.histogram(symbols, contexts, 3, histogram)
        cost = run.choose(histogram, costs.bits, costs.tile_limits, chosen)
        zigzag, signed = np.empty(1000, np.uint32), np.empty(1000, np.int32)
        run.zigzag(symbols, zigzag)
        run.unzigzag(zigzag, signed)
        np.testing.assert_array_equal(signed, symbols)
        results.append((histogram, cost, chosen, zigzag))
    for fast, slow in zip(*results, strict=True):
        np.testing.assert_array_equal(fast, slow)


def test_magnitudes_are_bytes_even_of_the_lowest_symbol():
    symbols = np.array([0, -1, 254, -255, 256, 2**31 - 1, -(2**31)], np.int32)
    assert field_levels_slow.magnitudes(symbols).tolist() == [0, 1, 254, 255, 255, 255, 255]
    out = np.empty(symbols.size, np.uint8)
    field_parts._magnitudes(symbols, np.uint64(0), np.uint64(symbols.size), out)
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
        chosen, cost = field_tables.choose(histogram)
        tables = field_tables.tables()
        real = [tables.bits(symbols, np.full(symbols.size, t, np.uint8)) for t in range(len(tables))]
        assert real[int(chosen[0])] < 1.001 * min(real)
        assert cost / field_tables.BIT == pytest.approx(min(real), rel=0.01)
