"""The grid of a report: made-up products of factors must come apart into the factors they were made of."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

import report_records as made
from midtread.bench import report, report_data, report_grid
from midtread.bench.query import Records


def payload(folder: Path, lines: list[dict] | None = None, **run) -> dict:
    """The numbers of the made-up grid."""
    made.write_grid_run(folder, lines, **run)
    return report_data.payload(Records([folder]), json.loads((folder / "run.json").read_text()))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict:
    """The numbers of the unchanged made-up grid."""
    return payload(tmp_path_factory.mktemp("grid"))


def cells(data: dict, metric: str = "psnr_db") -> dict[tuple[str, ...], list[float | None]]:
    """Values on the axes -> [rate, ideal, coder's share, model's share]."""
    (table,) = data["groups"][0]["grids"]
    axes = [values for _, values in table["axes"]]
    names = [tuple(axes[k][i] for k, i in enumerate(row["at"])) for row in table["rows"]]
    return dict(zip(names, table["by"][metric]["cells"], strict=True))


@pytest.mark.parametrize("metric", ["psnr_db", "ssim", "flip"])
def test_every_rate_comes_apart_into_the_best_model_the_models_and_the_coders_share(whole, metric):
    found = cells(whole, metric)
    assert len(found) == 3 * 2 * 2 * 2 - 1
    for at, (rate, ideal, coder, model) in found.items():
        factor = {axis: made.GRID[axis][value] for axis, value in zip(made.GRID, at, strict=True)}
        assert coder == pytest.approx(100 * (factor["coder"] - 1), abs=1e-3)
        assert model == pytest.approx(100 * (factor["model"] - 1), abs=1e-3)
        assert rate == pytest.approx(ideal * factor["coder"], rel=1e-4)
        plain = found["ycbcr+dct", "deadzone", "static", "rans"]
        wanted = factor["transform"] * factor["quantizer"] * factor["model"] / (0.8 * 1.1)
        assert ideal / plain[1] == pytest.approx(wanted, rel=1e-3)


def test_rates_hold_at_a_round_quality_that_most_curves_reach(whole):
    by = whole["groups"][0]["grids"][0]["by"]
    assert by["psnr_db"]["quality"] == 34  # the mean curves go from 26 to 41 dB
    assert 0 < by["flip"]["quality"] < 1  # less is better: the sign is turned back


@pytest.mark.parametrize("shift_db", [-20, 20])
def test_a_curve_that_does_not_reach_the_quality_has_no_numbers_and_does_not_move_it(tmp_path, shift_db):
    lines = made.grid_records()
    name = "none · uniform · static · rans"
    for line in lines:
        if line["series"] == name:
            line["metrics"]["psnr_db"] += shift_db
    data = payload(tmp_path, lines)
    assert data["groups"][0]["grids"][0]["by"]["psnr_db"]["quality"] == 34
    assert cells(data)[tuple(name.split(" · "))] == [None] * 4


def test_without_an_ideal_code_length_there_are_rates_and_no_shares(tmp_path):
    lines = made.grid_records()
    for line in lines:
        if "ycbcr+dct" in line["series"]:
            line["ideal_bytes"] = None
        if "none" in line["series"]:
            del line["ideal_bytes"]  # a record of an older version
    found = cells(payload(tmp_path, lines))
    for at, (rate, *shares) in found.items():
        assert rate > 0
        assert (shares == [None] * 3) == (at[0] != "ycbcr+wavelet97(levels=5)")


def test_one_picture_without_its_ideal_code_length_spoils_the_sum_of_all(tmp_path):
    lines = made.grid_records()
    name = "ycbcr+dct · uniform · static · rans"
    next(line for line in lines if line["series"] == name and line["setting"] == "step=4")["ideal_bytes"] = None
    points = {p["setting"]: p for p in payload(tmp_path, lines)["groups"][0]["points"] if p["series"] == name}
    assert points["step=4"]["ideal_bytes"] is None
    assert points["step=8"]["ideal_bytes"] == pytest.approx(points["step=8"]["size_bytes"] / 1.01, rel=1e-3)


def test_a_model_without_a_rival_has_no_share(tmp_path):
    lines = [line for line in made.grid_records() if "context" not in line["series"]]
    data = payload(tmp_path, lines)
    assert {model for _, _, _, model in cells(data).values()} == {None}


def test_each_value_of_the_first_stage_begins_with_its_smallest_and_has_its_own_colour(whole):
    drawn = set(whole["lossy"]) - set(whole["folded"])
    assert drawn == {
        "JPEG 4:2:0",
        *(f"{transform} · deadzone · context · rans" for transform in made.GRID["transform"]),
    }
    looks = {one["name"]: one["hue"] for one in whole["series"]}
    assert len({looks[name] for name in drawn}) == 4
    assert {one["variant"] for one in whole["series"] if one["name"] in drawn} == {0}
    assert {looks[name] for name in whole["lossy"] if name.startswith("none")} == {
        looks["none · uniform · static · rans"]
    }


def test_only_what_is_no_combination_can_be_the_anchor_and_the_one_that_was_asked_for(whole, tmp_path):
    assert whole["anchors"] == ["JPEG 4:2:0"]
    assert set(whole["groups"][0]["bd"]["psnr_db"]) == {"JPEG 4:2:0"}
    chosen = "none · uniform · static · rans"
    data = payload(tmp_path, anchor=chosen)
    assert data["anchors"] == ["JPEG 4:2:0", chosen]
    assert chosen not in data["folded"]
    best = data["groups"][0]["bd"]["psnr_db"][chosen]["ycbcr+dct · uniform · static · rans"][0]
    assert best == pytest.approx(100 * (0.8 / 2.5 - 1), abs=1e-2)


def test_grids_over_the_same_options_are_one_and_others_are_not():
    grid = {"codec": "pipeline", "axes": {"model": ["static"], "coder": ["rans", "huffman"]}}
    more = {"codec": "pipeline", "axes": {"model": ["context", "static"], "coder": ["rans"]}}
    other = {"codec": "pipeline", "axes": {"coder": ["rans"]}}
    joined = report_grid.join([grid, more, other])
    assert [one["axes"] for one in joined] == [
        {"model": ["static", "context"], "coder": ["rans", "huffman"]},
        {"coder": ["rans"]},
    ]
    assert grid["axes"]["model"] == ["static"]  # the plan's own lists stay as they were


def test_a_report_of_two_folders_has_the_grid_of_both(tmp_path):
    lines = made.grid_records()
    axes = {axis: list(values) for axis, values in made.GRID.items()}
    for folder, names in (("a", ["none", "ycbcr+wavelet97(levels=5)"]), ("b", ["ycbcr+dct"])):
        own = [line for line in lines if line["options"].get("transform", "none") in names]
        grids = [{"codec": "pipeline", "axes": axes | {"transform": names}}]
        made.write_grid_run(tmp_path / folder, own, grids=grids, **({"refused": []} if folder == "a" else {}))
    first, second = tmp_path / "a", tmp_path / "b"
    text = report.build([first, second]).read_text()
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert len(cells(data)) == 23
    assert len(data["refused"]) == 1


def test_the_refused_combinations_are_named_and_the_csv_has_the_ideal_code_length(tmp_path):
    page = report.build(made.write_grid_run(tmp_path))
    assert "1 combination that the codec does not take" in page.read_text()
    assert "none · uniform · context · huffman: no such &lt;pair&gt;" in page.read_text()
    rows = list(csv.DictReader((tmp_path / "points.csv").read_text().splitlines()))
    row = next(one for one in rows if one["series"] == "none · uniform · static · rans")
    assert float(row["size_bytes"]) / float(row["ideal_bytes"]) == pytest.approx(1.01, rel=1e-3)
    assert next(one for one in rows if one["series"] == "JPEG 4:2:0")["ideal_bytes"] == ""
