"""The page of fields in a real browser: the board, ratio against speed, slices and spectra; on a laptop and a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import field_records as made
import report_records as pictures
from midtread.bench import report
from test_report_browser import HOSTILE, LAPTOP, PHONE, Visit, browser, expect, pytestmark  # noqa: F401


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    return report.build(made.write_run(tmp_path_factory.mktemp("fields"), files=True), decode=made.decode)


@pytest.fixture
def visit(browser, built) -> Iterator[Visit]:  # noqa: F811
    found = Visit(browser, built, viewport=LAPTOP)
    yield found
    assert found.trouble == []
    assert [url for url in found.requests if not url.startswith(("data:", "blob:"))] == [built.as_uri()]
    found.context.close()


def board(visit: Visit) -> list[list[str]]:
    """The rows of the board as shown."""
    rows = "(rows) => rows.map((row) => [...row.cells].map((cell) => cell.innerText.trim()))"
    return visit.page.locator("#fields-board tbody tr.line").evaluate_all(rows)


def heads(visit: Visit) -> list[str]:
    return [" ".join(text.split()) for text in visit.page.locator("#fields-board th").all_inner_texts()]


def choose_field(visit: Visit, name: str) -> None:
    visit.page.locator("#controls .field", has_text="Field").locator("select").select_option(f"made / {name}")


def test_the_board_opens_at_the_usual_bound_over_all_fields(visit):
    assert visit.texts("#fields-bound button[aria-pressed=true]") == ["10⁻³"]
    assert heads(visit)[:5] == ["Series", "Ratio", "Size vs SZ3", "Rate bits/value", "Error of bound"]
    rows = {row[0]: row for row in board(visit)}
    assert list(rows) == ["small", "SZ3", "fast", "careless", "picky"], "who refused a field is last: another mean"
    assert rows["small"][2] == "−20.0 %"
    assert rows["SZ3"][2] == "anchor"
    assert rows["picky"][1].endswith("2 of 3")
    assert rows["careless"][4] == "1.98000 384 over"
    assert rows["small"][-3:-1] == ["0.50", "0.60"]


def test_the_first_sentence_names_the_smallest_the_fast_and_the_careless(visit):
    said = visit.page.inner_text("#finding")
    assert "Within 10⁻³ of the range, on 3 fields, small makes the smallest files" in said
    assert "20.0\u00a0% smaller than SZ3" in said
    assert "Over their bound somewhere: careless." in said
    visit.page.click("#fields-bound >> text=lossless")
    assert "Without loss, on 3 fields, zstd makes the smallest files" in visit.page.inner_text("#finding")


def test_another_bound_another_anchor_and_one_field_change_the_board(visit):
    visit.page.click("#fields-bound >> text=10⁻¹")
    assert board(visit)[0][1] == "610"  # 122880 bytes over 80, 320 and 320
    visit.page.select_option("#controls .field:nth-child(2) select", "fast")
    assert heads(visit)[2] == "Size vs fast"
    assert board(visit)[0][2] == "−46.7 %"
    choose_field(visit, "sea")
    visit.page.click("#fields-scope >> text=sea")
    rows = {row[0]: row for row in board(visit)}
    assert rows["picky"][1] == "refused"
    assert "<fill values>" in visit.page.get_attribute("#fields-board .missing[title*=fill]", "title")
    assert rows["small"][1] == "384"
    assert "24 × 32 × 40 float32" in visit.page.inner_text("#fields-note")
    assert "not timed" in rows["small"]


def test_a_column_sorts_and_a_row_opens_with_everything_known(visit):
    visit.page.locator("#fields-board th button", has_text="Encode").click()
    assert board(visit)[0][0] == "fast"
    visit.page.click("#fields-board .name:has-text('careless')")
    text = visit.page.inner_text("#fields-board .details")
    assert "1.98000 of the bound" in text
    assert "Values over the bound\n384" in text
    assert "0.60 / 0.80 GB/s on made / wave" in text


def test_speed_shows_ratio_against_gigabytes_at_the_chosen_bound(visit):
    assert set(visit.texts("#speed-chart text.label")) == set(made.SERIES)
    assert "10⁻³" in visit.page.inner_text("#speed-note")
    before = visit.page.get_attribute("#speed-chart .front", "d")
    visit.page.click("#fields-bound >> text=lossless")
    assert visit.texts("#speed-chart text.label") == ["zstd"]
    visit.page.click("#fields-bound >> text=10⁻³")
    assert visit.page.get_attribute("#speed-chart .front", "d") == before
    choose_field(visit, "cloud")
    visit.page.click("#fields-scope >> text=cloud")
    assert "Nothing was timed on this field" in visit.page.inner_text("#speed-chart")


def test_curves_and_ranking_are_those_of_the_chosen_field_in_its_units(visit):
    assert visit.page.locator("#curves-chart path.curve").count() == 5
    choose_field(visit, "sea")
    assert visit.page.locator("#curves-chart path.curve").count() == 4
    assert "bits per value" in visit.page.inner_html("#curves-chart")
    assert visit.ranking()["small"] == "−20.0 %"
    for words in ("bpp", "MPx", "picture", "Chroma"):
        for section in ("#ranking", "#curves", "#speed", "#fields"):
            assert words not in visit.page.inner_text(section), (words, section)


def test_slices_errors_and_spectra_of_the_chosen_field_are_shown(visit):
    ready = "[...document.querySelectorAll('#slices img')].every((one) => one.complete && one.naturalWidth === 40)"
    visit.page.wait_for_function(ready)
    assert visit.page.locator("#slices img").count() == 1 + 2 * len(made.SERIES)
    assert visit.texts("#slices .card .name") == ["Original", *made.SERIES]
    assert visit.page.locator("#spectrum-chart path.own").count() == 1
    assert visit.page.locator("#spectrum-ratio path.curve").count() == len(made.SERIES)
    visit.page.click("#slices-field >> text=cloud")
    card = visit.page.locator("#slices .card[data-series=careless]")
    expect(card).to_contain_text("384 values over the bound")
    assert "at a bound of 0.0100 of the range" in visit.page.inner_text("#slices-note")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone(browser, built, scheme):  # noqa: F811
    options = {"viewport": PHONE, "color_scheme": scheme, "has_touch": True, "is_mobile": True}
    visit = Visit(browser, built, **options)
    assert visit.overflow() == 0
    assert visit.page.locator("#fields-board").bounding_box()["width"] <= PHONE["width"]
    visit.page.locator("#fields-board .name").first.tap()
    expect(visit.page.locator("#fields-board .details")).to_contain_text("PSNR (range)")
    visit.page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    expect(visit.page.locator("#points-board tbody tr")).not_to_have_count(0)
    assert visit.overflow() == 0
    assert visit.trouble == []
    visit.context.close()


def test_hostile_names_of_fields_and_series_stay_text(browser, tmp_path):  # noqa: F811
    lines = [
        line | {"item": line["item"] + HOSTILE, "series": line["series"].replace("fast", HOSTILE)}
        for line in made.records()
    ]
    visit = Visit(browser, report.build(made.write_run(tmp_path, lines)), viewport=LAPTOP)
    assert any(HOSTILE in row[0] for row in board(visit))
    visit.page.click("#fields-scope button:nth-child(2)")
    assert HOSTILE in visit.page.inner_text("#fields-note")
    assert visit.page.locator("img").count() == 0
    assert visit.trouble == []
    visit.context.close()


def test_a_page_of_both_turns_from_pictures_to_fields_and_back(browser, tmp_path):  # noqa: F811
    folders = [pictures.write_run(tmp_path / "a"), made.write_run(tmp_path / "b")]
    visit = Visit(browser, report.build(folders), viewport=LAPTOP)
    choices = visit.page.locator("#controls .field")
    assert visit.page.locator("#fields").is_hidden()
    assert "MPx/s" in visit.page.inner_text("#board")
    choices.filter(has_text=re.compile("^Dataset")).locator("select").select_option("made / wave")
    assert visit.page.locator("#fields").is_visible()
    assert "GB/s" in visit.page.inner_text("#board")
    assert len(board(visit)) == 5
    assert visit.ranking()["small"] == "−20.0 %"
    assert "equal PSNR (range)" in visit.page.inner_text("#ranking-note")
    choices.filter(has_text=re.compile("^Field")).locator("select").select_option("photos")
    assert visit.page.locator("#fields").is_hidden()
    assert visit.ranking()["WebP"] == "−20.0 %"
    assert visit.trouble == []
    visit.context.close()


def test_a_run_without_loss_shows_its_board_and_no_empty_ranking(browser, tmp_path):  # noqa: F811
    lines = [line for line in made.records() if line["lossless"]]
    context = browser.new_context()  # not a Visit: that waits for a curve
    opened = context.new_page()
    opened.goto(report.build(made.write_run(tmp_path, lines)).as_uri())
    expect(opened.locator("#fields-board tbody tr.line")).to_have_count(1)
    assert opened.locator("#ranking-note").is_hidden()
    assert opened.locator("#curves").is_hidden()
    assert "undefined" not in opened.inner_text("main")
    context.close()
