"""The `learned` codec against its promises: sizes and channels, tiles without seams, sizes as estimated, bad bytes."""

import threading
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("torch", reason="the tiny model of these tests is made with torch")

import midtread
from learned_models import COMPLEXITY, frozen, psnr_db
from midtread import container
from midtread.codecs.image import learned
from midtread.codecs.image import learned_model as models
from midtread.codecs.image.learned import Learned, place_of
from midtread.codecs.image.learned_latents import FARTHEST, Decoder, Encoder, Quality
from midtread.codecs.image.learned_runtime import open_run
from midtread.codecs.image.learned_tiles import latents
from midtread.entropy.coder import open_coder
from midtread.errors import BitstreamError, CodecError, LimitError, MissingError, UsageError
from midtread.registry import CODERS
from midtread.spec import Limits, collect_notes, listen_to_stages
from pictures import photo_like

SHAPES = [(1, 1, 3), (1, 17, 3), (17, 1, 3), (16, 16, 3), (33, 50, 3), (64, 64, 3), (65, 63, 3)]
SHAPES += [(1, 1), (33, 50), (1, 17, 2), (33, 18, 2), (17, 1, 4), (18, 33, 4)]
QUALITIES = (0.0, 9.0, 18.0, 27.3, 36.0, 45.0, 54.0, 63.0)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The folder of a tiny model."""
    return str(frozen(tmp_path_factory.mktemp("models")))


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def text(height: int = 64, width: int = 96) -> np.ndarray:
    """Black strokes on white, one pixel wide, like small letters."""
    rng, x = np.random.default_rng(0), np.full((height, width, 3), 255, np.uint8)
    for row in range(2, height - 8, 10):
        for column in range(2, width - 6, 7):
            x[row : row + 7, column : column + 5][rng.random((7, 5)) < 0.4] = 0
    return x


def small_tiles(monkeypatch, most: int) -> None:
    monkeypatch.setattr(learned, "TILE", most)


def walk(tiny: str, quality: float):
    """(Quality, run) of a model."""
    model = models.load(tiny)
    return Quality(model, place_of(quality)), open_run(model, "onnxruntime", 1)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_size_and_every_channel_comes_back_and_alpha_is_exact(tiny, shape):
    x = photo_like(shape)
    codec = Learned(model=tiny, quality=40)
    x_hat = codec.decode(codec.encode(x))
    assert (x_hat.shape, x_hat.dtype) == (x.shape, x.dtype)
    if shape[2:] in ((2,), (4,)):
        np.testing.assert_array_equal(x_hat[..., -1], x[..., -1])


def test_a_grey_picture_is_the_mean_of_what_its_three_equal_planes_decode_to(tiny):
    x, codec = photo_like((40, 50)), Learned(model=tiny, quality=50, effort="fast")  # others weigh grey by itself
    colour = codec.decode(codec.encode(np.stack([x, x, x], -1)))
    expected = (colour.sum(2, dtype=int) + 1) // 3
    np.testing.assert_array_equal(codec.decode(codec.encode(x)), expected)
    np.testing.assert_array_equal(codec.decode(codec.encode(np.stack([x, 255 - x], -1)))[..., 0], expected)


@pytest.mark.parametrize(("most", "tiles"), [(4, 6), (8, 2), (64, 1)])
def test_tiles_have_no_seams(tiny, monkeypatch, most, tiles):
    """The same latents synthesised whole are the same pixels, so nothing marks where one tile ends."""
    small_tiles(monkeypatch, most)
    x, codec = photo_like((100, 141, 3)), Learned(model=tiny, quality=55)
    seen = []

    def spy(run, quality, y, tile, real=learned.synthesise):
        seen.append((run, quality, y))
        return real(run, quality, y, tile)

    monkeypatch.setattr(learned, "synthesise", spy)
    data = codec.encode(x)
    assert len(container.read(data).chunks) == tiles
    x_hat = codec.decode(data)
    assert len(seen) == tiles
    run, quality, y = seen[0]
    small_tiles(monkeypatch, 64)
    whole = learned.synthesise(run, quality, y, learned.tiles(x.shape)[0])[:100, :141]
    assert np.abs(whole.astype(int) - x_hat).max() <= 1
    assert (whole != x_hat).mean() < 0.001


def test_a_tile_is_analysed_as_if_the_picture_were_whole(tiny, monkeypatch):
    quality, run = walk(tiny, 40)
    x = photo_like((130, 100, 3))
    (whole,) = learned.tiles(x.shape)
    y = latents(run, quality, x, whole)
    small_tiles(monkeypatch, 4)
    for down, across in learned.tiles(x.shape):
        part = latents(run, quality, x, (down, across))
        np.testing.assert_allclose(part, y[slice(*down), slice(*across)], atol=1e-4)


def test_tiles_cover_each_latent_once_and_begin_where_a_position_of_z_does():
    for side in (1, 16, 1000, 1024, 1025, 1041, 5000, 65_535):
        spans = learned._spans(-(-side // learned.UNIT))
        assert spans[0][0] == 0
        assert spans[-1][1] == -(-side // learned.UNIT)
        assert all(a[1] == b[0] and b[0] % 4 == 0 for a, b in pairwise(spans))
        assert all(0 < stop - start <= learned.TILE for start, stop in spans)


@pytest.mark.parametrize("sides", [(1, 1), (1, 2), (3, 1), (4, 4), (5, 6), (2, 9)])
@pytest.mark.parametrize("weigh", [False, True])
def test_the_decoder_has_the_latents_that_the_encoder_had(tiny, sides, weigh):
    """In every window: the smallest has no odd squares, others end inside a position of z."""
    quality, run = walk(tiny, 63)
    rng, hyper = np.random.default_rng(sides), quality.log_gain_z.size
    y = (rng.normal(0, 30, (*sides, quality.model.latents)) ** 3 / 900).astype(np.float32)
    z = rng.integers(-127, 128, (-(-sides[0] // 4), -(-sides[1] // 4), hyper)).astype(np.int32)
    data, decoded = Encoder(quality, run, y, weigh=weigh).encode(z, open_coder("rans"))
    np.testing.assert_array_equal(Decoder(quality, run, data, sides, open_coder("rans")).decode(), decoded)
    if not weigh:
        assert np.abs(decoded / 16 - y).max() <= 2.5 + 1 / 16, "half a step, but for the narrowest table"


def test_symbols_in_the_narrowest_table_are_left_out_only_where_all_are_zero(tiny):
    quality, run = walk(tiny, 20)
    depth, sides, coder = quality.model.latents, (8, 8), open_coder("rans")
    z = np.zeros((2, 2, quality.log_gain_z.size), np.int32)
    plain = Encoder(quality, run, np.zeros((*sides, depth), np.float32), weigh=False)
    narrow = [bool((tables == 0).any()) for _, tables in plain.chosen(z)]
    assert any(narrow), "the test needs a narrow table"
    for y in (np.zeros((*sides, depth)), np.full((*sides, depth), 40.0)):
        data, decoded = Encoder(quality, run, y.astype(np.float32), weigh=False).encode(z, coder)
        dense = [flag for group, flag in enumerate(narrow) if flag and data[2] >> group & 1]
        assert bool(dense) == (not y.any())
        np.testing.assert_array_equal(Decoder(quality, run, data, sides, coder).decode(), decoded)


@pytest.mark.parametrize("model", ["tiny", "s"])
def test_size_is_what_the_model_estimates(tiny, model):
    for quality in (5, 32, 63):
        with collect_notes() as notes:
            data = Learned(model=tiny if model == "tiny" else model, quality=quality).encode(photo_like((200, 260, 3)))
        estimate = notes["estimated_bits"] / 8
        print(f"{model} at {quality}: {len(data)} bytes, estimated {estimate:.0f}")
        assert 0 < len(data) - estimate <= 0.005 * estimate + 40


def test_tiles_of_some_kilobytes_have_one_lane_and_say_so():
    """From 4096 to 8191 bytes four lanes would cost 20 bytes of the 40; other lengths are as they always were."""
    x, met = photo_like((400, 400, 3)), set()
    for quality in (10, 24, 40, 45):
        with collect_notes() as notes:
            data = Learned(quality=quality, effort="fast").encode(x)
        file = container.read(data)
        payload = bytes(file.chunks[0].data)
        length, marked = len(payload) - 10, bool(payload[9] & 16)
        assert marked == (4096 <= length < 8192)
        estimate = notes["estimated_bits"] / 8
        assert len(data) - estimate <= 0.002 * estimate + (50 if length < 8192 else 75)
        assert psnr_db(x, Learned().decode(data)) > 25
        if marked:
            payload = payload[:9] + bytes([payload[9] & 15]) + payload[10:]
            chunks = (container.Chunk(container.Tag.PAYLOAD, payload),)
            with pytest.raises(BitstreamError, match=r"lane|stream|states|out of step"):
                Learned().decode(container.write(container.File(file.codec, file.dtype, file.shape, chunks)))
        met.add((marked, length >= 8192))
    assert met == {(False, False), (True, False), (False, True)}


@pytest.mark.parametrize("effort", ["fast", "normal"])
@pytest.mark.parametrize("model", ["tiny", "s"])
def test_better_quality_takes_more_bytes(tiny, model, effort):
    x = photo_like((96, 128, 3))
    codecs = [Learned(model=tiny if model == "tiny" else model, quality=q, effort=effort) for q in QUALITIES]
    files = [codec.encode(x) for codec in codecs]
    assert all(len(a) < len(b) for a, b in pairwise(files))
    if model == "s":
        quality = [psnr_db(x, midtread.decode(data)) for data in files]
        assert all(a < b for a, b in pairwise(quality))


@pytest.mark.parametrize("name", CODERS.names())
def test_every_coder_gives_the_same_pixels(tiny, name):
    x = photo_like((40, 60, 3))
    expected = Learned(model=tiny).decode(Learned(model=tiny).encode(x))
    data = Learned(model=tiny, coder=name).encode(x)
    np.testing.assert_array_equal(Learned(model=tiny).decode(data), expected)


@pytest.mark.parametrize("make", [noise, lambda shape: text(*shape[:2])], ids=["noise", "text"])
def test_what_no_model_was_trained_on_survives(make):
    x = make((64, 96, 3))
    low, high = (Learned(quality=q) for q in (0, 63))
    assert psnr_db(x, high.decode(high.encode(x))) > psnr_db(x, low.decode(low.encode(x))) + 1


@pytest.mark.parametrize("level", [0, 255])
def test_the_darkest_and_the_brightest_picture_are_within_reach_of_latents(level):
    x = np.full((64, 64, 3), level, np.uint8)
    x[:, 32:] = 255 - level
    codec = Learned(quality=63)
    assert psnr_db(x, codec.decode(codec.encode(x))) > 30


def test_metadata_of_the_file_is_no_tile(tiny):
    codec, x = Learned(), photo_like((20, 30, 4))
    data = midtread.wrap(x, "learned", icc=b"profile", exif=b"Exif\0\0")
    np.testing.assert_array_equal(midtread.decode(data), codec.decode(codec.encode(x)))


def test_progress_is_told_tile_by_tile(tiny, monkeypatch):
    small_tiles(monkeypatch, 4)
    told: list[float] = []
    pieces = list(Learned(model=tiny).pieces(photo_like((100, 60)), told.append))
    assert told == [0.5, 1.0]
    assert b"".join(pieces) == Learned(model=tiny).encode(photo_like((100, 60)))


@pytest.mark.parametrize("effort", ["fast", "normal", "high"])
def test_stages_are_those_whose_cost_is_known(tiny, effort):
    codec, seen = Learned(model=tiny, effort=effort), []
    with listen_to_stages(lambda name, entering: seen.append(name) if entering else None):
        data = codec.encode(photo_like((20, 20)))
        encoding = list(seen)
        codec.decode(data)
    cost = codec.complexity()
    assert set(encoding) == {part.stage for part in cost.encode}
    assert set(seen[len(encoding) :]) == {part.stage for part in cost.decode}


def test_costs_are_those_that_were_counted_when_the_model_was_frozen(tiny):
    cost = Learned(model=tiny, effort="fast").complexity()
    assert cost.encode_macs_per_pixel == sum(COMPLEXITY[name] for name in ("analysis", "hyper_analysis", "entropy"))
    assert cost.decode_macs_per_pixel == COMPLEXITY["entropy"] + COMPLEXITY["synthesis"]
    assert cost.parameters == COMPLEXITY["parameters"]
    files = [path for path in models.load(tiny).folder.iterdir() if path.suffix in (".onnx", ".safetensors")]
    assert cost.weights_bytes == sum(path.stat().st_size for path in files)
    short = Learned(model=tiny, runtime="torch-bf16").complexity()
    assert [part.precision for part in short.decode] == ["int8", "bf16"]


def test_threads_share_a_codec(tiny):
    x, codec = photo_like((60, 60, 3)), Learned(model=tiny)
    expected, found = codec.encode(x), []
    threads = [threading.Thread(target=lambda: found.append(codec.encode(x))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


@pytest.mark.parametrize(
    "options", [{"effort": "most"}, {"runtime": "tpu"}, {"threads": 0}, {"quality": 64}, {"coder": "huff"}]
)
def test_options_are_checked(options):
    with pytest.raises(UsageError, match=str(next(iter(options.values())))):
        Learned(**options)


class TestBadBytes:
    """Checksums stop accidents; these files have right ones."""

    @staticmethod
    def rewrapped(file: container.File, payload: bytes, shape: tuple[int, ...] | None = None) -> bytes:
        chunks = (container.Chunk(container.Tag.PAYLOAD, payload), *file.chunks[1:])
        return container.write(container.File(file.codec, file.dtype, shape or file.shape, chunks))

    @pytest.fixture
    def file(self, tiny):
        return container.read(Learned(model=tiny, quality=45).encode(photo_like((40, 56, 3))))

    def test_every_truncation_is_refused(self, tiny, file):
        payload = bytes(file.chunks[0].data)
        for length in range(0, len(payload), 3):
            with pytest.raises((BitstreamError, LimitError)):
                Learned(model=tiny).decode(self.rewrapped(file, payload[:length]))

    def test_bytes_behind_the_last_symbol_are_refused(self, tiny, file):
        with pytest.raises(BitstreamError):
            Learned(model=tiny).decode(self.rewrapped(file, bytes(file.chunks[0].data) + b"\0\0"))

    def test_flipped_bytes_are_refused_or_are_another_picture(self, tiny, file):
        """Raw bits of an escaped symbol in the last group decide nothing else; everything else is found out."""
        payload, others = bytes(file.chunks[0].data), 0
        for place in (*range(30), *range(30, len(payload), 3)):
            damaged = bytearray(payload)
            damaged[place] ^= 0x55
            try:
                x_hat = Learned(model=tiny).decode(self.rewrapped(file, bytes(damaged)))
            except (BitstreamError, LimitError):
                assert not 1 <= place < 5
            except MissingError:
                assert 1 <= place < 5, "the model's hash"
            else:
                others += 1
                assert (x_hat.shape, x_hat.dtype) == (file.shape, np.uint8)
        assert others < 0.02 * len(payload)

    def test_another_version_says_what_to_do(self, tiny, file):
        with pytest.raises(BitstreamError, match=r"version 2; .* reads version 1"):
            Learned(model=tiny).decode(self.rewrapped(file, b"\2" + bytes(file.chunks[0].data)[1:]))

    def test_a_coder_that_nobody_knows_is_named(self, tiny, file):
        payload = bytes(file.chunks[0].data)
        assert payload[0] == learned.VERSION, "the default coder is not named"
        named = bytes([learned.VERSION | learned.NAMED]) + payload[1:7] + b"\6abacus" + payload[7:]
        with pytest.raises(BitstreamError, match="'abacus'"):
            Learned(model=tiny).decode(self.rewrapped(file, named))

    def test_a_file_of_another_model_names_both_hashes(self, tiny, file):
        payload = bytes(file.chunks[0].data)
        other = self.rewrapped(file, payload[:1] + b"\xab\xcd\xef\x01" + payload[5:])
        with pytest.raises(MissingError, match=f"abcdef01.*tiny {payload[1:5].hex()}.*MIDTREAD_MODELS"):
            Learned(model=tiny).decode(other)

    @pytest.mark.parametrize("shape", [(40, 2000, 3), (4000, 4000, 3), (41, 56, 4), (40, 56, 2), (40, 80, 3)])
    def test_a_file_that_claims_another_size_is_refused(self, tiny, file, shape):
        with pytest.raises((BitstreamError, LimitError)):
            Learned(model=tiny).decode(self.rewrapped(file, bytes(file.chunks[0].data), shape))

    def test_one_row_of_pixels_cannot_ask_for_sixteen_times_the_memory(self, tiny, file):
        """Latents are counted, too: a row of pixels has as many as sixteen rows."""
        shape, payload = (1, 100_000), bytes(file.chunks[0].data)
        chunks = tuple(container.Chunk(container.Tag.PAYLOAD, payload) for _ in learned.tiles(shape))
        data = container.write(container.File(file.codec, file.dtype, shape, chunks))
        with pytest.raises(LimitError, match="latents"):
            Learned(model=tiny).decode_within(data, Limits(max_elements=240_000))

    @pytest.mark.parametrize(("place", "value"), [(2, 0xFF), (2, 0x20)])
    def test_unknown_flags_are_refused(self, tiny, place, value):
        quality, run = walk(tiny, 30)
        data, _ = self.tile(quality, run)
        with pytest.raises((BitstreamError, LimitError), match="flags"):
            Decoder(quality, run, data[:place] + bytes([value]) + data[place + 1 :], (4, 4), open_coder("rans"))

    def test_a_mark_where_no_encoder_puts_it_is_refused(self, tiny):
        quality, run = walk(tiny, 30)
        data, _ = self.tile(quality, run)
        marked = data[:2] + bytes([data[2] | 16]) + data[3:]
        for coder, trouble in (("rans", "bytes of symbols; those marked"), ("range", "coded with range")):
            with pytest.raises(BitstreamError, match=trouble):
                Decoder(quality, run, marked, (4, 4), open_coder(coder))

    def test_a_digest_of_other_tables_is_told_apart(self, tiny):
        quality, run = walk(tiny, 30)
        data, _ = self.tile(quality, run)
        with pytest.raises(BitstreamError, match="out of step"):
            Decoder(quality, run, bytes([data[0] ^ 1]) + data[1:], (4, 4), open_coder("rans")).decode()

    def test_a_symbol_that_is_far_off_is_refused(self, tiny):
        quality, run = walk(tiny, 30)
        y = np.full((4, 4, quality.model.latents), 4.0 * FARTHEST, np.float32)
        z = np.zeros((1, 1, quality.log_gain_z.size), np.int32)
        encoder = Encoder(quality, run, y, weigh=False)
        encoder.symbols = lambda group, where, mean, tables: encoder._groups.setdefault(
            group, (np.full(tables.shape, 2 * FARTHEST, np.int32), tables)
        )[0]
        data, _ = encoder.encode(z, open_coder("rans"))
        with pytest.raises(BitstreamError, match=f"more than {FARTHEST} steps"):
            Decoder(quality, run, data, (4, 4), open_coder("rans")).decode()

    def test_damaged_alpha_is_refused(self, tiny):
        file = container.read(Learned(model=tiny).encode(photo_like((20, 20, 4))))
        other = Learned(model=tiny).encode(photo_like((20, 20)))
        for alpha in (b"", bytes(file.chunks[1].data)[:-3], other, midtread.wrap(photo_like((20, 21)), "wavelet")):
            chunks = (file.chunks[0], container.Chunk(container.Tag.PAYLOAD, alpha))
            with pytest.raises(CodecError):
                Learned(model=tiny).decode(container.write(container.File(file.codec, "uint8", file.shape, chunks)))

    @staticmethod
    def tile(quality, run):
        y = np.random.default_rng(1).normal(0, 3, (4, 4, quality.model.latents)).astype(np.float32)
        z = np.ones((1, 1, quality.log_gain_z.size), np.int32)
        return Encoder(quality, run, y, weigh=False).encode(z, open_coder("rans"))
