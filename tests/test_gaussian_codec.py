"""The codec `gaussian` as its users meet it: pictures in, files out, pictures back; and what goes wrong, in words."""

import numpy as np
import pytest

import midtread
from midtread import container
from midtread.codecs.image import gaussian_fits
from midtread.codecs.image.gaussian import Gaussian
from midtread.codecs.image.gaussian_file import decode_part, read_file, write_file
from midtread.codecs.image.gaussian_header import Header
from midtread.codecs.image.gaussian_symbols import quantize
from midtread.codecs.image.wavelet import Wavelet
from midtread.codecs.target import encode_to, shared
from midtread.container.file import Tag
from midtread.errors import BitstreamError, LimitError, TruncatedError, UsageError
from midtread.spec import Limits
from pictures import photo_like

QUICK = {"iterations": 40, "step": 60.0}


def quality(x, y):
    return 10 * np.log10(255**2 / np.mean((x.astype(float) - y) ** 2))


@pytest.fixture(scope="module")
def picture():
    """Waves and an edge, with patches of all sizes over them."""
    rng, x = np.random.default_rng(7), photo_like((64, 80, 3)).astype(float)
    for size in (16, 8, 4):
        patches = rng.normal(0, 12, (-(-64 // size), -(-80 // size), 3))
        x += np.kron(patches, np.ones((size, size, 1)))[:64, :80]
    return np.clip(x, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def data(picture):
    return midtread.encode(picture, "gaussian", iterations=120, step=30.0)


def test_a_small_file_is_near_the_picture(picture, data):
    assert quality(picture, midtread.decode(data)) > 27
    assert len(data) < picture.size / 8


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("sides", [(1, 1), (1, 37), (23, 1), (2, 2), (33, 17)])
def test_any_shape_comes_back(sides, channels):
    rng = np.random.default_rng(3)
    shape = sides if channels == 1 else (*sides, channels)
    x = np.clip(np.cumsum(rng.normal(0, 9, shape), 0) + 128, 0, 255).astype(np.uint8)
    y = midtread.decode(midtread.encode(x, "gaussian", **QUICK))
    assert y.shape == x.shape
    assert y.dtype == np.uint8
    if channels in (2, 4):
        assert np.array_equal(x[..., -1], y[..., -1]), "alpha is kept exactly"


@pytest.mark.parametrize("value", [0, 77, 255])
def test_a_constant_picture_is_a_few_bytes(value):
    x = np.full((300, 400, 3), value, np.uint8)
    data = midtread.encode(x, "gaussian")
    assert np.array_equal(midtread.decode(data), x)
    assert len(data) < 60
    assert np.array_equal(midtread.decode(midtread.encode(x, "gaussian", count=5)), x)


def test_the_same_bytes_with_any_number_of_threads(picture):
    first = midtread.encode(picture, "gaussian", **QUICK)
    assert midtread.encode(picture, "gaussian", **QUICK, threads=2) == first
    assert midtread.encode(picture, "gaussian", **QUICK, seed=1) != first


def test_a_search_makes_one_fit(picture, monkeypatch):
    fits = []
    real = gaussian_fits.fit
    monkeypatch.setattr(gaussian_fits, "fit", lambda *args, **options: fits.append(1) or real(*args, **options))
    reached = encode_to(picture, "gaussian", {"iterations": 40}, rate_bpp=1.0)
    assert len(fits) == 1
    assert reached.trials > 1
    assert abs(reached.rate_bpp - 1) < 0.02
    assert midtread.encode(picture, "gaussian", **reached.options) == reached.data
    assert quality(picture, midtread.decode(reached.data)) == pytest.approx(reached.psnr_db, abs=1e-6)


def test_a_search_for_quality(picture):
    reached = encode_to(picture, "gaussian", {"iterations": 60}, psnr_db=23.0)
    assert 23 <= reached.psnr_db < 23.3
    assert midtread.encode(picture, "gaussian", **reached.options) == reached.data


def test_a_finer_step_brings_more_gaussians_and_a_better_picture(picture):
    coarse, fine = (midtread.encode(picture, "gaussian", iterations=80, step=step) for step in (150.0, 40.0))
    assert len(read_file(coarse).xy) < len(read_file(fine).xy)
    assert quality(picture, midtread.decode(coarse)) + 2 < quality(picture, midtread.decode(fine))


def test_each_layer_makes_the_picture_better(picture, data):
    qualities = [quality(picture, decode_part(data, layers=layers)) for layers in range(5)]
    assert qualities == sorted(qualities)
    assert qualities[4] > qualities[0] + 8
    assert np.array_equal(decode_part(data, layers=4), midtread.decode(data))


def test_a_cut_file_is_refused_or_decodes_to_its_whole_layers(picture, data):
    spans = container.index(data)[1]
    ends = [span.end + 4 for span in spans if span.tag == Tag.PAYLOAD]
    for layers, end in enumerate(ends[:-1], 1):
        for cut in (end, (end + ends[layers]) // 2):
            with pytest.raises(TruncatedError):
                midtread.decode(data[:cut])
            assert np.array_equal(decode_part(data[:cut], errors="prefix"), decode_part(data, layers=layers))
    with pytest.raises(TruncatedError):
        decode_part(data[: spans[0].end], errors="prefix")
    with pytest.raises(UsageError, match="strict"):
        decode_part(data, errors="ignore")


def test_scales_and_regions_of_a_file(picture, data):
    assert decode_part(data, scale=0.5).shape == (32, 40, 3)
    whole = decode_part(data, scale=2)
    part = decode_part(data, scale=2, region=(10, 20, 50, 60))
    assert np.abs(whole[10:60, 20:80].astype(int) - part).max() <= 1
    with pytest.raises(UsageError, match="scale=9"):
        decode_part(data, scale=9)


def test_the_front_door_decodes_at_other_sizes(picture, data, tmp_path):
    assert np.array_equal(midtread.decode(data, scale=0.5), decode_part(data, scale=0.5))
    part = midtread.decode(data, scale=2, region=(10, 20, 50, 60))
    assert np.array_equal(part, decode_part(data, scale=2, region=(10, 20, 50, 60)))
    wavelet = Wavelet(step=4).encode(picture)
    assert midtread.decode(wavelet, scale=0.5).shape == (32, 40, 3)
    whole, some = midtread.decode(wavelet, scale=0.5), midtread.decode(wavelet, scale=0.5, region=(3, 5, 20, 30))
    assert some.shape == (20, 30, 3)
    assert np.abs(whole[3:23, 5:35].astype(int) - some).max() <= 1
    for wrong in ({"scale": 0.3}, {"scale": 2}, {"region": (0, 0, 65, 10)}, {"region": (-1, 0, 5, 5)}):
        with pytest.raises(UsageError):
            midtread.decode(wavelet, **wrong)
    for codec in ("learned", "png"):
        with pytest.raises(UsageError, match="resize"):
            midtread.decode(midtread.encode(picture, codec), scale=0.5)


def test_alpha_follows_scale_and_region():
    rng = np.random.default_rng(1)
    x = rng.integers(0, 256, (20, 30, 4)).astype(np.uint8)
    data = midtread.encode(x, "gaussian", **QUICK)
    assert np.array_equal(decode_part(data, scale=2)[::2, ::2, 3], x[:, :, 3])
    assert np.array_equal(decode_part(data, region=(3, 4, 10, 12))[:, :, 3], x[3:13, 4:16, 3])
    assert np.array_equal(decode_part(data[:-9], errors="prefix")[:, :, 3], x[:, :, 3])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "count=0"),
        ({"count": -3}, "count=-3"),
        ({"count": 10**7}, "count=10000000"),
        ({"count": 64 * 80 + 1}, "5120 pixels"),
        ({"seconds": 0}, "seconds=0"),
        ({"seconds": float("nan")}, "seconds=nan"),
        ({"step": 0.0}, "step=0"),
        ({"iterations": 0}, "iterations=0"),
        ({"effort": "extreme"}, "effort='extreme'"),
        ({"quantizer": "lgi"}, "quantizer='lgi'"),
        ({"layers": 9}, "layers=9"),
    ],
)
def test_options_that_cannot_be(picture, options, message):
    with pytest.raises(UsageError, match=message):
        midtread.encode(picture, "gaussian", **options)


def test_a_budget_of_seconds_ends_a_fit(picture):
    data = midtread.encode(picture, "gaussian", step=40.0, iterations=10**6, seconds=0.3)
    assert quality(picture, midtread.decode(data)) > 22


def test_every_cut_and_every_flipped_bit_is_refused(data):
    for cut in range(0, len(data), 7):
        with pytest.raises(BitstreamError):
            midtread.decode(data[:cut])
    for place in range(0, len(data), 5):
        damaged = bytearray(data)
        damaged[place] ^= 1 << place % 8
        with pytest.raises((BitstreamError, LimitError)):
            midtread.decode(bytes(damaged))


def test_hostile_chunks_with_sound_checksums(data):
    """What a checksum does not catch: files that were made to harm."""
    rng = np.random.default_rng(0)
    file = container.read(data)
    for _ in range(150):
        chunks = [bytearray(chunk.data) for chunk in file.chunks]
        mine = chunks[rng.integers(len(chunks))]
        for _ in range(rng.integers(1, 4)):
            mine[rng.integers(min(len(mine), 40))] = rng.integers(256)
        made = tuple(container.Chunk(c.tag, bytes(d)) for c, d in zip(file.chunks, chunks, strict=True))
        try:
            y = midtread.decode(container.write(container.File(file.codec, file.dtype, file.shape, made)))
        except (BitstreamError, LimitError):
            continue
        assert y.shape == file.shape


def test_a_large_claim_is_refused_before_memory_is_taken(data):
    file = container.read(data)
    with pytest.raises(LimitError):
        midtread.decode(container.write(container.File("gaussian", "uint8", (200000, 200000, 3), file.chunks)))
    with pytest.raises(BitstreamError, match="64 x 80"):
        midtread.decode(container.write(container.File("gaussian", "uint8", (65, 80, 3), file.chunks)))
    with pytest.raises(LimitError):
        Gaussian().decode_within(data, Limits(max_elements=100))


def test_layers_together_have_a_limit():
    rng = np.random.default_rng(4)
    header = Header(2, 2, 3, 60)
    xy, factor = rng.random((10, 2)).astype(np.float32), np.array([[0.5, 0, 0.5]] * 10, np.float32)
    symbols, _ = quantize(xy, factor, rng.normal(0, 0.5, (10, 3)).astype(np.float32), header)
    x, grey = np.zeros((2, 2, 3), np.uint8), np.full(3, 128, np.uint8)
    assert midtread.decode(write_file(x, grey, header, [symbols])).shape == x.shape
    with pytest.raises(LimitError):
        midtread.decode(write_file(x, grey, header, [symbols, symbols]))


def test_nothing_is_kept_after_a_search(picture):
    encode_to(picture, "gaussian", {"iterations": 20}, rate_bpp=1.0)
    assert shared.get() is None


def test_progress_is_told(picture):
    seen = []
    list(Gaussian(iterations=80).pieces(picture, seen.append))
    assert seen == sorted(seen)
    assert seen[-1] == 1
    assert len(seen) > 3


def test_a_fit_that_is_interrupted_keeps_what_it_has(picture):

    def stop(done):
        if done > 0.5:
            raise KeyboardInterrupt

    (data,) = Gaussian(iterations=200, step=40.0).pieces(picture, stop)
    assert quality(picture, midtread.decode(bytes(data))) > 22
