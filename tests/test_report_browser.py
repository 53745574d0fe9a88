"""The report in a real browser: it draws, reacts, fits a phone, and asks the network for nothing.

Needs Playwright and a Chromium: the one in MIDTREAD_CHROMIUM, or the first of the usual names on the PATH.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import report_records as made
from midtread.bench import report

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
expect = sync_api.expect

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = os.environ.get("MIDTREAD_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH and MIDTREAD_CHROMIUM is not set")

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
LAPTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
HOSTILE = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield found
        found.close()


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """One dataset, one machine, with pictures."""
    return report.build(made.write_run(tmp_path_factory.mktemp("one"), files=True), decode=made.decode)


@pytest.fixture(scope="module")
def crowded(tmp_path_factory) -> Path:
    """Two datasets, two machines, three families, sixteen series with long and hostile names."""
    lines = made.records()
    for line in made.records():
        lines.append(line | {"key": line["key"] + "s", "dataset": "screens", "rate_bpp": 1.3 * line["rate_bpp"]})
        lines.append(line | {"key": line["key"] + "m", "machine": {"name": "darwin-arm64 / " + "long name " * 5}})
    for number in range(8):
        name = f"A codec with a rather long name, number {number} {HOSTILE}"
        for quality in range(len(made.QUALITIES_DB)):
            for item in range(len(made.ITEMS)):
                one = made.record("JPEG XL", quality, item, series=name, codec=f"x{number}", family="experimental")
                lines.append(
                    one | {"key": f"{number}|{quality}|{item}", "rate_bpp": one["rate_bpp"] * (1 + number / 9)}
                )
    lines.append(made.record("WebP", 6, 2, error=f"ValueError: {'x' * 300} {HOSTILE}"))
    return report.build(made.write_run(tmp_path_factory.mktemp("many"), lines, files=True), decode=made.decode)


class Visit:
    """An open page, and everything it said or asked for."""

    def __init__(self, browser: sync_api.Browser, path: Path, **options) -> None:
        # without smooth scrolling, or a box is measured on its way
        self.context = browser.new_context(accept_downloads=True, reduced_motion="reduce", **options)
        self.context.set_offline(True)
        self.page = self.context.new_page()
        self.trouble: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.trouble.append(message.text))
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.trouble.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("#curves-chart svg")
        # the size of the charts and of the viewer is set by observers, which run at the end of the first frame
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def texts(self, selector: str) -> list[str]:
        return [text.strip() for text in self.page.locator(selector).all_text_contents()]

    def ranking(self) -> dict[str, str]:
        """Series -> BD-rate as shown, in the order shown."""
        rows = "(rows) => rows.map((row) => [row.dataset.name, row.querySelector('.bd b').textContent])"
        return dict(self.page.locator("#board tr.line").evaluate_all(rows))

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        return self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


@pytest.fixture
def visit(browser, built) -> Iterator[Visit]:
    found = Visit(browser, built, viewport=LAPTOP)
    yield found
    assert found.trouble == []
    assert [url for url in found.requests if not url.startswith(("data:", "blob:"))] == [built.as_uri()]
    found.context.close()


def test_every_series_is_ranked_drawn_and_in_the_legend(visit):
    names = set(made.SERIES)
    assert set(visit.ranking()) == names
    assert list(visit.ranking().items())[:2] == [("Small network", "−55.0 %"), ("AVIF 4:4:4", "−50.0 %")]
    assert set(visit.texts("#legend .chip:not(.plain)")) == names
    assert visit.page.locator("#curves-chart path.curve").count() == len(names)
    visit.page.click("text=All rates")
    assert visit.page.locator("#curves-chart g[clip-path] .marker").count() == len(names) * len(made.QUALITIES_DB)
    assert "Small network makes the smallest files: 55 % smaller than JPEG 4:2:0" in visit.page.inner_text("#finding")


def test_another_anchor_and_another_metric_change_the_ranking(visit):
    visit.page.select_option("#controls .field:nth-child(2) select", "WebP")
    assert visit.ranking()["JPEG 4:2:0"] == "+25.0 %"
    assert visit.ranking()["WebP"] == "0 %"
    visit.page.select_option("#controls .field:nth-child(1) select", "flip")
    assert "FLIP, axis upside down" in visit.page.inner_html("#curves-chart")
    assert "at equal FLIP" in visit.page.inner_text("#ranking-note")
    assert visit.ranking()["JPEG 4:2:0"] == "+25.0 %"


def test_a_column_sorts_and_what_was_not_timed_comes_last_both_ways(visit):
    header = visit.page.locator("#board th button", has_text="Encode")
    header.click()
    assert next(iter(visit.ranking())) == "JPEG 4:2:0"
    assert list(visit.ranking())[-1] == "Small network"
    header.click()
    assert next(iter(visit.ranking())) == "AVIF 4:4:4"
    assert list(visit.ranking())[-1] == "Small network"
    assert visit.page.get_attribute("#board th[aria-sort]", "aria-sort") == "ascending"
    assert visit.texts("#board tr.line:last-child .missing") == ["not timed", "not timed"]


def test_a_row_opens_to_show_the_mean_curves_and_the_compared_range(visit):
    visit.page.click("#board .name:has-text('WebP')")
    details = visit.page.inner_text("#board .details")
    assert "BD-rate of the mean curves\n−20.0 % by PCHIP, −20.0 % by Akima" in details
    assert "26.00 dB to 41.00 dB, overlap 100 %" in details
    assert visit.page.get_attribute("#board .name:has-text('WebP')", "aria-expanded") == "true"


def test_the_legend_switches_a_series_off_in_the_charts_only(visit):
    before = visit.page.locator("#curves-chart path.curve").count()
    visit.page.click("#legend .chip:has-text('WebP')")
    assert visit.page.locator("#curves-chart path.curve").count() == before - 1
    assert visit.page.locator("#speed-chart [data-series='WebP']").count() == 0
    assert "WebP" in visit.ranking()
    visit.page.click("#legend .plain:has-text('None')")
    assert "No curve to draw" in visit.page.inner_text("#curves-chart")
    visit.page.click("#legend .plain:has-text('All')")
    assert visit.page.locator("#curves-chart path.curve").count() == before


def test_points_tell_their_numbers_to_the_pointer_and_to_the_arrow_keys(visit):
    visit.page.locator("#curves-chart").scroll_into_view_if_needed()
    box = visit.page.locator("#curves-chart [data-series='WebP'] .marker").first.bounding_box()
    visit.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tip = visit.page.locator("#tip")
    expect(tip).to_contain_text(
        re.compile(r"WebP\s*quality=0, mean of 3 pictures\s*0\.\d+ bpp · PSNR \(RGB\) 26\.00 dB")
    )
    visit.page.focus("#curves-chart svg")
    visit.page.keyboard.press("ArrowDown")
    visit.page.keyboard.press("ArrowRight")
    expect(tip).to_contain_text("quality=1")
    visit.page.keyboard.press("Escape")
    expect(tip).to_be_hidden()


def test_speed_shows_the_timed_series_and_turns_to_decoding(visit):
    timed = {name for name, facts in made.SERIES.items() if facts[3]}
    assert set(visit.texts("#speed-chart text.label")) == timed
    assert "Small network" in visit.page.inner_text("#speed-missing")
    before = visit.page.get_attribute("#speed-chart .front", "d")
    visit.page.click("#speed-way >> text=Decode")
    assert visit.page.get_attribute("#speed-chart .front", "d") != before


def test_stages_and_memory_open_on_demand(visit):
    visit.page.click("#inside summary")
    board = visit.page.locator(
        "#inside-board"
    )  # drawn when the browser tells of the opening, some time after the click
    expect(board).to_contain_text("colour 10 % · transform 50 % · entropy 30 % · rest 10 %")
    expect(board).to_contain_text("3.00 MB")


@pytest.fixture(scope="module")
def networked(tmp_path_factory) -> Path:
    """The small network tells what it costs, and was timed."""
    encode = [{"stage": "analysis", "macs_per_pixel": 5000.0, "precision": "fp32"}]
    decode = [
        {"stage": "entropy", "macs_per_pixel": 1000.0, "precision": "int8"},
        {"stage": "synthesis", "macs_per_pixel": 4000.0, "precision": "fp32"},
    ]
    complexity = {"parameters": 480_000, "weights_bytes": 1_900_000, "encode": encode, "decode": decode}
    costs = {"complexity": complexity, "timing": made.timing(0.01, 0.02)}
    lines = [line | (costs if line["family"] == "learned" else {}) for line in made.records()]
    return report.build(made.write_run(tmp_path_factory.mktemp("networked"), lines))


def test_what_a_network_costs_stands_in_the_ranking_sorts_and_opens(browser, networked):
    visit = Visit(browser, networked, viewport=LAPTOP)
    page = visit.page
    heads = visit.texts("#board th")
    costs = ["Encode kMAC/px", "Decode kMAC/px", "Parameters million", "Weights MB", "Energy mJ/MPx"]
    assert heads[-5:] == costs
    assert "ISSCC 2014" in page.get_attribute("#board th:last-child button", "title")
    widths = "() => [document.querySelector('#board').scrollWidth, document.querySelector('#ranking .box').clientWidth]"
    table, room = page.evaluate(widths)
    assert table <= room, "the ranking fits a laptop"
    page.click("#board th button:has-text('Parameters')")
    assert next(iter(visit.ranking())) == "Small network"
    assert visit.texts("#board tr.line:first-child td")[-5:] == ["5.00", "5.00", "0.480", "1.90", "18.7"]
    assert visit.texts("#board tr.line:last-child td")[-5:] == ["–"] * 5
    page.click("#board .name:has-text('Small network')")
    details = page.inner_text("#board .details")
    assert "entropy 1.00 kMAC/px in int8 · synthesis 4.00 in fp32" in details
    assert "fp32 / fp16 / int8, decode\n23.0 / 7.50 / 1.50 mJ/MPx" in details
    assert "Stages of encoding, ms per MPx\ncolour 81.4 · transform 407 · entropy 244" in details
    page.click("#inside summary")
    expect(page.locator("#inside-board")).to_contain_text("entropy 1.00 kMAC/px in int8 · synthesis 4.00 in fp32")
    page.select_option(".field:has-text('Family') select", "conventional")
    assert "Weights MB" not in visit.texts("#board th")
    assert visit.overflow() == 0
    assert visit.trouble == []
    visit.context.close()


def test_the_divider_moves_by_drag_and_by_keys(visit):
    split = visit.page.locator(".split")
    split.scroll_into_view_if_needed()
    stage = visit.page.locator(".stage").bounding_box()
    visit.page.mouse.move(stage["x"] + stage["width"] / 2, stage["y"] + 40)
    visit.page.mouse.down()
    visit.page.mouse.move(stage["x"] + stage["width"] / 4, stage["y"] + 40)
    visit.page.mouse.up()
    expect(split).to_have_attribute("aria-valuenow", re.compile("^(24|25|26)$"))
    split.press("End")
    assert split.get_attribute("aria-valuenow") == "100"
    split.press("f")
    assert split.get_attribute("aria-valuenow") == "0"


def test_pictures_are_shown_zoomed_and_panned(visit):
    sizes = "[...document.querySelectorAll('.stage img')].map((image) => [image.naturalWidth, image.naturalHeight])"
    visit.page.wait_for_function(f"{sizes}.every(([width]) => width > 0)")
    assert visit.page.evaluate(sizes) == [[made.SIZE[1], made.SIZE[0]]] * 2
    visit.page.click(".stage-foot >> text=1×")
    assert visit.page.locator(".stage.zoomed").count() == 0
    visit.page.locator(".split").press("+")
    visit.page.evaluate("document.activeElement.blur()")
    visit.page.locator(".stage").dblclick(position={"x": 30, "y": 30})
    assert visit.page.locator(".stage.zoomed.pixels").count() == 1
    where = "document.querySelector('.stage img').style.transform"
    before = visit.page.evaluate(where)
    stage = visit.page.locator(".stage").bounding_box()
    visit.page.mouse.move(stage["x"] + 100, stage["y"] + 100)
    visit.page.mouse.down()
    visit.page.mouse.move(stage["x"] + 60, stage["y"] + 70)
    visit.page.mouse.up()
    assert visit.page.evaluate(where) != before


def test_the_two_sides_show_what_was_chosen_with_its_own_numbers(visit):
    visit.page.select_option("[data-side=left]", "WebP")
    visit.page.select_option("[data-side=right]", " original")
    visit.page.click("#viewer >> text=1 bpp")
    wanted = made.record("WebP", 5, 0)
    assert f"{wanted['size_bytes'] / 1000:.2f} kB" in visit.page.inner_text(".caption.left")
    assert visit.page.inner_text(".caption.right") == "Original"
    assert "PSNR (RGB) dB\t37.00\t–" in visit.page.inner_text(".side")


def test_downloads_are_the_points_and_all_numbers(visit, built):
    with visit.page.expect_download() as first:
        visit.page.click("#download-csv")
    assert Path(first.value.path()).read_text() == (built.parent / "points.csv").read_text()
    with visit.page.expect_download() as second:
        visit.page.click("#download-json")
    assert second.value.suggested_filename == "report.json"
    assert json.loads(Path(second.value.path()).read_text())["anchor"] == "JPEG 4:2:0"


def test_filters_of_one_choice_are_plain_text(visit):
    assert visit.page.locator("#controls select").count() == 2 + 1  # metric, anchor, and the two families
    assert visit.texts("#controls output") == ["photos", made.MACHINE]


def test_filters_choose_dataset_machine_and_family(browser, crowded):
    visit = Visit(browser, crowded, viewport=LAPTOP)
    assert len(visit.ranking()) == 16
    visit.page.select_option("#controls .field:nth-child(5) select", "learned")
    assert list(visit.ranking()) == ["Small network"]
    visit.page.select_option("#controls .field:nth-child(5) select", "")
    visit.page.select_option("#controls .field:nth-child(3) select", "screens")
    assert len(visit.ranking()) == len(made.SERIES)
    assert visit.texts("#controls output") == [made.MACHINE]
    assert "of screens" in visit.page.inner_text("#finding")
    assert visit.trouble == []
    visit.context.close()


def test_hostile_names_are_shown_as_text(browser, crowded):
    visit = Visit(browser, crowded, viewport=LAPTOP)
    assert any(HOSTILE in name for name in visit.ranking())
    assert visit.page.locator("img").count() == 2  # those of the viewer
    assert visit.trouble == []
    visit.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("which", ["built", "crowded"])
def test_nothing_is_wider_than_a_phone(browser, request, which, scheme):
    options = {"viewport": PHONE, "color_scheme": scheme, "has_touch": True, "is_mobile": True}
    visit = Visit(browser, request.getfixturevalue(which), **options)
    assert visit.overflow() == 0
    visit.page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    for board in ("#inside-board", "#points-board"):  # drawn when the browser tells of the opening
        expect(visit.page.locator(f"{board} tbody tr")).not_to_have_count(0)
    visit.page.locator("#board .name").first.tap()
    assert visit.overflow() == 0
    assert visit.page.evaluate("innerWidth") == PHONE["width"]
    assert visit.trouble == []
    visit.context.close()


def test_touch_moves_the_divider_and_taps_a_point(browser, built):
    visit = Visit(browser, built, viewport=PHONE, has_touch=True, is_mobile=True)
    visit.page.locator(".stage").scroll_into_view_if_needed()
    box = visit.page.locator(".stage").bounding_box()
    visit.page.touchscreen.tap(box["x"] + 0.8 * box["width"], box["y"] + 30)
    expect(visit.page.locator(".split")).to_have_attribute("aria-valuenow", re.compile("^(79|80|81)$"))
    point = visit.page.locator("#speed-chart .marker").first
    point.scroll_into_view_if_needed()
    spot = point.bounding_box()
    visit.page.touchscreen.tap(spot["x"] + spot["width"] / 2, spot["y"] + spot["height"] / 2)
    expect(visit.page.locator("#tip")).to_contain_text("MPx/s")
    visit.context.close()


def test_the_theme_can_be_turned(visit):
    paper = "getComputedStyle(document.body).backgroundColor"
    before = visit.page.evaluate(paper)
    visit.page.click("#theme")
    assert visit.page.evaluate(paper) != before


# -- the grid -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gridded(tmp_path_factory) -> Path:
    """A page of JPEG 4:2:0 and a grid of 23 combinations."""
    return report.build(made.write_grid_run(tmp_path_factory.mktemp("grid")))


@pytest.fixture
def grid(browser, gridded) -> Iterator[Visit]:
    found = Visit(browser, gridded, viewport=LAPTOP)
    yield found
    assert found.trouble == []
    found.context.close()


def choose(visit: Visit, label: str, value: str) -> None:
    """Pick from the choice of that name beside the table of the grid."""
    visit.page.locator("#grid-controls").get_by_label(re.compile(f"^{label}")).select_option(value)


def heat(visit: Visit) -> list[list[str]]:
    """The shaded table as shown, with its heads."""
    rows = "(rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent))"
    return visit.page.locator("#heat tr").evaluate_all(rows)


def test_a_cell_is_the_smallest_combination_of_its_row_and_column(grid):
    assert heat(grid) == [
        ["model ╲ coder", "rans", "huffman"],
        ["context", "−29.3 %", "−24.4 %"],
        ["static", "−22.2 %", "−16.8 %"],
    ]
    choose(grid, "quantizer", "1")
    assert heat(grid)[1][1] == "−25.1 %"
    choose(grid, "transform", "1")  # ycbcr+dct
    assert heat(grid)[1][1] == "−14.4 %"
    choose(grid, "quantizer", "")  # any: deadzone is the smaller
    assert heat(grid)[1][1] == "−19.2 %"


def test_an_unfinished_grid_compares_like_with_like(browser, tmp_path):
    """One coder was measured after a better transform too; its cell must not show that beside the others."""
    few = ("ycbcr+wavelet97(levels=5) · deadzone · context · rans", "JPEG 4:2:0")
    lines = [line for line in made.grid_records() if "dct · uniform" in line["series"] or line["series"] in few]
    visit = Visit(browser, report.build(made.write_grid_run(tmp_path, lines)), viewport=LAPTOP)
    assert heat(visit)[1] == ["context", "−14.4 %", "−8.4 %"]
    choose(visit, "transform", "")
    choose(visit, "quantizer", "")
    assert heat(visit)[1] == ["context", "−29.3 %", "−8.4 %"]
    visit.context.close()


def test_the_table_turns_to_other_stages_and_other_numbers(grid):
    choose(grid, "Shown", "coder")
    assert heat(grid)[1:] == [["context", "+1.0 %", "+8.0 %"], ["static", "+1.0 %", "+8.0 %"]]
    choose(grid, "Shown", "model")
    assert heat(grid)[1:] == [["context", "0.0 %", "0.0 %"], ["static", "+10.0 %", "+10.0 %"]]
    choose(grid, "Rows", "transform")
    assert [line[0] for line in heat(grid)] == ["transform ╲ coder", *made.GRID["transform"]]
    choose(grid, "Columns", "transform")  # the two change places
    assert heat(grid)[0] == ["coder ╲ transform", *made.GRID["transform"]]


def test_the_best_is_shaded_good_and_the_worst_poor_whichever_way_better_is(grid):
    tones = "(buttons) => buttons.map((one) => one.className + one.style.getPropertyValue('--part'))"
    assert grid.page.locator("#heat button").evaluate_all(tones)[0::3] == ["good85%", "poor85%"]
    choose(grid, "Shown", "decode")
    shown = [float(text) for line in heat(grid)[1:] for text in line[1:]]
    tone = grid.page.locator("#heat button").evaluate_all(tones)
    assert tone[shown.index(max(shown))] == "good85%"
    assert tone[shown.index(min(shown))] == "poor85%"


def test_a_refused_combination_says_so_with_its_reason(grid):
    choose(grid, "transform", "2")
    choose(grid, "quantizer", "1")
    assert heat(grid)[1][2] == "refused"
    assert grid.page.get_attribute("#heat .missing", "title") == "no such <pair>"


def test_a_combination_in_numbers_adds_up(grid):
    assert "the smallest files of the grid" in grid.page.inner_text("#picked")
    grid.page.locator("#heat button").nth(3).click()
    text = grid.page.inner_text("#picked")
    assert "ycbcr+wavelet97(levels=5) · deadzone · static · huffman" in text
    assert "Coder’s share\n+8.00 % of the ideal code length" in text
    assert "Model’s share\n+10.00 % over the best model" in text
    parts = re.search(r"best model ([\d.]+) \+ model ([\d.]+) \+ coder ([\d.]+) = ([\d.]+) bpp", text)
    *addends, total = map(float, parts.groups())
    assert sum(addends) == pytest.approx(total, abs=1e-3)
    assert grid.page.locator("#heat button[aria-pressed=true]").inner_text() == "−16.8 %"


def test_the_list_of_combinations_sorts_and_opens(grid):
    rows = grid.page.locator("#grid-board tr.line")
    assert rows.count() == 23
    assert rows.first.inner_text().split("\t")[1:] == ["−29.3 %", "0.587", "0.581", "+1.0 %", "0.0 %", "1.8", "1.5"]
    grid.page.locator("#grid-board th button", has_text="Coder").click()
    assert rows.last.get_attribute("data-name").endswith("huffman")
    rows.first.locator(".name").click()
    expect(grid.page.locator("#grid-board .details")).to_contain_text("Ideal code length there")
    assert grid.page.locator("#board .details").count() == 0


def test_ranking_and_charts_begin_with_the_best_of_each_transform_and_unfold(grid):
    best = {"JPEG 4:2:0", *(f"{name} · deadzone · context · rans" for name in made.GRID["transform"])}
    assert set(grid.ranking()) == best == set(grid.texts("#legend .chip:not(.plain)"))
    assert "20 more are in the grid" in grid.page.inner_text("#ranking-note")
    grid.page.click("#legend .plain:has-text('All 24')")
    assert grid.page.locator("#curves-chart path.curve").count() == 24
    assert len(grid.ranking()) == 24


def test_a_long_table_begins_with_twenty_rows(browser, tmp_path):
    lines = made.grid_records()
    more = [
        line | {"series": line["series"] + "2", "key": line["key"] + "2"} for line in lines if "dct" in line["series"]
    ]
    for line in more:
        line["options"] = {**line["options"], "coder": line["options"]["coder"] + "2"}
    axes = {axis: list(values) for axis, values in made.GRID.items()}
    axes["coder"] += ["rans2", "huffman2"]
    grids = [{"codec": "pipeline", "axes": axes}]
    visit = Visit(browser, report.build(made.write_grid_run(tmp_path, lines + more, grids=grids)), viewport=LAPTOP)
    rows = visit.page.locator("#grid-board tr.line")
    assert rows.count() == 20
    visit.page.click("text=Show all 31")
    assert rows.count() == 31
    visit.context.close()


def test_a_grid_of_a_codec_that_tells_no_ideal_code_length_speaks_of_no_shares(browser, tmp_path):
    lines = [line | {"ideal_bytes": None} for line in made.grid_records()]
    visit = Visit(browser, report.build(made.write_grid_run(tmp_path, lines)), viewport=LAPTOP)
    section = visit.page.inner_text("#grid")
    assert "’s share" not in section
    assert "Ideal" not in section
    assert "0.587" in section
    assert visit.trouble == []
    visit.context.close()


def test_a_run_without_a_grid_shows_none(visit):
    assert visit.page.locator("#grid, a[href='#grid']").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_can_read_the_grid(browser, gridded, scheme):
    options = {"viewport": PHONE, "color_scheme": scheme, "has_touch": True, "is_mobile": True}
    visit = Visit(browser, gridded, **options)
    for table in ("#heat", "#grid-board"):
        assert visit.page.locator(table).bounding_box()["width"] <= PHONE["width"]
    visit.page.locator("#grid-board .name").first.tap()
    expect(visit.page.locator("#grid-board .details")).to_be_visible()
    visit.page.locator("#heat button").last.tap()
    expect(visit.page.locator("#picked")).to_contain_text("static · huffman")
    assert visit.overflow() == 0
    assert visit.trouble == []
    visit.context.close()
