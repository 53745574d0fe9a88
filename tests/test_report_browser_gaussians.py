"""The section of Gaussians in a real browser: layers, ellipses, error, curves of fits; on a laptop and a phone."""

from __future__ import annotations

from pathlib import Path

import pytest

import report_records as made
from midtread.bench import report, report_gaussians
from test_report_browser import LAPTOP, PHONE, Visit, browser, pytestmark  # noqa: F401
from test_report_gaussians import FIT_SECONDS, LAYERS, decode, write_run


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(report_gaussians.viewer.__kwdefaults__, "fit_seconds", FIT_SECONDS)
        pictures = {made.ITEMS[index]: made.photograph(index) for index in (0, 1)}
        return report.build(write_run(tmp_path_factory.mktemp("gaussians"), pictures), decode=decode)


@pytest.mark.parametrize("window", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_layers_ellipses_error_and_fits_are_drawn_and_the_page_fits(browser, built, window):  # noqa: F811
    visit = Visit(browser, built, viewport=window)
    page = visit.page
    titles = visit.texts("#gaussians .name")
    assert titles == ["First layer of 3", "First 2 layers of 3", "The whole file", "Gaussians", "Error"]
    images = "[...document.querySelectorAll('#gaussians img')]"
    page.wait_for_function(f"{images}.every((image) => image.complete)")
    sizes = page.evaluate(f"{images}.map((image) => [image.naturalWidth, image.naturalHeight])")
    assert sizes == [[made.SIZE[1], made.SIZE[0]]] * (LAYERS + 2)
    drawn = page.locator("#gaussians ellipse").count()
    assert f"all {drawn} that are centred here" in page.inner_text("#gaussians")
    curves = page.locator("#fit-chart .series")
    assert curves.count() == 3
    assert f"{drawn} Gaussians" in visit.texts("#fit-chart text.label")
    box = page.locator("#fit-chart svg").bounding_box()
    for path in page.locator("#fit-chart .curve").all():
        inside = path.bounding_box()
        assert box["x"] <= inside["x"]
        assert inside["x"] + inside["width"] <= box["x"] + box["width"]
        assert inside["height"] > 5, "a fit that gets better rises"
    assert visit.overflow() == 0
    assert visit.trouble == []
    visit.context.close()


def test_another_picture_is_chosen_by_its_name(browser, built):  # noqa: F811
    visit = Visit(browser, built, viewport=LAPTOP)
    assert visit.texts("#gaussians-picture button") == list(made.ITEMS[:2])
    before = visit.page.get_attribute("#gaussians img >> nth=0", "src")
    visit.page.click(f"#gaussians-picture >> text={made.ITEMS[1]}")
    assert visit.page.inner_text("#gaussians-note").startswith(made.ITEMS[1])
    assert visit.page.get_attribute("#gaussians img >> nth=0", "src") != before
    assert visit.trouble == []
    visit.context.close()
