"""What a report shows of files of Gaussians: real small files, cut behind each layer."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

import report_records as made
from midtread import container
from midtread.bench import report, report_gaussians
from midtread.bench.query import Records
from midtread.codecs.image.gaussian import Gaussian
from midtread.codecs.image.gaussian_file import decode_part, read_file
from midtread.registry import METRICS

COUNT, LAYERS = 60, 3
FIT_SECONDS = 0.05


def write_run(folder: Path, pictures: dict[str, np.ndarray] | None = None) -> Path:
    """The made-up run with a file of Gaussians for each picture, at 0.2 and at 4 bpp as the records claim."""
    pictures = {made.ITEMS[0]: made.photograph(0)} if pictures is None else pictures
    lines, viewer = made.records(), []
    for name in ("files", "originals"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number, (item, x) in enumerate(pictures.items()):
        viewer.append({"dataset": "photos", "item": item, "original": f"originals/{item}.png"})
        (folder / viewer[-1]["original"]).write_bytes(imagecodecs.png_encode(x))
        data = Gaussian(count=COUNT, iterations=30, layers=LAYERS, step=40).encode(x)
        (folder / f"files/{item}.mt").write_bytes(data)
        for rate in (0.2, 4.0):
            one = made.record("WebP", 0, number, series="Gaussians", codec="gaussian", key=f"{item}{rate}")
            one |= {"file": f"files/{item}.mt" if rate < 1 else "files/absent.mt", "rate_bpp": rate}
            lines.append(one | {"options": {"step": 40}, "setting": f"step={rate}", "size_bytes": len(data)})
    return made.write_run(folder, lines, viewer=viewer)


def decode(row: dict, data: bytes) -> np.ndarray:
    return decode_part(data) if row["codec"] == "gaussian" else made.decode(row, data)


def scenes(folder: Path, budget_bytes: int = 10**6) -> tuple[list[dict], list[str]]:
    entries = report._read_run(folder)["viewer"]
    return report_gaussians.viewer(Records([folder]), entries, budget_bytes=budget_bytes, fit_seconds=FIT_SECONDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("gaussians"))


@pytest.fixture(scope="module")
def scene(folder) -> dict:
    """What is shown of the one picture."""
    found, skipped = scenes(folder)
    assert skipped == []
    (one,) = found
    return one


def test_the_file_nearest_to_the_usual_rate_is_shown(scene):
    assert (scene["series"], scene["setting"], scene["rate_bpp"]) == ("Gaussians", "step=0.2", 0.2)
    assert scene["crop"] == [0, 0, made.SIZE[1], made.SIZE[0]]


def test_each_layer_is_the_file_cut_behind_it_with_its_own_size_and_psnr(folder, scene):
    data, x = (folder / f"files/{made.ITEMS[0]}.mt").read_bytes(), made.photograph(0)
    assert len(scene["layers"]) == LAYERS
    assert scene["layers"][-1]["size_bytes"] == len(data)
    for number, layer in enumerate(scene["layers"], 1):
        x_hat = decode_part(data, layers=number)
        assert layer["psnr_db"] == pytest.approx(METRICS.get("psnr_db")(x, x_hat), abs=0.01)
        assert layer["gaussians"] == len(read_file(container.arrived(data[: layer["size_bytes"]])).xy)
        cut = decode_part(data[: layer["size_bytes"]], errors="prefix")
        np.testing.assert_array_equal(cut, x_hat)
        shown = imagecodecs.avif_decode(base64.b64decode(layer["data"]))
        assert METRICS.get("psnr_db")(x_hat, shown) > 35
    less = decode_part(data[: scene["layers"][0]["size_bytes"] - 1], errors="prefix")
    assert not np.ptp(less, axis=(0, 1)).any(), "with one byte less there is the mean colour alone"


def test_an_ellipse_lies_where_its_gaussian_is_a_half(folder, scene):
    gaussians = read_file((folder / f"files/{made.ITEMS[0]}.mt").read_bytes())
    a, b, c = gaussians.factor.T.astype(float)
    for x, y, across, along, degrees, colour in scene["ellipses"]:
        near = np.abs(gaussians.xy + 0.5 - (x, y)).sum(1)
        which = int(np.argmin(near))
        assert near[which] < 0.11, "rounded to tenths"
        if min(across, along) < 2:
            continue  # a tenth is too coarse to say
        for radius, turned in ((across, 0.0), (along, 90.0)):
            angle = np.radians(degrees + turned)
            dx, dy = radius * np.cos(angle), radius * np.sin(angle)
            q = (a[which] * dx) ** 2 + (b[which] * dx + c[which] * dy) ** 2
            assert max(0, 1 - q / 8) ** 4 == pytest.approx(0.5, abs=0.06)
        rgb = np.clip(255 * (gaussians.colour[which] + gaussians.background), 0, 255)
        np.testing.assert_allclose(rgb, [int(colour[i : i + 2], 16) for i in (1, 3, 5)], atol=0.51)
    large = [one for one in scene["ellipses"] if min(one[2:4]) >= 2]
    assert len(large) > 10, "the test above saw enough of them"


def test_the_error_map_is_dark_where_the_picture_is_right_and_marked_beyond_its_scale(scene):
    exact = report_gaussians.error_map(np.zeros((16, 16)))
    far = report_gaussians.error_map(np.full((16, 16), 1.01))
    assert imagecodecs.avif_decode(exact).max() < 30
    np.testing.assert_allclose(imagecodecs.avif_decode(far).mean((0, 1)), (0, 0xE5, 0xFF), atol=6)
    assert imagecodecs.avif_decode(base64.b64decode(scene["error"])).shape == (*made.SIZE, 3)


def test_fits_take_the_time_they_are_given_and_end_better_than_they_began(scene):
    assert [curve["count"] for curve in scene["curves"]] == sorted({scene["gaussians"] // part for part in (4, 2, 1)})
    for curve in scene["curves"]:
        seconds, quality = zip(*curve["points"], strict=True)
        assert list(seconds) == sorted(seconds)
        assert FIT_SECONDS <= seconds[-1] < FIT_SECONDS + 5
        assert quality[-1] > quality[0]


def test_pictures_that_do_not_fit_are_named(tmp_path):
    folder = write_run(tmp_path, {made.ITEMS[i]: made.photograph(i) for i in (0, 1)})
    (first, second), _ = scenes(folder)
    assert [first["item"], second["item"]] == list(made.ITEMS[:2])
    budget = report_gaussians.bytes_of([first])
    found, skipped = scenes(folder, budget)
    assert [one["item"] for one in found] == [made.ITEMS[0]]
    assert skipped == [f"{made.ITEMS[1]}, layers and Gaussians: left out to keep this page small"]


def test_a_picture_of_one_colour_and_a_damaged_or_absent_file_are_named_and_not_shown(tmp_path):
    grey = np.full((*made.SIZE, 3), 90, np.uint8)
    folder = write_run(tmp_path, dict(zip(made.ITEMS, (grey, made.photograph(1), made.photograph(2)), strict=True)))
    (folder / f"files/{made.ITEMS[1]}.mt").write_bytes(b"not a file")
    (folder / f"files/{made.ITEMS[2]}.mt").unlink()
    found, skipped = scenes(folder)
    assert found == []
    assert [line.split(",")[0] for line in skipped] == list(made.ITEMS)
    assert "no Gaussian lies" in skipped[0]
    assert skipped[2].endswith("its file was not kept")
    assert str(tmp_path) not in "".join(skipped)


def test_a_picture_with_alpha_is_cut_behind_its_layers_too(tmp_path):
    x = np.dstack([made.photograph(0), made.photograph(1)[..., 0]])
    (one,), skipped = scenes(write_run(tmp_path, {made.ITEMS[0]: x}))
    assert skipped == []
    assert len(one["layers"]) == LAYERS
    quality = [layer["psnr_db"] for layer in one["layers"]]
    assert quality == sorted(quality)


def test_the_page_holds_the_section_only_where_there_are_gaussians(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(report_gaussians.viewer.__kwdefaults__, "fit_seconds", FIT_SECONDS)
    page = report.build(folder, decode=decode).read_text()
    assert 'id="gaussians"' in page
    held = json.loads(page.split('id="picture-data">')[1].split("</script>")[0])
    assert [one["item"] for one in held["gaussians"]] == [made.ITEMS[0]]
    other = report.build(made.write_run(tmp_path, files=True), decode=made.decode).read_text()
    assert 'id="gaussians"' not in other
