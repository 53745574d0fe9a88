"""field: the bound holds for every value, whatever the array; bytes from strangers raise our errors."""

import mmap
import warnings

import numpy as np
import pytest

import midtread
from midtread import container
from midtread.codecs.tensor import field_archive, field_box
from midtread.codecs.tensor.field import Field, decode, decode_region
from midtread.codecs.tensor.field_bound import deviation, steps_of, usual
from midtread.codecs.tensor.field_grid import cut, fold, whole
from midtread.container import Tag
from midtread.errors import BitstreamError, CodecError, LimitError, UsageError
from midtread.metrics.fields import reference
from midtread.registry import METRICS
from midtread.spec import FLOATS, INTEGERS, Limits, dtype_of, open_codec

MODES = ["fast", "ratio"]
BOUNDS = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7]

every_mode = pytest.mark.parametrize("mode", MODES)
pytestmark = pytest.mark.filterwarnings("ignore:.*saves nothing on this:UserWarning")


def smooth(shape=(9, 33, 41), dtype="float32", seed=0):
    """A random walk along the last axis and the first: smooth, with a range of some tens; of integers, hundreds."""
    steps = np.random.default_rng(seed).standard_normal(shape)
    walk = np.cumsum(np.cumsum(steps, -1), 0) if len(shape) > 1 else np.cumsum(steps, -1) if shape else steps
    if dtype in INTEGERS:
        low, high = (0, 255) if dtype.endswith("8") else (0, 3000)
        walk = np.clip(np.rint(walk * (4 if high == 255 else 40) + high / 2), low, high) - (dtype == "int8") * 128
    return np.asarray(walk).astype(dtype_of(dtype))


def there_and_back(x, **options):
    data = Field(**options).encode(x)
    x_hat = decode(data)
    assert (x_hat.shape, x_hat.dtype) == (x.shape, x.dtype)
    return x_hat


def largest_error(x, x_hat):
    """In float64, over the finite values; all others must be the same bit by bit."""
    x, x_hat = np.ascontiguousarray(x), np.ascontiguousarray(x_hat)
    with np.errstate(invalid="ignore"):  # signalling NaN of bfloat16
        finite = np.isfinite(x)
    assert x[~finite].tobytes() == x_hat[~finite].tobytes()
    return np.abs(x_hat[finite].astype(np.float64) - x[finite].astype(np.float64)).max(initial=0.0)


def kinds_of(data):
    spans = container.index(data)[1]
    return {data[span.body] for span in spans if span.tag == Tag.PAYLOAD}


# --- the bound ---


@every_mode
@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS])
def test_the_bound_relative_to_the_range_holds_in_float64(mode, dtype):
    x = smooth(dtype=dtype)
    spread = float(x.max()) - float(x.min())
    sizes = []
    for bound in BOUNDS:
        data = Field(max_error_of_range=bound, mode=mode).encode(x)
        error = largest_error(x, decode(data))
        assert error <= bound * spread
        sizes.append(len(data))
    assert sizes == sorted(sizes)
    assert sizes[0] < 0.4 * x.nbytes, "a codec that loses nothing is not tested here"


@every_mode
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("bound", [0.3, 0.02, 0.007])
def test_the_absolute_bound_holds_and_is_used(mode, dtype, bound):
    x = smooth(dtype=dtype)
    error = largest_error(x, there_and_back(x, max_error=bound, mode=mode))
    assert error <= bound
    assert error > 0.5 * bound or dtype in ("float16", "bfloat16")


@every_mode
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("bound", [0.1, 1e-2, 1e-4, 1e-7])
def test_the_bound_relative_to_each_value_holds_over_all_magnitudes(mode, dtype, bound):
    rng = np.random.default_rng(0)
    x = (np.exp(rng.normal(size=(5, 30, 40)) * 3) * rng.choice([-1.0, 1.0, 1.0, 0.0], (5, 30, 40))).astype(
        dtype_of(dtype)
    )
    x[0, 0, :5] = np.nan, np.inf, -0.0, np.finfo(np.float32).tiny, 0.0
    data = Field(max_error_of_value=bound, mode=mode).encode(x)
    x_hat = decode(data)
    finite = np.isfinite(x)
    exact, got = x[finite].astype(np.float64), x_hat[finite].astype(np.float64)
    assert (np.abs(got - exact) <= bound * np.abs(exact)).all()
    assert largest_error(x[~finite], x_hat[~finite]) == 0
    if bound == 0.1 and dtype in ("float32", "float64"):
        assert len(data) < 0.6 * x.nbytes


@every_mode
def test_zeros_beside_large_values_are_no_exceptions_to_a_relative_bound(mode):
    x = np.maximum(smooth((20, 40, 50), seed=1), 0)
    assert 0.1 < np.mean(x == 0) < 0.9
    data = Field(max_error_of_value=0.01, mode=mode).encode(x)
    assert (decode(data)[x == 0] == 0).all()
    assert container.read(data).need(Tag.PAYLOAD)[1] == 0, "exceptions"


@every_mode
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bound", [0.5, 1e-3, 3e-5, 1e-7])
def test_the_bound_holds_half_way_between_symbols_where_rounding_is_hardest(mode, dtype, bound):
    """All values where |x - x_hat| is largest, at magnitudes where the type rounds them too."""
    rng = np.random.default_rng(1)
    base = rng.choice([0.0, 1.0, 300.0, -4000.0, 1e5], (4, 50, 60))
    probe = base.astype(dtype)
    probe.flags.writeable = False
    step = steps_of(probe.reshape(-1), whole(probe.shape), probe.dtype, bound)[0] or 2 * bound
    exact = (np.rint(base / step) + rng.integers(-50, 50, base.shape) + 0.5) * step
    x = exact.astype(dtype)
    x = np.where(rng.random(x.shape) < 0.3, np.nextafter(x, x.dtype.type(np.inf)), x)
    assert largest_error(x, there_and_back(x, max_error=bound, mode=mode)) <= bound


@every_mode
def test_noise_of_every_size_stays_within_a_bound_near_its_precision(mode):
    rng = np.random.default_rng(2)
    for dtype in ("float16", "bfloat16", "float32"):
        x = (rng.normal(size=(3, 40, 50)) * 10.0 ** rng.integers(-3, 4, (3, 40, 50))).astype(dtype_of(dtype))
        unit = float(np.finfo(np.float16).eps if dtype == "float16" else 2.0**-8 if dtype == "bfloat16" else 2.0**-23)
        for bound in (0.3 * unit, unit, 7 * unit, 1000 * unit):
            assert largest_error(x, there_and_back(x, max_error=bound, mode=mode)) <= bound


def test_integers_with_a_bound_below_one_are_exact():
    for dtype in INTEGERS:
        x = smooth(dtype=dtype)
        data = Field(max_error=0.9).encode(x)
        np.testing.assert_array_equal(decode(data), x)
        assert len(data) < x.nbytes


@every_mode
def test_integers_at_the_ends_of_their_type_do_not_wrap(mode):
    rng = np.random.default_rng(3)
    for dtype in INTEGERS:
        info = np.iinfo(dtype)
        x = rng.choice(np.array([info.min, info.min + 1, info.max - 1, info.max, 7], dtype), (4, 30, 20))
        x_hat = there_and_back(x, max_error=2, mode=mode)
        assert max(abs(int(a) - int(b)) for a, b in zip(x.ravel(), x_hat.ravel(), strict=True)) <= 2


# --- shapes and layouts ---


@every_mode
@pytest.mark.parametrize(
    "shape",
    [(), (1,), (2,), (70,), (1, 1), (1, 9), (9, 1), (3, 5), (1, 1, 1), (1, 1, 300), (300, 2, 2), (4, 1, 5),
     (5, 6, 7, 8), (3, 4, 5, 6, 7), (2, 3, 4, 5, 2, 3), (0,), (0, 5), (3, 0, 2)],
    ids=str,
)  # fmt: skip
def test_every_rank_comes_back_with_its_shape(mode, shape):
    x = smooth(shape)
    assert largest_error(x, there_and_back(x, max_error=0.01, mode=mode)) <= 0.01


@every_mode
@pytest.mark.parametrize("value", [0.0, -0.0, 0.1, 1e20, 1e-41, -3.4e38, np.nan, np.inf])
def test_constant_arrays_come_back_exactly_in_a_few_bytes(mode, value):
    x = np.full((3, 40, 50), value, np.float32)
    data = Field(mode=mode).encode(x)
    assert decode(data).tobytes() == x.tobytes()
    assert len(data) < 100


@every_mode
def test_views_and_foreign_byte_order_are_the_same_field(mode):
    x = smooth((12, 14, 16))
    expected = Field(mode=mode).encode(x)
    wide = np.zeros((24, 14, 48), np.float32)
    wide[::2, :, ::3] = x
    read_only = x.copy()
    read_only.flags.writeable = False
    for same in (wide[::2, :, ::3], np.asfortranarray(x), x.astype(">f4"), x[::-1][::-1], read_only):
        np.testing.assert_array_equal(same, x)
        assert Field(mode=mode).encode(same) == expected
    np.testing.assert_array_equal(x, read_only)


def several_boxes(monkeypatch, most=1 << 12):
    """Small boxes, so that a small array has many."""
    monkeypatch.setattr("midtread.codecs.tensor.field.MOST", dict.fromkeys(MODES, most))


@every_mode
@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
def test_many_boxes_and_threads_give_the_same_bytes_and_values(mode, dtype, monkeypatch):
    several_boxes(monkeypatch)
    x = smooth((20, 37, 70), dtype)
    data = Field(max_error=1.5, mode=mode).encode(x)
    assert len(container.index(data)[1]) > 10
    assert Field(max_error=1.5, mode=mode, threads=3).encode(x) == data
    x_hat = decode(data)
    assert largest_error(x, x_hat) <= 1.5
    np.testing.assert_array_equal(decode(data, threads=3), x_hat)


@every_mode
@pytest.mark.parametrize("shape", [(6000,), (70, 90), (20, 37, 70), (3, 7, 37, 40), (2, 3, 4, 20, 30)], ids=str)
def test_a_region_is_decoded_from_the_boxes_that_meet_it(mode, shape, monkeypatch):
    several_boxes(monkeypatch)
    x = smooth(shape, seed=5)
    data = Field(max_error=0.01, mode=mode).encode(x)
    x_hat, rng = decode(data), np.random.default_rng(6)
    for _ in range(12):
        ends = np.sort(rng.integers(0, np.array(shape)[:, None] + 1, (len(shape), 2)), axis=1)
        part = tuple(slice(int(low), int(high)) for low, high in ends)
        np.testing.assert_array_equal(decode_region(data, part), x_hat[part])
    np.testing.assert_array_equal(decode_region(data, (slice(None),) * len(shape), threads=2), x_hat)
    np.testing.assert_array_equal(
        decode_region(data, (slice(-3, None),) * len(shape)), x_hat[(slice(-3, None),) * len(shape)]
    )


def test_a_region_reads_no_other_box(monkeypatch):
    several_boxes(monkeypatch)
    x = smooth((20, 37, 70))
    data = bytearray(Field().encode(x))
    spans = [span for span in container.index(data)[1] if span.tag == Tag.PAYLOAD]
    for span in spans[1:]:
        data[span.body] ^= 0xFF
    grid = cut(fold(x.shape), 1 << 12)
    near = tuple(slice(0, side) for side in grid.box)
    assert decode_region(bytes(data), near).shape == grid.box
    with pytest.raises(BitstreamError, match=r"box 1 of \d+ of this field file"):
        decode_region(bytes(data), tuple(slice(0, n) for n in x.shape))


@pytest.mark.parametrize("wanted", [(slice(0, 2),), (slice(0, 4, 2), slice(0, 2)), (1, slice(0, 2))])
def test_other_regions_are_refused(wanted):
    with pytest.raises(UsageError, match="region"):
        decode_region(Field().encode(smooth((4, 5))), wanted)


@pytest.mark.parametrize(
    "volume", [(1, 1, 5), (256, 256, 256), (1, 3000, 3000), (10**6, 1, 3), (1, 1, 10**7), (7, 1, 1)]
)
def test_boxes_cover_the_volume_once(volume):
    grid = cut(volume, 1 << 18)
    boxes = [grid.corners(number) for number in range(len(grid))]
    assert sum(np.prod([to - start for start, to in box]) for box in boxes) == np.prod(volume)
    assert np.prod(grid.box) <= 1 << 18
    assert len(boxes) <= 4 * np.prod([float(n) for n in volume]) / (1 << 18) + 1


# --- values that libraries break on ---


@every_mode
@pytest.mark.parametrize("dtype", FLOATS)
def test_nan_payloads_and_infinities_are_kept(mode, dtype):
    x = smooth((5, 30, 40), dtype)
    rng = np.random.default_rng(7)
    bits = x.view(f"u{x.itemsize}").reshape(-1)
    ones = np.array(np.inf, x.dtype).view(bits.dtype)
    places = rng.integers(0, x.size, 150)
    bits[places] = ones | rng.integers(0, 100, 150).astype(bits.dtype)
    bits[places[:50]] |= bits.dtype.type(1 << 8 * x.itemsize - 1)
    with np.errstate(invalid="ignore"):
        finite = x[np.isfinite(x)].astype(np.float64)
    spread = finite.max() - finite.min()
    assert largest_error(x, there_and_back(x, mode=mode)) <= 1e-3 * spread
    x[:] = np.nan
    assert there_and_back(x, mode=mode).tobytes() == x.tobytes()


@every_mode
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fill_values_are_kept_and_cost_little(mode, dtype):
    """zfp puts two thirds of the points beyond its tolerance here, SPERR crashes."""
    x = smooth((9, 60, 80), dtype)
    free = len(Field(max_error=0.01, mode=mode).encode(x))
    land = smooth((60, 80), seed=8) > 5
    x[:, land] = 1e20
    data = Field(max_error=0.01, mode=mode).encode(x)
    x_hat = decode(data)
    assert largest_error(x, x_hat) <= 0.01
    assert (x_hat[:, land] == x.dtype.type(1e20)).all()
    assert len(data) < 1.2 * free


@every_mode
@pytest.mark.parametrize("scale", [1e-44, 1e-41, 1e-38, 1e-30, 1e-10, 1e10, 1e31, 1e36])
def test_magnitudes_near_the_ends_of_float32_are_no_different(mode, scale):
    x = (smooth().astype(np.float64) * scale).astype(np.float32)
    bound = 1e-2 * (float(x.max()) - float(x.min()))
    data = Field(max_error_of_range=1e-2, mode=mode).encode(x)
    assert largest_error(x, decode(data)) <= bound
    assert len(data) < 0.5 * x.nbytes


@every_mode
def test_the_largest_numbers_do_not_become_infinite(mode):
    for dtype in ("float32", "float64"):
        largest = np.finfo(dtype).max
        x = smooth(dtype=dtype)
        x = x / np.abs(x).max() * largest
        x[0, 0, :2] = largest, -largest
        x_hat = there_and_back(x, max_error_of_range=0.1, mode=mode)
        assert np.abs(x_hat / largest - x / largest).max() <= 0.2


@every_mode
def test_a_bound_that_saves_nothing_keeps_every_bit_and_says_so(mode):
    x = np.random.default_rng(9).normal(size=(9, 33, 41)).astype(np.float32)
    with pytest.warns(UserWarning, match="1e-12 saves nothing on this float32 array; every bit is kept"):
        data = Field(max_error=1e-12, mode=mode).encode(x)
    assert decode(data).tobytes() == x.tobytes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lossless = Field(max_error=0, mode=mode)
        assert decode(lossless.encode(x)).tobytes() == x.tobytes()
    assert lossless.lossless
    assert not Field().lossless


# --- what it is for ---


def test_ratio_mode_chooses_its_predictor_box_by_box():
    z, y, x = np.meshgrid(*(np.linspace(0, 3, 40),) * 3, indexing="ij")
    waves = np.sin(x + y) * np.cos(y - z)
    steps = np.cumsum(np.random.default_rng(0).normal(size=40**3)).reshape(40, 40, 40)
    assert kinds_of(Field(max_error=1e-3).encode(waves)) == {field_box.INTERPOLATED}
    assert kinds_of(Field(max_error=0.1).encode(steps)) == {field_box.CODED}
    assert kinds_of(Field(max_error=1e-3, mode="fast").encode(waves)) == {field_box.PACKED + 2}


@every_mode
@pytest.mark.parametrize("unit", [0.125, 4.0])
def test_values_that_were_packed_before_stay_exact_and_take_few_bytes(mode, unit):
    x = (np.rint(smooth((20, 33, 41), seed=3) * 2) * unit).astype(np.float32)
    exact = Field(max_error=1e-4 * unit, mode=mode).encode(x)
    np.testing.assert_array_equal(decode(exact), x)
    assert len(exact) < 0.3 * x.nbytes
    loose = Field(max_error=1.5 * unit, mode=mode).encode(x)
    assert largest_error(x, decode(loose)) == unit
    x[0, 0, 0] += 0.3 * unit
    assert largest_error(x, there_and_back(x, max_error=0.05 * unit, mode=mode)) <= 0.05 * unit


def test_ratio_mode_takes_fewer_bytes_than_fast_mode_and_a_silent_field_next_to_none():
    z, y, x = np.meshgrid(*(np.linspace(0, 3, 64),) * 3, indexing="ij")
    blob = np.exp(-20 * ((x - 1) ** 2 + (y - 2) ** 2 + (z - 1) ** 2)).astype(np.float32)
    ratio, fast = (len(Field(max_error=1e-3, mode=mode).encode(blob)) for mode in ("ratio", "fast"))
    assert ratio < 0.5 * fast
    assert blob.nbytes / ratio > 300


# --- what is refused ---


@pytest.mark.parametrize("option", ["max_error", "max_error_of_range", "max_error_of_value"])
@pytest.mark.parametrize("value", [-1e-3, float("nan"), float("inf"), "much", True])
def test_a_bound_that_is_none_is_refused(option, value):
    with pytest.raises(UsageError, match=f"{option}="):
        Field(**{option: value})


def test_other_options_are_checked():
    for options, word in (
        ({"max_error": np.float32(-1)}, "max_error=-1.0"),
        ({"mode": "best"}, "mode='best'; it takes 'fast', 'ratio'"),
        ({"threads": 0}, "threads=0"),
        (
            {"max_error": 1.0, "max_error_of_range": 0.1},
            "takes one bound, got max_error=1.0 and max_error_of_range=0.1",
        ),
    ):
        with pytest.raises(UsageError, match=word):
            Field(**options)
    with pytest.raises(UsageError, match="max_error_of_value takes floats, got int16"):
        Field(max_error_of_value=0.1).encode(np.zeros(4, np.int16))
    with pytest.raises(UsageError, match="errors='skip'"):
        decode(b"", errors="skip")


@pytest.mark.parametrize(
    ("x", "word"),
    [
        (np.array([1, "a"], object), "objects have no fixed size"),
        (np.ma.masked_array([1.0, 2.0], [True, False]), "lose the mask"),
        ([1.0, 2.0], "takes a NumPy array, got list"),
    ],
    ids=["object", "masked", "list"],
)
def test_arrays_of_something_else_are_refused_with_what_to_do(x, word):
    with pytest.raises(UsageError, match=word):
        Field().encode(x)


# --- bytes from strangers ---


@every_mode
def test_every_truncation_and_every_flipped_byte_is_refused(mode):
    data = Field(max_error=0.3, mode=mode).encode(smooth((3, 4, 5)))
    for length in range(len(data)):
        with pytest.raises(CodecError):
            decode(data[:length])
    for place in range(len(data)):
        with pytest.raises(CodecError):
            decode(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])


def with_payload(data, payload):
    """The same file with another box in it, and right checksums."""
    file = container.read(data)
    chunks = tuple(container.Chunk(c.tag, payload if c.tag == Tag.PAYLOAD else c.data) for c in file.chunks)
    return container.write(container.File(file.codec, file.dtype, file.shape, chunks))


SOURCES = {
    "packed": ({"mode": "fast", "max_error": 0.3}, smooth((5, 12, 14))),
    "coded": ({"max_error": 0.1}, np.cumsum(smooth((2000,))).astype(np.float32)),
    "interpolated": ({"max_error": 0.3}, np.sin(np.arange(5 * 12 * 14) / 90.0).reshape(5, 12, 14) * 100),
    "shifted": ({"max_error": 1e-4}, smooth((5, 12, 14), "float64")),
    "exceptions": ({"max_error": 0.3}, np.where(smooth((5, 12, 14)) > 5, np.nan, smooth((5, 12, 14)))),
    "exact": ({"max_error": 0}, smooth((5, 12, 14))),
    "half": ({"max_error": 0.3}, smooth((5, 12, 14), "float16")),
    "ordered": ({"max_error_of_value": 0.1}, smooth((5, 12, 14))),
}


@pytest.mark.parametrize("source", SOURCES)
def test_compiled_and_readable_kernels_write_and_read_the_same_files(source, monkeypatch):
    options, x = SOURCES[source]
    files, values = [], []
    for size in (0, 10**9):
        monkeypatch.setattr("midtread.entropy.loading.WORTH_COMPILING", size)
        monkeypatch.setattr("midtread.entropy.loading._loaded", set())
        files.append(Field(**options).encode(x))
        values.append(decode(files[0]).tobytes())
    assert files[0] == files[1]
    assert values[0] == values[1]


@pytest.mark.parametrize("source", SOURCES)
def test_bytes_behind_the_end_of_a_box_are_refused(source):
    data = Field(**SOURCES[source][0]).encode(SOURCES[source][1])
    payload = container.read(data).need(Tag.PAYLOAD)
    with pytest.raises(BitstreamError):
        decode(with_payload(data, payload + bytes(4)))


def test_exceptions_that_claim_to_be_huge_allocate_nothing():
    options, x = SOURCES["exceptions"]
    data = Field(**options).encode(x)
    payload = container.read(data).need(Tag.PAYLOAD)
    place = payload.index(b"\x28\xb5\x2f\xfd")
    bomb = b"\x28\xb5\x2f\xfd\xe0" + (2**45).to_bytes(8, "little") + b"\x01\x00\x00"
    hostile = payload[:place] + bomb + payload[place + len(bomb) :]
    with pytest.raises(BitstreamError, match=f"these claim {2**45}"):
        decode(with_payload(data, hostile))


def test_damaged_boxes_are_masked_and_the_others_read(monkeypatch):
    several_boxes(monkeypatch)
    x = smooth((20, 37, 70))
    data = bytearray(Field(max_error=0.01).encode(x))
    spans = [span for span in container.index(data)[1] if span.tag == Tag.PAYLOAD]
    data[spans[2].body + 5] ^= 1
    with pytest.raises(BitstreamError, match=rf"box 2 of {len(spans)} of this field file: .* damaged"):
        decode(bytes(data))
    with pytest.warns(UserWarning, match=rf"1 of {len(spans)} boxes of this field file are masked: 2$"):
        x_hat = decode(bytes(data), errors="mask")
    grid = cut(fold(x.shape), 1 << 12)
    lost = np.zeros(x.shape, bool)
    lost[tuple(slice(*ends) for ends in grid.corners(2))] = True
    np.testing.assert_array_equal(x_hat.mask, lost)
    assert np.abs(x_hat - x).max() <= 0.01


def test_of_a_file_that_was_cut_off_the_boxes_that_are_there_are_read(monkeypatch):
    several_boxes(monkeypatch)
    x = smooth((20, 37, 70))
    data = Field(max_error=0.01).encode(x)
    spans = [span for span in container.index(data)[1] if span.tag == Tag.PAYLOAD]
    short = data[: spans[3].end]  # its checksum is gone
    with pytest.raises(CodecError):
        decode(short)
    with pytest.warns(UserWarning, match=rf"{len(spans) - 3} of {len(spans)} boxes .* are masked: 3, 4"):
        x_hat = decode(short, errors="mask")
    there = np.zeros(x.shape, bool)
    for number in range(3):
        there[tuple(slice(*ends) for ends in cut(fold(x.shape), 1 << 12).corners(number))] = True
    np.testing.assert_array_equal(x_hat.mask, ~there)
    assert np.abs(x_hat - x).max() <= 0.01
    with pytest.raises(CodecError):
        decode(data[:30], errors="mask")  # not even the parameters


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("compiled", [False, True])
def test_a_hostile_box_with_a_right_checksum_gives_our_errors_or_an_array(source, compiled, monkeypatch):
    if compiled:
        monkeypatch.setattr("midtread.entropy.loading.WORTH_COMPILING", 0)
    options, x = SOURCES[source]
    data = Field(**options).encode(x)
    payload = container.read(data).need(Tag.PAYLOAD)
    rng, refused = np.random.default_rng(0), 0
    for trial in range(150):
        damaged = bytearray(payload)
        for place in rng.integers(0, min(len(damaged), 24 if trial % 2 else len(damaged)), 3):
            damaged[place] = rng.integers(256)
        if trial % 5 == 4:
            del damaged[int(rng.integers(len(damaged))) :]
        try:
            x_hat = decode(with_payload(data, bytes(damaged)))
        except (BitstreamError, LimitError):
            refused += 1
            continue
        assert (x_hat.shape, x_hat.dtype) == (x.shape, x.dtype)
    assert refused > 30


def test_parameters_that_do_not_fit_are_refused():
    x = smooth((4, 5, 6))
    file = container.read(Field().encode(x))
    good = file.need(Tag.PARAMETERS)
    for parameters, word in (
        (b"\x09" + good[1:], "version 9"),
        (good[:1] + b"\x02" + good[2:], "scale"),
        (good[:-1] + b"\x00", "do not fit"),
        (good[:-1] + b"\x07", "do not fit"),
        (good[:-1] + b"\x03", "has 1 boxes, its grid 2"),
        (good + b"\x00", "more bytes follow"),
        (good[:5], "needs"),
    ):
        chunks = (container.Chunk(Tag.PARAMETERS, parameters), *file.chunks[1:])
        with pytest.raises((BitstreamError, LimitError), match=word):
            decode(container.write(container.File(file.codec, file.dtype, file.shape, chunks)))
    with pytest.raises(BitstreamError, match="no parameters chunk"):
        decode(container.write(container.File(file.codec, file.dtype, file.shape, file.chunks[1:])))
    with pytest.raises(BitstreamError, match="made by codec 'floats'"):
        decode(container.write(container.File("floats", file.dtype, file.shape, file.chunks)))
    with pytest.raises(BitstreamError, match="declares bool values"):
        decode(container.write(container.File(file.codec, "bool", file.shape, file.chunks)))
    with pytest.raises(LimitError, match="120 samples"):
        decode(Field().encode(x), limits=Limits(max_elements=100))


# --- what bounds are relative to ---


@pytest.mark.parametrize("fill", [1e20, -9999.0, 9.96921e36, None])
def test_ranges_leave_fill_values_out_as_the_metrics_do(fill):
    x = np.random.default_rng(1).normal(280, 5, 5000).astype(np.float32)
    if fill is not None:
        x[100:300] = fill
    x[7] = np.nan
    found = reference(x)
    known = usual(x)
    assert (known.least, known.spread) == (found.lowest, found.span)
    assert known.fills == (() if fill is None else (float(np.float32(fill)),))
    kept = x[found.present]
    assert deviation(x, known) == pytest.approx(kept.astype(np.float64).std(), rel=1e-9)
    x_hat = decode(Field(max_error_of_range=1e-3).encode(x))
    assert np.abs(x_hat[found.present].astype(np.float64) - kept).max() <= 1e-3 * found.span
    np.testing.assert_array_equal(x_hat[~found.present], x[~found.present])


def test_a_heavy_tail_or_one_outlier_is_no_fill_value():
    x = np.exp(3 * np.random.default_rng(2).normal(size=9000))
    assert usual(x) == (x.min(), x.max(), ())
    for x in (np.zeros(5000, np.float32), np.random.default_rng(3).random(5000, np.float32)):
        x[17] = 1e20
        assert usual(x) == (x.min(), float(np.float32(1e20)), ())


@every_mode
@pytest.mark.parametrize("dtype", ["float32", "float16", "int16"])
def test_a_declared_fill_value_is_kept_and_does_not_count(mode, dtype):
    x = (10 * smooth((9, 20, 30), "float64") + 100).astype(dtype)
    x[2:4, 5:9] = 150
    codec = Field(max_error_of_range=0.2, fill_value=150, mode=mode)
    x_hat = decode(codec.encode(x))
    assert (x_hat[x == 150] == 150).all()
    rest = x[x != 150].astype(np.float64)
    bound = 0.2 * np.ptp(rest)
    assert codec.bound(x.reshape(-1)) == pytest.approx(bound)
    assert 0 < np.abs(x_hat[x != 150] - rest).max() <= bound


@every_mode
@pytest.mark.parametrize("option", ["max_error_of_range", "max_error_of_std"])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_with_an_axis_each_index_has_a_bound_of_its_own(mode, option, axis):
    x = smooth((3, 4, 30, 5)) * 10.0 ** np.arange(3).reshape(3, 1, 1, 1) * 3.0 ** np.arange(5)
    codec = Field(axis=axis, mode=mode, **{option: 0.01})
    data = codec.encode(x)
    x_hat = decode(data)
    for i in range(x.shape[axis]):
        part, part_hat = np.take(x, i, axis), np.take(x_hat, i, axis)
        unit = np.ptp(part) if option == "max_error_of_range" else part.std()
        assert 0.2 * 0.01 * unit < np.abs(part - part_hat).max() <= 0.01 * unit * (1 + 1e-12)
    wanted = (slice(1, 3), slice(0, 3), slice(4, 29), slice(2, 4))
    np.testing.assert_array_equal(decode_region(data, wanted), x_hat[wanted])


@every_mode
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("axis", [None, 1])
def test_both_parts_of_complex_numbers_keep_the_bound(mode, dtype, axis, monkeypatch):
    monkeypatch.setattr("midtread.codecs.tensor.field.MOST", dict.fromkeys(MODES, 1000))
    x = (smooth((6, 20, 30)) + 2j * smooth((6, 20, 30), seed=5)).astype(dtype)
    x[1, 2, 3] = complex(np.nan, 4)
    data = Field(max_error_of_range=1e-2, axis=axis, mode=mode).encode(x)
    x_hat = decode(data)
    assert (x_hat.shape, x_hat.dtype) == (x.shape, x.dtype)
    for part, part_hat in ((x.real, x_hat.real), (x.imag, x_hat.imag)):
        assert np.nanmax(np.abs(part_hat - part)) <= 1e-2 * np.nanmax([np.ptp(x.real[2:]), np.ptp(x.imag)]) * 1.3
        np.testing.assert_array_equal(np.isnan(part), np.isnan(part_hat))
    wanted = (slice(1, 5), slice(0, 3), slice(4, 29))
    np.testing.assert_array_equal(decode_region(data, wanted), x_hat[wanted])
    broken = bytearray(data)
    broken[-30] ^= 1
    masked = decode(bytes(broken), errors="mask")
    assert masked.mask.any()
    np.testing.assert_array_equal(masked.data[~masked.mask], x_hat[~masked.mask])


# --- targets, streams ---


@pytest.mark.parametrize("mode", ["fast", "ratio"])
def test_targets_are_met(mode):
    x = smooth((20, 40, 50))
    x[3, :5] = 1e20
    data = Field(psnr_db=60, mode=mode).encode(x)
    assert 60 <= METRICS.get("range_psnr_db")(x, decode(data)) < 60.3
    data = Field(size_bytes=12_000, mode=mode).encode(x)
    assert 11_000 < len(data) <= 12_000
    data = Field(ratio=12, mode=mode).encode(x)
    assert 0.92 < 12 * len(data) / x.nbytes <= 1


def test_a_memory_map_is_encoded_and_decoded_piece_by_piece(tmp_path):
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (64, 256, 256))
    x[:] = np.arange(256) + np.arange(64).reshape(-1, 1, 1)
    codec, seen = Field(max_error=0.1), []
    with open(tmp_path / "x.mt", "wb") as file:
        for piece in codec.pieces(x, seen.append):
            file.write(piece)
    assert (tmp_path / "x.mt").read_bytes() == codec.encode(x)
    assert len(seen) == 16
    assert (np.diff(seen) > 0).all()
    assert seen[-1] == 1
    out = np.lib.format.open_memmap(tmp_path / "y.npy", "w+", np.float32, x.shape)
    with open(tmp_path / "x.mt", "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        assert decode(data, out=out, progress=seen.append) is out
        np.testing.assert_array_equal(decode_region(data, (slice(3, 5), slice(9), slice(9))), out[3:5, :9, :9])
    assert seen[-1] == 1
    assert np.abs(out - x).max() <= 0.1
    with pytest.raises(UsageError, match=r"C-contiguous float32 array of shape \[64, 256, 256\]"):
        decode(codec.encode(x), out=np.empty((64, 256), np.float32))


# --- archive ---


def test_archive_mode_takes_another_codec_where_it_is_smaller_and_keeps_its_bound():
    z, y, x = np.meshgrid(*(np.linspace(0, 3, n) for n in (24, 30, 40)), indexing="ij")
    field = (np.sin(3 * x + y) * np.cos(2 * y - z) + 0.2 * np.sin(9 * z)).astype(np.float64)
    sizes, kinds = {}, set()
    for bound in (0.1, 1e-3, 1e-6, 0):
        codec = Field(max_error=bound, mode="archive")
        data = codec.encode(field)
        kinds.add(container.read(data).chunks[1].data[0])
        assert np.abs(decode(data) - field).max() <= bound
        np.testing.assert_array_equal(midtread.decode(data), decode(data))
        sizes[bound] = len(data)
        assert len(data) <= len(Field(max_error=bound).encode(field))
        for name in ("sz3", "sperr", "zfp", "lerc") if bound else ("pcodec",):
            other = open_codec(name, **({"max_error": bound} if bound else {}))
            assert len(data) <= len(other.encode(field)) + 28, name
    assert field_box.NESTED in kinds


@pytest.mark.parametrize("damage", [lambda d: d[:2] + b"\x09" + d[3:], lambda d: d[:-9], lambda d: d + b"0"])
def test_a_box_of_another_codec_that_does_not_fit_is_refused(damage):
    values = np.random.default_rng(3).normal(size=(8, 9, 10)).cumsum(0)
    file = container.read(open_codec("sperr", max_error=0.1).encode(values))
    payload = b"".join([bytes([field_box.NESTED, 0]), *field_archive._unframed(file)])
    out = np.empty(720)
    field_box.decode(payload, whole((8, 9, 10)), 0, out)
    assert np.abs(out - values.reshape(-1)).max() <= 0.1
    with pytest.raises(CodecError):
        field_box.decode(damage(payload), whole((8, 9, 10)), 0, out)
    with pytest.raises(BitstreamError, match="holds a sperr array of shape"):
        field_box.decode(payload, whole((8, 9, 11)), 0, np.empty(792))


@pytest.mark.parametrize(("broken", "nested"), [(1, True), (200, False)])
def test_what_another_codec_misses_is_an_exception_and_too_much_of_it_is_not_taken(broken, nested, monkeypatch):
    values = np.random.default_rng(3).normal(size=(8, 9, 10)).cumsum(0)
    values.flags.writeable = False
    real = open_codec("sz3", max_error=0.1)

    class Liar:
        encode = staticmethod(real.encode)

        @staticmethod
        def decode(data):
            x_hat = real.decode(data).copy()
            x_hat.reshape(-1)[:broken] += 0.5
            return x_hat

    def only_sz3(name, **_):
        if name == "sz3":
            return Liar
        raise UsageError("another one")

    monkeypatch.setattr(field_archive, "open_codec", only_sz3)
    plan = field_box.Plan(values.dtype, 0.1, 0, (field_box.CODED,))
    found = list(field_archive._others(values.reshape(-1), whole(values.shape), plan, values.shape))
    assert len(found) == nested
    for payload in found:
        out = np.empty(values.size)
        field_box.decode(payload, whole(values.shape), 0, out)
        assert out[0] == values[0, 0, 0], "kept as it is"
        assert np.abs(out - values.reshape(-1)).max() <= 0.1


def test_multiples_of_a_unit_that_are_interpolated_keep_their_bound_without_exceptions():
    """Their steps are multiples of the unit only where values are quantized to multiples of the step."""
    z, y, x = np.meshgrid(*(np.linspace(0, 4, n) for n in (20, 30, 40)), indexing="ij")
    packed = (np.rint(80 * np.sin(x + y) * np.cos(z)) / 8).astype(np.float32)
    data = Field(max_error=0.3).encode(packed)
    payload = container.read(data).chunks[1].data
    assert payload[:2] == bytes([field_box.INTERPOLATED, 0]), "no exceptions"
    assert np.abs(decode(data) - packed).max() <= 0.3
