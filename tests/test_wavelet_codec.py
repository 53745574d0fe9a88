"""The `wavelet` codec against its promises, and its kernel against the slow twin."""

import hashlib
from importlib import import_module
from itertools import pairwise

import numpy as np
import pytest
import zstandard

import midtread
from midtread import container
from midtread.codecs.image import wavelet, wavelet_bands, wavelet_planes
from midtread.codecs.image.wavelet import Wavelet, decode_part
from midtread.codecs.image.wavelet_tables import learned
from midtread.errors import BitstreamError, CodecError, LimitError, UsageError
from midtread.kernels import wavelet_coder_slow as definition
from midtread.spec import Limits, collect_notes, open_codec
from pictures import photo_like

SHAPES = [(1, 1), (1, 7), (9, 1), (17, 13), (33, 40, 2), (24, 41, 3), (19, 70, 4), (16, 18, 6)]
MODES = [
    {"lossless": True},
    {"lossless": True, "layers": 3},
    {"step": 4.0},
    {"step": 40.0, "effort": 0},
    {"step": 2.0, "layers": 4},
]


def use(monkeypatch, which: str) -> None:
    """One of the twins, whatever the size of the picture."""
    ending = "_slow" if which == "slow" else ""
    for module in (wavelet, wavelet_bands, wavelet_planes):
        monkeypatch.setattr(module, "pick", lambda name, _: import_module(f"midtread.kernels.{name}{ending}"))


@pytest.fixture(params=["fast", "slow"])
def twin(request, monkeypatch):
    """Both twins."""
    use(monkeypatch, request.param)
    return request.param


def hostile(data: bytes, index: int, change) -> bytes:
    """The file with chunk `index` changed, its checksum right again."""
    file = container.read(data)
    chunks = list(file.chunks)
    chunks[index] = container.Chunk(chunks[index].tag, change(chunks[index].data))
    return container.write(container.File(file.codec, file.dtype, file.shape, tuple(chunks)))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("effort", [0, 1])
def test_lossless_gives_every_sample_back(shape, dtype, effort):
    for x in (photo_like(shape, dtype), np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape, dtype)):
        codec = Wavelet(lossless=True, effort=effort)
        np.testing.assert_array_equal(codec.decode(codec.encode(x)), x)


@pytest.mark.parametrize("value", [0, 255, "chess"])
def test_lossless_at_the_ends_of_the_range(value):
    x = np.full((20, 31, 3), 0, np.uint8)
    x[...] = 255 * (np.indices((20, 31)).sum(0) % 2)[..., None] if value == "chess" else value
    for effort in (0, 1):
        codec = Wavelet(lossless=True, effort=effort)
        np.testing.assert_array_equal(codec.decode(codec.encode(x)), x)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_smaller_step_means_a_smaller_error(shape, dtype):
    x = photo_like(shape, dtype)
    unit = 257 if dtype == "uint16" else 1
    for step in (0.25, 2.0, 16.0):
        codec = Wavelet(step=step)
        error = (codec.decode(codec.encode(x)).astype(float) - x) / unit
        assert np.sqrt(np.mean(error**2)) <= 0.6 * step + 0.6


@pytest.mark.parametrize("options", MODES, ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (9, 1), (13, 18), (37, 52, 3)], ids=str)
def test_twins_write_the_same_bytes(options, shape, monkeypatch):
    x = photo_like(shape, "uint16" if len(shape) == 2 else "uint8")
    files, pictures = [], []
    for which in ("fast", "slow"):
        use(monkeypatch, which)
        files.append(Wavelet(**options).encode(x))
        pictures.append(Wavelet().decode(files[0]))
    assert files[0] == files[1]
    np.testing.assert_array_equal(*pictures)


def coded(y: np.ndarray, settings=(0, 0, 0)) -> np.ndarray:
    """Integers that went through the coder of one band."""
    block = wavelet_bands.blocks(y.shape, 0, 1)[0]
    data = wavelet_bands.Encoder(y, learned("lossless"), settings).chunk(block)
    decoder = wavelet_bands.Decoder(y.shape, learned("lossless"))
    decoder.chunk(block, container.Reader(data), "test")
    return decoder.q


def test_large_numbers_and_escapes_come_back(twin):
    y = np.random.default_rng(1).laplace(0, 1, (1, 16, 24))
    y = np.rint(y * np.logspace(0, 6, 24)).astype(np.int32)
    y[0, 3, 4], y[0, 9, 9], y[0, 9, 10] = 2**27, -(2**28), 2**28
    np.testing.assert_array_equal(coded(y), y)


@pytest.mark.parametrize("width", [1, 15, 16, 17, 33, 64, 65])
def test_calm_and_broken_segments_come_back(twin, width):
    y = np.zeros((1, 20, width), np.int32)
    y[0, 11, width // 2], y[0, 15, -1], y[0, 16, 0] = 1, -3, 200
    np.testing.assert_array_equal(coded(y), y)


def test_contexts_follow_the_page():
    sums = np.array([-5, 0, 1, 2, 3, 4, 6, 8, 12, 2**30], np.int32)
    assert definition.contexts(sums).tolist() == [0, 0, 1, 3, 4, 5, 6, 7, 8, 61]
    assert definition.shifts(np.array([0, 22, 23, 24, 25, 26])).tolist() == [0, 0, 1, 1, 2, 2]


def test_tables_follow_the_mean_size_that_a_context_met():
    start = learned("lossy").start.copy()
    for size in (0.002, 0.1, 1.0, 7.0):
        start[:, 1] = np.rint(start[:, 0] * size * 256)
        tables = learned("lossy").tables
        low, frequencies = tables.row(int(definition.tables(start)[3]))
        mean = np.abs(np.arange(low, low + len(frequencies) - 1)) @ frequencies[:-1] / 2**14
        assert 0.7 < mean / size < 1.4


def test_what_is_learned_is_halved_and_never_empty():
    learnt = learned("lossy").start.copy()
    rng = np.random.default_rng(0)
    for _ in range(200):
        names = rng.integers(0, definition.FILL + 1, 300).astype(np.uint8)
        definition._learn(learnt, rng.integers(-(2**31), 2**31, 300).astype(np.int32), names)
    assert learnt[:, 0].min() > 0
    assert learnt[:, 0].max() <= definition.MEMORY
    assert (learnt[:, 1] <= 255 * 256 * learnt[:, 0]).all()


def test_the_ideal_size_is_a_little_less_than_the_real_one():
    with collect_notes() as notes:
        data = Wavelet(step=4.0).encode(photo_like((120, 160, 3)))
    assert 0.9 * len(data) < notes["ideal_bytes"] < len(data)


def test_fewer_resolutions_make_a_smaller_picture():
    x = photo_like((65, 90, 3))
    for options in ({"lossless": True, "effort": 0}, {"step": 2.0}):
        data = Wavelet(**options).encode(x)
        for drop in range(7):
            small = decode_part(data, drop)
            scale = 2 ** min(drop, 5)
            assert small.shape == (-(-65 // scale), -(-90 // scale), 3)
            if drop <= 3:  # beyond, a handful of pixels: borders weigh more than the middle
                assert abs(small.mean() - x.mean()) < 12


@pytest.mark.parametrize(
    "options", [{"step": 2.0}, {"step": 2.0, "layers": 3}, {"lossless": True, "layers": 4}], ids=str
)
def test_every_prefix_of_the_chunks_decodes_and_more_is_better(options):
    x = photo_like((64, 96, 3))
    file = container.read(Wavelet(**options).encode(x))
    errors = []
    for count in range(2, len(file.chunks) + 1):
        part = container.write(container.File(file.codec, file.dtype, file.shape, file.chunks[:count]))
        errors.append(np.mean((Wavelet().decode(part).astype(float) - x) ** 2))
    assert len(errors) == 6 + 5 * (options.get("layers", 1) - 1)
    assert all(later <= 1.02 * earlier for earlier, later in pairwise(errors))
    assert errors[-1] < 2
    if options.get("lossless"):
        assert errors[-1] == 0


@pytest.mark.parametrize("step", [1.0, 20.0])
def test_the_first_layer_alone_is_the_picture_at_a_coarser_step(step):
    x = photo_like((96, 128, 3))
    file = container.read(Wavelet(step=step, layers=3).encode(x))
    first = container.write(container.File(file.codec, file.dtype, file.shape, file.chunks[:7]))
    alone = Wavelet(step=4 * step).encode(x)
    errors = [np.mean((Wavelet().decode(data).astype(float) - x) ** 2) for data in (first, alone)]
    assert errors[0] < 2.5 * errors[1] + 1


@pytest.mark.parametrize("options", [{"step": 6.0}, {"step": 6.0, "layers": 2}, {"lossless": True}], ids=str)
@pytest.mark.parametrize("drop", [0, 1, 2])
def test_a_region_is_that_part_of_the_picture(options, drop, monkeypatch):
    monkeypatch.setattr(wavelet_bands, "BLOCK", 16)  # as if the picture were large
    wavelet_bands.blocks.cache_clear()
    x = photo_like((150, 220, 3))
    data = Wavelet(**options, effort=0).encode(x)
    whole, scale = decode_part(data, drop), 2**drop
    for rows, columns in (((40, 72), (100, 164)), ((0, 4), (216, 220)), ((0, 150), (0, 220))):
        part = decode_part(data, drop, (rows, columns))
        inside = whole[-(-rows[0] // scale) : -(-rows[1] // scale), -(-columns[0] // scale) : -(-columns[1] // scale)]
        np.testing.assert_array_equal(part, inside)
    wavelet_bands.blocks.cache_clear()


def test_a_picture_of_many_blocks_keeps_its_bytes():
    """The golden files have one block in each resolution; this digest has six in the finest."""
    y, x = np.mgrid[:1100, :2100]
    picture = ((y * y // 97 + x * x // 61 + (y * x >> 8) * (y > x)) & 255).astype(np.uint8)
    data = Wavelet(lossless=True, effort=0).encode(picture)
    assert len(container.read(data).chunks) == 1 + 1 + 3 + 2 + 6
    assert hashlib.sha256(data).hexdigest()[:16] == "7fa04ccbc3ec8e18"
    np.testing.assert_array_equal(Wavelet().decode(data), picture)


def test_a_region_needs_few_blocks_and_all_their_parents():
    shape = (1, 4000, 6000)
    order = wavelet_bands.blocks(shape, 5, 1)
    view = wavelet.window(wavelet.Wavelet97(5), shape, (1000, 1200), (2000, 2300))
    wanted = [order[i] for i in wavelet._wanted(order, 0, view)]
    assert len(wanted) < len(order) / 3
    known = {(block.level, block.index) for block in wanted}
    assert all(block.parent in known for block in wanted if block.level < 5)


@pytest.mark.parametrize(
    ("region", "word"),
    [
        (((0, 9), (0, 0)), "columns"),
        (((0, 10), (0, 4)), "rows"),
        (((3, 2), (0, 4)), "rows"),
        (((1, 2), (1, 2)), "holds"),
    ],
)
def test_regions_outside_the_picture_are_refused(region, word):
    data = Wavelet().encode(photo_like((9, 8)))
    with pytest.raises(UsageError, match=word):
        decode_part(data, 2 if word == "holds" else 0, region)


def test_hostile_chunks_are_refused_or_keep_the_declared_shape(twin):
    rng = np.random.default_rng(3)
    for options in ({"step": 3.0}, {"lossless": True, "effort": 0, "layers": 2}):
        data = Wavelet(**options).encode(photo_like((12, 11, 3)))
        for _ in range(40):
            index = int(rng.integers(1, 5))

            def change(chunk):
                damaged = bytearray(chunk)
                for position in rng.integers(0, len(damaged), 3):
                    damaged[position] = rng.integers(256)
                return bytes(damaged)

            try:
                x_hat = Wavelet().decode(hostile(data, index, change))
            except CodecError:
                continue
            assert (x_hat.shape, x_hat.dtype) == ((12, 11, 3), np.uint8)


@pytest.mark.parametrize("index", range(1, 6))
def test_short_and_long_chunks_are_refused(index):
    data = Wavelet(lossless=True, effort=0).encode(photo_like((20, 21)))
    for change in (lambda c: c[:-1], lambda c: c + b"\1", lambda c: b"", lambda c: c[:3]):
        with pytest.raises(BitstreamError):
            Wavelet().decode(hostile(data, index, change))


@pytest.mark.parametrize(
    ("parameters", "word"),
    [
        (b"", "byte 0"),
        (b"\2\1\5\1", "version 2"),
        (b"\1\7\5\1", "mode 7"),
        (b"\1\1\x40\1", "64 levels"),
        (b"\1\1\5\0", "0 layers"),
        (b"\1\1\5\x09", "9 layers"),
        (b"\1\0\5\1\0\0\0\0", "step is 0"),
        (b"\1\1\5\1\1\0\0", "more bytes follow"),
        (b"\1\1\5\1\0\0", "colour transform 0"),
        (b"\1\1\5\1\1\2\5\0", "ascend"),
        (b"\1\1\5\1\2\2\xff\1\7", "ascend"),
        (b"\1\1\5\1\1\xff\xff\xff\xff\1", "number of values"),
        (b"\1\2\0\1", "a picture of 1 chunk"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(parameters, word):
    data = Wavelet(lossless=True, effort=0).encode(photo_like((9, 8)))
    with pytest.raises((BitstreamError, LimitError), match=word):
        Wavelet().decode(hostile(data, 0, lambda _: parameters))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("effort", [0, 1, 2])
def test_few_values_and_what_repeats_are_found_and_come_back(dtype, effort):
    rng = np.random.default_rng(5)
    values = np.sort(rng.choice(np.iinfo(dtype).max, 40, replace=False))
    values = values[np.concatenate([[True], np.diff(values) > 2])].astype(dtype)
    noise = values[rng.integers(0, values.size, (60, 80, 3))]
    screen = np.kron(rng.integers(0, 255, (12, 16, 3)), np.ones((10, 10, 1))).astype(dtype)
    for x in (noise, screen, np.zeros((5, 5), dtype), np.full((9, 4, 2), np.iinfo(dtype).max, dtype)):
        codec = Wavelet(lossless=True, effort=effort)
        np.testing.assert_array_equal(codec.decode(codec.encode(x)), x)
    packed = len(Wavelet(lossless=True, effort=0).encode(noise))
    assert packed < 6.5 / 8 * noise.size + 300, "40 values need 5.3 bits each"
    if effort:
        assert len(Wavelet(lossless=True, effort=effort).encode(screen)) < 1600


def test_a_cut_file_of_few_values_stays_among_them():
    values = np.array([3, 900, 40000, 65000], np.uint16)
    x = values[np.random.default_rng(8).integers(0, 4, (40, 50, 3))]
    file = container.read(Wavelet(lossless=True, layers=4, effort=0).encode(x))
    for count in (2, 4, 7, 12):
        part = container.write(container.File(file.codec, file.dtype, file.shape, file.chunks[:count]))
        assert np.isin(Wavelet().decode(part), values).all()


def test_a_zstd_frame_that_claims_more_is_refused_before_it_is_unpacked():
    data = Wavelet(lossless=True).encode(np.kron(np.arange(96).reshape(8, 12), np.ones((16, 16))).astype(np.uint8))
    bomb = zstandard.ZstdCompressor().compress(bytes(10**7))
    with pytest.raises(BitstreamError, match="does not have its 24576 bytes"):
        Wavelet().decode(hostile(data, 1, lambda _: bomb))


def test_a_picture_that_repeats_has_regions_and_smaller_sizes():
    x = np.kron(np.arange(96).reshape(8, 12), np.ones((16, 16))).astype(np.uint8)
    data = Wavelet(lossless=True).encode(x)
    assert container.read(data).chunks[0].data[1] == wavelet.REPEATS
    np.testing.assert_array_equal(decode_part(data, 0, ((10, 50), (3, 40))), x[10:50, 3:40])
    np.testing.assert_array_equal(decode_part(data, 2), x[::4, ::4])
    np.testing.assert_array_equal(decode_part(data, 1, ((11, 50), (3, 40))), x[12:50:2, 4:40:2])
    for change in (lambda c: c[:-1], lambda c: b"", lambda c: c + b"x", lambda c: bytes([c[0] ^ 1]) + c[1:]):
        with pytest.raises(BitstreamError):
            Wavelet().decode(hostile(data, 1, change))


@pytest.mark.parametrize("name", ["wavelet", "pipeline"])
def test_limits_of_the_front_door_reach_the_codec(name):
    data = midtread.wrap(photo_like((9, 8)), name)
    with pytest.raises(LimitError):
        open_codec(name).decode_within(data, Limits(max_elements=10))
    assert open_codec(name).decode_within(data, Limits(max_elements=100)).shape == (9, 8)


def test_other_codecs_shapes_and_huge_sizes_are_refused():
    file = container.read(Wavelet().encode(photo_like((9, 8))))
    for name, dtype, shape in [
        ("jpeg", "uint8", (9, 8)),
        ("wavelet", "float32", (9, 8)),
        ("wavelet", "uint8", (9, 8, 65)),
        ("wavelet", "uint8", (9, 8, 1)),
        ("wavelet", "uint8", (0, 8)),
        ("wavelet", "uint8", (9,)),
    ]:
        with pytest.raises(BitstreamError):
            Wavelet().decode(container.write(container.File(name, dtype, shape, file.chunks)))
    large = container.write(container.File("wavelet", "uint8", (2**20, 2**20), file.chunks))
    with pytest.raises(LimitError):
        Wavelet().decode(large)
    with pytest.raises(LimitError):
        decode_part(Wavelet().encode(photo_like((9, 8))), limits=Limits(max_elements=10))


def test_a_declared_size_that_the_payload_does_not_fill_is_refused():
    file = container.read(Wavelet(lossless=True, effort=0).encode(photo_like((32, 32))))
    other = container.write(container.File("wavelet", "uint8", (33, 32), file.chunks))
    with pytest.raises(BitstreamError):
        Wavelet().decode(other)


@pytest.mark.parametrize(
    "options", [{"step": 0.1}, {"step": 1e4}, {"effort": 3}, {"lossless": 1}, {"layers": 9}], ids=str
)
def test_options_outside_their_range_are_refused(options):
    with pytest.raises(UsageError, match=next(iter(options))):
        Wavelet(**options)
