"""What every codec promises. A new codec is tested the moment it is registered."""

import numpy as np
import pytest

import midtread
from midtread import container
from midtread.errors import CodecError, UnknownNameError, UsageError
from midtread.registry import CODECS
from midtread.spec import Knob, missing, open_codec
from pictures import ALL_CODECS, INSTALLED, photo_like, shapes_of

every_codec = pytest.mark.parametrize("name", INSTALLED)


@pytest.mark.parametrize("name", ALL_CODECS)
def test_a_codec_says_who_it_is(name):
    codec = CODECS.get(name)
    assert codec.name == name
    assert codec.summary
    assert codec.knob is None or isinstance(codec.knob, Knob)


def test_every_codec_of_the_registry_runs_in_the_test_environment():
    """Otherwise the tests below would silently skip what is not installed."""
    assert {name: missing(CODECS.get(name).needs) for name in ALL_CODECS if name not in INSTALLED} == {}


@every_codec
def test_a_midtread_file_decodes_to_the_shape_and_dtype_that_went_in(name):
    codec = CODECS.get(name)
    for dtype in codec.accepts.dtypes:
        for shape in shapes_of(codec, 64, 96):  # large enough for a codec whose default is a compression ratio
            if (dtype, 1 if len(shape) == 2 else shape[2]) in codec.accepts.but_not:
                with pytest.raises(UsageError, match=dtype):
                    midtread.encode(photo_like(shape, dtype), name)
                continue
            x = photo_like(shape, dtype)
            x_hat = midtread.decode(midtread.wrap(x, name))
            assert (x_hat.shape, x_hat.dtype) == (x.shape, x.dtype)
            scale = np.iinfo(dtype).max if np.dtype(dtype).kind in "ui" else 1.0
            assert np.abs(x_hat.astype(float) - x).mean() < 0.08 * scale, "this is another picture"


@every_codec
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1), (17, 13)])
def test_odd_and_tiny_sizes_survive(name, size):
    for shape in shapes_of(CODECS.get(name), *size):
        x = photo_like(shape, CODECS.get(name).accepts.dtypes[0])
        assert midtread.decode(midtread.wrap(x, name)).shape == shape


@every_codec
def test_same_input_gives_same_bytes_and_is_left_untouched(name):
    codec = CODECS.get(name)
    x = photo_like(shapes_of(codec)[-1], codec.accepts.dtypes[0])
    x.flags.writeable = False
    before = x.copy()
    assert midtread.encode(x, name) == midtread.encode(x, name)
    np.testing.assert_array_equal(x, before)


@every_codec
def test_views_and_foreign_byte_order_are_the_same_picture(name):
    codec = CODECS.get(name)
    dtype = np.dtype(codec.accepts.dtypes[-1])
    x = photo_like(shapes_of(codec)[-1], dtype.name)
    wide = np.zeros((x.shape[0] * 2, x.shape[1] * 3, *x.shape[2:]), dtype)
    wide[::2, ::3] = x
    expected = midtread.encode(x, name)
    assert midtread.encode(wide[::2, ::3], name) == expected
    assert midtread.encode(x.astype(dtype.newbyteorder(">")), name) == expected
    assert midtread.encode(np.asfortranarray(x), name) == expected


@every_codec
@pytest.mark.parametrize(
    ("x", "word"),
    [
        (np.zeros((0, 8, 3), np.uint8), "H, W >= 1"),
        (np.zeros((8, 0), np.uint8), "H, W >= 1"),
        (np.zeros((8, 8, 65), np.uint8), "shape"),
        (np.zeros((8, 8, 3, 1), np.uint8), "shape"),
        (np.zeros(8, np.uint8), "shape"),
        (np.zeros((8, 8, 3), np.complex64), "complex64"),
        (np.zeros((8, 8, 3), np.int64), "int64"),
        ([[1, 2], [3, 4]], "NumPy array"),
    ],
    ids=["0xN", "Nx0", "65 channels", "4-D", "1-D", "complex", "int64", "list"],
)
def test_arrays_that_are_no_pictures_are_refused_in_words(name, x, word):
    with pytest.raises(UsageError, match=word):
        midtread.encode(x, name)


@every_codec
def test_sixteen_bits_into_an_eight_bit_codec_are_refused(name):
    if "uint16" not in CODECS.get(name).accepts.dtypes:
        with pytest.raises(UsageError, match="uint16"):
            midtread.encode(photo_like((8, 8, 3), "uint16"), name)


@every_codec
def test_a_float_picture_with_nan_is_refused_and_says_where(name):
    accepts = CODECS.get(name).accepts
    x = photo_like((8, 8, 3), "float32")
    x[2, 3, 1] = np.nan
    with pytest.raises(UsageError, match=r"\(2, 3, 1\)" if "float32" in accepts.dtypes else "float32"):
        midtread.encode(x, name)


@every_codec
def test_an_unknown_option_names_the_nearest(name):
    with pytest.raises(UnknownNameError, match="no option 'nonsense'"):
        open_codec(name, nonsense=1)
    if knob := CODECS.get(name).knob:
        with pytest.raises(UnknownNameError, match=f"'{knob.option}'|{knob.option}"):
            open_codec(name, **{knob.option + "x": 1})


@every_codec
def test_a_knob_beyond_its_range_or_of_a_wrong_type_is_refused(name):
    knob = CODECS.get(name).knob
    if knob is None:
        return
    for value in (knob.high + 1, knob.low - 1, "much", None, float("nan"), True):
        with pytest.raises(UsageError, match=knob.option):
            open_codec(name, **{knob.option: value})


@every_codec
def test_every_truncation_of_a_midtread_file_is_refused(name):
    data = midtread.wrap(photo_like((9, 11, 3)), name)
    for length in range(len(data)):
        with pytest.raises(CodecError):
            midtread.decode(data[:length])


@every_codec
def test_trailing_bytes_after_a_midtread_file_are_refused(name):
    with pytest.raises(CodecError, match="more bytes follow"):
        midtread.decode(midtread.wrap(photo_like((9, 11, 3)), name) + b"\0")


@every_codec
def test_every_flipped_byte_of_a_midtread_file_is_refused(name):
    data = midtread.wrap(photo_like((9, 11, 3)), name)
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 0xFF
        with pytest.raises(CodecError):
            midtread.decode(bytes(damaged))


@every_codec
def test_a_hostile_payload_with_a_right_checksum_is_refused_or_keeps_the_declared_shape(name):
    """The checksum stops accidents, not enemies: the native decoder itself must be fenced."""
    file = container.read(midtread.wrap(photo_like((9, 11, 3)), name))
    rng = np.random.default_rng(0)
    payload = next(chunk for chunk in file.chunks if chunk.tag == container.Tag.PAYLOAD)
    for _ in range(12):
        damaged = bytearray(payload.data)
        for position in rng.integers(0, len(damaged), 3):
            damaged[position] = rng.integers(256)
        chunks = tuple(
            container.Chunk(chunk.tag, bytes(damaged)) if chunk is payload else chunk for chunk in file.chunks
        )
        hostile = container.write(container.File(file.codec, file.dtype, file.shape, chunks))
        try:
            x_hat = midtread.decode(hostile)
        except CodecError:
            continue
        assert (x_hat.shape, x_hat.dtype.name) == (file.shape, file.dtype)


@every_codec
def test_info_knows_a_file_without_decoding_it(name):
    x = photo_like((9, 11, 3))
    found = midtread.info(midtread.wrap(x, name))
    assert (found["codec"], found["shape"], found["dtype"]) == (name, [9, 11, 3], "uint8")
    data = midtread.encode(x, name)
    native = midtread.info(data)
    size = native["shape"][:2] if native["format"] == "midtread" else [native["height"], native["width"]]
    assert size == [9, 11]
    assert native["size_bytes"] == len(data)
    assert native["format"] in ("midtread", CODECS.get(name).native)


@every_codec
def test_a_picture_costs_at_most_32_bytes_over_the_codecs_own(name):
    x = photo_like((512, 768, 3))[:48, :48].copy() if CODECS.get(name).native is None else photo_like((48, 48, 3))
    data = midtread.wrap(x, name)
    file = container.read(data)
    # the header of a large picture: sizes take more bytes there
    large = container.write(container.File(name, file.dtype, (8192, 8192, 3), file.chunks))
    assert len(large) - sum(len(chunk.data) for chunk in file.chunks) <= 32 + 7 * (len(file.chunks) - 1)


@every_codec
def test_stages_are_closed_when_a_codec_fails(name):
    """A listener sees every stage left as often as entered, also when encoding is refused."""
    from midtread.spec import listen_to_stages

    depth = 0

    def listener(_: str, entering: bool) -> None:
        nonlocal depth
        depth += 1 if entering else -1

    with listen_to_stages(listener):
        midtread.decode(midtread.wrap(photo_like((9, 11, 3)), name))
        with pytest.raises(UsageError):
            midtread.encode(np.zeros((8, 8, 65), np.uint8), name)
    assert depth == 0
