"""The `wavelet` codec against its promises, and its kernel against the slow twin."""

import numpy as np
import pytest

from midtread import container
from midtread.codecs.image import wavelet_bands, wavelet_planes
from midtread.codecs.image.wavelet import Wavelet, decode_reduced
from midtread.errors import BitstreamError, CodecError, LimitError, UsageError
from midtread.kernels import wavelet_coder, wavelet_coder_slow
from midtread.kernels.wavelet_coder_slow import CONTEXTS, SEEN, SYMBOLS, TOTAL, fresh_models
from midtread.spec import Limits
from pictures import photo_like

SHAPES = [(1, 1), (1, 7), (9, 1), (17, 13), (33, 40, 2), (24, 41, 3), (19, 70, 4)]
MODES = [{"lossless": True}, {"lossless": True, "effort": 0}, {"step": 4.0}, {"step": 40.0, "effort": 0}]


@pytest.fixture(params=["fast", "slow"])
def twin(request, monkeypatch):
    """Both twins, whatever the size of the picture."""
    kernel = wavelet_coder if request.param == "fast" else wavelet_coder_slow
    for module in (wavelet_bands, wavelet_planes):
        monkeypatch.setattr(module, "pick", lambda _name, _size: kernel)
    return kernel


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
@pytest.mark.parametrize("shape", [(1, 1), (9, 1), (13, 18), (21, 18, 3)], ids=str)
def test_twins_write_the_same_bytes(options, shape, monkeypatch):
    x = photo_like(shape, "uint16" if len(shape) == 2 else "uint8")
    files, pictures = [], []
    for kernel in (wavelet_coder, wavelet_coder_slow):
        for module in (wavelet_bands, wavelet_planes):
            monkeypatch.setattr(module, "pick", lambda _name, _size, kernel=kernel: kernel)
        files.append(Wavelet(**options).encode(x))
        pictures.append(Wavelet().decode(files[0]))
    assert files[0] == files[1]
    np.testing.assert_array_equal(*pictures)


def test_twins_agree_on_large_numbers_and_long_escapes(twin):
    y = np.random.default_rng(1).laplace(0, 1, (1, 16, 24))
    y = np.rint(y * np.logspace(0, 6, 24)).astype(np.int32)
    y[0, 3, 4] = 2**27
    parts = next(iter(wavelet_bands.resolutions(y.shape, 0, 1)))
    data = wavelet_bands.Encoder(y).chunk(parts, (0, 0, 0))
    decoder = wavelet_bands.Decoder(y.shape)
    decoder.chunk(parts, container.Reader(data), "test")
    np.testing.assert_array_equal(decoder.q, y)


def test_models_stay_in_order_whatever_they_learn():
    models = fresh_models(1)[0]
    rng = np.random.default_rng(2)
    for context in (0, 7, CONTEXTS - 1):
        for symbol in [0] * 3000 + [15] * 3000 + rng.integers(0, 16, 500).tolist():
            wavelet_coder_slow._learn(models[context], symbol)
            starts = (models[context, : SYMBOLS + 1] >> 8) + np.arange(SYMBOLS + 1)
            assert starts[0] == 0
            assert starts[-1] == 65536
            assert (np.diff(starts) > 0).all()
    assert models[:, SYMBOLS].tolist() == [TOTAL] * CONTEXTS
    assert models[:, SEEN].max() == 255


def test_fewer_resolutions_make_a_smaller_picture():
    x = photo_like((65, 90, 3))
    for options in ({"lossless": True, "effort": 0}, {"step": 2.0}):
        data = Wavelet(**options).encode(x)
        for drop in range(7):
            small = decode_reduced(data, drop)
            scale = 2 ** min(drop, 5)
            assert small.shape == (-(-65 // scale), -(-90 // scale), 3)
            if drop <= 3:  # beyond, a handful of pixels: borders weigh more than the middle
                assert abs(small.mean() - x.mean()) < 12


def test_a_prefix_of_the_chunks_decodes_to_a_blurrier_picture():
    x = photo_like((64, 96, 3))
    file = container.read(Wavelet(step=2.0).encode(x))
    errors = []
    for count in range(2, len(file.chunks) + 1):
        part = container.write(container.File(file.codec, file.dtype, file.shape, file.chunks[:count]))
        errors.append(np.mean((Wavelet().decode(part).astype(float) - x) ** 2))
    assert len(errors) == 6
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 2


def test_hostile_chunks_are_refused_or_keep_the_declared_shape(twin):
    rng = np.random.default_rng(3)
    for options in ({"step": 3.0}, {"lossless": True, "effort": 0}):
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
        (b"\2\1\5", "version 2"),
        (b"\1\7\5", "mode 7"),
        (b"\1\1\x40", "64 levels"),
        (b"\1\0\5\0\0\0\0", "step is 0"),
        (b"\1\1\5\0", "more bytes follow"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(parameters, word):
    data = Wavelet(lossless=True, effort=0).encode(photo_like((9, 8)))
    with pytest.raises(BitstreamError, match=word):
        Wavelet().decode(hostile(data, 0, lambda _: parameters))


def test_other_codecs_shapes_and_huge_sizes_are_refused():
    file = container.read(Wavelet().encode(photo_like((9, 8))))
    for name, dtype, shape in [
        ("jpeg", "uint8", (9, 8)),
        ("wavelet", "float32", (9, 8)),
        ("wavelet", "uint8", (9, 8, 5)),
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
        decode_reduced(Wavelet().encode(photo_like((9, 8))), 0, Limits(max_elements=10))


def test_a_declared_size_that_the_payload_does_not_fill_is_refused():
    file = container.read(Wavelet(lossless=True, effort=0).encode(photo_like((32, 32))))
    other = container.write(container.File("wavelet", "uint8", (33, 32), file.chunks))
    with pytest.raises(BitstreamError):
        Wavelet().decode(other)


@pytest.mark.parametrize("options", [{"step": 0.1}, {"step": 1e4}, {"effort": 2}, {"lossless": 1}], ids=str)
def test_options_outside_their_range_are_refused(options):
    with pytest.raises(UsageError, match=next(iter(options))):
        Wavelet(**options)
