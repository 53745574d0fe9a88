"""The front door's own promises, beside those of every codec (test_contract.py)."""

import subprocess
import sys
import zlib

import numpy as np
import pytest

import midtread
from midtread import container
from midtread.errors import BitstreamError, LimitError, UsageError
from pictures import photo_like


def test_the_front_door_has_the_documented_names():
    for name in midtread.__all__:
        assert getattr(midtread, name)
        assert name in dir(midtread)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = midtread.nonsense


def test_metadata_travels_in_a_midtread_file():
    data = midtread.wrap(photo_like(), "png", icc=b"profile", exif=b"II*\0", xmp=b"<x/>")
    picture = midtread.read(data)
    assert (picture.icc, picture.exif, picture.xmp) == (b"profile", b"II*\0", b"<x/>")
    assert midtread.info(data)["metadata"] == ["icc", "exif", "xmp"]


def test_a_file_of_an_unknown_codec_says_so():
    file = container.File("nobodys", "uint8", (2, 2), (container.Chunk(container.Tag.PAYLOAD, b"x"),))
    with pytest.raises(BitstreamError, match="'nobodys', which is not installed"):
        midtread.decode(container.write(file))


@pytest.mark.parametrize("dtype", ["bfloat16", "int64", "bool", "float64"])
def test_a_dtype_that_the_codec_never_has_is_blamed_on_the_bytes(dtype):
    payload = container.read(midtread.wrap(photo_like(), "png")).chunks
    with pytest.raises(BitstreamError, match=dtype):
        midtread.decode(container.write(container.File("png", dtype, (24, 40, 3), payload)))


def test_a_payload_of_another_format_or_shape_is_refused():
    webp = midtread.encode(photo_like(), "webp")
    chunks = (container.Chunk(container.Tag.PAYLOAD, webp),)
    with pytest.raises(BitstreamError, match="should hold png, its payload looks like webp"):
        midtread.decode(container.write(container.File("png", "uint8", (24, 40, 3), chunks)))
    with pytest.raises(BitstreamError, match=r"declares shape \[24, 41, 3\]"):
        midtread.decode(container.write(container.File("webp", "uint8", (24, 41, 3), chunks)))
    with pytest.raises(BitstreamError, match="no payload chunk"):
        midtread.decode(container.write(container.File("png", "uint8", (24, 40, 3), ())))


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 2**60)])
def test_an_empty_shape_from_outside_is_blamed_on_the_bytes(shape):
    data = container.write(container.File("png", "uint8", shape, (container.Chunk(container.Tag.PAYLOAD, b""),)))
    with pytest.raises((BitstreamError, LimitError)):
        midtread.info(data)
    with pytest.raises((BitstreamError, LimitError)):
        midtread.decode(data)


def test_limits_hold_for_every_file_and_can_be_raised():
    x = photo_like((24, 40, 3))
    tight = midtread.Limits(max_elements=24 * 40 * 3 - 1)
    for data in (midtread.wrap(x, "png"), midtread.encode(x, "png"), midtread.wrap(x, "vvc")):
        with pytest.raises(LimitError, match="2880"):
            midtread.decode(data, limits=tight)
        assert midtread.decode(data, limits=midtread.Limits(max_elements=24 * 40 * 3)).shape == x.shape


def test_thousands_of_bad_pngs_do_not_wear_the_interpreter_out():
    """imagecodecs loses a reference to None with each; before Python 3.12 that ends in an abort."""
    code = """
import midtread, sys, numpy as np
data = bytearray(midtread.encode(np.random.default_rng(0).integers(0, 255, (9, 11, 3)).astype("uint8"), "png"))
data[data.index(b"IDAT") + 12] ^= 0xFF
before = sys.getrefcount(None)
refused = 0
for _ in range(300):
    try:
        midtread.decode(bytes(data))
    except midtread.BitstreamError:
        refused += 1
print(refused, sys.getrefcount(None) - before > -100)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.split() == ["300", "True"]


def test_info_tells_a_native_file_by_its_content():
    found = midtread.info(midtread.encode(photo_like((24, 40)), "jpegxl"))
    assert (found["format"], found["codec"], found["height"], found["width"]) == ("jpegxl", "jpegxl", 24, 40)
    with pytest.raises(BitstreamError, match="no format"):
        midtread.info(zlib.compress(b"hello"))


def test_rate_is_bits_per_pixel_whatever_the_channels():
    from midtread.codecs.files import rate_bpp

    assert rate_bpp(100, (10, 20, 3)) == rate_bpp(100, (10, 20)) == 4.0
    with pytest.raises(UsageError, match="no pixels"):
        rate_bpp(100, (0, 20))


def test_sixteen_bits_stay_sixteen_bits():
    x = photo_like((24, 40, 3), "uint16")
    for name in ("png", "tiff"):
        np.testing.assert_array_equal(midtread.decode(midtread.encode(x, name)), x)
    for name in ("jpegxl", "jpeg2000", "jpegls"):
        options = {} if name == "jpegls" else {"lossless": True}
        np.testing.assert_array_equal(midtread.decode(midtread.encode(x, name, **options)), x)
