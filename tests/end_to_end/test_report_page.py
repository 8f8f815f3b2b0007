"""The report in a real browser: no errors, no requests, thumbnails, sliders, narrow screens, hostile text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.curate.run import run
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.report.page import write_report
from tests.browser import needs_browser
from tests.pipeline.samples import jpeg
from tests.shared import HANG, demo_output

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route


ROOT = Path(__file__).parents[2]
Scheme = Literal["light", "dark"]
SECTIONS = ["funnel", "table2", "mix", "filters", "duplicates", "faults", "reproduce"]
HOSTILE = [
    "<script>document.title='owned'</script> a caption with a script",
    '"><img src=x onerror="document.title=\'owned\'"> a caption that leaves its attribute',
    "</bdi></p></script><svg onload=document.title='owned'> a caption that closes what is open",
    "\u202eright to left \u2066 and never closed, with <box>1,2</box> inside",
    "%%POLICY%% {{ 7 * 7 }} ${7 * 7} a caption that looks like a template",
    "a very long caption " * 50_000,
]

pytestmark = needs_browser


def finished(recipe: Recipe, out: Path) -> Path:
    with RunProgress() as progress:
        run(recipe, out, SerialPool(), progress)
        return write_report(out, progress, recipe)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo_output(tmp_path_factory) / "demo" / "report.html"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose captions, urls, names and languages try to become part of the page."""
    folder = tmp_path_factory.mktemp("hostile")
    rows = []
    for i, caption in enumerate(HOSTILE):
        name = f"<b>{i}&amp;'.jpg"
        (folder / name).write_bytes(jpeg(i, 300, 300))
        rows.append({"file": name, "caption": caption, "url": "javascript:document.title='owned'"})
    (folder / "<i>rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    read = {"kind": "table", "paths": [str(folder / "<i>rows.jsonl")], "image_folder": str(folder)}
    columns = {"caption": "caption", "url": "url", "path": "file"}
    table2 = {"dataset": "<script>document.title='owned'</script>", "original": 5, "cleaned": 2}
    filters = {"image_size": {}, "text_length": {"maximum": 60}, "markup": {}, "language": {}}
    content = {
        "name": "hostile",
        "sources": [{"name": "web", "read": {**read, "columns": columns}, "table2": table2}],
        "clean": {"html": False, "patterns": False},
        "filters": filters,
    }
    return finished(Recipe.model_validate(content), folder / "out")


@dataclass
class Seen:
    """A page in the browser, with everything that it complained about or asked for."""

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def read_through(self) -> None:
        """Scroll from top to bottom, as a reader does, so that everything lazy shows itself."""
        self.page.evaluate("document.documentElement.style.scrollBehavior = 'auto'")
        height, at = self.page.evaluate("document.documentElement.scrollHeight"), 0
        while at < height:
            self.page.evaluate(f"scrollTo(0, {at})")
            self.page.wait_for_timeout(40)
            at += 800
        self.page.wait_for_function(
            "[...document.querySelectorAll('.chart')].every((e) => e.querySelector('.main-svg'))"
        )


def opened(browser: Browser, report: Path, width: int = 1280, scheme: Scheme = "light") -> Seen:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    context.set_default_timeout(HANG * 1_000)
    seen = Seen(context.new_page())
    seen.page.on("console", lambda message: seen.errors.append(message.text) if message.type == "error" else None)
    seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))

    def refuse(route: Route) -> None:
        if route.request.url == report.as_uri():
            route.continue_()
        else:
            seen.requests.append(route.request.url)
            route.abort()

    context.route(lambda url: not url.startswith("data:"), refuse)
    seen.page.goto(report.as_uri())
    return seen


@pytest.fixture(scope="module")
def wide(browser: Browser, demo: Path) -> Iterator[Seen]:
    """The demo's page at 1280 px, read through."""
    seen = opened(browser, demo)
    seen.read_through()
    yield seen
    seen.page.context.close()


@pytest.fixture
def report(demo: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(demo.with_suffix(".json").read_text("utf-8"))
    return content


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "light"), (1280, "dark")])
def test_no_error_no_request_all_sections_and_the_width_fits(
    browser: Browser, demo: Path, width: int, scheme: Scheme
) -> None:
    seen = opened(browser, demo, width, scheme)
    seen.read_through()
    assert seen.page.evaluate("[...document.querySelectorAll('section')].map((e) => e.id)") == SECTIONS
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    wide = "[...document.querySelectorAll('main *')].filter((e) => !e.closest('.scroll, pre, .chart, code, .bar'))"
    beyond = (
        f"{wide}.filter((e) => e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML.slice(0, 80))"
    )
    assert seen.page.evaluate(beyond) == []
    assert (seen.errors, seen.requests) == ([], [])


def test_thumbnails_are_really_shown(wide: Seen, report: dict[str, Any]) -> None:
    widths = wide.page.evaluate("[...document.querySelectorAll('.card img')].map((e) => e.complete && e.naturalWidth)")
    assert len(widths) > 100
    assert min(widths) > 0
    assert wide.page.get_by_text("claims 60,000 × 60,000 pixels").count() > 0
    picked = [pick for each in report["filters"] for part in each["gallery"] for pick in part["samples"]]
    pairs = [
        member for rule in report["duplicates"] for c in rule["largest"] for member in (c["keeper"], *c["members"])
    ]
    assert wide.page.locator("figure.card").count() == len(picked) + len(pairs)


def test_the_page_is_small_enough_to_mail(demo: Path) -> None:
    assert demo.stat().st_size < 8_000_000


def test_every_chart_has_bars_and_a_threshold(wide: Seen) -> None:
    charts = wide.page.locator(".chart")
    for i in range(charts.count()):
        assert charts.nth(i).locator(".bars .point").count() > 0
    for form in wide.page.locator("form.sliders").all():
        chart = wide.page.locator(f'[data-chart="{form.get_attribute("data-for")}"]')
        assert chart.locator(".shapelayer path").count() >= 2


def test_a_slider_shows_what_another_threshold_keeps(wide: Seen, report: dict[str, Any]) -> None:
    size = next(each for each in report["filters"] if each["word"] == "image_size")
    chart = size["charts"][0]
    form, live = wide.page.locator("#filter-image_size form"), wide.page.locator("#filter-image_size .live")
    passing = sum(size["readable"].values()) - sum(size["failed"].values())
    before = live.inner_text()
    assert f"({passing:,} of {sum(size['readable'].values()):,} readable rows)" in before
    place = len(chart["edges"]) - 2
    form.locator('input[name="minimum"]').evaluate(
        "(e, place) => { e.value = place; e.dispatchEvent(new Event('input', {bubbles: true})); }", place
    )
    left = sum(sum(counts[place:]) for counts in chart["every"].values())
    assert f"({left:,} of" in live.inner_text() and live.inner_text() != before
    assert form.locator('input[name="minimum-value"]').input_value() == str(int(chart["edges"][place - 1]))
    assert "about" not in live.inner_text()
    form.get_by_role("button", name="back to the recipe").click()
    assert live.inner_text() == before


def test_a_typed_threshold_inside_a_bin_is_called_approximate(wide: Seen) -> None:
    live = wide.page.locator("#filter-image_bytes .live")
    wide.page.locator('#filter-image_bytes input[name="minimum-value"]').fill("9000")
    assert "about" in live.inner_text() and "approximate" in live.inner_text()
    wide.page.locator('#filter-image_bytes input[name="minimum-value"]').fill("10000")
    assert "approximate" not in live.inner_text()


def test_a_threshold_is_shown_in_the_precision_of_its_column(wide: Seen) -> None:
    """A float32 of 0.05 is not shown as 0.050000000745."""
    form = wide.page.locator("#filter-aspect_ratio form")
    for place in range(2, 12):
        form.locator('input[name="maximum"]').evaluate(
            "(e, place) => { e.value = place; e.dispatchEvent(new Event('input', {bubbles: true})); }", place
        )
        digits = form.locator('input[name="maximum-value"]').input_value().replace(".", "").lstrip("0")
        assert 1 <= len(digits) <= 7, digits


def test_a_source_alone(wide: Seen, report: dict[str, Any]) -> None:
    rows = report["funnel"]["rows"]["museum"]
    wide.page.locator('#filter-text_length select[name="source"]').select_option("museum")
    assert f"of {rows:,} rows in" in wide.page.locator("#filter-text_length .live").inner_text()


def test_the_crossed_table_follows_its_controls(wide: Seen, report: dict[str, Any]) -> None:
    wide.page.locator('#cross-controls select[name="rows"]').select_option("source")
    wide.page.locator('#cross-controls select[name="cells"]').select_option("rows after")
    cells = wide.page.locator("#cross tbody td").all_inner_texts()
    assert sum(int(cell.replace(",", "")) for cell in cells if cell) == report["kept"]


def test_hostile_text_is_inert_and_shown_as_text(browser: Browser, hostile: Path) -> None:
    seen = opened(browser, hostile, 400)
    seen.read_through()
    assert seen.page.title() == "hostile: curation report"
    assert (seen.errors, seen.requests) == ([], [])
    assert (
        seen.page.evaluate(
            "document.querySelectorAll('main script, main svg[onload], main [onerror], a[href^=j]').length"
        )
        == 0
    )
    shown = seen.page.locator("bdi").all_inner_texts()
    assert any("<script>document.title='owned'</script>" in text for text in shown)
    assert any("%%POLICY%% {{ 7 * 7 }}" in text for text in shown)
    assert max(map(len, shown)) <= 300
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 400
    assert hostile.stat().st_size < 6_000_000
