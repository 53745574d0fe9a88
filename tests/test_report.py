"""The report: numbers against what they must be, files against what may be in them. The page in a browser: see
test_report_browser.py."""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import report_records as made
from midtread.bench import report, report_data
from midtread.bench.query import Records
from midtread.bench.report_bd import bd_table
from midtread.errors import BitstreamError, UnknownNameError, UsageError


def payload(folder: Path, lines: list[dict] | None = None, anchor: str | None = None) -> dict:
    """The numbers of a made-up run."""
    made.write_run(folder, lines)
    return report_data.payload(Records([folder]), json.loads((folder / "run.json").read_text()), anchor)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict:
    """The numbers of the unchanged made-up run."""
    return payload(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """A page with pictures."""
    return report.build(made.write_run(tmp_path_factory.mktemp("page"), files=True), decode=made.decode)


def points_of(data: dict, series: str) -> list[dict]:
    return [point for point in data["groups"][0]["points"] if point["series"] == series]


# -- numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["psnr_db", "ssim", "flip"])
def test_a_series_with_a_fifth_less_rate_has_bd_rate_minus_20_percent_in_every_metric(whole, metric):
    table = whole["groups"][0]["bd"][metric]
    percent, low, high, overlap, used, dropped, pictures, of_means, akima = table["JPEG 4:2:0"]["WebP"]
    for figure in (percent, of_means, akima):
        assert figure == pytest.approx(-20, abs=1e-3)
    assert low < high
    assert (overlap, used, dropped, pictures) == (pytest.approx(1), 7, 0, 3)
    assert table["WebP"]["JPEG 4:2:0"][0] == pytest.approx(25, abs=1e-3)  # the other way round


def test_bd_rate_is_taken_picture_by_picture_whatever_a_knob_keeps_equal():
    """Codec b is 20 % smaller on both pictures; its knob means equal quality, so that its mean curve hides it."""
    metric = {"name": "psnr_db", "better": "higher"}
    rates = np.geomspace(0.1, 2, 8)

    def easy(rate):
        return 40 + 6 * np.log2(rate)

    def hard(rate):
        return 28 + 6 * np.log2(rate)

    rows, points = [], []
    for item, quality in (("easy", easy), ("hard", hard)):
        rows.append({"series": "a", "item": item, "metric": "psnr_db", "rates": rates, "qualities": quality(rates)})
        targets = np.linspace(22, 44, 8)  # dB, the same for both pictures
        own = 0.8 * 2 ** ((targets - quality(1)) / 6)
        rows.append({"series": "b", "item": item, "metric": "psnr_db", "rates": own, "qualities": targets})
    for series in ("a", "b"):
        pair = [row for row in rows if row["series"] == series]
        for rate, y in zip(
            np.mean([r["rates"] for r in pair], 0), np.mean([r["qualities"] for r in pair], 0), strict=True
        ):
            points.append({"series": series, "rate_bpp": float(rate), "y": {"psnr_db": [float(y), 0, 0]}})
    found = bd_table(rows, points, metric)["a"]["b"]
    assert found[0] == pytest.approx(-20, abs=1e-2)
    assert found[6] == 2
    assert found[7] > -5, "the mean curves tell another story"


def test_bd_rates_exist_for_every_pair_of_lossy_series_and_not_for_lossless_ones(whole):
    table = whole["groups"][0]["bd"]["psnr_db"]
    assert set(table) == set(made.SERIES)
    assert all(set(row) == set(made.SERIES) - {anchor} for anchor, row in table.items())


def test_a_point_is_the_mean_over_pictures_and_psnr_of_the_mean_error_stands_beside_it(whole):
    psnr = np.array([made.record("WebP", 2, i)["metrics"]["psnr_db"] for i in range(3)])
    rates = [made.record("WebP", 2, i)["rate_bpp"] for i in range(3)]
    point = points_of(whole, "WebP")[2]
    assert point["q"]["psnr_db"] == pytest.approx(psnr.mean(), rel=1e-5)
    assert point["rate_bpp"] == pytest.approx(np.mean(rates), rel=1e-5)
    assert point["psnr_of_mean_mse_db"] == pytest.approx(-10 * np.log10(np.mean(10 ** (-psnr / 10))), rel=1e-5)
    assert point["y"]["psnr_db"][1:] == pytest.approx(np.quantile(psnr, [0.25, 0.75]), rel=1e-5)


def test_ssim_is_drawn_in_decibels_of_its_mean(whole):
    point = points_of(whole, "WebP")[2]
    assert point["y"]["ssim"][0] == pytest.approx(-10 * np.log10(1 - point["q"]["ssim"]), rel=1e-4)
    assert next(m for m in whole["metrics"] if m["name"] == "ssim")["unit"] == "dB"


def test_speed_is_that_of_the_setting_nearest_to_the_typical_rate(whole):
    group = whole["groups"][0]
    point = group["points"][group["speed"]["WebP"]]
    distances = [abs(np.log(one["rate_bpp"] / report_data.TYPICAL_BPP)) for one in points_of(whole, "WebP")]
    assert point["setting"] == points_of(whole, "WebP")[int(np.argmin(distances))]["setting"]
    assert point["encode_mpx_s"] == pytest.approx(9.0)
    assert point["decode_mpx_s"] == pytest.approx(60.0)


def test_speed_counts_pixels_over_seconds_of_the_timed_pictures_only(tmp_path):
    lines = made.records()
    for line in lines:
        if line["series"] == "WebP" and line["item"] != "harbour":
            line["timing"] = made.timing(1.0, 1.0) if line["item"] == "meadow" else None
    pixels = made.SIZE[0] * made.SIZE[1] / 1e6
    point = points_of(payload(tmp_path, lines), "WebP")[0]
    assert point["timed"] == 2
    assert point["encode_mpx_s"] == pytest.approx(2 * pixels / (pixels / 9.0 + 1.0), rel=1e-5)


def test_what_was_not_timed_has_no_speed(whole):
    assert "Small network" not in whole["groups"][0]["speed"]
    assert all(point["encode_mpx_s"] is None for point in points_of(whole, "Small network"))


def test_stages_are_milliseconds_per_megapixel_in_coding_order(whole):
    stages = whole["groups"][0]["stages"]["encode"]["WebP"]
    assert [name for name, _ in stages] == ["colour", "transform", "entropy"]
    assert stages[1][1] == pytest.approx(0.5 * 1000 / 9.0, rel=1e-4)


def test_lossless_settings_stand_apart_and_are_compared_with_png(whole):
    rows = {row["series"]: row for row in whole["groups"][0]["lossless"]}
    assert rows["JPEG XL lossless"]["percent_of_png"] == pytest.approx(75)
    assert "PNG" not in whole["lossy"]
    assert not points_of(whole, "PNG")


def test_a_setting_that_lacks_a_picture_is_left_out_and_named(tmp_path):
    lines = [one for one in made.records() if one["key"] != "WebP|2|1"]
    data = payload(tmp_path, lines)
    assert "quality=2" not in [point["setting"] for point in points_of(data, "WebP")]
    dropped = data["groups"][0]["dropped"]
    assert dropped == [{"dataset": "photos", "of": 3, "series": "WebP", "setting": "quality=2", "pictures": 2}]


def test_a_failure_is_listed_and_draws_nothing(tmp_path):
    lines = made.records()
    next(one for one in lines if one["key"] == "WebP|2|1").update(error="LimitError: too large", metrics={}, file=None)
    data = payload(tmp_path, lines)
    assert [one["error"] for one in data["failures"]] == ["LimitError: too large"]
    assert len(points_of(data, "WebP")) == len(made.QUALITIES_DB) - 1


def test_an_infinite_psnr_removes_the_point_from_that_metric_only(tmp_path):
    lines = made.records()
    next(one for one in lines if one["key"] == "WebP|6|1")["metrics"]["psnr_db"] = None
    point = points_of(payload(tmp_path, lines), "WebP")[6]
    assert "psnr_db" not in point["q"]
    assert point["psnr_of_mean_mse_db"] is None
    assert "flip" in point["q"]


def test_curves_without_a_common_quality_say_so_instead_of_a_number(tmp_path):
    lines = made.records()
    for line in lines:
        if line["series"] == "WebP":
            line["metrics"]["psnr_db"] += 40
    found = payload(tmp_path, lines)["groups"][0]["bd"]["psnr_db"]["JPEG 4:2:0"]["WebP"]
    assert "no quality in common" in found


def test_the_last_line_of_a_key_holds_and_a_line_cut_off_by_a_kill_is_ignored(tmp_path):
    lines = made.records()
    data = payload(tmp_path, [made.record("WebP", 2, 1, size_bytes=1, rate_bpp=9.0), *lines])
    assert points_of(data, "WebP") == points_of(payload(tmp_path / "b", lines), "WebP")
    with (tmp_path / "records.jsonl").open("a") as file:
        file.write('{"schema": 1, "key": "WebP|2|1", "ser')
    assert len(Records([tmp_path]).points()) == len(Records([tmp_path / "b"]).points())


def test_a_measurement_repeated_with_a_newer_library_counts_once(tmp_path):
    newer = made.record("WebP", 2, 1, key="newer", backend="libwebp 2.0", rate_bpp=0.001)
    data = payload(tmp_path, [*made.records(), newer])
    assert all(point["pictures"] == 3 for point in points_of(data, "WebP"))
    assert next(one for one in data["series"] if one["name"] == "WebP")["backend"] == "libwebp 1.0 / libwebp 2.0"


def test_datasets_and_machines_are_never_averaged_together(tmp_path):
    other = [
        one | {"key": one["key"] + "x", "machine": {"name": "another"}, "rate_bpp": 99.0} for one in made.records()
    ]
    data = payload(tmp_path, made.records() + other)
    assert [group["machine"] for group in data["groups"]] == [made.MACHINE, "another"]
    assert max(point["rate_bpp"] for point in data["groups"][0]["points"]) < 99


def test_one_codec_has_one_hue_and_its_series_differ_by_variant(whole):
    looks = {one["name"]: (one["hue"], one["variant"]) for one in whole["series"]}
    assert looks["AVIF 4:4:4"][0] == looks["AVIF 4:2:0"][0]
    assert len(set(looks.values())) == len(looks)


# -- what may go wrong ---------------------------------------------------------------------------------------------


def test_an_unknown_anchor_is_refused_with_the_nearest_name(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'WebP'"):
        payload(tmp_path, anchor="Webp")


def test_the_chosen_anchor_is_where_the_page_starts(tmp_path):
    assert payload(tmp_path, anchor="WebP")["anchor"] == "WebP"


@pytest.mark.parametrize(("line", "why"), [("not json", "line 2 is not a bench record"), ('{"schema": 9}', "schema 9")])
def test_a_finished_line_that_is_no_record_is_refused_by_number(tmp_path, line, why):
    made.write_run(tmp_path, made.records()[:1])
    with (tmp_path / "records.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises((BitstreamError, UsageError), match=why):
        report.build(tmp_path)


def test_a_folder_without_a_bench_says_what_to_do(tmp_path):
    with pytest.raises(UsageError, match="run `midtread bench`"):
        report.build(tmp_path)
    made.write_run(tmp_path)
    (tmp_path / "run.json").unlink()
    with pytest.raises(UsageError, match=r"no run\.json"):
        report.build(tmp_path)


def test_two_folders_make_one_page_and_two_recipes_of_one_metric_do_not(tmp_path):
    lines = made.records()
    first = made.write_run(tmp_path / "a", [one for one in lines if one["series"] != "WebP"])
    second = made.write_run(tmp_path / "b", [one for one in lines if one["series"] == "WebP"])
    assert "WebP" in report.build([first, second]).read_text()
    changed = [{**made.METRICS[0], "recipe": "another"}, *made.METRICS[1:]]
    third = made.write_run(tmp_path / "c", lines, metrics=changed)
    with pytest.raises(UsageError, match="'psnr_db' was measured by two recipes"):
        report.build([first, third])


# -- the page ------------------------------------------------------------------------------------------------------


class Outline(HTMLParser):
    """Counts tags and gathers what could load something."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.handlers: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loads += [value for name, value in attrs if name in ("src", "href", "srcset", "action", "data") and value]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def outline(text: str) -> Outline:
    parser = Outline()
    parser.feed(text)
    return parser


def test_the_page_loads_nothing_from_anywhere(page):
    text = page.read_text()
    assert all(one.startswith(("#", "data:image/")) for one in outline(text).loads)
    assert set(re.findall(r"https?://[^'\"\s)]+", text)) == {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert "default-src 'none'" in text
    assert "@import" not in text


def test_the_content_security_policy_admits_exactly_the_scripts_of_the_page(page):
    text = page.read_text()
    assert "unsafe" not in re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    for kind, pattern in (("script", r"<script>(.*?)</script>"), ("style", r"<style>(.*?)</style>")):
        inside = re.search(pattern, text, re.DOTALL)[1]
        assert f"{kind}-src '{report._hash(inside)}'" in text


HOSTILE = "</script><img src=x onerror=alert(1)>"


def test_hostile_names_stay_text(tmp_path):
    lines = made.records()
    for line in lines:
        if line["item"] == "meadow":
            line["item"] = HOSTILE
        if line["series"] == "WebP":
            line |= {"series": f"WebP {HOSTILE}", "setting": line["setting"] + "<b>&amp;"}
    lines.append(made.record("JPEG XL", 0, 0, key="bad", setting="x", error=f"ValueError: {HOSTILE}"))
    metrics = [{**made.METRICS[0], "label": HOSTILE, "recipe": HOSTILE}, *made.METRICS[1:]]
    folder = made.write_run(tmp_path, lines, title=HOSTILE, commit=HOSTILE, metrics=metrics)
    text = report.build(folder, anchor=f"WebP {HOSTILE}").read_text()
    found = outline(text)
    assert found.tags.count("script") == 3
    assert found.tags.count("img") == 0
    assert found.tags.count("b") == 0
    assert found.handlers == []
    inside = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1]
    assert not set("<>&") & set(inside)  # "</script " with a space would end the element as well
    assert json.loads(inside)["anchor"] == f"WebP {HOSTILE}"


def test_the_page_names_failures_absent_codecs_and_recipes(tmp_path):
    lines = [one for one in made.records() if one["key"] != "JPEG XL|1|1"]
    lines.append(made.record("WebP", 0, 0, error="LimitError: 3 is too many"))
    text = report.build(made.write_run(tmp_path, lines)).read_text()
    for words in (
        "LimitError: 3 is too many",
        "pip install &#39;midtread[video]&#39;",
        "67 pixels per degree.",
        "JPEG XL, quality=1: 2 of 3 pictures of photos",
        "20 November 2026",
        "medians of 5 repeats",
    ):
        assert words in text


def test_points_csv_holds_every_point_and_is_what_the_page_offers(page):
    text = (page.parent / "points.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) == len(made.SERIES) * len(made.QUALITIES_DB) + 2
    row = next(one for one in rows if one["series"] == "WebP" and one["setting"] == "quality=2")
    assert float(row["psnr_db"]) == pytest.approx(31.0)
    assert float(row["encode_mpx_s"]) == pytest.approx(9.0)
    assert (row["lossless"], row["pictures"], row["chroma"]) == ("false", "3", "4:2:0")
    assert json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(), re.DOTALL)[1])["csv"] == text


def test_building_again_gives_the_same_page_and_leaves_no_other_files(page):
    before = page.read_bytes()
    report.build(page.parent, decode=made.decode)
    assert page.read_bytes() == before
    known = {"index.html", "points.csv", "records.jsonl", "run.json", "files", "originals"}
    assert {one.name for one in page.parent.iterdir()} == known
