"""The pictures inside a report: which are chosen, how they are cut, what never gets in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import report_records as made
from midtread.bench import report, report_images
from midtread.bench.query import Records


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """A page with pictures."""
    return report.build(made.write_run(tmp_path_factory.mktemp("page"), files=True), decode=made.decode)


def viewer(folder: Path, **options) -> dict:
    run = report._read_run(folder)
    return report_images.viewer(Records([folder]), run["viewer"], decode=made.decode, **options)


def test_each_series_is_shown_at_its_setting_nearest_to_the_rate(page):
    found = viewer(page.parent)
    assert [one["item"] for one in found["pictures"]] == ["harbour", "meadow"]
    picture = found["pictures"][1]
    for rate, picks in zip(found["rates"], picture["picks"], strict=True):
        assert set(picks) == set(made.SERIES)
        for name, index in picks.items():
            rates = [made.record(name, quality, 1)["rate_bpp"] for quality in range(len(made.QUALITIES_DB))]
            nearest = min(rates, key=lambda one, rate=rate: abs(np.log(one / rate)))
            assert found["shots"][index]["rate_bpp"] == pytest.approx(nearest, rel=1e-5)
    assert found["shots"][picture["original"]]["series"] is None
    assert found["worst_copy_db"] > 38


@pytest.mark.parametrize("budget", [100_000, 30_000, 3_000])
def test_pictures_fit_the_budget(page, budget):
    found = viewer(page.parent, budget_bytes=budget)
    assert sum(len(shot["data"]) * 3 / 4 for shot in found["shots"]) <= budget + 2 * len(found["shots"])
    for picture in found["pictures"]:
        left, top, width, height = picture["crop"]
        assert left + width <= made.SIZE[1]
        assert top + height <= made.SIZE[0]
    assert found["pictures"] or budget < 10_000
    assert len(found["pictures"]) == 2 or "left out" in "".join(found["skipped"]) or budget < 10_000


def test_no_pictures_are_shown_when_none_are_wanted_or_kept(tmp_path):
    folder = made.write_run(tmp_path)
    assert 'id="viewer"' not in report.build(folder).read_text()
    made.write_run(tmp_path, files=True)
    assert 'id="viewer"' not in report.build(folder, picture_bytes=0, decode=made.decode).read_text()


def test_files_that_are_missing_damaged_or_elsewhere_are_named_and_not_shown(tmp_path):
    made.write_run(tmp_path / "run", files=True)
    path = tmp_path / "run" / "records.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    outside = tmp_path / "secret.bin"
    outside.write_bytes((tmp_path / "run" / lines[0]["file"]).read_bytes())
    for line in lines:
        if line["series"] == "WebP":
            line["file"] = "../secret.bin"
        if line["series"] == "JPEG XL" and line["file"]:
            (tmp_path / "run" / line["file"]).write_bytes(b"damaged")
        if line["series"] == "AVIF 4:2:0" and line["file"]:
            (tmp_path / "run" / line["file"]).unlink()
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = viewer(tmp_path / "run")
    assert not {"WebP", "JPEG XL", "AVIF 4:2:0"} & set(found["pictures"][0]["picks"][0])
    assert any("outside the bench folder" in line for line in found["skipped"])
    assert any("was not kept" in line for line in found["skipped"])
    assert str(tmp_path) not in "".join(found["skipped"])


def test_the_crop_lies_where_the_detail_is():
    x = np.full((60, 80, 3), 128, np.uint8)
    x[30:50, 50:70] = np.random.default_rng(0).integers(0, 256, (20, 20, 3))
    top, left, height, width = report_images.detail_window(x, 24, 24)
    assert (height, width) == (24, 24)
    assert top <= 30 <= 50 <= top + 24
    assert left <= 50 <= 70 <= left + 24
    assert report_images.detail_window(x, 600, 800) == (0, 0, 60, 80)


def test_any_picture_can_be_displayed():
    gray = np.full((2, 3), 65535, np.uint16)
    assert report_images.display(gray).tolist() == np.full((2, 3, 3), 255).tolist()
    clear = np.zeros((2, 3, 4), np.uint8)
    assert report_images.display(clear).min() == 255  # transparent black over white
    assert report_images.display(np.zeros((2, 3, 2), np.uint8)).shape == (2, 3, 3)
    assert report_images.display(np.full((2, 3, 3), 0.5, np.float32)).dtype == np.uint8
