"""The app in a real browser, clicked through as a user does: every view, the keys, hostile text, both widths."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs, urlsplit

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from qvl.grounding_builder.command import app as grounding
from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.builders.build import build
from qvl.pipeline.builders.builder import BuildUnit, BuiltRow
from qvl.pipeline.curate.run import run
from qvl.pipeline.markup.regions import Region
from qvl.pipeline.markup.turns import Turn
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.shards.sample import Origin, Sample, SampleImage, SampleRecord
from qvl.training.evaluation.run import predictions
from qvl.training.evaluation.samples.sample import Answer
from qvl.training.evaluation.samples.shards import find_shards, read_shards
from qvl.training.evaluation.scoring import score
from tests.browser import needs_browser
from tests.pipeline.samples import jpeg
from tests.served import ROOT, ask, served
from tests.shared import HANG, demo_output

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page


QUIET = "main.getAttribute('aria-busy') === 'false' && !document.querySelector('.result.old, main > .wait, #drawer > .wait')"
Scheme = Literal["light", "dark"]
HOSTILE = [
    "<script>document.title='owned'</script> a caption with a script",
    '"><img src=x onerror="document.title=\'owned\'"> a caption that leaves its attribute',
    "</bdi></p></script><svg onload=document.title='owned'> a caption that closes what is open",
    "\u202eright to left \u2066 and never closed שלום עולם مرحبا",
    "👩‍👩‍👧‍👦🏳️‍🌈🧑🏽‍🚀 emoji that are joined, and a flag 🇨🇳",
    "javascript:document.title='owned' %%POLICY%% {{ 7 * 7 }} ${7 * 7} like a template",
    "\u0000\u0001\u001b[31m control characters \u2028 and separators \ufeff",
    "a very long caption " * 50_000,
]

pytestmark = needs_browser


@dataclass
class Seen:
    """A page, with everything that it complained about or asked for elsewhere."""

    page: Page
    base: str
    errors: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def open(self, address: str = "") -> Seen:
        self.page.goto(self.base + address)
        self.settle()
        return self

    def settle(self) -> None:
        """Until nothing is asked for any more."""
        quiet = 0
        for _ in range(HANG * 40):
            self.page.wait_for_timeout(25)
            quiet = quiet + 1 if self.page.evaluate(QUIET) else 0
            if quiet == 4:
                return
        raise AssertionError("the page never came to rest")

    def until(self, expression: str) -> None:
        """Wait, within bounds. Not wait_for_function: it evaluates text inside the page, which the policy refuses."""
        for _ in range(HANG * 20):
            if self.page.evaluate(expression):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"never true: {expression}")

    def query(self) -> str:
        return str(self.page.evaluate("decodeURIComponent(location.search)"))

    def come_to_rest(self, place: Locator) -> None:
        """Scroll to a place, until it stays where it is."""
        still, before = 0, None
        for _ in range(HANG * 10):
            place.scroll_into_view_if_needed()
            self.page.wait_for_timeout(100)
            box = place.bounding_box()
            still, before = (still + 1 if box == before else 0), box
            if still == 8:
                return
        raise AssertionError("the page does not come to rest")

    def total(self) -> int:
        return int(self.page.locator("#total").inner_text().split()[0].replace(",", ""))


def looked_at(browser: Browser, base: str, width: int = 1280, scheme: Scheme = "light") -> Seen:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    context.set_default_timeout(HANG * 1_000)
    seen = Seen(context.new_page(), base)
    seen.page.on("console", lambda message: seen.errors.append(message.text) if message.type == "error" else None)
    seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
    seen.page.on("request", lambda sent: None if sent.url.startswith(base) else seen.elsewhere.append(sent.url))
    return seen


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The shipped corpus, curated and served."""
    out, recipe = demo_output(tmp_path_factory) / "demo", ROOT / "examples" / "demo.yaml"
    with served(out, "--recipe", str(recipe)) as base:
        yield out, base


@pytest.fixture
def seen(browser: Browser, demo: tuple[Path, str]) -> Iterator[Seen]:
    """The demo's app; whatever a test does, no error and no request to elsewhere."""
    found = looked_at(browser, demo[1])
    yield found
    assert (found.errors, found.elsewhere) == ([], [])
    found.page.context.close()


@pytest.fixture(scope="module")
def verdicts(demo: tuple[Path, str]) -> list[str]:
    """The verdict of every row, read without the app."""
    tables = [pq.read_table(path, columns=["verdict"]) for path in (demo[0] / "ledger").glob("*.parquet")]
    return [str(word) for table in tables for word in table["verdict"].to_pylist()]


def test_a_bar_of_the_funnel_leads_to_its_rows_and_back(seen: Seen, verdicts: list[str]) -> None:
    seen.open()
    assert seen.page.title() == "demo: overview"
    seen.page.locator("#funnel button.step", has_text="image size").click()
    seen.settle()
    assert "f=verdict:is:image_size" in seen.query() and seen.total() == verdicts.count("image_size")
    cards = seen.page.locator(".list .card")
    assert cards.count() == verdicts.count("image_size")
    assert set(cards.locator(".verdict").all_inner_texts()) == {"image size"}
    seen.page.go_back()
    seen.settle()
    assert seen.page.locator("#funnel button.step").count() == len(set(verdicts))


def test_a_bar_of_a_histogram_and_a_range_drawn_over_it(seen: Seen) -> None:
    seen.open()
    chart = seen.page.locator("[data-column=shorter_side]")
    chart.scroll_into_view_if_needed()
    bins = chart.locator(".bin")
    bins.first.wait_for()
    said = [(i, str(bins.nth(i).get_attribute("title"))) for i in range(bins.count())]
    i, text = next((i, text) for i, text in said if ": 0 rows" not in text)
    rows = int(text.split(": ")[1].split(" rows")[0].replace(",", ""))
    bins.nth(i).click()
    seen.settle()
    assert "f=shorter_side:in:" in seen.query() and seen.total() == rows
    seen.page.go_back()
    seen.settle()
    seen.come_to_rest(chart)  # charts above it may still be on their way, and would move it under the mouse
    bins.first.wait_for()
    seen.come_to_rest(chart)
    first, last = bins.first.bounding_box(), bins.last.bounding_box()
    assert first is not None and last is not None
    seen.page.mouse.move(first["x"] + 1, first["y"] + 40)
    seen.page.mouse.down()
    seen.page.mouse.move(last["x"] + 1, last["y"] + 40, steps=8)
    seen.page.mouse.up()
    seen.settle()
    every = sum(int(text.split(": ")[1].split(" rows")[0].replace(",", "")) for _, text in said)
    assert seen.total() == every > rows


def test_facets_chips_search_and_the_filter_form(seen: Seen, verdicts: list[str]) -> None:
    seen.open("?view=rows")
    assert seen.total() == len(verdicts)
    seen.page.locator(".facet[data-column=verdict] .bar", has_text="language").click()
    seen.settle()
    assert seen.total() == verdicts.count("language")
    seen.page.locator(".facet[data-column=verdict] .bar", has_text="keep").click()
    seen.settle()
    assert seen.total() == verdicts.count("language") + verdicts.count("keep")
    seen.page.locator(".chip", has_text="keep").get_by_role("button").click()
    seen.settle()
    assert seen.total() == verdicts.count("language")
    seen.page.get_by_text("clear all").click()
    seen.settle()
    seen.page.keyboard.press("/")
    seen.page.keyboard.type("HASH(")
    seen.page.keyboard.press("Enter")
    seen.settle()
    assert "f=caption:has:HASH(" in seen.query() and 0 < seen.total() < 20
    seen.page.get_by_text("Filter by column").click()
    form = seen.page.locator("form.add")
    form.locator("[name=column]").select_option("width")
    form.locator("[name=operator]").select_option("in")
    form.locator("[name=value]").fill("700")
    form.locator("[name=upper]").fill("900")
    form.get_by_role("button", name="Add filter").click()
    seen.settle()
    assert "f=width:in:700..900" in seen.query()
    assert all("794" in text for text in seen.page.locator(".list .card .facts").all_inner_texts())


def test_a_filter_that_cannot_be_asked_is_said_in_words(browser: Browser, demo: tuple[Path, str]) -> None:
    seen = looked_at(browser, demo[1])
    seen.page.goto(f"{demo[1]}?view=rows&f=width:is:wide")
    seen.page.get_by_text("width: wide is not a number").wait_for()
    seen.page.context.close()


def test_the_table_sorts_and_takes_columns(seen: Seen) -> None:
    seen.open("?view=rows&mode=table&f=verdict:is:keep")
    seen.page.get_by_role("columnheader", name="width").get_by_role("button").click()
    seen.settle()
    assert "sort=-width" in seen.query()
    names = [text.strip(" ↓↑") for text in seen.page.locator("table.rows th").all_inner_texts()]
    at = names.index("width") + 1
    widths = [int(t.replace(",", "")) for t in seen.page.locator(f"tr.line td:nth-child({at})").all_inner_texts()]
    assert widths == sorted(widths, reverse=True) and len(widths) >= 60
    seen.page.locator("details.columns summary").click()
    seen.page.locator("details.columns").get_by_label("url").check()
    seen.settle()
    assert "url" in seen.page.locator("table.rows thead").inner_text()


def test_more_rows_come_on_scrolling_down(seen: Seen, verdicts: list[str]) -> None:
    seen.open("?view=rows&f=verdict:is:keep")
    cards = seen.page.locator(".list .card")
    for _ in range(HANG * 10):
        if cards.count() == verdicts.count("keep"):
            break
        seen.page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        seen.page.wait_for_timeout(100)
        seen.page.wait_for_load_state("networkidle")
    keys = cards.evaluate_all("(all) => all.map((each) => each.dataset.key)")
    assert len(set(keys)) == len(keys) == verdicts.count("keep")


def test_a_row_shows_its_rules_its_lineage_and_its_duplicates(seen: Seen) -> None:
    seen.open("?view=rows&f=verdict:is:duplicate_image")
    seen.page.locator(".list .card").first.click()
    seen.settle()
    drawer = seen.page.locator("#drawer")
    side = drawer.locator(".side .card")
    assert side.count() >= 2
    assert side.first.locator(".verdict").inner_text() == "keep" and "keeper" in side.first.inner_text()
    seen.until(
        "[...document.querySelectorAll('#drawer img')].every((image) => image.complete && image.naturalWidth > 0)"
    )
    assert "passes every filter" in drawer.inner_text()
    drawer.locator("details.columns-of summary").click()
    assert "image hash" in drawer.inner_text()
    side.first.click()
    seen.settle()
    assert drawer.locator(".top .verdict").inner_text() == "keep"
    assert "shards/demo-" in drawer.inner_text() and "dropped in favour of this one" in drawer.inner_text()
    address = seen.page.url
    seen.page.keyboard.press("Escape")
    assert drawer.is_hidden()
    seen.page.goto(address)
    drawer.locator(".top .verdict").wait_for()


def test_a_dropped_row_names_all_rules_that_it_fails(seen: Seen, demo: tuple[Path, str]) -> None:
    rows = ask(demo[1], "rows", f=["fails:is:language", "fails:is:word_count"], sort="-words")["rows"]
    row = next(row for row in rows if len(row["fails"]) > 1)
    seen.open(f"?view=rows&row={row['_key']}")
    failed = seen.page.locator("#drawer tr.failed th").all_inner_texts()
    assert [text.removeprefix("✗ ").replace(" ", "_") for text in failed] == row["fails"]


def test_a_caption_before_and_after_cleaning(seen: Seen, demo: tuple[Path, str]) -> None:
    rows = ask(demo[1], "rows", column="caption_raw", f="caption_raw:has:<")["rows"]
    row = next(row for row in rows if row["caption_raw"] != row["caption"] and row["caption"])
    seen.open(f"?view=rows&row={row['_key']}")
    drawer = seen.page.locator("#drawer")
    gone = "".join(drawer.locator(".diff del").all_inner_texts())
    assert "<" in gone and drawer.locator(".pair .text").count() == 2


def test_the_keys_alone_lead_through_the_app(seen: Seen) -> None:
    seen.open()
    seen.page.keyboard.press("2")
    seen.settle()
    cards = seen.page.locator(".list .card")
    for key in ("j", "j", "k", "ArrowRight"):
        seen.page.keyboard.press(key)
    second = str(cards.nth(1).get_attribute("data-key"))
    assert seen.page.evaluate("document.activeElement.dataset.key") == second
    seen.page.keyboard.press("Enter")
    seen.page.locator("#drawer h2", has_text=second).wait_for()
    seen.page.keyboard.press("ArrowRight")
    seen.page.locator("#drawer h2", has_text=str(cards.nth(2).get_attribute("data-key"))).wait_for()
    seen.page.keyboard.press("Escape")
    assert seen.page.evaluate("document.activeElement.dataset.key") == cards.nth(2).get_attribute("data-key")
    seen.page.keyboard.press("g")
    seen.settle()
    assert seen.page.locator("table.rows").count() == 1
    seen.page.keyboard.press("?")
    assert seen.page.locator("dialog").is_visible()
    seen.page.keyboard.press("Escape")
    before = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
    seen.page.keyboard.press("t")
    assert seen.page.evaluate("getComputedStyle(document.body).backgroundColor") != before


def test_clusters_of_every_rule(seen: Seen, verdicts: list[str]) -> None:
    seen.open("?view=duplicates")
    for rule in ("duplicate image", "near duplicate", "repeated text"):
        seen.page.get_by_role("button", name=rule).click()
        seen.settle()
        losers = seen.page.locator(".cluster .card .verdict", has_text=rule).count()
        assert losers == verdicts.count(rule.replace(" ", "_"))


def test_a_slider_counts_exactly_and_shows_what_leaves(seen: Seen, demo: tuple[Path, str], verdicts: list[str]) -> None:
    seen.open("?view=whatif")
    kept, tiles = verdicts.count("keep"), seen.page.locator(".result .tile b")
    assert tiles.first.inner_text() == str(kept)
    slider = seen.page.locator("[data-word=image_size] input[type=range]")
    slider.wait_for()
    slider.focus()
    for _ in range(6):
        seen.page.keyboard.press("ArrowRight")
    seen.until("location.search.includes('image_size.minimum_side')")
    seen.page.wait_for_timeout(200)
    seen.settle()
    (change,) = parse_qs(urlsplit(seen.page.url).query)["w"]
    expected = ask(demo[1], "whatif", w=change)
    assert tiles.first.inner_text() == str(expected["kept_after"]) and expected["kept_after"] < kept
    leaving = seen.page.locator(".result section", has_text="Leave").locator(".card")
    assert leaving.count() == len(expected["leaving"]) == min(18, expected["lost"])
    assert "→ image size" in leaving.first.inner_text()
    seen.page.get_by_role("button", name="back to the recipe").click()
    seen.settle()
    assert tiles.first.inner_text() == str(kept)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "light"), (400, "dark")])
@pytest.mark.parametrize("address", ["", "?view=rows", "?view=rows&mode=table", "?view=duplicates", "?view=whatif"])
def test_every_view_fits(browser: Browser, demo: tuple[Path, str], address: str, width: int, scheme: Scheme) -> None:
    seen = looked_at(browser, demo[1], width, scheme).open(address)
    height = seen.page.evaluate("document.documentElement.scrollHeight")
    for at in range(0, min(height, 6000), 700):
        seen.page.evaluate(f"scrollTo(0, {at})")
        seen.page.wait_for_timeout(30)
    seen.settle()
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    assert (seen.errors, seen.elsewhere) == ([], [])
    seen.page.context.close()


def test_looking_writes_nothing(browser: Browser, demo: tuple[Path, str]) -> None:
    def state() -> dict[str, tuple[int, int]]:
        return {str(p): (p.stat().st_mtime_ns, p.stat().st_size) for p in demo[0].rglob("*")}

    before = state()
    seen = looked_at(browser, demo[1])
    for address in (
        "",
        "?view=rows",
        "?view=rows&table=samples",
        "?view=duplicates",
        "?view=whatif&w=dedup.image=false",
    ):
        seen.open(address)
    assert state() == before
    seen.page.context.close()


HARMLESS, CORNERS = (0.12345, 0.25, 1.0, 2.0), b'["<svg>",null,1.0,2.0]'
"""A box, and equally many bytes that replace it in the finished tars: our own writers write no such thing."""


@dataclass
class Drawings:
    """Pages with boxes, quads and words that try to become part of the page."""

    name: str = "drawings"
    columns: list[tuple[str, pa.DataType]] = field(
        default_factory=lambda: [("regions", pa.int32()), ("flags", pa.list_(pa.string()))]
    )

    def units(self) -> list[BuildUnit]:
        return [BuildUnit("drawings-0000", "drawings", "made", 0)]

    def parts(self, unit: BuildUnit) -> dict[str, Any]:
        return {"text": HOSTILE[0]}

    def make(self, unit: BuildUnit) -> Iterator[BuiltRow]:
        for row, text in enumerate(HOSTILE):
            regions = (
                Region(text, 0, box=(0.1, 0.2, 0.5, 0.6)),
                Region(text, 0, quad=(0.2, 0.2, 0.8, 0.25, 0.75, 0.7, 0.25, 0.65)),
                Region("no numbers", 0, box=HARMLESS),
            )
            origin = Origin(unit.name, row, text[:40], "javascript:alert(1)")
            turns = Turn("user", f"<img>0</img>{text}"), Turn("<b>assistant", text)
            record = SampleRecord(f"d{row}", "drawings", "ocr", "en", turns, origin, regions)
            sample = Sample(record, (SampleImage("jpg", jpeg(row, 300, 200), 300, 200),))
            yield BuiltRow("keep", text[:40], [sample], {"regions": len(regions), "flags": [text[:60], "<i>"]})
        yield BuiltRow("<script>document.title='owned'</script>", "dropped", [], {"regions": 0, "flags": []})


def test_boxes_and_quads_are_drawn_where_they_lie(browser: Browser, tmp_path: Path) -> None:
    with RunProgress() as progress:
        build(Drawings(), tmp_path / "out", SerialPool(), progress, shard_rows=5, seed=0)
    for tar in (tmp_path / "out" / "shards").glob("*.tar"):
        tar.write_bytes(tar.read_bytes().replace(orjson.dumps(HARMLESS), CORNERS))
    with served(tmp_path / "out") as base:
        seen = looked_at(browser, base).open("?view=rows&row=drawings-0000-0000003")
        image = seen.page.locator("#drawer .picture.large img")
        seen.until("document.querySelector('#drawer .picture.large img').naturalWidth === 300")
        frame, shapes = image.bounding_box(), seen.page.locator("#drawer polygon")
        assert frame is not None and shapes.count() == 2
        for i, (x1, y1, x2, y2) in enumerate([(0.1, 0.2, 0.5, 0.6), (0.2, 0.2, 0.8, 0.7)]):
            drawn = shapes.nth(i).evaluate(
                "(e) => { const r = e.getBoundingClientRect(); return [r.x, r.y, r.right, r.bottom]; }"
            )
            wanted = [frame["x"] + x1 * frame["width"], frame["y"] + y1 * frame["height"],
                      frame["x"] + x2 * frame["width"], frame["y"] + y2 * frame["height"]]  # fmt: skip
            assert drawn == pytest.approx(wanted, abs=2.5)
        seen.page.locator("#drawer .regions li").nth(1).hover()
        assert "lit" in str(shapes.nth(1).get_attribute("class"))
        for address in (
            "",
            "?view=rows",
            "?view=rows&table=samples",
            *(f"?view=rows&row=drawings-0000-000000{i}" for i in range(9)),
        ):
            seen.open(address)
            _assert_inert(seen, "drawings")
        assert (seen.errors, seen.elsewhere) == ([], [])
        seen.page.context.close()


def test_hostile_captions_are_text(browser: Browser, tmp_path: Path) -> None:
    rows = []
    for i, caption in enumerate(HOSTILE):
        name = f"<b>{i}&amp;'.jpg"
        (tmp_path / name).write_bytes(jpeg(i, 300, 300))
        rows.append({"file": name, "caption": caption, "url": "javascript:document.title='owned'"})
    (tmp_path / "<i>rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    read = {"kind": "table", "paths": [str(tmp_path / "<i>rows.jsonl")], "image_folder": str(tmp_path)}
    source = {"name": "web", "read": {**read, "columns": {"caption": "caption", "url": "url", "path": "file"}}}
    content = {"name": "hostile", "sources": [source], "clean": {"html": False, "patterns": False}}
    recipe = Recipe.model_validate({**content, "filters": {"text_length": {"maximum": 60}}})
    with RunProgress() as progress:
        run(recipe, tmp_path / "out", SerialPool(), progress)
    with served(tmp_path / "out") as base:
        seen = looked_at(browser, base, 400).open("?view=rows")
        captions = seen.page.locator(".card .caption").all_inner_texts()
        assert any("<script>document.title='owned'</script>" in text for text in captions)
        assert any("{{ 7 * 7 }} ${7 * 7}" in text for text in captions)
        assert max(map(len, captions)) <= 300
        for row in ask(base, "rows")["rows"]:
            seen.open(f"?view=rows&row={row['_key']}")
            _assert_inert(seen, "hostile")
            assert seen.page.evaluate("document.documentElement.scrollWidth") <= 400
        for address in (
            "",
            "?view=rows&mode=table",
            "?view=rows&f=caption:has:<script>",
            "?view=whatif&w=text_length.maximum=10",
        ):
            seen.open(address)
            _assert_inert(seen, "hostile")
        assert (seen.errors, seen.elsewhere) == ([], [])
        seen.page.context.close()


def _assert_inert(seen: Seen, name: str) -> None:
    """Nothing of the data has become an element, a link or a script."""
    assert seen.page.title().startswith(f"{name}: ")
    grown = (
        "body script, body svg[onload], body [onerror], a[href^='javascript'], main b b, iframe, body link, body style"
    )
    assert seen.page.evaluate(f"document.querySelectorAll({json.dumps(grown)}).length") == 0


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Answers of two models to questions about the grounding demo, as evaluations of a journey leave them."""
    folder = tmp_path_factory.mktemp("journey")
    done = CliRunner().invoke(
        grounding, ["build", str(ROOT / "examples/grounding_demo.yaml"), "-o", str(folder / "data")]
    )
    assert done.exit_code == 0, done.output
    samples = list(read_shards(find_shards(folder / "data"), ["grounding", "caption"]))[:30]
    for name, text in (("before", HOSTILE[0]), ("after", "<box>(100,100),(600,600)</box>")):
        out = folder / "out" / "eval" / name
        answers = [Answer(text) for _ in samples]
        out.mkdir(parents=True)
        pq.write_table(predictions(samples, answers, score(samples, answers)), out / "predictions.parquet")
    (folder / "out" / "recipe.yaml").write_text("datasets: {ground: {path: ../data}, gone: {path: ../gone}}\n")
    return folder / "out"


def test_predictions_stand_beside_the_truth(browser: Browser, journey: Path) -> None:
    with served(journey) as base:
        seen = looked_at(browser, base).open()
        assert "1 dataset not found" in seen.page.locator("main details.note").inner_text()
        head = seen.page.locator("#scores thead th").all_inner_texts()
        assert head[-2:] == ["after", "before"]
        seen.page.locator("#scores tr", has_text="referring").locator("button").first.click()
        seen.settle()
        assert seen.query() == "?view=rows&table=predictions&f=model:is:after&f=set:is:referring"
        card = seen.page.locator(".list .card").first
        seen.until("document.querySelector('.list .card img')?.naturalWidth > 0")
        assert card.locator("polygon.truth").count() >= 1 and card.locator("polygon.answered").count() == 1
        card.click()
        seen.settle()
        drawer = seen.page.locator("#drawer")
        seen.until("document.querySelector('#drawer .picture.large img')?.naturalWidth > 0")
        frame = drawer.locator(".picture.large img").bounding_box()
        corners = drawer.locator("polygon.answered").evaluate(
            "(e) => { const r = e.getBoundingClientRect(); return [r.x, r.y, r.right, r.bottom]; }"
        )
        assert frame is not None
        assert corners == pytest.approx(
            [frame["x"] + part * frame["width"] / 999 if i % 2 == 0 else frame["y"] + part * frame["height"] / 999
             for i, part in enumerate((100, 100, 600, 600))], abs=2.5,
        )  # fmt: skip
        drawer.locator("input[type=checkbox]").last.uncheck()
        assert drawer.locator("polygon.answered").count() == 0 and drawer.locator("polygon.truth").count() >= 1
        drawer.get_by_role("link", name="before").click()
        seen.settle()
        assert "before#" in drawer.locator("h2").inner_text()
        _assert_inert(seen, "out")
        for address in ("?view=rows&table=samples", "?view=rows&f=prediction:has:script", "?view=rows&mode=table"):
            assert seen.open(address).total() > 0
        assert (seen.errors, seen.elsewhere) == ([], [])
        seen.page.context.close()


def test_a_search_says_how_far_it_is(browser: Browser, demo: tuple[Path, str], verdicts: list[str]) -> None:
    """With answers after each file, as over very many rows, and a second one that is late."""
    small = "from qvl.pipeline.view.tables import search; search.AT_ONCE, search.SECONDS = 1, 0"
    with served(demo[0], before=small) as base:
        seen, late = looked_at(browser, base), list[Any]()
        seen.page.route("**/api/facets*from=*%3A0*", lambda route: route.continue_() if late else late.append(route))
        seen.page.goto(f"{base}?view=rows&f=caption:has:a")
        seen.until("document.getElementById('total')?.textContent.startsWith('at least')")
        assert seen.page.locator("#searched").inner_text().endswith("% searched")
        at_least = int(seen.page.locator("#total").inner_text().split()[2].replace(",", ""))
        assert seen.page.locator(".facet[data-column=verdict] .bar").count() > 0
        late[0].continue_()
        seen.settle()
        assert at_least < seen.total() == ask(demo[1], "total", f="caption:has:a")["rows"] < len(verdicts)
        assert seen.page.locator("#searched").inner_text() == ""
        assert seen.page.locator(".list .card").count() >= 60
        assert seen.errors == []
        seen.page.context.close()
