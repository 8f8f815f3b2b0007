"""From a page to a sample: rules on lines, room in the sequence, columns of the ledger, figures of the report."""

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.synth_ocr.build.recipe import OcrRecipe
from qvl.synth_ocr.build.report import gb2312_level_one
from qvl.synth_ocr.build.run import ready
from qvl.synth_ocr.build.sample import fitting, made, regions
from qvl.synth_ocr.html.source import Html
from qvl.synth_ocr.page.confined import RECYCLE, Confined, Limits
from qvl.synth_ocr.page.geometry import rect_quad
from qvl.synth_ocr.page.page import Line, Outcome, Page, Word
from qvl.synth_ocr.page.reading import groups_of
from qvl.synth_ocr.page.rules import PageRules, admit
from qvl.synth_ocr.page.text import LATIN_EXTENDED, PRIVATE_USE, joined, scripts, tokens
from qvl.synth_ocr.pdf.document import DocumentTask, read_document
from qvl.synth_ocr.pdf.engine import Engine, engine_of, engine_version
from qvl.synth_ocr.pdf.source import Pdf
from tests.synth_ocr import trap_pdf as trap


def line(text: str, top: float, contrast: float = 200.0, tall: float = 20.0) -> Line:
    quad = rect_quad((10, top, 10 + 8.0 * len(text), top + tall))
    layout = rect_quad((10, top - 2, 10 + 8.0 * len(text), top + tall + 4))
    return Line(text, quad, layout, [Word(text, quad)], int(top) // 100, 0.3, contrast, tall)


def page(*lines: Line) -> Page:
    return Page(np.zeros((0, 0, 3), np.uint8), list(lines), fonts=["Some"])


def test_what_cannot_be_read_on_the_final_image_leaves_the_label_and_is_counted() -> None:
    flat = line("flat", 60)
    flat.quad = rect_quad((10, 60, 42, 60))
    lines = [line("good", 0), line("pale", 20, contrast=3), line("low", 40, tall=1), flat, line("a\ufffd", 80)]
    kept, lost = admit(lines, PageRules())
    assert [each.text for each in kept] == ["good"]
    assert lost == {"faint": 1, "too_low": 1, "degenerate": 1, "unknown_character": 1}


def test_records_end_where_the_sequence_does_and_are_whole() -> None:
    lines = [line(f"line number {number}", 30 * number) for number in range(60)]
    room = fitting(lines, 1790)
    assert 20 < room < 60
    assert (
        12 + sum(37 + tokens(each.text) for each in lines[:room])
        <= 1790
        < 12 + sum(37 + tokens(each.text) for each in lines[: room + 1])
    )
    outcome = Outcome("k", "keep", b"jpeg", 1000, 2000, page(*lines))
    from qvl.pipeline.builders.builder import BuildUnit

    result = made(outcome, BuildUnit("u", "s", "n"), "scene", 0, 1790)
    (sample,) = result.samples
    text = sample.content["turns"][-1]["text"]
    assert text.count("<quad>") == text.count("</quad>") == text.count("<ref>") == room
    assert result.columns["records_cut"] == 60 - room
    assert sum(region["level"] == "line" for region in sample.content["regions"]) == 60


def test_regions_have_ink_and_layout_order_and_parents() -> None:
    found = regions(page(line("first", 0), line("second", 30), line("third", 200)), 1000, 1000)
    levels = [region["level"] for region in found]
    assert levels == ["line"] * 3 + ["word"] * 3 + ["paragraph"] * 2
    assert [region["order"] for region in found] == [0, 1, 2, 0, 1, 2, 0, 1]
    assert [found[region["parent"]]["phrase"] for region in found[:3]] == ["first\nsecond", "first\nsecond", "third"]
    assert found[0]["layout"][5] > found[0]["quad"][5]
    assert found[6]["quad"] == [0.01, 0.0, 0.058, 0.0, 0.058, 0.05, 0.01, 0.05]


def test_figures_of_a_page_are_columns_of_the_ledger() -> None:
    from qvl.pipeline.builders.builder import BuildUnit

    outcome = Outcome("k", "keep", b"jpeg", 1000, 1000, page(line("中文 text 12", 0), line("文字！", 30)))
    columns = made(outcome, BuildUnit("u", "s", "n"), "pdf", 0, 1790).columns
    assert columns["han"] == "中字文" and columns["language"] == "zh"
    assert columns["scripts"] == '{"Han":4,"Latin":4,"digits":2,"signs":1}'
    assert columns["heights"] == [20.0, 20.0] and columns["lost"] == "{}"


def test_scripts_are_counted_once_each() -> None:
    text = "・ー、Aé中かנ\u0627Ж한α1,_ ☃"
    counts = scripts(text)
    assert sum(counts.values()) == len(text.replace(" ", ""))
    assert (
        counts["Latin"] == 2
        and counts["Hebrew"] == counts["Arabic"] == 1
        and counts["Kana"] == 2
        and counts["signs"] == 5
    )


def test_character_classes_of_the_paper() -> None:
    assert all(LATIN_EXTENDED.search(c) for c in "\u0100\u017f\u0180\u024f")
    assert not any(LATIN_EXTENDED.search(c) for c in "\u00ff\u0250é")
    assert all(PRIVATE_USE.search(c) for c in "\ue000\uf8ff\U000f0000\U000ffffd\U00100000\U0010fffd")
    assert len(gb2312_level_one()) == 3755 and {"啊", "座"} <= gb2312_level_one()


def test_pieces_join_without_false_blanks() -> None:
    assert joined("中", "文") == "中文" and joined("a", "b") == "a b" and joined("中", "a") == "中 a"
    assert joined("", "a") == "a"


def test_groups_of_effects() -> None:
    notes = {"blur": 0.2, "motion_blur": 5, "noise": 4.0, "layout": "sign", "quality": 72}
    assert groups_of(notes) == [
        "blur under 0.5", "motion_blur from 5", "noise from 4", "quality from 65", "layout sign"
    ]  # fmt: skip
    assert groups_of({}) == []


def test_a_source_that_lacks_something_is_left_out_or_named(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(trap.saved(trap.document()))
    there = {"name": "docs", "read": {"kind": "pdf", "paths": [str(tmp_path / "*.pdf")]}}
    gone: dict[str, Any] = {"name": "gone", "read": {"kind": "pdf", "paths": [str(tmp_path / "none/*.pdf")]}}
    optional = {**gone, "optional": True}
    recipe, notes = ready(OcrRecipe.model_validate({"name": "r", "sources": [there, optional]}))
    assert [source.name for source in recipe.sources] == ["docs"]
    (note,) = notes
    assert note.startswith("left out gone: nothing matches") and "ocr_packages.sh" in note
    for sources in ([there, gone], [optional]):
        with pytest.raises(RecipeError, match=r"gone: nothing matches .*none.*ocr_packages"):
            ready(OcrRecipe.model_validate({"name": "r", "sources": sources}))


def test_a_missing_browser_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Html(templates="en", count=1).missing() == ["no chromium", "no fontconfig (fc-list)"]


@pytest.mark.parametrize("engine", ["mupdf", "pdfium"])
def test_the_engine_and_its_version_are_parts_of_a_unit(tmp_path: Path, engine: Engine) -> None:
    assert engine_of(engine) == engine and engine_of(None) == "mupdf"
    name, *versions = engine_version(engine)
    assert name == engine and versions and all(version[0].isdigit() for version in versions)
    assert Pdf(paths=("x.pdf",), engine=engine).common()["engine"] == [name, *versions]


def test_pdfium_stands_in_where_mupdf_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    data = trap.saved(trap.document())
    monkeypatch.setitem(sys.modules, "pymupdf", None)
    assert engine_of(None) == "pdfium"
    task = DocumentTask(data, None, 0, "d", 400, PageRules(), engine_of(None))
    (outcome,) = (each for each in read_document(task) if not isinstance(each, list))
    assert outcome.page is not None and outcome.page.text == trap.GENUINE
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    with pytest.raises(RecipeError, match="pip install pymupdf or pypdfium2"):
        engine_of(None)


def test_drawing_libraries_have_one_thread() -> None:
    cv2.setNumThreads(2)
    list(read_document(DocumentTask(trap.saved(trap.document()), None, 0, "d", 400, PageRules())))
    assert cv2.getNumThreads() == 1


def whoami(_: Any) -> Any:
    import os

    yield os.getpid()


def test_a_child_is_replaced_before_it_can_leak_for_long() -> None:
    child = Confined(whoami, Limits(60.0, 4096))
    seen = [next(iter(child.results(None))) for _ in range(2)]  # an unfinished task ends the child
    assert seen[0] != seen[1]
    whole = [number for _ in range(RECYCLE + 1) for number in child.results(None)]
    assert len(set(whole)) == 2 and whole.count(whole[-1]) == 1
    child.close()
