"""Other people's codecs: what their wrappers promise beyond the contract of every codec."""

import contextlib
import dataclasses
import io
import subprocess
import sys
import time
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from midtread import container, media
from midtread.codecs.external import ffmpeg, jpegxl, still, yuv
from midtread.codecs.external.av1 import Av1
from midtread.codecs.external.avif import Avif
from midtread.codecs.external.hevc import Hevc
from midtread.codecs.external.jpeg import Jpeg
from midtread.codecs.external.jpeg2000 import Htj2k, Jpeg2000
from midtread.codecs.external.jpegls import JpegLS
from midtread.codecs.external.jpegxl import JpegXL, restore_jpeg, transcode_jpeg
from midtread.codecs.external.jpegxr import JpegXR
from midtread.codecs.external.lossless import Png, Qoi, Tiff
from midtread.codecs.external.vvc import Vvc
from midtread.codecs.external.webp import WebP
from midtread.codecs.target import encode_to
from midtread.container import Chunk, File, Reader
from midtread.container.file import Tag
from midtread.errors import BitstreamError, CodecError, LimitError, MissingError, UsageError
from midtread.registry import CODECS
from midtread.spec import Accepts, Codec, Knob, open_codec

CLASSES = [Jpeg, JpegXL, Avif, WebP, Jpeg2000, Htj2k, JpegLS, JpegXR, Png, Tiff, Qoi, Hevc, Vvc, Av1]
FAST = {"vvc": {"preset": "faster"}, "hevc": {"preset": "fast"}, "av1": {"speed": 8}, "avif": {"speed": 9}}
LOSSY = [cls for cls in CLASSES if cls.knob]

VARIANTS = [  # settings that take another way through the code than the defaults
    Jpeg(subsampling="4:4:4"), Jpeg(progressive=True), Jpeg(optimize=True), JpegXL(effort=1), Avif(speed=9),
    Avif(speed=9, subsampling="4:2:0", tune="iq", bit_depth=12), WebP(method=0), JpegXR(quality=0.4),
    Hevc(subsampling="4:2:0", bit_depth=8, preset="ultrafast", tune="none"), Hevc(subsampling="4:2:0", preset="fast"),
    Vvc(preset="faster", subsampling="4:2:0"), Vvc(preset="faster", subsampling="4:4:4"), Av1(speed=8, bit_depth=8),
    Av1(speed=8, bit_depth=12), Av1(speed=8, subsampling="4:2:0", tune="ssim"),
]  # fmt: skip
LOSSLESS = [
    JpegXL(lossless=True, effort=1), Avif(lossless=True, speed=9), WebP(lossless=True), Jpeg2000(lossless=True),
    Htj2k(lossless=True), JpegLS(), JpegXR(lossless=True), Png(), Png(filter="none", level=0), Tiff(), Qoi(),
]  # fmt: skip


def scene(height=33, width=20, channels=3, dtype="uint8", seed=0):
    """Waves and a hard edge in related colours; alpha, when asked for, is a ramp."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(float)
    noise = 0.1 * rng.standard_normal(x.shape)  # one for all colours, as in a photograph most detail is
    planes = []
    for c in range(channels):
        wave = np.sin(x / 5 + c / 3) + np.cos(y / 7 - c / 4) + (x > width / 2) + noise
        planes.append(np.clip((wave + 2) / 5, 0, 1))
    if channels in (2, 4):
        planes[-1] = 0.2 + 0.8 * (x + y) / (height + width)
    picture = np.stack(planes, axis=2) if channels > 1 else planes[0]
    scale = 1.0 if dtype.startswith("float") else np.iinfo(dtype).max
    return np.ascontiguousarray((picture * scale).astype(dtype))


def psnr_db(x, x_hat):
    peak = np.iinfo(x.dtype).max if x.dtype.kind == "u" else 1.0
    return 10 * np.log10(peak**2 / max(np.mean((x.astype(float) - x_hat.astype(float)) ** 2), 1e-12))


def accepted(codec, *, height=33, width=20):
    """A scene of every kind that `codec` takes."""
    for dtype in codec.accepts.dtypes:
        for channels in codec.accepts.channels:
            if (dtype, channels) not in codec.accepts.but_not:
                yield scene(height, width, channels, dtype)


def named(codec):
    return "-".join([codec.name, *(f"{k}={v}" for k, v in dataclasses.asdict(codec).items())])[:60]


every_variant = pytest.mark.parametrize("codec", VARIANTS, ids=named)


# What every one of them promises


@every_variant
@pytest.mark.parametrize("size", [(33, 20), (1, 1), (1, 7), (17, 13)], ids=str)
def test_a_picture_comes_back_in_its_shape_and_dtype(codec, size):
    for x in accepted(codec, height=size[0], width=size[1]):
        if x.dtype == np.uint16 and getattr(codec, "bit_depth", 16) == 8:
            continue
        if codec.name == "jpegxr" and x.dtype == np.uint8 and size[1] < 17:
            continue
        x_hat = codec.decode(codec.encode(x))
        assert (x_hat.shape, x_hat.dtype) == (x.shape, x.dtype)
        assert x_hat.flags.c_contiguous
        assert psnr_db(x, x_hat) > (24 if size == (33, 20) else 10)


@pytest.mark.parametrize("codec", [*VARIANTS, JpegLS(near=1)], ids=named)
def test_a_lossy_setting_says_so(codec):
    assert not codec.lossless


def test_an_error_of_the_library_becomes_ours(monkeypatch):
    import imagecodecs

    def fail(x):
        raise RuntimeError("no luck today")

    monkeypatch.setattr(imagecodecs, "qoi_encode", fail)
    with pytest.raises(UsageError, match="codec 'qoi': the library refuses this picture: no luck today"):
        Qoi().encode(scene())


@every_variant
def test_black_gray_and_white_stay_what_they_are(codec):
    for x in accepted(codec):
        if x.dtype == np.uint16 and getattr(codec, "bit_depth", 16) == 8:
            continue
        white = np.iinfo(x.dtype).max if x.dtype.kind == "u" else 1.0
        for value in (0, white // 2, white):
            x_hat = codec.decode(codec.encode(np.full_like(x, value))).astype(float)
            np.testing.assert_allclose(x_hat, value, atol=0.02 * white)


@pytest.mark.parametrize("codec", LOSSLESS, ids=named)
@pytest.mark.parametrize("size", [(33, 20), (1, 1), (1, 7), (17, 13)], ids=str)
def test_a_lossless_setting_gives_every_sample_back(codec, size):
    assert codec.lossless
    for x in accepted(codec, height=size[0], width=size[1]):
        if codec.name == "avif" and (x.dtype != np.uint8 or (x.ndim == 3 and x.shape[2] == 4 and x.shape[0] == 1)):
            continue
        np.testing.assert_array_equal(codec.decode(codec.encode(x)), x)


@pytest.mark.parametrize("codec", [c for c in LOSSLESS if c.accepts.channels[-1] == 4 and c.name != "avif"], ids=named)
def test_a_lossless_setting_keeps_colours_that_nobody_sees(codec):
    x = scene(9, 11, 4)
    x[..., 3] = 0
    np.testing.assert_array_equal(codec.decode(codec.encode(x)), x)


@pytest.mark.parametrize("cls", LOSSY, ids=lambda cls: cls.name)
def test_size_and_quality_rise_with_the_knob(cls):
    x = scene(64, 96)
    found = []
    for quality in (0.2, 0.5, 0.8):
        value = cls.knob.at(quality)
        codec = cls(**FAST.get(cls.name, {}), **{cls.knob.option: int(value) if cls.knob.integer else value})
        data = codec.encode(x)
        found.append((len(data), psnr_db(x, codec.decode(data))))
    assert found == sorted(found)
    assert found[0][0] < found[1][0] < found[2][0]
    assert found[0][1] < found[1][1] < found[2][1]


@every_variant
def test_the_same_picture_gives_the_same_bytes_and_stays_untouched(codec):
    x = scene()
    x.flags.writeable = False
    before = x.copy()
    data = codec.encode(x)
    assert codec.encode(x) == data
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(codec.decode(data), codec.decode(data))


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.name)
def test_the_backend_says_its_version(cls):
    assert any(character.isdigit() for character in cls.backend())
    assert "unknown" not in cls.backend()


def test_loading_the_codecs_loads_no_backend():
    modules = sorted({cls.__module__ for cls in CLASSES} | {"midtread.codecs.target"})
    heavy = ["imagecodecs", "PIL", "imageio_ffmpeg"]
    program = f"import sys, {', '.join(modules)}; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("cls", "options", "words"),
    [
        (Jpeg, {"quality": 0}, "quality=0; it takes a whole number from 1 to 100"),
        (Jpeg, {"subsampling": "4:1:1"}, "'4:2:0', '4:2:2', '4:4:4'"),
        (Jpeg, {"progressive": 1}, "progressive=1; it takes True, False"),
        (JpegXL, {"distance": 0}, "0.01 to 25"),
        (JpegXL, {"effort": 11}, "1 to 10"),
        (Avif, {"quality": 100}, "0 to 99"),
        (Avif, {"bit_depth": 8}, "10, 12"),
        (WebP, {"method": 7}, "0 to 6"),
        (Jpeg2000, {"ratio": float("nan")}, "ratio=nan"),
        (Htj2k, {"step": 1.0}, "0.0001 to 0.5"),
        (JpegLS, {"near": 128}, "0 to 127"),
        (JpegXR, {"quality": 1.0}, "0.01 to 0.99"),
        (Png, {"filter": "best"}, "'adaptive'"),
        (Tiff, {"level": 0}, "1 to 9"),
        (Hevc, {"qp": 52}, "0 to 51"),
        (Hevc, {"preset": "quick"}, "'veryslow'"),
        (Vvc, {"qp": 1.5}, "a whole number from 0 to 63"),
        (Vvc, {"subsampling": "4:2:2"}, "'auto', '4:2:0', '4:4:4'"),
        (Av1, {"crf": 0}, "1 to 63"),
        (Av1, {"encoder": "svtav1"}, "set subsampling='4:2:0'"),
        (Av1, {"encoder": "rav1e"}, "'libaom', 'svtav1'"),
    ],
)  # fmt: skip
def test_an_option_out_of_range_is_refused_with_what_is_allowed(cls, options, words):
    with pytest.raises(UsageError) as caught:
        cls(**options)
    assert words in str(caught.value)
    assert cls.name in str(caught.value)


@pytest.mark.parametrize(
    ("codec", "x", "words"),
    [
        (Jpeg(), scene(channels=4), "[H, W, 3]"),
        (WebP(), scene(channels=1), "stack the plane three times"),
        (WebP(), np.zeros((16384, 1, 3), np.uint8), "up to 16383"),
        (Jpeg(), np.zeros((1, 65501), np.uint8), "up to 65500"),
        (Avif(), scene(channels=1, dtype="uint16"), "gray"),
        (Avif(lossless=True), scene(dtype="uint16"), "takes uint8"),
        (Avif(lossless=True), np.full((4, 4, 4), 255, np.uint8), "x[..., :3]"),
        (JpegXR(quality=0.4), scene(33, 16), "17 or more pixels wide"),
        (Hevc(bit_depth=8), scene(dtype="uint16"), "set bit_depth=10"),
        (Av1(bit_depth=8), scene(dtype="uint16"), "set bit_depth=10"),
        (Av1(encoder="svtav1", subsampling="4:2:0"), scene(channels=1), "set encoder='libaom'"),
        (Av1(encoder="svtav1", subsampling="4:2:0"), scene(2, 2), "64 pixels"),
    ],
    ids=lambda value: value.name if isinstance(value, Codec) else "",
)
def test_a_picture_that_does_not_fit_is_refused_with_what_to_do(codec, x, words):
    with pytest.raises(UsageError) as caught:
        codec.encode(x)
    assert words in str(caught.value)


# JPEG, WebP, AVIF


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:2:2", "4:4:4"])
def test_baseline_jpeg_is_byte_for_byte_what_pillow_writes(subsampling):
    x = scene(64, 96)
    file = io.BytesIO()
    Image.fromarray(x).save(file, "JPEG", quality=60, subsampling=subsampling)
    assert Jpeg(quality=60, subsampling=subsampling).encode(x) == file.getvalue()


def test_progressive_jpeg_is_progressive_and_decodes_to_the_same_samples():
    x = scene(64, 96)
    data = Jpeg(progressive=True).encode(x)
    assert b"\xff\xc2" in data
    assert b"\xff\xc2" not in Jpeg().encode(x)
    np.testing.assert_array_equal(Jpeg().decode(data), Jpeg().decode(Jpeg().encode(x)))


def test_our_jpeg_costs_no_more_than_a_fifth_of_a_millisecond_over_the_library():
    import imagecodecs

    x, codec = scene(256, 384), Jpeg()
    ours, library = [], []
    for _ in range(60):  # interleaved, and the best of each: the machine's other work hits both alike
        start = time.perf_counter()
        codec.encode(x)
        ours.append(time.perf_counter() - start)
        start = time.perf_counter()
        imagecodecs.jpeg8_encode(x, 75, subsampling="420")
        library.append(time.perf_counter() - start)
    assert min(ours) <= max(1.02 * min(library), min(library) + 2e-4)


@pytest.mark.parametrize("codec", [WebP(), WebP(lossless=True)], ids=named)
@pytest.mark.parametrize("size", [(33, 20), (1, 1), (300, 7)], ids=str)
def test_webp_keeps_an_opaque_alpha_plane_and_the_colours_with_it(codec, size):
    x = np.dstack([scene(*size), np.full(size, 255, np.uint8)])
    data = codec.encode(x)
    x_hat = codec.decode(data)
    assert x_hat.shape == x.shape
    assert x_hat[..., 3].min() == 255
    np.testing.assert_array_equal(x_hat[..., :3], codec.decode(codec.encode(x[..., :3])))
    other = Image.open(io.BytesIO(data))
    assert other.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(other), x_hat)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_avif_keeps_an_opaque_alpha_plane_to_a_step(dtype):
    x = scene(channels=4, dtype=dtype)
    x[..., 3] = white = np.iinfo(dtype).max
    x_hat = Avif(speed=9).decode(Avif(speed=9).encode(x))
    assert x_hat.shape == x.shape
    assert x_hat[..., 3].min() >= white - 2 * (white // 255)


def test_avif_tuned_for_psnr_beats_libavifs_own_taste_by_psnr():
    x = scene(128, 128)
    curves = {}
    for tune in ("psnr", "iq"):
        data = [Avif(quality=quality, tune=tune, speed=8).encode(x) for quality in (40, 50, 60, 70)]
        curves[tune] = np.array([(np.log(len(d)), psnr_db(x, Avif().decode(d))) for d in data])
    at = np.linspace(curves["iq"][:, 0].max(), curves["psnr"][:, 0].min(), 9)
    gain = np.interp(at, *curves["psnr"].T) - np.interp(at, *curves["iq"].T)
    assert gain.mean() > 0


def test_avif_quality_99_of_gray_is_lossy():
    """Through imagecodecs every gray file would be lossless."""
    x = scene(64, 64, 1)
    assert len(Avif(quality=30).encode(x)) < len(Avif(quality=99).encode(x))


@pytest.mark.parametrize("codec", [Avif(speed=9), Av1(speed=8), Av1(speed=8, bit_depth=8)], ids=named)
@pytest.mark.parametrize("channels", [1, 3])
def test_another_program_sees_the_same_colours_in_our_avif(codec, channels):
    x = scene(64, 96, channels)
    data = codec.encode(x)
    other = np.asarray(Image.open(io.BytesIO(data)))
    assert other.shape == x.shape
    assert psnr_db(other, codec.decode(data)) > 42
    assert psnr_db(x, other) > 31


# JPEG XL, JPEG 2000, JPEG-LS, JPEG XR


def test_sixteen_bit_jpeg_xl_is_marked_srgb_and_costs_what_eight_bits_cost():
    for channels in (1, 2, 3, 4):
        x = scene(64, 96, channels)
        small, wide = JpegXL().encode(x), JpegXL().encode(x.astype(np.uint16) * 257)
        assert psnr_db(x, (JpegXL().decode(wide) / 257).astype(np.uint8)) > 30
        if channels in (1, 3):  # 16-bit alpha costs more
            assert abs(len(wide) / len(small) - 1) < 0.03
        for codec in (JpegXL(), JpegXL(lossless=True)):
            data = codec.encode(x.astype(np.uint16) * 257)
            command = [ffmpeg.executable(), "-hide_banner", "-f", "jpegxl_pipe", "-i", "-", "-f", "null", "-"]
            log = subprocess.run(command, input=data, capture_output=True).stderr.decode()
            assert "iec61966-2-1" in log, "another transfer function"


def test_float_jpeg_xl_is_marked_linear_and_keeps_values_beyond_white():
    x = scene(dtype="float32") * 8 - 2
    np.testing.assert_array_equal(JpegXL(lossless=True).decode(JpegXL(lossless=True).encode(x)), x)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 5}, {"subsampling": "4:4:4"}], ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_transcoded_jpeg_is_smaller_and_comes_back_byte_for_byte(options, channels):
    jpeg = Jpeg(**options).encode(scene(256, 384, channels)) + b"what follows the picture"
    packed = transcode_jpeg(jpeg)
    assert len(packed) < len(jpeg)
    assert restore_jpeg(packed) == jpeg
    assert psnr_db(media.decode("jpegxl", packed), media.decode("jpeg", jpeg)) > 40


def test_a_jpeg_that_jpeg_xl_cannot_hold_is_refused_in_words():
    cmyk = io.BytesIO()
    Image.new("CMYK", (16, 16)).save(cmyk, "JPEG")
    jpeg = Jpeg().encode(scene())
    for data, words in [
        (cmyk.getvalue(), "CMYK|gray or YCbCr"),
        (jpeg[:-50], "whole"),
        (b"", "FF D8"),
        (b"PNG", "no JPEG"),
    ]:
        with pytest.raises(UsageError, match=words):
            transcode_jpeg(data)


def test_a_transcoding_that_would_not_come_back_is_refused(monkeypatch):
    monkeypatch.setattr(jpegxl, "restore_jpeg", lambda data: b"something else")
    with pytest.raises(UsageError, match="keep the JPEG"):
        transcode_jpeg(Jpeg().encode(scene()))


@pytest.mark.parametrize(
    "data", [b"", b"\xff\x0a", JpegXL().encode(scene())], ids=["nothing", "start", "no JPEG inside"]
)
def test_a_jpeg_xl_file_that_holds_no_jpeg_is_refused(data):
    with pytest.raises(BitstreamError, match="not a JPEG XL file made from a JPEG"):
        restore_jpeg(data)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_jpeg_2000_lands_near_the_ratio_it_is_asked_for(channels, dtype):
    x = scene(128, 192, channels, dtype)
    for ratio in (6, 12):
        codec = Jpeg2000(ratio=ratio)
        data = codec.encode(x)
        assert len(data) == pytest.approx(x.nbytes / ratio, rel=0.08)
        assert psnr_db(x, codec.decode(data)) > 25


def test_jpeg_2000_lands_near_the_psnr_it_is_asked_for():
    x = scene(128, 192)
    for wanted in (30, 40, 50):
        codec = Jpeg2000(psnr_db=wanted)
        assert abs(psnr_db(x, codec.decode(codec.encode(x))) - wanted) < 2.5
    with pytest.raises(UsageError, match="ratio or psnr_db, not both"):
        Jpeg2000(psnr_db=40, ratio=10)


@pytest.mark.parametrize("cls", [Jpeg2000, Htj2k], ids=lambda cls: cls.name)
@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_jpeg_2000_uses_the_filters_of_its_mode_and_the_colour_transform(cls, lossless, dtype):
    for channels in (1, 3, 4):
        data = cls(lossless=lossless).encode(scene(64, 64, channels, dtype))
        style = data[data.index(b"\xff\x52") + 2 :]  # the COD marker, ITU-T T.800 table A.12
        assert style[6] == (channels == 3 or (channels == 4 and cls is Htj2k)), "colour transform"
        assert style[11] == lossless, "0 is 9/7, 1 is 5/3"


def test_lossy_htj2k_clips_at_black_and_white():
    """OpenJPH's decoder, as imagecodecs calls it, wraps around: 255 + 3 becomes 2."""
    x = np.kron(np.indices((8, 8)).sum(0) % 2, np.ones((9, 9))).astype(np.uint8) * 255
    for picture in (x, np.dstack([x] * 3), x.astype(np.uint16) * 257):
        codec = Htj2k(step=0.1)
        error = np.abs(codec.decode(codec.encode(picture)).astype(int) - picture)
        assert error.max() < 0.6 * np.iinfo(picture.dtype).max


@pytest.mark.parametrize("near", [1, 7, 127])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_jpeg_ls_keeps_every_sample_within_near(near, dtype):
    rng = np.random.default_rng(near)
    for shape in [(20, 30), (20, 30, 3), (20, 30, 4)]:
        x = rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
        codec = JpegLS(near=near)
        assert np.abs(codec.decode(codec.encode(x)).astype(int) - x).max() <= near


@pytest.mark.parametrize(
    "codec",
    [Jpeg(quality=95), Jpeg(quality=95, subsampling="4:4:4"), WebP(quality=95), JpegXR(quality=0.45), JpegXR(),
     Avif(quality=95, speed=9), Avif(quality=95, speed=9, subsampling="4:2:0"), Hevc(qp=10, preset="fast"),
     Hevc(qp=10, preset="fast", subsampling="4:2:0"), Vvc(qp=10, preset="faster", subsampling="4:2:0"),
     Vvc(qp=10, preset="faster", subsampling="4:4:4")],
    ids=named,
)  # fmt: skip
def test_the_chroma_format_that_a_codec_states_is_the_one_it_uses(codec):
    """Columns of two colours of one brightness survive 4:4:4 only."""
    x = np.zeros((32, 32, 3), np.uint8)
    x[:, ::2], x[:, 1::2] = (200, 60, 60), (60, 130, 60)
    x_hat = codec.decode(codec.encode(x)).astype(float)
    kept = np.abs(x_hat[:, ::2, 0].mean() - x_hat[:, 1::2, 0].mean()) / 140
    assert kept > 0.8 if codec.chroma == "4:4:4" else kept < 0.7


# Colour planes


@pytest.mark.parametrize("matrix", list(yuv.MATRICES))
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_full_chroma_planes_give_rgb_back_to_their_precision(matrix, dtype):
    rng = np.random.default_rng(matrix)
    x = np.concatenate(
        [rng.integers(0, 2, (50, 40, 3)) * np.iinfo(dtype).max, rng.integers(0, np.iinfo(dtype).max, (50, 40, 3))]
    )
    x = x.astype(dtype)
    planes = yuv.to_planes(x, 10, "4:4:4", matrix)
    assert all(plane.dtype == np.uint16 and plane.max() < 1024 for plane in planes)
    error = np.abs(yuv.from_planes(planes, 10, matrix, x.dtype).astype(int) - x).max()
    assert error <= (0 if dtype == "uint8" else 130)


def test_halving_is_the_least_squares_inverse_of_doubling():
    """What halving loses is orthogonal to everything that doubling can make; edges aside, where it is cut short."""
    plane = np.random.default_rng(0).standard_normal((60, 1)).astype(np.float32)
    lost = plane - yuv._double(yuv._halve(plane, 0), 60, 0)
    unit = np.eye(30, dtype=np.float32)
    inner = [float((lost * yuv._double(unit[:, k : k + 1], 60, 0)).sum()) for k in range(8, 22)]
    np.testing.assert_allclose(inner, 0, atol=2e-3)


def test_what_can_be_doubled_survives_halving():
    small = np.random.default_rng(1).standard_normal((40, 1)).astype(np.float32)
    np.testing.assert_allclose(yuv._halve(yuv._double(small, 80, 0), 0)[9:31], small[9:31], atol=2e-3)
    for size in (1, 2, 3, 7):
        flat = np.full((size, 5), 3.0, np.float32)
        np.testing.assert_allclose(yuv._double(yuv._halve(flat, 0), size, 0), 3, rtol=1e-3)


def test_the_dct_matrix_weighs_every_plane_alike():
    m = yuv.MATRICES[yuv.DCT]
    np.testing.assert_allclose(m @ m.T, np.eye(3) / 3, atol=1e-12)


def test_the_error_of_halving_is_measured_as_it_happens():
    x = scene(40, 60, seed=3)
    x[::2, :, 0] //= 2
    x_hat = yuv.from_planes(yuv.to_planes(x, 10, "4:2:0", yuv.DCT), 10, yuv.DCT, x.dtype)
    assert yuv.halving_error(x, yuv.DCT) == pytest.approx(np.mean((x.astype(float) - x_hat) ** 2), rel=0.15)


# HEVC and VVC in their midtread files


@pytest.fixture(scope="module")
def files():
    return {"hevc": Hevc(preset="fast").encode(scene()), "vvc": Vvc(preset="faster").encode(scene())}


def rebuilt(data, *, parameters=None, payload=None, **header):
    """The file with other contents and right checksums."""
    file = container.read(data)
    chunks = (
        Chunk(Tag.PARAMETERS, file.need(Tag.PARAMETERS) if parameters is None else parameters),
        Chunk(Tag.PAYLOAD, file.need(Tag.PAYLOAD) if payload is None else payload),
    )
    return container.write(dataclasses.replace(File(file.codec, file.dtype, file.shape, chunks), **header))


video = pytest.mark.parametrize("codec", [Hevc(), Vvc()], ids=lambda codec: codec.name)


@video
@pytest.mark.parametrize(
    "change",
    [
        {"payload": b""},
        {"payload": b"\0\0\0\1" + bytes(range(200))},
        {"payload": b"not a stream at all"},
        {"parameters": b""},
        {"parameters": bytes([9, 3, 128, 34, 32])},
        {"parameters": bytes([10, 2, 128, 34, 32])},
        {"parameters": bytes([10, 0, 128, 34, 32])},
        {"parameters": bytes([10, 1, 7, 34, 32])},
        {"parameters": bytes([10, 1, 128, 20, 32])},
        {"parameters": bytes([10, 1, 128, 34, 34])},
        {"parameters": bytes([10, 1, 128, 34, 32, 0])},
        {"dtype": "float32"},
        {"shape": (33, 20, 4)},
        {"shape": (33, 0, 3)},
        {"shape": (33,)},
        {"shape": (70, 70, 3)},
        {"codec": "jpeg"},
    ],
    ids=str,
)  # fmt: skip
def test_a_file_that_contradicts_itself_is_blamed_on_the_bytes(codec, change, files):
    with pytest.raises(BitstreamError):
        codec.decode(rebuilt(files[codec.name], **change))


@video
def test_a_coded_picture_bigger_than_the_header_promised_is_over_the_limit(codec, files):
    with pytest.raises(LimitError, match="coded width"):
        codec.decode(rebuilt(files[codec.name], parameters=bytes([10, 1, 128, 34]) + container.varint(8192)))


@video
def test_a_stream_of_another_picture_is_refused(codec, files):
    large = dataclasses.replace(codec, preset="fast").encode(scene(128, 128))
    with pytest.raises(BitstreamError, match=r"decodes to|refuses"):
        codec.decode(rebuilt(files[codec.name], payload=container.read(large).need(Tag.PAYLOAD)))


@video
def test_damage_inside_a_stream_gives_our_errors_or_a_picture(codec, files):
    payload = container.read(files[codec.name]).need(Tag.PAYLOAD)
    for position in np.linspace(4, len(payload) - 1, 12).astype(int):
        damaged = bytearray(payload)
        damaged[position] ^= 0x55
        with contextlib.suppress(CodecError):
            assert codec.decode(rebuilt(files[codec.name], payload=bytes(damaged))).shape == (33, 20, 3)


@video
def test_a_stream_holds_nothing_but_the_stream(codec, files):
    """libvvenc prints its warnings to stdout, x265 writes its settings into the stream."""
    payload = container.read(files[codec.name]).need(Tag.PAYLOAD)
    assert b"warning" not in payload
    assert b"x265" not in payload
    assert len(files[codec.name]) < 700


def test_vvc_chooses_full_chroma_where_halving_would_cost_more():
    plain = np.dstack([scene(64, 64, 1)] * 3)
    colourful = plain.copy()
    colourful[:, ::2, 0] = 255 - colourful[:, ::2, 0]
    for x, qp, chroma in [(plain, 27, still.C420), (colourful, 27, still.STACKED), (colourful, 60, still.C420)]:
        file = container.read(Vvc(preset="faster", qp=qp).encode(x))
        assert Reader(file.need(Tag.PARAMETERS)).take(2, "depth and chroma")[1] == chroma


@pytest.mark.parametrize("codec", [Vvc(preset="faster", qp=0), Hevc(preset="fast", qp=0)], ids=named)
def test_noise_at_the_finest_quantizer_fits(codec):
    """FFmpeg's libvvenc has one byte per pixel for the stream; noise at qp 0 takes more."""
    x = np.random.default_rng(0).integers(0, 256, (49, 57), np.uint8)
    assert np.abs(codec.decode(codec.encode(x)).astype(int) - x).max() <= 2


def test_a_tiny_vvc_picture_decodes_the_same_every_time():
    """With two threads FFmpeg 9's decoder gave other samples in half of the runs."""
    codec = Vvc(preset="faster", subsampling="4:4:4")
    data = codec.encode(scene(500, 8))
    first = codec.decode(data)
    assert psnr_db(scene(500, 8), first) > 24
    for _ in range(10):
        np.testing.assert_array_equal(codec.decode(data), first)


def test_an_av1_file_of_8_bit_samples_coded_with_10_comes_back_as_uint8():
    x = scene(64, 96)
    data = Av1(speed=8).encode(x)
    wide = media.decode("avif", data)
    assert wide.dtype == np.uint16
    assert wide.max() > 2**15
    assert Av1().decode(data).dtype == np.uint8
    assert Av1().decode(Av1(speed=8).encode(x.astype(np.uint16) * 257)).dtype == np.uint16


def test_svt_av1_codes_too():
    x, codec = scene(64, 96), Av1(encoder="svtav1", subsampling="4:2:0", speed=8, crf=20)
    assert psnr_db(x, codec.decode(codec.encode(x))) > 28


def test_an_encoder_that_refuses_is_quoted():
    with pytest.raises(UsageError, match=r"ffmpeg refuses.*nonsense"):
        ffmpeg.encode(bytes(64), "gray", 8, 8, ["-c:v", "nonsense"], "hevc")


def test_an_encoder_that_takes_too_long_is_stopped(monkeypatch):
    monkeypatch.setattr(ffmpeg, "ENCODE_S", 0.001)
    with pytest.raises(LimitError, match="stopped"):
        Hevc(preset="fast").encode(scene())


def test_without_ffmpeg_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(MissingError, match=r"pip install \"midtread\[video\]\""):
        ffmpeg.executable.__wrapped__()


# The search over the knob


def sizes_and_psnrs(x, name, **options):
    """Every whole-number setting of the knob: value -> (size, PSNR)."""
    knob = CODECS.get(name).knob
    found = {}
    for value in range(int(knob.low), int(knob.high) + 1):
        codec = open_codec(name, **options, **{knob.option: value})
        data = codec.encode(x)
        found[value] = (len(data), psnr_db(x, codec.decode(data)))
    return found


@pytest.fixture(scope="module")
def photo():
    return scene(96, 128, seed=5)


@pytest.fixture(scope="module")
def jpegs(photo):
    return sizes_and_psnrs(photo, "jpeg")


@pytest.mark.parametrize("size_bytes", [1500, 2500, 4000, 9000, 10**6])
def test_a_size_is_never_exceeded_and_the_finest_setting_below_it_is_found(photo, jpegs, size_bytes):
    reached = encode_to(photo, "jpeg", {}, size_bytes=size_bytes)
    assert reached.size_bytes == len(reached.data) <= size_bytes
    assert reached.size_bytes == max(size for size, _ in jpegs.values() if size <= size_bytes)
    assert reached.trials <= 10


@pytest.mark.parametrize("wanted", [28, 33, 38, 42])
def test_a_psnr_is_reached_by_the_coarsest_setting_that_does(photo, jpegs, wanted):
    reached = encode_to(photo, "jpeg", {}, psnr_db=wanted)
    assert reached.psnr_db >= wanted
    assert reached.size_bytes == min(size for size, psnr in jpegs.values() if psnr >= wanted)
    assert reached.trials <= 10


@pytest.mark.parametrize("rate_bpp", [1.0, 2.0, 4.0])
def test_a_rate_is_met_to_two_percent_or_by_the_nearest_step(photo, jpegs, rate_bpp):
    reached = encode_to(photo, "jpeg", {}, rate_bpp=rate_bpp)
    assert reached.rate_bpp == 8 * len(reached.data) / (96 * 128)
    nearest = min(abs(np.log(8 * size / (96 * 128) / rate_bpp)) for size, _ in jpegs.values())
    assert abs(np.log(reached.rate_bpp / rate_bpp)) <= max(nearest, 0.0201)
    assert reached.exact == (abs(np.log(reached.rate_bpp / rate_bpp)) <= 0.02)
    assert reached.exact or f"asked {rate_bpp:g} bpp" in reached.note


def test_a_largest_error_is_kept(photo):
    for name in ("jpeg", "jpegls", "jpegxl"):
        reached = encode_to(photo, name, {}, max_error=20)
        x_hat = open_codec(name).decode(reached.data)
        assert np.abs(x_hat.astype(int) - photo).max() <= 20
    assert encode_to(photo, "jpegls", {}, max_error=20).options["near"] == 20


@pytest.mark.parametrize("name", [cls.name for cls in LOSSY if cls is not Av1])
def test_every_lossy_codec_can_be_aimed_and_its_options_give_the_file_again(name, photo):
    reached = encode_to(photo, name, FAST.get(name, {}), rate_bpp=1.5)
    assert abs(reached.rate_bpp / 1.5 - 1) < 0.12
    assert reached.trials <= 12
    codec = open_codec(name, **reached.options)
    assert codec.encode(photo) == reached.data
    assert reached.psnr_db == pytest.approx(psnr_db(photo, codec.decode(reached.data)))
    assert set(reached.options) == {field.name for field in dataclasses.fields(codec)}


@pytest.mark.parametrize(
    ("name", "options", "goal", "words"),
    [
        ("jpeg", {}, {"size_bytes": 100}, "the smallest file of this picture has"),
        ("jpeg", {}, {"psnr_db": 90}, "the most it reaches on this picture is"),
        ("webp", {}, {"max_error": 1}, "the least it reaches on this picture is"),
        ("jpeg", {}, {"rate_bpp": 0.01}, "the least this picture takes is"),
        ("jpeg", {}, {"rate_bpp": 50}, "the most this picture takes is"),
        ("png", {}, {"size_bytes": 10**6}, "is lossless"),
        ("jpegxl", {"lossless": True}, {"size_bytes": 10**6}, "leave lossless out"),
        ("jpeg", {"quality": 3}, {"size_bytes": 10**6}, "leave quality=3 out"),
        ("jpeg", {}, {}, "exactly one of rate_bpp, size_bytes, psnr_db, max_error; got none"),
        ("jpeg", {}, {"rate_bpp": 1, "psnr_db": 30}, "got rate_bpp, psnr_db"),
        ("jpeg", {}, {"rate_bpp": 0}, "a number above 0"),
        ("jpeg", {}, {"psnr_db": float("nan")}, "a number above 0"),
        ("jpeg", {}, {"rate_bpp": 1, "max_trials": 1}, "at least 2"),
    ],
    ids=str,
)
def test_a_goal_that_makes_no_sense_is_refused_in_words(photo, name, options, goal, words):
    with pytest.raises(UsageError) as caught:
        encode_to(photo, name, options, **goal)
    assert words in str(caught.value)


def test_what_the_file_gains_after_the_codec_counts_as_size(photo):
    header = bytes(700)
    reached = encode_to(photo, "jpeg", {}, size_bytes=3000, finish=lambda data: header + data)
    assert reached.data.startswith(header)
    assert reached.size_bytes == len(reached.data) <= 3000
    assert open_codec("jpeg", **reached.options).encode(photo) == reached.data[700:]


def test_progress_tells_every_trial_and_the_number_of_trials_is_kept(photo):
    told = []
    reached = encode_to(photo, "jpeg", {}, psnr_db=36, max_trials=3, progress=lambda *trial: told.append(trial))
    assert [trial[0] for trial in told] == list(range(1, reached.trials + 1))
    assert reached.trials <= 3
    assert reached.size_bytes in {size for _, _, size in told}


def test_a_knob_without_steps_gets_a_number_that_can_be_typed(photo):
    for name in ("jpegxl", "htj2k", "jpegxr"):
        reached = encode_to(photo, name, {}, psnr_db=33)
        assert len(str(reached.options[CODECS.get(name).knob.option])) <= 9


@dataclasses.dataclass(frozen=True)
class Toy(Codec):
    """A codec that gives the size it is told to, by a rule of the test's."""

    name: ClassVar[str] = "toy"
    accepts: ClassVar[Accepts] = Accepts(("uint8",), (3,))
    knob: ClassVar[Knob] = Knob("level", 1, 1000, "up", integer=True)
    level: int = 500
    rule: ClassVar = staticmethod(lambda level: 10 * level)

    def encode(self, x):
        return bytes(int(self.rule(self.level)))

    def decode(self, data):
        return np.zeros((4, 4, 3), np.uint8)


def aim_toy(monkeypatch, rule, size_bytes):
    monkeypatch.setitem(CODECS._targets, "toy", f"{__name__}:Toy")
    monkeypatch.setattr(Toy, "rule", staticmethod(rule))
    return encode_to(np.ones((4, 4, 3), np.uint8), "toy", {}, size_bytes=size_bytes)


@pytest.mark.parametrize("size_bytes", [300, 2345, 7777])
def test_the_search_survives_a_size_that_does_not_rise_evenly(monkeypatch, size_bytes):
    reached = aim_toy(monkeypatch, lambda level: level * (10 + level % 2), size_bytes)
    assert 0.85 * size_bytes <= reached.size_bytes <= size_bytes
    assert reached.trials <= 16


def test_the_finest_of_many_small_steps_is_found(monkeypatch):
    sizes = [10000 + 4 * level + level**2 // 90 for level in range(1001)]
    for size_bytes in (10300, 12347, 17777):
        reached = aim_toy(monkeypatch, lambda level: sizes[level], size_bytes)
        assert reached.size_bytes == max(size for size in sizes if size <= size_bytes)


def test_the_search_does_not_crawl_along_a_flat_stretch(monkeypatch):
    reached = aim_toy(monkeypatch, lambda level: 100 + level // 10 if level < 900 else 10**6, 1000)
    assert reached.options["level"] == 899
    assert reached.trials <= 14
