"""Bytes that nobody vouches for: refused in our words, quickly, in bounded memory, and without ending the process."""

import io
import os
import struct
import sys
import threading
import time
import zlib

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from midtread import media
from midtread.errors import BitstreamError, LimitError, TruncatedError
from midtread.media import guard, metadata, native, safetensors, video
from midtread.spec import Limits

# Two files that ended the interpreter (SIGSEGV) when given to imagecodecs 2026.3.6 directly; found by flipping bytes.
CRASHES = {
    "htj2k": bytes.fromhex(  # OpenJPH 0.26.3
        "ff4fff51002f400000000014000000180000000000000000000000140000001800000000000000000003070101070101070101ff52000c00"
        "020001010504044000ff5c00232261a9618b618b616e59995999598651cb51cb51daffecff7220302e32362e332eff90000a000000000202"
        "0001ff93c004b1fd028774007300c0048890fd277300fc277300c00230000300053300006300a00480fe006300c013c0154600042f3cf9b7"
        "00fe402300c012c0124011404f740001ffd9"
    ),
    "jpegxr": bytes.fromhex(  # jxrlib 1.1
        "4949bc012000000024c3dd6f034efe4bb1853d77768dc9080000000000000000080001bc0100100000000800000002bc0400010000000000"
        "000080bc04000100000008000000811c0400010000000800000082bc0b00010000000000c04283bc0b00010000000000c042c0bc04000100"
        "000086000000c1bc0400010000003600000000000000574d50484f544f001100c00100070007b58521485800046fff000100000100c0bd91"
        "389818e4001a000500059c6e065f1b811758a28a"
    ),
}


def small(channels=3, dtype="uint8"):
    shape = (6, 5) if channels == 1 else (6, 5, channels)
    rng = np.random.default_rng(channels)
    if np.dtype(dtype).kind == "f":
        return rng.random(shape).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def dicom(coding=b"1.2.840.10008.1.2.1\0"):
    """A tiny explicit little-endian file, written by hand."""

    def element(group, number, kind, value):
        value += b" " * (len(value) & 1) if kind in (b"CS", b"UI") else b""
        head = struct.pack("<HH", group, number) + kind
        long = kind in (b"OB", b"OW")
        return head + (struct.pack("<HI", 0, len(value)) if long else struct.pack("<H", len(value))) + value

    meta = element(2, 0x10, b"UI", coding)
    meta = element(2, 0, b"UL", struct.pack("<I", len(meta))) + meta
    numbers = {0x02: 1, 0x10: 6, 0x11: 5, 0x100: 16, 0x101: 12, 0x102: 11, 0x103: 0}
    body = b"".join(
        element(0x28, number, b"US", struct.pack("<H", value)) for number, value in numbers.items() if number < 4
    )
    body += element(0x28, 4, b"CS", b"MONOCHROME2 ")
    body += b"".join(
        element(0x28, number, b"US", struct.pack("<H", value)) for number, value in numbers.items() if number > 4
    )
    return bytes(128) + b"DICM" + meta + body + element(0x7FE0, 0x10, b"OW", small(1, "uint16").tobytes())


def npy(x):
    out = io.BytesIO()
    np.save(out, x)
    return out.getvalue()


def checkpoint():
    tensors = {"a": ("F32", (2, 3), 24), "b": ("BF16", (), 2), "c": ("U8", (0, 4), 0)}
    return safetensors.header_bytes(tensors, {"made": "here"}) + bytes(range(26))


def netcdf():
    """One variable of shorts along a dimension with coordinates, an attribute, padding."""
    word = lambda *numbers: b"".join(n.to_bytes(4, "big") for n in numbers)  # noqa: E731
    head = b"CDF\x01" + word(0, 10, 2, 1) + b"y\0\0\0" + word(5, 1) + b"x\0\0\0" + word(3)
    head += word(12, 1, 2) + b"by\0\0" + word(2, 2) + b"me\0\0" + word(11, 2)
    head += word(1) + b"t\0\0\0" + word(2, 0, 1, 0, 0, 3, 32, 152) + word(1) + b"y\0\0\0" + word(1, 0, 0, 0, 1, 8, 184)
    return head + np.arange(15, dtype=">i2").tobytes() + bytes(2) + bytes(range(5)) + bytes(3)


def tiny_files():
    """One or two small whole files of each format: label -> (format, bytes, shape)."""
    x, gray = small(), small(1)
    files = {
        "jpeg": imagecodecs.jpeg8_encode(x),
        "jpeg gray": imagecodecs.jpeg8_encode(gray),
        "png": imagecodecs.png_encode(x),
        "png gray 16": imagecodecs.png_encode(small(1, "uint16")),
        "webp": imagecodecs.webp_encode(x, lossless=False, level=80),
        "webp lossless": imagecodecs.webp_encode(x, lossless=True),
        "avif": imagecodecs.avif_encode(x, level=70),
        "jpegxl": imagecodecs.jpegxl_encode(x, lossless=True),
        "jpegxl boxes": imagecodecs.jpegxl_encode(gray, level=90, usecontainer=True),
        "jpeg2000": imagecodecs.jpeg2k_encode(x, level=0),
        "jpeg2000 bare": imagecodecs.jpeg2k_encode(gray, level=0, codecformat="j2k"),
        "htj2k": imagecodecs.htj2k_encode(x),
        "jpegls": imagecodecs.jpegls_encode(gray),
        "jpegxr": imagecodecs.jpegxr_encode(x, level=0.9),
        "tiff": imagecodecs.tiff_encode(x, photometric="rgb", planarconfig="contig", compression="deflate"),
        "bmp": imagecodecs.bmp_encode(x),
        "qoi": imagecodecs.qoi_encode(x),
        "pnm": b"P6\n5 6\n255\n" + x.tobytes(),
        "npy": npy(x),
        "netcdf": netcdf(),
        "safetensors": checkpoint(),
        "y4m": video.write_y4m([(gray,)], video.VideoInfo(5, 6, "4:0:0")),
        "dicom": dicom(),
    }
    shapes = {label: gray.shape if data_is_gray(label) else x.shape for label in files}
    shapes["netcdf"] = (5, 3)
    shapes["safetensors"] = (len(files["safetensors"]),)
    return {label: (label.split()[0], data, shapes[label]) for label, data in files.items()}


def data_is_gray(label):
    return "gray" in label or label in ("jpegxl boxes", "jpeg2000 bare", "jpegls", "y4m", "dicom")


TINY = tiny_files()
every_file = pytest.mark.parametrize("label", TINY)


def decode_or_refuse(name, data):
    """The array, or None when it is refused in our words; anything else fails the test."""
    try:
        return media.decode(name, data)
    except (BitstreamError, LimitError):
        return None


def skip_without(name):
    for module, _ in media.FORMATS[name].needs:
        pytest.importorskip(module)


@every_file
def test_the_tiny_files_are_what_they_claim_to_be(label):
    name, data, shape = TINY[label]
    skip_without(name)
    assert media.sniff(data) == name
    assert native.probe(name, data).shape == shape
    assert media.read(data).array.shape == shape


def test_every_format_has_a_tiny_file():
    assert {name for name, _, _ in TINY.values()} | {"exr", "hdf5"} == set(
        media.FORMATS
    )  # test_hdf5_netcdf.py has the latter


# --- cut short, damaged --------------------------------------------------------------------------------------------


@every_file
def test_every_truncation_is_refused_or_has_lost_nothing(label):
    name, data, shape = TINY[label]
    skip_without(name)
    whole = media.decode(name, data)
    for length in range(len(data)):
        cut = data[:length]
        if media.FORMATS[name].fragile and name != "dicom":
            with pytest.raises(BitstreamError):  # by our probe: no damaged byte reaches the decoder
                native.probe(name, cut)
            continue
        back = decode_or_refuse(name, cut)
        if back is not None:  # what was cut off was not needed
            assert back.shape == shape
            np.testing.assert_array_equal(back, whole)


@pytest.mark.parametrize("label", [label for label in TINY if not media.FORMATS[TINY[label][0]].fragile])
def test_each_damaged_byte_gives_a_picture_or_our_own_error(label):
    name, data, _ = TINY[label]
    limits = Limits(max_elements=2**20)
    for at in range(len(data)):
        for value in (data[at] ^ 0xFF, data[at] ^ 1 << at % 8):
            damaged = data[:at] + bytes([value]) + data[at + 1 :]
            for use in (lambda d: media.decode(name, d, limits), lambda d: metadata.metadata(name, d), media.sniff):
                try:
                    use(damaged)
                except (BitstreamError, LimitError):
                    continue


@pytest.mark.parametrize("label", [label for label in TINY if media.FORMATS[TINY[label][0]].fragile])
def test_damage_to_fragile_formats_never_reaches_this_process(label):
    name, data, _ = TINY[label]
    skip_without(name)
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(data), 40):
        damaged = data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]
        try:
            media.read(damaged, Limits(max_elements=2**16))
        except (BitstreamError, LimitError):
            continue
    assert media.read(data).array.size  # the helper is in order again


def test_exr_cut_short_or_damaged_is_refused(tmp_path):
    pytest.importorskip("OpenEXR")
    media.save(tmp_path / "a.exr", small(3, "float32"))
    data = (tmp_path / "a.exr").read_bytes()
    whole = media.read(data).array
    for length in range(0, len(data), 5):
        with pytest.raises(BitstreamError):
            media.read(data[:length])
    for at in range(8, len(data), 9):
        try:
            back = media.read(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :], Limits(max_elements=2**16)).array
        except (BitstreamError, LimitError):
            continue
        assert back.ndim == whole.ndim


@pytest.mark.parametrize("name", list(media.FORMATS))
def test_noise_and_emptiness_are_refused(name):
    skip_without(name)
    rng = np.random.default_rng(1)
    for data in (b"", b"\0", bytes(200), rng.bytes(500), TINY.get(name, TINY["png"])[1][:7] + rng.bytes(300)):
        with pytest.raises((BitstreamError, LimitError)):
            media.decode(name, data)
        with pytest.raises((BitstreamError, LimitError)):
            media.read(data)


# --- too large -----------------------------------------------------------------------------------------------------


def patched(data, at, value):
    return data[:at] + value + data[at + len(value) :]


def big(value, width):
    return value.to_bytes(width, "big")


def huge_claims():
    """For each format, a small file that claims a huge picture."""
    get = {label: data for label, (_, data, _) in TINY.items()}
    claims = {}
    ihdr = b"IHDR" + big(2**31 - 1, 4) * 2 + get["png"][24:29]
    claims["png"] = get["png"][:12] + ihdr + big(zlib.crc32(ihdr), 4) + get["png"][33:]
    sof = get["jpeg"].index(b"\xff\xc0")
    claims["jpeg"] = patched(get["jpeg"], sof + 5, b"\xff\xff\xff\xff")
    sof = get["jpegls"].index(b"\xff\xf7")
    claims["jpegls"] = patched(get["jpegls"], sof + 5, b"\xff\xff\xff\xff")
    vp8x = media.attach("webp", get["webp"], xmp=b"<x/>")
    claims["webp"] = patched(vp8x, 24, b"\xff\xff\xff\xff\xff\xff")
    ispe = get["avif"].index(b"ispe")
    claims["avif"] = patched(get["avif"], ispe + 8, b"\x7f\xff\xff\xff" * 2)
    claims["jpegxl"] = b"\xff\x0a" + _jpegxl_size(2**30, 2**30) + get["jpegxl"][8:]
    for name in ("jpeg2000", "htj2k"):
        siz = get[name].index(b"\xff\x51")
        claims[name] = patched(get[name], siz + 6, b"\x7f\xff\xff\xff" * 2 + bytes(8) + b"\x7f\xff\xff\xff" * 2)
    claims["jpegxr"] = patched(get["jpegxr"], get["jpegxr"].index(b"\x80\xbc") + 8, b"\xff\xff\xff\x7f")
    page = struct.unpack("<I", get["tiff"][4:8])[0]
    width = get["tiff"].index(b"\0\1", page)
    claims["tiff"] = patched(get["tiff"], width, struct.pack("<HHIIHHII", 256, 4, 1, 2**31 - 1, 257, 4, 1, 2**31 - 1))
    claims["bmp"] = patched(get["bmp"], 18, struct.pack("<ii", 2**31 - 1, 2**31 - 1))
    claims["qoi"] = patched(get["qoi"], 4, b"\x7f\xff\xff\xff" * 2)
    claims["pnm"] = b"P6\n2147483647 2147483647\n255\n" + bytes(90)
    claims["npy"] = npy(small()).replace(b"(6, 5, 3)", b"(2147483647, 2147483647, 3)", 1)[:200]
    claims["npy"] = _npy_claim("(2147483647, 2147483647, 3)")
    claims["y4m"] = b"YUV4MPEG2 W999999999 H999999999 Cmono\nFRAME\n" + bytes(30)
    rows = get["dicom"].index(b"\x28\0\x10\0US")
    claims["dicom"] = patched(patched(get["dicom"], rows + 8, b"\xff\xff"), rows + 18, b"\xff\xff")
    return claims


def _jpegxl_size(height, width):
    """SizeHeader of JPEG XL: not small, 30 bits each, no ratio."""
    bits = 0 | 3 << 1 | (height - 1) << 3 | 0 << 33 | 3 << 36 | (width - 1) << 38
    return (bits | 1 << 68).to_bytes(12, "little")


def _npy_claim(shape):
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode() + bytes(90)


CLAIMS = huge_claims()


@pytest.mark.parametrize("name", CLAIMS)
def test_a_huge_claim_is_refused_at_once_and_no_decoder_sees_it(name, monkeypatch):
    skip_without(name)
    call = {"jpeg": "jpeg8", "jpeg2000": "jpeg2k"}.get(name, name)

    def decoder(*_args, **_options):
        pytest.fail(f"the {name} decoder was asked for a huge picture")

    monkeypatch.setattr(imagecodecs, f"{call}_decode", decoder, raising=False)
    monkeypatch.setattr(guard, "decode", decoder)
    start = time.perf_counter()
    for use in (lambda: media.decode(name, CLAIMS[name]), lambda: media.read(CLAIMS[name])):
        with pytest.raises((LimitError, TruncatedError)) as caught:
            use()
        if name not in ("qoi", "y4m"):  # these are told from their length alone to be cut short
            assert "samples, more than the 536870912 allowed" in str(caught.value)
            assert "max-elements" in str(caught.value)
    assert time.perf_counter() - start < 2


def test_exr_that_claims_a_huge_window_is_refused(tmp_path):
    pytest.importorskip("OpenEXR")
    media.save(tmp_path / "a.exr", small(3, "float16"))
    data = (tmp_path / "a.exr").read_bytes()
    window = data.index(b"dataWindow\0box2i\0") + 17 + 4
    with pytest.raises(LimitError, match="OpenEXR file claims"):
        media.read(patched(data, window, struct.pack("<iiii", 0, 0, 2**30, 2**30)))


def test_a_size_hidden_inside_the_stream_counts_too():
    """Boxes claim 6 x 5; the AV1 sequence header and the WebP frame claim more, and decoders allocate by those."""
    _, data, shape = TINY["avif"]
    start = data.index(b"mdat") + 4
    found = set()
    for at in range(start + 2, start + 8):
        for bit in range(8):
            try:
                found.add(native.probe("avif", patched(data, at, bytes([data[at] ^ 1 << bit]))).shape)
            except BitstreamError:
                continue
    assert max(np.prod(s) for s in found) > 500 * np.prod(shape)
    boxed = media.attach("webp", TINY["webp"][1], xmp=b"<x/>")
    frame = boxed.index(b"\x9d\x01\x2a") + 3
    assert native.probe("webp", patched(boxed, frame, b"\xff\x3f\xff\x3f")).shape == (16383, 16383, 3)


def test_limits_can_be_raised_and_lowered_by_the_caller():
    data = imagecodecs.png_encode(np.zeros((100, 100), np.uint8))
    with pytest.raises(LimitError, match="100 x 100 = 10000 samples, more than the 9999 allowed"):
        media.read(data, Limits(max_elements=9999))
    assert media.read(data, Limits(max_elements=10000)).array.shape == (100, 100)


def test_a_qoi_that_cannot_hold_its_pixels_is_refused_before_they_are_filled_in():
    data = patched(TINY["qoi"][1], 4, big(10000, 4) * 2)  # within the limits, and a second of work
    with pytest.raises(TruncatedError, match="too few for 10000 x 10000 pixels"):
        media.decode("qoi", data)


def test_a_png_without_its_end_is_refused_though_every_sample_is_there():
    with pytest.raises(TruncatedError, match="IEND, is missing"):
        media.decode("png", TINY["png"][1][:-12])


def test_many_tiny_jpeg2000_tiles_are_refused():
    data = imagecodecs.jpeg2k_encode(np.zeros((255, 255, 3), np.uint8), level=0, codecformat="j2k")
    at = data.index(b"\xff\x51") + 22
    with pytest.raises(LimitError, match="65025 tiles of 1 x 1"):
        media.decode("jpeg2000", patched(data, at, big(1, 4) * 2))


def test_a_huge_tiff_tile_is_refused():
    data = imagecodecs.tiff_encode(np.zeros((32, 32), np.uint8), tile=(16, 16), photometric="minisblack")
    page = struct.unpack("<I", data[4:8])[0]
    at = data.index(struct.pack("<H", 322), page)
    assert struct.unpack("<H", data[at + 12 : at + 14])[0] == 323
    wide = struct.pack("<HII", 4, 1, 2**30)
    with pytest.raises(LimitError, match="a tile of this TIFF file"):
        media.decode("tiff", patched(patched(data, at + 2, wide), at + 14, wide))


# --- bombs and loops in metadata -----------------------------------------------------------------------------------


def test_metadata_bombs_stay_small():
    data = TINY["png"][1]
    packed = zlib.compress(bytes(2**28), 9)
    body = b"iCCP" + b"x\0\0" + packed
    bomb = data[:33] + big(len(body) - 4, 4) + body + big(zlib.crc32(body), 4) + data[33:]
    assert metadata.metadata("png", bomb).icc is None
    boxed = media.attach("jpegxl", TINY["jpegxl"][1], exif=b"II*\0\x08\0\0\0\0\0\0\0\0\0")
    for size, found in ((2**10, bytes(2**10)), (2**27, None)):
        brob = b"xml " + imagecodecs.brotli_encode(bytes(size))
        assert metadata.metadata("jpegxl", boxed + big(len(brob) + 8, 4) + b"brob" + brob).xmp == found


def test_a_tiff_that_points_at_itself_ends():
    loop = b"II*\0\x08\0\0\0" + b"\0\0" + struct.pack("<I", 8)
    with pytest.raises(BitstreamError, match="does not end"):
        native.probe("tiff", loop)
    exif = b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", 0x8769, 4, 1, 8) + bytes(4)
    with pytest.raises(BitstreamError, match="empty picture"):
        media.decode("tiff", exif)
    back = media.read(media.attach("png", TINY["png"][1], exif=exif))
    assert back.exif == exif


def test_a_damaged_exif_block_costs_the_block_not_the_picture():
    for block in (b"II*\0\xff\xff\xff\x7f", b"XX", b"MM\0*\0\0\0\x08\xff\xff"):
        back = media.read(media.attach("jpeg", TINY["jpeg"][1], exif=block))
        assert back.array.shape == (6, 5, 3)
        assert back.exif == block


def test_npy_never_unpickles():
    evil = _npy_claim("(1,)").replace(b"'|u1'", b"'|O' ")
    with pytest.raises(BitstreamError, match="plain numbers only"):
        media.decode("npy", evil)
    with pytest.raises(BitstreamError, match="cannot be understood"):
        media.decode("npy", _npy_claim("(1,)").replace(b"'|u1'", b"exit("))


def test_a_deflated_dicom_is_not_inflated():
    with pytest.raises(BitstreamError, match="deflated"):
        media.read(dicom(b"1.2.840.10008.1.2.1.99"))


# --- the guard -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CRASHES)
def test_bytes_that_crash_a_decoder_cost_an_error_not_the_process(name):
    assert media.FORMATS[name].fragile
    with pytest.raises((BitstreamError, LimitError)):
        media.read(CRASHES[name])
    assert media.read(TINY[name][1]).array.shape == (6, 5, 3)


def child(code):
    return guard._Child(f"import os, sys, time\n{code}")


def test_a_crash_says_which_decoder_and_how():
    helper = child("sys.stdin.buffer.read(10); os.kill(os.getpid(), 11)")
    with pytest.raises(BitstreamError, match=r"the decoder of HTJ2K crashed on these bytes \(signal 11\)"):
        helper.decode("htj2k", b"x" * 50, Limits(), 30)


def test_a_hang_ends_in_time_and_says_how_to_go_on():
    helper = child("time.sleep(60)")
    start = time.perf_counter()
    with pytest.raises(LimitError, match=r"took more than 0 s; .*trusted=True"):
        helper.decode("jpegls", b"x", Limits(), 0.03)
    assert time.perf_counter() - start < 30


def test_a_busy_loop_ends_by_its_own_cpu_time_however_busy_the_machine():
    code = (
        "from midtread.media import guard, native\n"
        "guard._SECONDS = 0\n"
        "def endless(name, data, limits):\n"
        "    while True:\n"
        "        pass\n"
        "native.decode = endless\n"
        "guard.serve()"
    )
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("CPU time is limited on Linux only")
    with pytest.raises(LimitError, match=r"took more than 100 s; .*trusted=True"):
        child(code).decode("htj2k", TINY["htj2k"][1], Limits(), 100)


@pytest.mark.parametrize(
    "answer",
    [
        b"\0\x05uint8\x02" + struct.pack("<QQ", 2**20, 2**20),  # 2**40 samples
        b"\0\x06object\x01" + struct.pack("<Q", 4) + bytes(32),
        b"\0\x05uint8\x01" + struct.pack("<Q", 9) + bytes(4),
        b"\1\x0eKeyboardInterr",
        b"",
    ],
)
def test_a_helper_that_was_taken_over_cannot_make_us_allocate(answer):
    helper = child(f"sys.stdin.buffer.read(20); os.write(1, {answer!r})")
    with pytest.raises((BitstreamError, LimitError)):
        helper.decode("htj2k", b"x" * 50, Limits(), 30)


def test_the_helper_may_only_use_the_memory_that_the_size_explains():
    code = (
        "from midtread.media import guard, native\n"
        "import numpy\n"
        "decode = native.decode\n"
        "def greedy(name, data, limits):\n"
        "    with native.blame_the_bytes(name):\n"
        "        numpy.empty(3 * 2**30, numpy.uint8)\n"
        "    return decode(name, data, limits)\n"
        "native.decode = greedy\n"
        "guard.serve()"
    )
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("the address space can be limited on Linux only")
    with pytest.raises(LimitError, match="needs more memory than there is"):
        child(code).decode("htj2k", TINY["htj2k"][1], Limits(), 30)


def test_an_innocent_file_after_a_guilty_one_is_tried_again(monkeypatch):
    """The first file damages the helper, the second makes it crash: the second is decoded by a fresh helper."""
    code = (
        "from midtread.media import guard, native\n"
        "from midtread.errors import BitstreamError\n"
        "decode, seen = native.decode, []\n"
        "def fragile(name, data, limits):\n"
        "    if data[-1:] == b'!':\n"
        "        seen.append(1)\n"
        "        raise BitstreamError('guilty')\n"
        "    if seen:\n"
        "        os.kill(os.getpid(), 11)\n"
        "    return decode(name, data, limits)\n"
        "native.decode = fragile\n"
        "guard.serve()"
    )
    helper, data = child(code), TINY["htj2k"][1]
    with pytest.raises(BitstreamError, match="guilty"):
        helper.decode("htj2k", data + b"\xff\xd9!", Limits(), 30)
    assert helper.decode("htj2k", data, Limits(), 30).shape == (6, 5, 3)
    helper.stop()


def test_several_threads_share_the_helper():
    pictures = [np.full((9 + i, 40), i, np.uint8) for i in range(4)]
    wrong, gate = [], threading.Barrier(len(pictures))

    def work(x):
        data = imagecodecs.jpegls_encode(x)
        gate.wait()
        for _ in range(15):
            try:
                same = np.array_equal(media.read(data).array, x)
            except (BitstreamError, LimitError):
                same = False
            if not same:
                wrong.append(x.shape)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(x,)) for x in pictures]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong


def test_trusted_bytes_are_decoded_in_this_process(monkeypatch):
    monkeypatch.setattr(guard, "decode", lambda *_: pytest.fail("the helper was asked"))
    assert media.read(TINY["htj2k"][1], trusted=True).array.shape == (6, 5, 3)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forking needs POSIX")
def test_a_forked_process_starts_its_own_helper():
    data = TINY["jpegls"][1]
    before = media.read(data).array
    pid = os.fork()
    if pid == 0:
        inherited = guard._CHILD._process is not None
        os._exit(1 if inherited or not np.array_equal(media.read(data).array, before) else 0)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert np.array_equal(media.read(data).array, before)


def test_pictures_of_other_programs_still_open():
    """The probes are strict; what Pillow writes must pass them."""
    for kind, options in (("JPEG", {"progressive": True}), ("PNG", {"optimize": True}), ("WEBP", {}), ("TIFF", {})):
        out = io.BytesIO()
        Image.fromarray(small()).save(out, kind, **options)
        assert media.read(out.getvalue() + b"trailing").array.shape == (6, 5, 3)
