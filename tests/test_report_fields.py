"""The report of fields: numbers of the board, slices and spectra. The page: test_report_browser_fields.py."""

from __future__ import annotations

import base64
import csv
import json
import re
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

import field_records as made
import report_records as pictures
from midtread.bench import report, report_data, report_field_images
from midtread.bench.query import Records
from midtread.metrics.field_structure import power_spectrum


def payload(folder: Path, lines: list[dict] | None = None) -> dict:
    made.write_run(folder, lines)
    return report_data.payload(Records([folder]), json.loads((folder / "run.json").read_text()))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict:
    return payload(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    return report.build(made.write_run(tmp_path_factory.mktemp("page"), files=True), decode=made.decode)


def row_of(data: dict, bound: str, series: str) -> dict:
    return next(row for row in data["fields"][0]["rows"][bound] if row["series"] == series)


def test_every_field_is_a_group_of_its_own_and_a_refusal_takes_nothing_from_the_others(whole):
    assert [group["dataset"] for group in whole["groups"]] == [f"made / {name}" for name in made.FIELDS]
    assert [group["dropped"] for group in whole["groups"]] == [[], [], []]
    series = [{point["series"] for point in group["points"]} for group in whole["groups"]]
    assert series == [set(made.SERIES), set(made.SERIES), set(made.SERIES) - {"picky"}]
    assert len(whole["failures"]) == len(made.BOUNDS)


def test_points_of_fields_are_in_bits_per_value_and_gigabytes(whole):
    (point,) = [p for p in whole["groups"][0]["points"] if (p["series"], p["bound_of_range"]) == ("fast", 1e-3)]
    assert point["rate_bpp"] == pytest.approx(8 * 1.5 * 1600 / made.VALUES)
    assert point["ratio"] == pytest.approx(4 * made.VALUES / 2400, rel=1e-5)
    assert point["encode_gb_s"] == pytest.approx(2)
    assert point["decode_file_gb_s"] == pytest.approx(1.5)
    assert "encode_mpx_s" not in point
    assert whole["groups"][0]["speed"]["fast"] == whole["groups"][0]["points"].index(point), "timed at 1e-3"


def test_bd_rates_of_a_field_are_those_of_its_curves(whole):
    for metric in ("range_psnr_db", "spectrum_error", "slice_ssim"):
        table = whole["groups"][0]["bd"][metric]["SZ3"]
        assert table["small"][0] == pytest.approx(-20, abs=1e-3)
        assert table["fast"][0] == pytest.approx(50, abs=1e-3)


def test_relative_errors_are_drawn_in_decibels_and_then_more_is_better(whole):
    metric = next(one for one in whole["metrics"] if one["name"] == "spectrum_error")
    assert (metric["better"], metric["drawn_better"], metric["unit"]) == ("lower", "higher", "dB")
    point = whole["groups"][0]["points"][0]
    assert point["y"]["spectrum_error"][0] == pytest.approx(-20 * np.log10(point["q"]["spectrum_error"]), rel=1e-5)


def test_the_board_has_geometric_means_medians_and_the_worst(whole):
    (board,) = whole["fields"]
    assert board["bounds"] == ["1e-1", "3e-2", "1e-2", "3e-3", "1e-3", "1e-4", "lossless"]
    row = row_of(whole, "1e-3", "careless")
    sizes = [3 * 16 * factor for factor in (100, 400, 400)]
    assert row["ratio"] == pytest.approx(4 * made.VALUES / np.prod(sizes) ** (1 / 3), rel=1e-5)
    assert row["against"]["SZ3"] == pytest.approx(200, rel=1e-5)
    assert (row["max_error_over_bound"], row["violations"]) == (1.98, 384)
    assert row["q"]["slice_ssim"] == pytest.approx(1 - 1e-3 / 20)
    assert row["timed"] == ["made / wave"]
    assert row["encode_gb_s"] == pytest.approx(0.6, rel=1e-5)
    assert row_of(whole, "lossless", "zstd")["q"]["range_psnr_db"] is None  # infinite


def test_who_refuses_a_field_is_compared_on_the_fields_of_both(whole):
    row = row_of(whole, "1e-2", "picky")
    assert row["fields"] == 2
    assert row["against"] == pytest.approx(
        {"SZ3": 100, "fast": 100 / 3, "small": 150, "picky": 0, "careless": -100 / 3}, rel=1e-4
    )
    assert row_of(whole, "1e-2", "SZ3")["against"]["picky"] == pytest.approx(-50)


def test_an_exact_copy_counts_as_better_than_all_in_a_median(tmp_path):
    lines = made.records()
    for line in lines:
        if line["series"] == "fast" and line["item"] != "wave":
            line["metrics"] = {"range_psnr_db": None, "spectrum_error": 0.0, "slice_ssim": 1.0}
    row = row_of(payload(tmp_path, lines), "1e-2", "fast")
    assert row["q"] == {"range_psnr_db": None, "spectrum_error": 0.0, "slice_ssim": 1.0}
    assert payload(tmp_path / "2")["fields"][0]["rows"]["1e-2"][1]["q"]["range_psnr_db"] == pytest.approx(49.5424)


def test_a_lost_nan_is_an_infinite_error_on_the_board(tmp_path):
    lines = made.records()
    lines[0] |= {"max_error_over_bound": None, "violations": 1}
    row = row_of(payload(tmp_path, lines), "1e-1", "SZ3")
    assert (row["max_error_over_bound"], row["violations"]) == (None, 1)


def test_points_csv_has_the_columns_of_fields_where_there_are_fields(page, tmp_path):
    rows = list(csv.DictReader((page.parent / "points.csv").open()))
    assert len(rows) == len(made.BOUNDS) * (5 * 3 - 1) + 3
    one = next(row for row in rows if (row["series"], row["dataset"]) == ("careless", "made / cloud"))
    assert (one["rate_bpp"], one["violations"], one["max_error_over_bound"]) == ("", "384", "1.98")
    assert float(one["rate_bits_per_value"]) == pytest.approx(8 * 1200 / made.VALUES)
    other = report.build(pictures.write_run(tmp_path)).parent / "points.csv"
    assert "ratio" not in other.read_text().splitlines()[0]


def test_a_page_of_pictures_and_fields_keeps_them_apart(tmp_path):
    folders = [pictures.write_run(tmp_path / "a"), made.write_run(tmp_path / "b")]
    data = report_data.payload(
        Records(folders), report.merge([json.loads((f / "run.json").read_text()) for f in folders])
    )
    assert [group["signal"] for group in data["groups"]] == ["picture", "tensor", "tensor", "tensor"]
    assert data["fields"][0]["fields"] == [f"made / {name}" for name in made.FIELDS]
    text = report.build(folders).read_text()
    assert re.search(r"<dt>Pictures</dt><dd>3 <small>photos</small>", text)
    assert re.search(r"<dt>Fields</dt><dd>3 <small>made</small>", text)


# -- slices, errors, spectra ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scenes(page) -> dict:
    text = page.read_text()
    return json.loads(re.search(r'id="picture-data">(.*?)</script>', text, re.S).group(1))


def picture(data: str) -> np.ndarray:
    return imagecodecs.avif_decode(base64.b64decode(data)).astype(int)


def test_each_field_has_its_slice_and_one_shot_of_each_series_at_the_same_bound(scenes):
    assert [one["group"] for one in scenes["fields"]] == [f"made / {name}" for name in made.FIELDS]
    for one in scenes["fields"][:2]:
        assert {shot["series"] for shot in one["shots"]} == set(made.SERIES)
        assert {shot["bound_of_range"] for shot in one["shots"]} == {1e-2}
        assert (one["height"], one["width"]) == (32, 40)
        assert picture(one["slice"]).shape == (32, 40, 3)


def test_an_error_map_is_relative_to_the_bound_and_shows_what_is_over_it(scenes):
    cloud = scenes["fields"][1]
    careless = next(shot for shot in cloud["shots"] if shot["series"] == "careless")
    other = next(shot for shot in cloud["shots"] if shot["series"] == "SZ3")
    over = picture(careless["error"])[8:12, 8:12].reshape(-1, 3).mean(0)
    assert over[0] < 80 < 180 < over[1], "cyan"
    assert picture(other["error"])[8:12, 8:12, 0].mean() > 80
    assert careless["violations"] == 384


def test_the_error_map_is_the_error_in_colours_from_black_to_pale():
    error = np.repeat(np.linspace(0, 1, 64)[None], 32, 0)
    found = imagecodecs.avif_decode(report_field_images._picture(error, (0, 1), report_field_images._ERROR, None))
    light = found.astype(int).sum(2).mean(0)
    assert (np.diff(light[::8]) > 0).all()
    assert light[0] < 80
    assert light[-1] > 600


def test_land_is_gray_in_slice_and_error(scenes):
    sea = scenes["fields"][2]
    for data in (sea["slice"], sea["shots"][0]["slice"], sea["shots"][0]["error"]):
        land = picture(data)[2:9, 2:10].reshape(-1, 3)
        assert land.mean(0) == pytest.approx([138] * 3, abs=6)
    assert sea["high"] < 3


def test_spectra_are_those_of_the_decoded_file(scenes):
    cloud = scenes["fields"][1]
    x = made.field("cloud")
    assert cloud["power"] == pytest.approx(power_spectrum(x).power, rel=1e-4)
    x_hat = made.reconstruction("cloud", "careless", 1e-2)
    careless = next(shot for shot in cloud["shots"] if shot["series"] == "careless")
    span = float(x.max()) - float(x.min())
    expected = power_spectrum(x_hat).power * ((float(x_hat.max()) - float(x_hat.min())) / span) ** 2
    assert careless["power"] == pytest.approx(expected, rel=1e-4)


def test_what_cannot_be_shown_is_named_without_a_path_of_this_machine(tmp_path):
    lines = made.records()
    folder = made.write_run(tmp_path, lines, files=True)
    gone = next(line for line in lines if line["file"] and line["series"] == "fast" and line["item"] == "wave")
    (folder / gone["file"]).unlink()
    lines[0]["file"] = None
    bad = next(line for line in lines if line["file"] and line["series"] == "small" and line["item"] == "wave")
    np.save(folder / bad["file"], np.zeros((2, 2)))
    text = report.build(folder, decode=made.decode).read_text()
    found = json.loads(re.search(r'id="picture-data">(.*?)</script>', text, re.S).group(1))
    assert found["skipped"] == [
        "wave, fast, max_error_of_range=0.01: its file was not kept",
        "wave, small, max_error_of_range=0.01: decoded to [2, 2] float64",
    ]
    assert str(tmp_path) not in text


def test_fields_that_do_not_fit_the_budget_are_left_out_and_named(tmp_path):
    folder = made.write_run(tmp_path, files=True)
    text = report.build(folder, decode=made.decode, picture_bytes=30_000).read_text()
    found = json.loads(re.search(r'id="picture-data">(.*?)</script>', text, re.S).group(1))
    assert 0 < len(found["fields"]) < 3
    assert "left out to keep this page small" in found["skipped"][-1]
