"""The command line, run in this process: results on stdout, trouble on stderr, exit 0, 1 or 2, never a traceback."""

import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest

import midtread
from midtread import media
from midtread.cli import main
from midtread.registry import CODECS, CODERS, DATASETS, METRICS, MODELS, QUANTIZERS, TRANSFORMS
from pictures import photo_like


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    media.save(path, photo_like((48, 64, 3)))
    return path


def run(capsys, *argv) -> tuple[int, str, str]:
    code = main([str(one) for one in argv])
    out, err = capsys.readouterr()
    return code, out, err


def refused(capsys, *argv, code, words):
    """The command fails with this exit code and one clear message; nothing on stdout, no traceback."""
    found, out, err = run(capsys, *argv)
    assert found == code, err
    assert out == ""
    assert "Traceback" not in err
    for word in words:
        assert word in err


def test_a_picture_goes_to_a_midtread_file_and_back(capsys, tmp_path, photo):
    code, out, _ = run(capsys, "encode", photo, tmp_path / "photo.mt", "--codec", "webp", "--set", "lossless=true")
    assert code == 0
    assert "bpp" in out
    assert run(capsys, "decode", tmp_path / "photo.mt", tmp_path / "back.png")[0] == 0
    np.testing.assert_array_equal(media.load(tmp_path / "back.png").array, media.load(photo).array)


def test_a_native_suffix_gives_a_native_file(capsys, tmp_path, photo):
    for suffix, magic in ((".jpg", b"\xff\xd8"), (".png", b"\x89PNG"), (".webp", b"RIFF")):
        assert run(capsys, "encode", photo, tmp_path / f"x{suffix}")[0] == 0
        assert (tmp_path / f"x{suffix}").read_bytes().startswith(magic)


def test_options_arrive_at_the_codec(capsys, tmp_path, photo):
    run(capsys, "encode", photo, tmp_path / "a.jpg", "--set", "quality=20", "subsampling=4:4:4")
    expected = midtread.encode(media.load(photo).array, "jpeg", quality=20, subsampling="4:4:4")
    assert (tmp_path / "a.jpg").read_bytes() == expected


def test_icc_and_exif_travel_in_a_midtread_file(capsys, tmp_path, photo):
    from PIL import Image, ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.open(photo).save(tmp_path / "tagged.png", icc_profile=profile)
    assert run(capsys, "encode", tmp_path / "tagged.png", tmp_path / "a.mt", "--codec", "jpegxl")[0] == 0
    assert run(capsys, "decode", tmp_path / "a.mt", tmp_path / "b.png")[0] == 0
    assert Image.open(tmp_path / "b.png").info["icc_profile"] == profile


def test_metadata_that_the_target_cannot_hold_is_refused_unless_dropped(capsys, tmp_path, photo):
    from PIL import Image, ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.open(photo).save(tmp_path / "tagged.png", icc_profile=profile)
    argv = ["encode", tmp_path / "tagged.png", tmp_path / "a.qoi"]
    refused(capsys, *argv, code=2, words=["ICC"])
    assert run(capsys, *argv, "--drop-metadata")[0] == 0


def test_transcoding_a_jpeg_is_exact(capsys, tmp_path, photo):
    run(capsys, "encode", photo, tmp_path / "a.jpg")
    assert run(capsys, "transcode", tmp_path / "a.jpg", tmp_path / "a.jxl")[0] == 0
    assert run(capsys, "transcode", tmp_path / "a.jxl", tmp_path / "b.jpg")[0] == 0
    assert (tmp_path / "a.jpg").read_bytes() == (tmp_path / "b.jpg").read_bytes()


def test_info_speaks_json(capsys, tmp_path, photo):
    run(capsys, "encode", photo, tmp_path / "a.mt", "--codec", "png")
    found = json.loads(run(capsys, "info", tmp_path / "a.mt", "--json")[1])
    assert (found["codec"], found["shape"], found["dtype"]) == ("png", [48, 64, 3], "uint8")
    assert found["size_bytes"] == (tmp_path / "a.mt").stat().st_size


def test_compare_measures_two_files(capsys, tmp_path, photo):
    run(capsys, "encode", photo, tmp_path / "a.jpg", "--set", "quality=50")
    code, out, _ = run(capsys, "compare", photo, tmp_path / "a.jpg", "--json")
    found = json.loads(out)
    assert code == 0
    assert 25 < found["psnr_db"] < 50
    x, y = media.load(photo).array.astype(float), media.load(tmp_path / "a.jpg").array
    assert found["psnr_db"] == pytest.approx(10 * np.log10(255**2 / np.mean((x - y) ** 2)))


def test_compare_refuses_other_shapes(capsys, tmp_path, photo):
    media.save(tmp_path / "small.png", photo_like((8, 8, 3)))
    refused(capsys, "compare", photo, tmp_path / "small.png", code=2, words=["48 x 64 x 3", "8 x 8 x 3"])


KINDS = ["codecs", "transforms", "quantizers", "models", "coders", "metrics", "datasets", "formats", "plans"]


@pytest.mark.parametrize("kind", KINDS)
def test_lists_speak_json(capsys, kind):
    code, out, _ = run(capsys, "list", kind, "--json")
    assert code == 0
    rows = json.loads(out)
    assert rows
    assert all(row["name"] and row["summary"] for row in rows)
    code, out, _ = run(capsys, "list", kind)
    assert code == 0
    for row in rows:
        assert f"  {row['name']} " in out


def test_all_lists_together_speak_json(capsys):
    assert list(json.loads(run(capsys, "list", "--json")[1])) == KINDS


def test_stages_are_listed_with_their_traits_and_options(capsys):
    lines = {line.split()[0]: line for line in run(capsys, "list", "transforms")[1].splitlines()}
    assert "options levels; exact" in lines["wavelet53"]
    assert "exact" not in lines["wavelet97"]
    lines = {line.split()[0]: line for line in run(capsys, "list", "coders")[1].splitlines()}
    assert "needs tables, contexts, incremental" in lines["rans"]
    assert "tables" not in lines["zstd"]


def test_the_whole_list_names_everything_and_imports_none_of_it():
    """Its speed is the promise (benchmarks/startup.py measures it); NumPy alone would break it."""
    heavy = ["numpy", "midtread.media", "midtread.spec"]
    code = f"import sys; from midtread.cli import main; main(['list']); print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *lines, loaded = done.stdout.splitlines()
    assert loaded == "[]"
    words = " ".join(lines).split()
    for registry in (CODECS, TRANSFORMS, QUANTIZERS, MODELS, CODERS, METRICS, DATASETS):
        assert set(registry.names()) <= set(words)


def test_the_help_page_has_a_line_for_every_verb(capsys):
    for argv in ([], ["--help"]):
        page = run(capsys, *argv)[1]
        assert "Compress a picture or an array into a file." in page
        assert "Turn bench folders into one" in page
        assert "List codecs, their stages" in page


def test_missing_empty_and_truncated_files(capsys, tmp_path, photo):
    target = tmp_path / "a.mt"
    run(capsys, "encode", photo, tmp_path / "whole.mt", "--codec", "png")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "half.mt").write_bytes((tmp_path / "whole.mt").read_bytes()[:99])
    (tmp_path / "half.png").write_bytes(photo.read_bytes()[:99])
    (tmp_path / "text.png").write_text("hello, this is no picture")
    codec = ("--codec", "jpeg")
    refused(capsys, "encode", tmp_path / "none.png", target, *codec, code=2, words=["none.png"])
    refused(capsys, "encode", tmp_path, target, *codec, code=2, words=[tmp_path.name])
    refused(capsys, "encode", tmp_path / "empty.png", target, *codec, code=1, words=["empty"])
    refused(capsys, "encode", tmp_path / "half.png", target, *codec, code=1, words=["half.png"])
    refused(capsys, "encode", tmp_path / "text.png", target, *codec, code=1, words=["text.png"])
    refused(capsys, "decode", tmp_path / "half.mt", tmp_path / "a.png", code=1, words=["half.mt", "byte"])
    refused(capsys, "info", tmp_path / "text.png", code=1, words=["text.png"])
    assert not target.exists()


def test_a_png_named_jpg_opens_by_its_content(capsys, tmp_path, photo):
    photo.rename(tmp_path / "liar.jpg")
    assert run(capsys, "encode", tmp_path / "liar.jpg", tmp_path / "a.mt", "--codec", "webp")[0] == 0


def test_a_picture_claiming_two_to_the_31_pixels_is_refused_at_once(capsys, tmp_path):
    import struct
    import zlib

    ihdr = b"IHDR" + struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + ihdr + struct.pack(">I", zlib.crc32(ihdr))
    end = b"\0\0\0\0IEND\xae\x42\x60\x82"
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + end)
    argv = ["encode", tmp_path / "bomb.png", tmp_path / "a.mt", "--codec", "webp"]
    refused(capsys, *argv, code=1, words=["2147483647", "--max-elements"])


def test_unknown_codec_option_suffix_and_verb(capsys, tmp_path, photo):
    target = tmp_path / "a.mt"
    refused(capsys, "encode", photo, target, "--codec", "jpge", code=2, words=["did you mean 'jpeg'"])
    argv = ["encode", photo, target, "--codec", "jpeg", "--set"]
    refused(capsys, *argv, "qualty=3", code=2, words=["did you mean 'quality'"])
    refused(capsys, *argv, "quality", code=2, words=["key=value"])
    refused(capsys, *argv, "quality=1", "quality=2", code=2, words=["twice"])
    refused(capsys, *argv, "quality=1000", code=2, words=["1 to 100"])
    refused(capsys, "encode", photo, target, code=2, words=["--codec"])
    refused(capsys, "encode", photo, tmp_path / "a.xyz", code=2, words=[".xyz"])
    refused(capsys, "encode", photo, tmp_path / "a.jpg", "--codec", "webp", code=2, words=[".webp"])
    refused(capsys, "encodee", photo, target, code=2, words=["encode"])
    refused(capsys, "encode", photo, code=2, words=["TARGET"])


def test_sixteen_bit_into_an_eight_bit_codec(capsys, tmp_path):
    media.save(tmp_path / "deep.png", photo_like((16, 16, 3), "uint16"))
    refused(capsys, "encode", tmp_path / "deep.png", tmp_path / "a.jpg", code=2, words=["uint16", "uint8"])


def test_an_old_file_stays_whole_when_the_new_one_cannot_be_written(capsys, tmp_path, photo, monkeypatch):
    target = tmp_path / "a.mt"
    target.write_bytes(b"precious")

    def full_disk(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    refused(capsys, "encode", photo, target, "--codec", "png", code=1, words=["No space left"])
    assert target.read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mt", "photo.png"]


def test_a_cut_file_shows_what_arrived_when_asked(capsys, tmp_path, photo):
    run(capsys, "encode", photo, tmp_path / "a.mt", "--codec", "wavelet", "--set", "step=4", "layers=2")
    data = (tmp_path / "a.mt").read_bytes()
    (tmp_path / "cut.mt").write_bytes(data[: len(data) // 2])
    refused(capsys, "decode", tmp_path / "cut.mt", tmp_path / "b.png", code=1, words=["cut.mt", "chunk"])
    found, _, err = run(capsys, "decode", tmp_path / "cut.mt", tmp_path / "b.png", "--partial")
    assert (found, err) == (0, "")
    shapes = [media.load(path).array.shape for path in (photo, tmp_path / "b.png")]
    assert shapes[0] == shapes[1]


def test_a_target_in_no_folder_is_refused(capsys, tmp_path, photo):
    found, out, err = run(capsys, "encode", photo, tmp_path / "none" / "a.mt", "--codec", "png")
    assert found in (1, 2)
    assert "none" in err
    assert out == ""


def test_the_installed_command_runs_and_a_closed_pipe_is_no_error():
    command = f"{sys.executable} -m midtread list codecs | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert done.stdout == "codecs\n"
    assert done.stderr == ""


def test_size_is_never_exceeded_and_bpp_is_near(capsys, tmp_path):
    media.save(tmp_path / "big.png", photo_like((192, 256, 3)))
    assert run(capsys, "encode", tmp_path / "big.png", tmp_path / "a.mt", "--codec", "jpeg", "--size", 3000)[0] == 0
    assert (tmp_path / "a.mt").stat().st_size <= 3000
    assert run(capsys, "encode", tmp_path / "big.png", tmp_path / "b.jxl", "--bpp", 1.0)[0] == 0
    assert abs((tmp_path / "b.jxl").stat().st_size * 8 / (192 * 256) - 1.0) < 0.02


def test_an_impossible_size_says_what_is_possible(capsys, tmp_path, photo):
    target = tmp_path / "a.mt"
    refused(capsys, "encode", photo, target, "--codec", "jpeg", "--size", 10, code=2, words=["bytes"])
    assert not target.exists()


def test_two_targets_at_once_are_refused(capsys, tmp_path, photo):
    argv = ["encode", photo, tmp_path / "a.jpg", "--bpp", 1, "--psnr", 30]
    refused(capsys, *argv, code=2, words=["one"])
