"""Pillow opens and saves midtread files as it does its own formats: lazily, with metadata, with Pillow's errors."""

import io
import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError

import midtread
import midtread.pillow
from midtread.container import Chunk, File, Tag, read, write
from midtread.errors import UsageError

LOSSLESS = {"codec": "png"}


def picture(mode: str, size=(7, 5)) -> Image.Image:
    """Noise in any mode Pillow has."""
    rng = np.random.default_rng(3)
    shape = (size[1], size[0])
    if mode.startswith("I;16"):
        order = ">u2" if mode == "I;16B" else "<u2"
        return Image.frombytes(mode, size, rng.integers(0, 65536, shape).astype(order).tobytes())
    if mode == "F":
        return Image.fromarray(rng.normal(size=shape).astype(np.float32))
    if mode in ("I", "L", "1"):
        return Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).convert(mode)
    return (
        Image.fromarray(rng.integers(0, 256, (*shape, 4), dtype=np.uint8))
        .convert(mode if mode in ("RGB", "RGBA", "LA", "RGBa") else "RGB")
        .convert(mode)
    )


def saved(image: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "MIDTREAD", **(options or LOSSLESS))
    return buffer.getvalue()


def reopened(image: Image.Image, **options) -> Image.Image:
    return Image.open(io.BytesIO(saved(image, **options)))


def pixels(image: Image.Image) -> list:
    return np.asarray(image).tolist()


# --- round trips ---


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_a_lossless_save_gives_the_same_image_back(mode, tmp_path):
    image = picture(mode)
    image.save(tmp_path / "x.mt", codec="png")
    with Image.open(tmp_path / "x.mt") as again:
        assert (again.format, again.mode, again.size) == ("MIDTREAD", mode, (7, 5))
        assert again.get_format_mimetype() == "image/x-midtread"
        assert pixels(again) == pixels(image)


def test_float_gray_is_mode_f():
    image = picture("F")
    again = reopened(image, codec="jpegxl", lossless=True)
    assert again.mode == "F"
    assert pixels(again) == pixels(image)


@pytest.mark.parametrize(
    ("image", "mode"),
    [
        (picture("1"), "L"),
        (picture("P"), "RGB"),
        (picture("I;16B"), "I;16"),
    ],
    ids=["bilevel", "palette", "big-endian"],
)
def test_modes_that_convert_without_loss_are_converted(image, mode):
    again = reopened(image)
    assert again.mode == mode
    expected = image if mode == "I;16" else image.convert(mode)
    assert np.array_equal(np.asarray(again), np.asarray(expected))


def test_transparent_colours_become_an_alpha_channel():
    palette, gray, colour = picture("P"), picture("L"), picture("RGB")
    palette.info["transparency"] = palette.getpixel((0, 0))
    gray.info["transparency"] = gray.getpixel((0, 0))
    colour.info["transparency"] = colour.getpixel((0, 0))
    for image, mode in ((palette, "RGBA"), (gray, "LA"), (colour, "RGBA")):
        again = reopened(image)
        assert again.mode == mode
        assert pixels(again) == pixels(image.convert(mode))
        assert again.getpixel((0, 0))[-1] == 0


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB", "HSV", "I", "RGBa", "RGBX"])
def test_modes_that_would_lose_something_are_refused_in_words(mode):
    with pytest.raises(UsageError, match=f"this image has mode {mode}, convert it first"):
        saved(picture(mode) if mode != "LAB" else Image.new("LAB", (3, 3)))


def test_a_lossy_codec_takes_its_options_and_keeps_its_name(tmp_path):
    image = Image.linear_gradient("L").convert("RGB")
    small, large = (len(saved(image, codec="jpeg", quality=quality)) for quality in (10, 95))
    assert small < large
    again = reopened(image, codec="jpeg", quality=90)
    assert again.info["codec"] == "jpeg"
    assert abs(np.asarray(again).astype(int) - np.asarray(image)).mean() < 3


def test_an_opened_image_can_be_changed_copied_and_saved_over_itself(tmp_path):
    path = tmp_path / "x.mt"
    picture("RGB").save(path, **LOSSLESS)
    image = Image.open(path)
    image.putpixel((0, 0), (1, 2, 3))
    image.save(path, **LOSSLESS)
    again = Image.open(path)
    assert again.getpixel((0, 0)) == (1, 2, 3)
    assert pixels(again.copy()) == pixels(image)


# --- lazy ---


def test_opening_does_not_decode_and_decoding_happens_once(monkeypatch):
    calls = []
    decode = midtread.decode
    monkeypatch.setattr(midtread, "decode", lambda *args, **options: calls.append(1) or decode(*args, **options))
    image = reopened(picture("RGB"))
    assert (image.size, image.mode, calls) == ((7, 5), "RGB", [])
    image.load()
    image.load()
    image.getpixel((0, 0))
    assert calls == [1]


def test_the_file_is_closed_after_loading(tmp_path):
    path = tmp_path / "x.mt"
    picture("RGB").save(path, **LOSSLESS)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        image = Image.open(path)
        handle = image.fp
        image.load()
        assert handle.closed
        with Image.open(path) as image:
            handle = image.fp
        assert handle.closed
        with path.open("rb") as mine:
            Image.open(mine).load()
            assert not mine.closed  # whoever opened it closes it


# --- metadata ---


def test_icc_exif_and_xmp_are_kept():
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    image = picture("RGB")
    again = reopened(image, **LOSSLESS, icc_profile=icc, exif=exif, xmp=xmp)
    assert again.info["icc_profile"] == icc
    assert again.getexif()[0x010F] == "a camera"
    assert again.info["exif"] == exif.tobytes()
    assert again.info["xmp"] == xmp
    once_more = reopened(again)  # from the image's own info, without being asked
    assert {key: once_more.info[key] for key in ("icc_profile", "exif", "xmp")} == {
        "icc_profile": icc,
        "exif": exif.tobytes(),
        "xmp": xmp,
    }
    assert reopened(image, **LOSSLESS, xmp=xmp.decode()).info["xmp"] == xmp  # some Pillow plug-ins give text
    without = reopened(again, **LOSSLESS, icc_profile=None, exif=None, xmp=None)
    assert not {"icc_profile", "exif", "xmp"} & set(without.info)


def test_exif_lies_in_the_file_as_a_tiff_structure():
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    file = read(saved(picture("RGB"), **LOSSLESS, exif=exif))
    assert file.find(Tag.EXIF)[:2] in (b"II", b"MM")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_saved_upright(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "a camera"
    image = Image.open(io.BytesIO(with_exif(picture("RGB"), exif)))
    again = reopened(image)
    from PIL import ImageOps

    assert pixels(again) == pixels(ImageOps.exif_transpose(image))
    assert again.getexif().get(0x0112, 1) == 1
    assert again.getexif()[0x010F] == "a camera"
    assert image.getexif()[0x0112] == orientation  # the image itself is left alone


def with_exif(image: Image.Image, exif: Image.Exif) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=exif)
    return buffer.getvalue()


def test_broken_exif_is_refused_when_saving():
    with pytest.raises(UsageError, match=r"Exif block of this picture is broken .* exif=None"):
        saved(picture("RGB"), **LOSSLESS, exif=b"Exif\0\0neither II nor MM")


# --- errors ---


def test_every_truncation_and_damage_is_unidentified():
    data = saved(picture("L", (2, 2)))
    for length in range(len(data)):
        with pytest.raises(UnidentifiedImageError):
            Image.open(io.BytesIO(data[:length]))
    for place in range(3, len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 0x10
        with pytest.raises(UnidentifiedImageError, match=r"cannot identify image file '.*': "):
            Image.open(io.BytesIO(damaged))


def test_a_payload_that_lies_under_a_right_checksum_is_an_oserror():
    for codec, payload in (("png", b"\x89PNG\r\n\x1a\n" + bytes(30)), ("png", b""), ("codec-of-2040", b"x")):
        image = Image.open(io.BytesIO(write(File(codec, "uint8", (5, 7, 3), (Chunk(Tag.PAYLOAD, payload),)))))
        assert image.size == (7, 5)
        for _ in range(2):  # the error stays
            with pytest.raises(OSError, match="cannot decode"):
                image.load()


def test_a_payload_of_another_size_than_the_header_says_is_an_oserror():
    file = read(saved(picture("RGB")))
    lying = write(File(file.codec, file.dtype, (50, 70, 3), file.chunks))
    with pytest.raises(OSError, match=r"declares shape \[50, 70, 3\]"):
        Image.open(io.BytesIO(lying)).load()


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [("uint16", (5, 7, 3)), ("float32", (5, 7, 3)), ("uint8", (5, 7, 5)), ("uint8", (5, 7, 1)), ("uint8", (35,))],
)
def test_what_pillow_has_no_mode_for_points_to_midtread_decode(dtype, shape):
    data = write(File("png", dtype, shape, (Chunk(Tag.PAYLOAD, b""),)))
    with pytest.raises(OSError, match=r"holds \w+ \[.*\], for which Pillow has no mode; open it with midtread.decode"):
        Image.open(io.BytesIO(data))


def test_an_empty_picture_is_unidentified():
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(write(File("png", "uint8", (0, 7, 3), ()))))


def test_a_huge_picture_is_stopped_by_pillows_own_limit(monkeypatch):
    data = write(File("png", "uint8", (2**30, 2**30, 3), ()))
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(data))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30)
    with pytest.warns(Image.DecompressionBombWarning):
        reopened(picture("RGB")).load()


def test_a_file_arriving_piece_by_piece_is_parsed():
    image = picture("RGB")
    data = saved(image)
    parser = ImageFile.Parser()
    for place in range(0, len(data), 10):
        parser.feed(data[place : place + 10])
    assert pixels(parser.close()) == pixels(image)


def test_saving_says_what_is_missing_and_leaves_no_file_behind(tmp_path):
    path = tmp_path / "x.mt"
    for options, match in (
        ({}, "say which codec makes a .mt file"),
        ({"codec": "jpg"}, "unknown codec 'jpg'; did you mean 'jpeg'"),
        ({"codec": "jpeg", "qualty": 3}, "no option 'qualty'; did you mean 'quality'"),
        ({"codec": "jpeg", "quality": 300}, "quality=300"),
    ):
        with pytest.raises(ValueError, match=match):
            picture("RGB").save(path, **options)
        assert not path.exists()


def test_the_plug_in_is_registered_by_its_import_and_not_before(tmp_path):
    picture("RGB").save(tmp_path / "x.mt", **LOSSLESS)
    code = (
        "import sys; from PIL import Image, UnidentifiedImageError\n"
        "try: Image.open(sys.argv[1]); print('early')\n"
        "except UnidentifiedImageError: pass\n"
        "import midtread.pillow; print(Image.open(sys.argv[1]).size, 'imagecodecs' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code, tmp_path / "x.mt"], capture_output=True, text=True)
    assert run.stdout == "(7, 5) False\n", run.stderr
