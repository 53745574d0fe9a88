"""Real files <-> arrays: what a user puts in comes out, exactly where the format can, in words where it cannot."""

import errno
import io
import os
import stat
import subprocess
import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from midtread import media
from midtread.errors import (
    BitstreamError,
    LimitError,
    MissingError,
    StorageError,
    TruncatedError,
    UnknownNameError,
    UsageError,
)
from midtread.media import encode, exif, header, native, pnm, video
from midtread.spec import Limits

DATA = Path(os.environ.get("MIDTREAD_DATA", Path(__file__).parents[2] / "shared" / "data")) / "diverse"
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
LOSSLESS = [f for f in media.FORMATS.values() if f.lossless]


def picture(dtype="uint8", channels=3, size=(13, 17), seed=0):
    rng = np.random.default_rng(seed)
    shape = size if channels == 1 else (*size, channels)
    if np.dtype(dtype).kind == "f":
        return (rng.standard_normal(shape) * 9).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def smooth(size=(24, 40)):
    rows, columns = np.mgrid[: size[0], : size[1]]
    return np.stack([columns * 6, rows * 10, (columns + rows) * 3], axis=-1).astype(np.uint8)


def exif_block(orientation=1):
    block = Image.Exif()
    block[0x0112], block[0x010F] = orientation, "Maker"
    block.get_ifd(0x8769)[0x9003] = "2024:01:02 03:04:05"
    block.get_ifd(0x8825)[1] = "N"
    return block.tobytes()[6:]


def by_pillow(x, kind, **options):
    out = io.BytesIO()
    (x if isinstance(x, Image.Image) else Image.fromarray(x)).save(out, kind, **options)
    return out.getvalue()


def skip_without(name):
    for module, _ in media.FORMATS[name].needs:
        pytest.importorskip(module)


# --- names ---------------------------------------------------------------------------------------------------------


def test_importing_media_imports_no_image_library():
    code = (
        "import sys, midtread.media\n"
        "found = {m.split('.')[0] for m in sys.modules} & {'PIL', 'imagecodecs', 'OpenEXR', 'pydicom'}\n"
        "sys.exit(str(found) if found else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_each_suffix_stands_for_one_format_and_case_does_not_matter():
    suffixes = [suffix for f in media.FORMATS.values() for suffix in f.suffixes]
    assert len(suffixes) == len(set(suffixes))
    for f in media.FORMATS.values():
        assert media.FORMATS[f.name] is f
        for suffix in f.suffixes:
            assert media.suffix_format(f"a/b.c{suffix.upper()}") == f.name
    assert media.suffix_format("noise.mt") is None


def test_an_unknown_format_name_gets_the_nearest_one():
    with pytest.raises(UnknownNameError, match=r"unknown format 'jpg2000'; did you mean 'jpeg2000'\?"):
        media.decode("jpg2000", b"x")


def test_a_format_without_its_package_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingError, match=r"pip install 'midtread\[exr\]'"):
        media.decode("exr", b"x")


# --- samples -------------------------------------------------------------------------------------------------------

LOSSLESS_CASES = [
    (f.name, dtype, channels)
    for f in LOSSLESS
    for dtype in f.accepts.dtypes
    for channels in f.accepts.channels
    if not (f.name == "pnm" and dtype == "float32" and channels in (2, 4))
]


@pytest.mark.parametrize(("name", "dtype", "channels"), LOSSLESS_CASES)
def test_what_is_saved_is_loaded_exactly(name, dtype, channels, tmp_path):
    skip_without(name)
    x = picture(dtype, channels)
    path = tmp_path / f"a{media.FORMATS[name].suffixes[0]}"
    media.save(path, x)
    back = media.load(path)
    assert (back.format, back.array.dtype, back.array.shape) == (name, x.dtype, x.shape)
    np.testing.assert_array_equal(back.array, x)
    assert back.array.flags.c_contiguous
    np.testing.assert_array_equal(x, picture(dtype, channels))  # the input is untouched


@pytest.mark.parametrize(
    "suffix", [s for f in LOSSLESS for s in f.suffixes if s not in (".pbm", ".pfm", ".exr", ".safetensors")]
)
def test_each_suffix_can_be_saved_and_comes_back_as_its_format(suffix, tmp_path):
    x = picture("uint8", 1 if suffix == ".pgm" else 3)
    media.save(tmp_path / f"a{suffix}", x)
    back = media.load(tmp_path / f"a{suffix}")
    assert back.format == media.suffix_format(suffix and f"a{suffix}")
    np.testing.assert_array_equal(back.array, x)


@pytest.mark.parametrize("order", [">u2", "<u2"])
def test_byte_order_and_strides_of_an_array_do_not_matter(order, tmp_path):
    x = picture("uint16", 3).astype(order)[::-1, ::2]
    for suffix in (".png", ".tiff", ".ppm", ".jxl"):
        media.save(tmp_path / f"a{suffix}", x)
        np.testing.assert_array_equal(media.load(tmp_path / f"a{suffix}").array, x)


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.0, 1e-42, 3e38])
@pytest.mark.parametrize("suffix", [".tiff", ".pfm", ".exr", ".npy", ".jxl"])
def test_floats_keep_every_bit(suffix, value, tmp_path):
    skip_without(media.suffix_format(f"a{suffix}"))
    x = picture("float32", 3)
    x[2, 3, 1] = value
    media.save(tmp_path / f"a{suffix}", x)
    np.testing.assert_array_equal(media.load(tmp_path / f"a{suffix}").array.view(np.uint32), x.view(np.uint32))


def test_npy_holds_any_array_but_no_objects(tmp_path):
    for x in (np.arange(24.0).reshape(2, 3, 4)[:, ::-1], np.asfortranarray(np.eye(3)), np.array(3.5)):
        media.save(tmp_path / "a.npy", x)
        back = media.load(tmp_path / "a.npy").array
        assert back.shape == x.shape
        np.testing.assert_array_equal(back, x)
    with pytest.raises(UsageError, match="cannot hold object"):
        media.save(tmp_path / "b.npy", np.array([{}], dtype=object))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("jpeg", imagecodecs.jpeg8_encode(smooth(), level=90)),
        ("webp", imagecodecs.webp_encode(smooth(), level=90, lossless=False)),
        ("avif", imagecodecs.avif_encode(smooth(), level=80)),
        ("jpegxl", imagecodecs.jpegxl_encode(smooth(), level=90)),
        ("jpeg2000", imagecodecs.jpeg2k_encode(smooth(), level=40)),
        ("htj2k", imagecodecs.htj2k_encode(smooth(), level=0.01, reversible=False)),
        ("jpegls", imagecodecs.jpegls_encode(smooth(), level=2)),
        ("jpegxr", imagecodecs.jpegxr_encode(smooth(), level=0.9)),
    ],
)
def test_a_lossy_file_decodes_to_what_its_library_makes_of_it(name, data):
    call = {"jpeg": "jpeg8", "jpeg2000": "jpeg2k"}.get(name, name)
    expected = getattr(imagecodecs, f"{call}_decode")(data)
    assert media.sniff(data) == name
    np.testing.assert_array_equal(media.decode(name, data), expected)
    np.testing.assert_array_equal(media.read(data).array, expected)
    assert np.abs(expected.astype(int) - smooth()).mean() < 8


@pytest.mark.parametrize(
    ("name", "encode_12_bits"),
    [
        ("avif", lambda x: imagecodecs.avif_encode(x, level=100, bitspersample=12)),
        ("jpeg2000", lambda x: imagecodecs.jpeg2k_encode(x, level=0, bitspersample=12)),
        ("jpegxl", lambda x: imagecodecs.jpegxl_encode(x, lossless=True, bitspersample=12)),
    ],
)
def test_twelve_declared_bits_fill_the_scale_and_can_be_undone(name, encode_12_bits):
    x = picture("uint16", 3) >> 4
    x[0, 0], x[0, 1] = 0, 4095
    back = media.read(encode_12_bits(x))
    assert back.bits == 12
    assert (back.array[0, 0] == 0).all()
    assert (back.array[0, 1] == 65535).all()
    np.testing.assert_array_equal(np.rint(back.array * (4095 / 65535)), x)


def test_twelve_bit_values_in_a_sixteen_bit_file_stay_what_they_are(tmp_path):
    x = picture("uint16", 1) >> 4
    for suffix in (".png", ".tiff", ".pgm", ".jls", ".jp2", ".jxl", ".jph"):
        media.save(tmp_path / f"a{suffix}", x)
        np.testing.assert_array_equal(media.load(tmp_path / f"a{suffix}").array, x)


@given(bits=st.integers(1, 16), value=st.integers(0, 2**16 - 1))
def test_stretching_to_full_scale_rounds_to_nearest_and_can_be_undone(bits, value):
    value &= 2**bits - 1
    stretched = int(header.to_full_scale(np.array([value], np.uint16), bits)[0])
    assert abs(stretched - value * 65535 / (2**bits - 1)) <= 0.5
    assert round(stretched * (2**bits - 1) / 65535) == value


@pytest.mark.parametrize(
    "size", [(1, 1), (8, 8), (16, 24), (64, 48), (9, 7), (300, 400), (2000, 1), (1, 2000), (27, 48)]
)
def test_the_probe_sees_the_size_that_the_decoder_gives(size):
    x = np.zeros((*size, 3), np.uint8)
    for name in (
        "jpeg",
        "png",
        "webp",
        "avif",
        "jpegxl",
        "jpeg2000",
        "htj2k",
        "jpegls",
        "jpegxr",
        "tiff",
        "bmp",
        "qoi",
    ):
        call = {"jpeg": "jpeg8", "jpeg2000": "jpeg2k"}.get(name, name)
        options = {"photometric": "rgb", "planarconfig": "contig"} if name == "tiff" else {}
        data = getattr(imagecodecs, f"{call}_encode")(x, **options)
        assert native.probe(name, data).shape == media.decode(name, data).shape == x.shape


def test_pnm_of_any_maxval_and_in_words_is_read():
    np.testing.assert_array_equal(media.read(b"P2 # a comment\n3 1\n1000\n0 500 1000").array, [[0, 32768, 65535]])
    np.testing.assert_array_equal(media.read(b"P5\n2 1\n15\n\x0f\x01").array, [[255, 17]])
    np.testing.assert_array_equal(media.read(b"P1\n3 2\n101 011").array, [[0, 255, 0], [255, 0, 0]])
    np.testing.assert_array_equal(media.read(b"P4\n3 2\n\xa0\x60").array, [[0, 255, 0], [255, 0, 0]])
    np.testing.assert_array_equal(
        media.read(b"PF\n1 2\n1.0\n" + np.arange(6, dtype=">f4").tobytes()).array[0, 0], [3, 4, 5]
    )


def test_palettes_and_bilevel_become_plain_samples():
    colours = Image.fromarray(smooth()).quantize(7)
    for kind in ("PNG", "BMP", "TIFF"):
        np.testing.assert_array_equal(media.read(by_pillow(colours, kind)).array, np.asarray(colours.convert("RGB")))
    bilevel = Image.fromarray(smooth()).convert("1")
    for kind, options in (("PNG", {}), ("BMP", {}), ("TIFF", {}), ("TIFF", {"compression": "group4"}), ("PPM", {})):
        np.testing.assert_array_equal(
            media.read(by_pillow(bilevel, kind, **options)).array, np.asarray(bilevel.convert("L"))
        )


def test_transparent_colours_of_png_become_an_alpha_channel():
    back = media.read(by_pillow(Image.fromarray(smooth()), "PNG", transparency=(0, 0, 0))).array
    assert back.shape[2] == 4
    assert back[0, 0].tolist() == [0, 0, 0, 0]
    assert (back[1:, 1:, 3] == 255).all()


@pytest.mark.parametrize("bits", ["16", "32"])
def test_bmp_with_colour_masks_is_stretched(bits):
    if bits == "16":  # 5-6-5
        masks, body = (0xF800, 0x7E0, 0x1F), np.array([0xFFFF, 0xF800, 0x0400, 0], "<u2").tobytes()
        expected = [[[255, 255, 255], [255, 0, 0], [0, 130, 0], [0, 0, 0]]]
    else:
        masks, body = (0xFF, 0xFF00, 0xFF0000), np.array([1 | 2 << 8 | 3 << 16] * 4, "<u4").tobytes()
        expected = [[[1, 2, 3]] * 4]
    fields = [40, 4, 1, 1 | int(bits) << 16, 3, 0, 0, 0, 0, 0, *masks]
    data = b"BM" + np.array([0, 0, 54 + 12, *fields], "<u4").tobytes() + body
    np.testing.assert_array_equal(media.read(data).array, expected)


def test_tiff_layouts_all_give_the_same_picture():
    tifffile = pytest.importorskip("tifffile")
    x = picture("uint16", 3, (32, 48))

    def written(array, **options):
        out = io.BytesIO()
        tifffile.imwrite(out, array, **options)
        return media.read(out.getvalue()).array

    rgb = {"photometric": "rgb"}
    np.testing.assert_array_equal(written(x.transpose(2, 0, 1), planarconfig="separate", **rgb), x)
    np.testing.assert_array_equal(written(x, tile=(16, 16), **rgb), x)
    np.testing.assert_array_equal(written(x, byteorder=">", **rgb), x)
    np.testing.assert_array_equal(written(x, bigtiff=True, **rgb), x)
    np.testing.assert_array_equal(written(x[..., 0], photometric="miniswhite"), 65535 - x[..., 0])
    colours = picture("uint16", 1, (256, 3)).T
    np.testing.assert_array_equal(
        written((x[..., 0] & 255).astype(np.uint8), photometric="palette", colormap=colours), colours.T[x[..., 0] & 255]
    )


def test_premultiplied_tiff_becomes_straight():
    x = np.array([[[100, 50, 0, 128], [7, 7, 7, 0], [9, 8, 7, 255]]], np.uint8)
    data = imagecodecs.tiff_encode(x, photometric="rgb", planarconfig="contig", extrasample="assocalpha")
    expected = [[[199, 100, 0, 128], [7, 7, 7, 0], [9, 8, 7, 255]]]
    np.testing.assert_array_equal(media.read(data).array, expected)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (by_pillow(Image.fromarray(smooth()).convert("CMYK"), "JPEG"), "4 components"),
        (by_pillow(Image.fromarray(smooth()).convert("CMYK"), "TIFF"), "photometric interpretation 5"),
        (by_pillow(Image.fromarray(smooth()).convert("LAB"), "TIFF"), "photometric interpretation 8"),
        (by_pillow(smooth(), "PNG", save_all=True, append_images=[Image.fromarray(smooth()[::-1])]), "animation"),
        (by_pillow(smooth(), "WEBP", save_all=True, append_images=[Image.fromarray(smooth()[::-1])]), "animation"),
        (by_pillow(smooth(), "AVIF", save_all=True, append_images=[Image.fromarray(smooth()[::-1])]), "sequence"),
        (by_pillow(smooth(), "TIFF", save_all=True, append_images=[Image.fromarray(smooth())]), "2 pages"),
        (b"P5\n1 1\n255\n\0P5\n1 1\n255\n\0", "more than one picture"),
        (imagecodecs.jpeg2k_encode(smooth(), colorspace="SYCC"), "colour space 18"),
        (imagecodecs.jpegxr_encode(picture("uint8", 4), photometric="CMYK"), "colour format"),
        (video.write_y4m([(smooth()[..., 0],)] * 2, video.VideoInfo(40, 24, "4:0:0")), "2 frame"),
        (video.write_y4m([(smooth()[..., 0],) * 3], video.VideoInfo(40, 24, "4:4:4")), "video.read_y4m"),
    ],
)
def test_what_would_lose_something_is_refused_in_words(data, words):
    with pytest.raises(BitstreamError, match=words):
        media.read(data)


def test_a_one_frame_gray_y4m_is_a_picture():
    x = smooth()[..., 0]
    np.testing.assert_array_equal(media.read(video.write_y4m([(x,)], video.VideoInfo(40, 24, "4:0:0"))).array, x)


def test_dicom_gives_the_stored_values(tmp_path):
    pydicom = pytest.importorskip("pydicom")
    from pydicom.dataset import FileDataset, FileMetaDataset

    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPInstanceUID = pydicom.uid.ExplicitVRLittleEndian, "1.2.3"
    meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
    ds = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PhotometricInterpretation = 9, 7, 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    x = picture("uint16", 1, (9, 7)) >> 4
    ds.PixelData = x.tobytes()
    ds.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    back = media.load(tmp_path / "a.dcm")
    assert (back.format, back.bits) == ("dicom", 12)
    np.testing.assert_array_equal(back.array, x)
    ds.NumberOfFrames, ds.PixelData = 2, x.tobytes() * 2
    ds.save_as(tmp_path / "b.dcm", enforce_file_format=True)
    with pytest.raises(BitstreamError, match="2 frames"):
        media.load(tmp_path / "b.dcm")


# --- metadata ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("AVIF", {"quality": 95}),
    ],
)
def test_pictures_come_upright_with_their_metadata(kind, options, orientation):
    block = Image.Exif()
    block.load(b"Exif\0\0" + exif_block(orientation))
    data = by_pillow(smooth(), kind, exif=block, icc_profile=ICC, **options)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    back = media.read(data)
    assert back.array.shape == expected.shape
    assert np.abs(back.array.astype(int) - expected).max() <= 3
    assert back.icc == ICC
    assert exif.orientation(back.exif) == 1
    again = Image.Exif()
    again.load(b"Exif\0\0" + back.exif)
    assert again.get(0x0112, 1) == 1
    assert again[0x010F] == "Maker"
    assert again.get_ifd(0x8769)[0x9003] == "2024:01:02 03:04:05"
    assert again.get_ifd(0x8825)[1] == "N"


@pytest.mark.parametrize("name", [f.name for f in LOSSLESS if f.attaches])
def test_saved_metadata_is_loaded_again(name, tmp_path):
    f = media.FORMATS[name]
    given = {"icc": ICC, "exif": exif_block(), "xmp": XMP}
    kept = {key: value for key, value in given.items() if key in f.attaches}
    x = picture("uint8", 3)
    media.save(tmp_path / f"a{f.suffixes[0]}", media.Picture(x, **kept))
    back = media.load(tmp_path / f"a{f.suffixes[0]}")
    np.testing.assert_array_equal(back.array, x)
    for key, value in kept.items():
        if (name, key) != ("tiff", "exif"):
            assert getattr(back, key) == value
    if name == "tiff":
        again = Image.Exif()
        again.load(b"Exif\0\0" + back.exif)
        assert (again[0x010F], again.get_ifd(0x8769)[0x9003]) == ("Maker", "2024:01:02 03:04:05")


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("size", [0, 200_000])
@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        ("jpeg", lambda x: imagecodecs.jpeg8_encode(np.ascontiguousarray(x[..., :3]), level=90)),
        ("png", imagecodecs.png_encode),
        ("webp", lambda x: imagecodecs.webp_encode(x, level=80, lossless=False)),
        ("avif", lambda x: imagecodecs.avif_encode(x, level=90)),
        ("tiff", lambda x: imagecodecs.tiff_encode(x, photometric="rgb", planarconfig="contig")),
    ],
)
def test_attached_metadata_is_understood_by_pillow_and_leaves_the_samples_alone(name, encoder, size, alpha):
    x = np.dstack([smooth(), smooth()[..., :1]]) if alpha else smooth()
    data, icc, block = encoder(x), ICC + bytes(size), exif_block()
    for _ in range(1 if name == "avif" else 2):  # a second time replaces the first
        full = media.attach(name, data, icc=icc, exif=b"Exif\0\0" + block, xmp=XMP)
    opened = Image.open(io.BytesIO(full))
    opened.load()
    assert opened.info["icc_profile"] == icc
    assert opened.getexif()[0x010F] == "Maker"
    assert opened.getexif().get_ifd(0x8769)[0x9003] == "2024:01:02 03:04:05"
    assert (opened.info.get("xmp") or opened.getexif().get(700)) == XMP
    np.testing.assert_array_equal(media.decode(name, full), media.decode(name, data))
    back = media.read(full)
    assert (back.icc, back.xmp) == (icc, XMP)
    assert media.attach(name, data) == data


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "jpegxl", "jpeg2000", "htj2k"])
def test_attaching_again_replaces_and_does_not_pile_up(name):
    call = {"jpeg": "jpeg8", "jpeg2000": "jpeg2k"}.get(name, name)
    data = getattr(imagecodecs, f"{call}_encode")(smooth())
    once = media.attach(name, data, exif=exif_block(), xmp=XMP)
    twice = media.attach(name, once, exif=exif_block(), xmp=b"<other/>")
    assert len(twice) == len(once) - len(XMP) + len(b"<other/>") or name in ("webp",)
    assert media.read(twice).xmp == b"<other/>"


def test_a_jpeg2000_profile_travels_and_the_samples_are_not_converted_with_it():
    x = picture("uint16", 3)  # imagecodecs converts RGB of 16 bits even with a profile that is sRGB already
    for name in ("jpeg2000", "htj2k"):
        data = media.attach(name, encode.encode(name, x), icc=ICC)
        assert media.read(data).icc == ICC
        np.testing.assert_array_equal(media.read(data).array, x)


def test_an_icc_profile_with_a_hole_is_no_profile():
    data = media.attach("jpeg", imagecodecs.jpeg8_encode(smooth()), icc=ICC + bytes(200_000))
    part = data.index(b"ICC_PROFILE\0\x02")
    assert media.read(data).icc == ICC + bytes(200_000)
    assert media.read(data[: part + 12] + b"\x09" + data[part + 13 :]).icc is None


def test_colour_that_cannot_be_carried_is_warned_about():
    p3 = imagecodecs.avif_encode(smooth(), level=90, primaries=12, transfer=16)
    with pytest.warns(UserWarning, match="primaries 12, transfer 16"):
        media.read(p3)


@pytest.mark.parametrize(
    ("name", "suffix"), [("qoi", ".qoi"), ("bmp", ".bmp"), ("jpegls", ".jls"), ("jpeg2000", ".j2k")]
)
def test_saving_refuses_to_lose_metadata_unless_told_to(name, suffix, tmp_path):
    full = media.Picture(picture(), ICC, exif_block(), XMP)
    with pytest.raises(UsageError, match=r"would lose the ICC profile and the Exif and the XMP .* png, .* keep"):
        media.save(tmp_path / f"a{suffix}", full)
    assert not list(tmp_path.iterdir())
    media.save(tmp_path / f"a{suffix}", full, drop_metadata=True)
    np.testing.assert_array_equal(media.load(tmp_path / f"a{suffix}").array, full.array)


def test_attaching_what_a_format_cannot_take_names_those_that_can():
    with pytest.raises(
        UsageError, match=r"a JPEG XL file would lose the ICC profile.*; jpeg, png, webp, avif, .* keep"
    ):
        media.attach("jpegxl", imagecodecs.jpegxl_encode(picture()), icc=ICC)
    with pytest.raises(UsageError, match="70000 bytes"):
        media.attach("jpeg", imagecodecs.jpeg8_encode(picture()), exif=bytes(70000 - 6))


# --- files ---------------------------------------------------------------------------------------------------------


def test_the_content_decides_whatever_the_name_says(tmp_path):
    (tmp_path / "a.jpg").write_bytes(imagecodecs.png_encode(picture()))
    back = media.load(tmp_path / "a.jpg")
    assert back.format == "png"
    np.testing.assert_array_equal(back.array, picture())


def test_a_missing_file_a_folder_and_a_device_are_named(tmp_path):
    with pytest.raises(UsageError, match=r"there is no file .*gone\.png"):
        media.load(tmp_path / "gone.png")
    with pytest.raises(UsageError, match="is a folder"):
        media.load(tmp_path)
    with pytest.raises(UsageError, match="is a device"):
        media.load(os.devnull)


def test_empty_and_foreign_files_are_named_with_what_is_known(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"")
    with pytest.raises(TruncatedError, match=r"a\.png: the file is empty"):
        media.load(path)
    path.write_bytes(b"Hello, world")
    with pytest.raises(BitstreamError, match=r"a\.png: the first bytes, 48 65 6c .*JPEG, PNG, WebP"):
        media.load(path)
    path.write_bytes(b"\x89MT\x01rest")
    with pytest.raises(BitstreamError, match="midtread decode"):
        media.load(path)
    path.write_bytes(imagecodecs.png_encode(picture())[:200])
    with pytest.raises(TruncatedError, match=r"a\.png: PNG chunk .* needs \d+ bytes, 159 left"):
        media.load(path)


def test_a_file_larger_than_any_picture_within_the_limits_is_not_read(tmp_path):
    with open(tmp_path / "a.png", "wb") as file:
        file.truncate(2**40)  # sparse
    with pytest.raises(LimitError, match=r"1099511627776 bytes"):
        media.load(tmp_path / "a.png")


def test_unknown_and_lossy_suffixes_are_refused_with_advice(tmp_path):
    with pytest.raises(UsageError, match=r"'\.xyz' stands for no format; known: .*\.png"):
        media.save(tmp_path / "a.xyz", picture())
    for name in ("jpeg", "avif", "jpegxr"):
        path = tmp_path / f"a{media.FORMATS[name].suffixes[0]}"
        with pytest.raises(UsageError, match=f"midtread encode --codec {name}"):
            media.save(path, picture())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("suffix", "x", "words"),
    [
        (".bmp", picture("uint16"), "a BMP file cannot hold RGB of uint16 exactly; png, "),
        (".png", picture("float32"), "a PNG file cannot hold RGB of float32 exactly; jpegxl, tiff, "),
        (".jls", picture("uint8", 2), "gray with alpha"),
        (".ppm", picture("uint8", 4), r"use \.pam"),
        (".png", np.zeros((3, 4, 5), np.uint8), r"got \[3, 4, 5\]"),
        (".png", np.zeros((0, 4), np.uint8), r"got \[0, 4\]"),
        (".png", [[1]], "got list"),
        (".webp", np.zeros((20000, 2, 3), np.uint8), "cannot hold this picture"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_with_what_can(suffix, x, words, tmp_path):
    with pytest.raises(UsageError, match=words):
        media.save(tmp_path / f"a{suffix}", media.Picture(x))
    assert not list(tmp_path.iterdir())


def test_an_old_file_is_replaced_and_keeps_its_permissions_and_links(tmp_path):
    path, link = tmp_path / "a.png", tmp_path / "link.png"
    path.write_bytes(b"old")
    path.chmod(0o640)
    link.symlink_to(path)
    media.save(link, picture())
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    np.testing.assert_array_equal(media.load(path).array, picture())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "link.png"]


@pytest.mark.parametrize("when", ["write", "replace", "open"])
def test_a_full_disk_leaves_the_old_file_whole_and_nothing_behind(when, tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, when, full)
    text = r"cannot write .*a\.png: No space left on device; the file that is there was"
    with pytest.raises(StorageError, match=text) as caught:
        media.save(path, picture())
    monkeypatch.undo()
    assert not isinstance(caught.value, UsageError)  # the command line's exit code 1, not 2
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("path", ["nowhere/a.png", "file/a.png", "n" * 300 + ".png"])
def test_a_path_that_cannot_be_is_the_callers_mistake(path, tmp_path):
    (tmp_path / "file").write_bytes(b"no folder")
    with pytest.raises(UsageError, match=r"cannot write .*\.png: (No such file|Not a directory|File name too long)"):
        media.save(tmp_path / path, picture())


def test_an_interrupt_leaves_the_old_file_whole_and_nothing_behind(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        media.write_bytes(path, b"new")
    assert (path.read_bytes(), len(list(tmp_path.iterdir()))) == (b"old", 1)


def test_short_writes_are_continued(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, view: write(handle, view[:7]))
    media.write_bytes(tmp_path / "a.bin", bytes(range(100)))
    monkeypatch.undo()
    assert (tmp_path / "a.bin").read_bytes() == bytes(range(100))


def test_targets_that_cannot_be_written_say_why(tmp_path):
    with pytest.raises(UsageError, match="No such file or directory"):
        media.write_bytes(tmp_path / "gone" / "a.png", b"x")
    with pytest.raises(UsageError, match="it is a folder"):
        media.write_bytes(tmp_path, b"x")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="Not a directory"):
        media.write_bytes(tmp_path / "file" / "a.png", b"x")


def test_a_device_is_written_to_and_not_replaced():
    media.write_bytes(os.devnull, b"x")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


# --- video ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chroma", ["4:0:0", "4:2:0", "4:2:2", "4:4:4"])
@pytest.mark.parametrize("bits", [8, 10, 16])
def test_raw_video_round_trips_with_odd_sizes(chroma, bits):
    info = video.VideoInfo(7, 5, chroma, bits, (30000, 1001), tags=("Ip", "A1:1"))
    rng = np.random.default_rng(bits)
    dtype = np.uint8 if bits == 8 else np.uint16
    frames = [tuple(rng.integers(0, 2**bits, shape).astype(dtype) for shape in info.shapes) for _ in range(3)]
    got, back = video.read_y4m(video.write_y4m(frames, info))
    assert got == info
    raw = video.read_yuv(video.write_yuv(frames, info), info)
    for planes, again, headerless in zip(frames, back, raw, strict=True):
        for plane, one, two in zip(planes, again, headerless, strict=True):
            np.testing.assert_array_equal(plane, one)
            np.testing.assert_array_equal(plane, two)
            assert one.dtype == two.dtype == dtype


def test_raw_video_that_does_not_fit_is_refused():
    info = video.VideoInfo(8, 6)
    with pytest.raises(TruncatedError, match="are not a whole number"):
        video.read_yuv(bytes(71), info)
    with pytest.raises(UsageError, match="frame 0 has planes"):
        video.write_yuv([(np.zeros((6, 8), np.uint8),)], info)
    with pytest.raises(UsageError, match="samples above 1023"):
        video.write_yuv([(np.full((6, 8), 1024, np.uint16),)], video.VideoInfo(8, 6, "4:0:0", 10))
    with pytest.raises(LimitError, match="samples"):
        video.read_yuv(bytes(72), info, Limits(max_elements=70))
    for wrong in ({"chroma": "4:1:1"}, {"bits": 7}, {"width": 0}):
        with pytest.raises(UsageError):
            video.VideoInfo(**{"width": 8, "height": 6, **wrong})
    for text in (b"YUV4MPEG2 W8\n", b"YUV4MPEG2 W8 H6 C411\n", b"YUV4MPEG2 W0 H6\n", b"YUV4MPEG2 W8 H6\nFRAMF\n"):
        with pytest.raises(BitstreamError):
            video.read_y4m(text)


# --- the folder of odd pictures ---------------------------------------------------------------------------------------

ODD = {
    "doc_table_scribe.png": ((3429, 2478, 4), "uint8"),
    "hdr_desk_half_rgba.exr": ((874, 644, 4), "float16"),
    "medical_ct_512_14bit.dcm": ((512, 512), "int16"),
    "medical_mr_1024_12bit_u16.png": ((1024, 1024), "uint16"),
    "rgb16_flower_small.ppm": ((532, 510, 3), "uint16"),
    "sat_3band_u16_400x200.tif": ((200, 400, 3), "uint16"),
    "sat_mars_hirise_rgb8.tif": ((1683, 1118, 3), "uint8"),
    "sat_rgb_u16_255x259.tif": ((259, 255, 3), "uint16"),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_pictures_of_the_world_open_as_they_are(name, tmp_path):
    if not (DATA / name).exists():
        pytest.skip(f"needs {DATA / name}; set MIDTREAD_DATA to the folder that has diverse/")
    skip_without(media.suffix_format(name))
    back = media.load(DATA / name)
    assert (back.array.shape, back.array.dtype.name) == ODD[name]
    if name.endswith(".tif"):
        tifffile = pytest.importorskip("tifffile")
        np.testing.assert_array_equal(back.array, tifffile.imread(DATA / name))
    if name.endswith(".png"):
        np.testing.assert_array_equal(back.array, np.asarray(Image.open(DATA / name)))
    if name.endswith(".dcm"):
        shifted = media.load(DATA / "medical_ct_512_plus2048_u16.png").array.astype(int)
        np.testing.assert_array_equal(back.array.astype(int), shifted - 2048)
        assert back.bits == 14
    if back.array.dtype.kind == "u" and back.array.size < 10**6:
        media.save(tmp_path / "a.png", back)
        np.testing.assert_array_equal(media.load(tmp_path / "a.png").array, back.array)


def test_the_clips_of_the_world_open_as_planes():
    clip, raw = DATA / "video_park_joy_480x270_10f_420p8.y4m", DATA / "video_src01_576x324_3f_420p10le.yuv"
    if not clip.exists() or not raw.exists():
        pytest.skip(f"needs the two clips in {DATA}; set MIDTREAD_DATA")
    info, frames = video.read_y4m(clip.read_bytes())
    assert (info.width, info.height, info.chroma, info.bits, len(frames)) == (480, 270, "4:2:0", 8, 10)
    again, same = video.read_y4m(video.write_y4m(frames, info))
    assert again == info
    assert all((a == b).all() for one, two in zip(frames, same, strict=True) for a, b in zip(one, two, strict=True))
    planes = video.read_yuv(raw.read_bytes(), video.VideoInfo(576, 324, "4:2:0", 10))
    assert (len(planes), planes[0][0].dtype.name, int(planes[0][0].max()) < 1024) == (3, "uint16", True)


def test_pam_flavour_is_chosen_by_channels():
    assert pnm.encode(picture("uint8", 4))[:2] == b"P7"
    assert pnm.encode(picture("uint8", 3))[:2] == b"P6"
    assert pnm.encode(picture("uint8", 1))[:2] == b"P5"
    assert pnm.encode(picture("float32", 1))[:2] == b"Pf"
