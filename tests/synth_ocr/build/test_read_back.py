"""Tesseract's read-back: groups of lines, and when it runs again."""

from pathlib import Path

import orjson
import pytest

from qvl.pipeline.commit.records import decode
from qvl.synth_ocr.build.read_back import (
    READ_BACK,
    ErrorRate,
    LineReading,
    ReadBack,
    ReadBackInputs,
    effect_groups,
    read_back,
    summarize,
)
from qvl.synth_ocr.build.report import write_report
from qvl.synth_ocr.page.notes import SceneNotes
from qvl.synth_ocr.page.tesseract import tesseract_version
from tests.synth_ocr import trap_pdf as trap
from tests.synth_ocr.build.documents import recipe, run

NOTES = SceneNotes(
    blur=0.2, motion_blur=5, shadow=10.0, contrast=1.0, brightness=0.0, noise=4.0, bend=0.3, quality=72, layout="sign",
    asked={}, lacking={},
)  # fmt: skip


def reading(source: str, cer: float, characters: int = 10, effects: tuple[str, ...] = ()) -> LineReading:
    label = "x" * characters
    return LineReading(
        source, "en", "under 16", label, label, round(cer * characters), characters, cer, "k", [*effects]
    )


def test_effect_groups_name_how_strong_each_effect_is() -> None:
    assert effect_groups(NOTES) == [
        "blur under 0.5", "motion_blur from 5", "noise from 4", "shadow under 80", "bend from 0.2", "quality from 65",
        "layout sign",
    ]  # fmt: skip
    assert effect_groups(None) == []


def test_summary_has_rates_of_every_group_in_numeric_order_and_the_worst_lines_first() -> None:
    inputs = ReadBackInputs(1, "hash", 2, "5.0")
    lines = [reading("b", 0.5, effects=("noise from 16",)), reading("a", 0.0, 30, ("noise from 4",))]
    summary = summarize(lines, inputs)
    assert list(summary.groups) == ["a", "all", "b", "height under 16", "language en", "noise from 4", "noise from 16"]
    assert summary.groups["all"] == ErrorRate(2, 0.125, 0.25)
    assert [each.source for each in summary.worst] == ["b", "a"]
    stored = orjson.dumps(summary, option=orjson.OPT_INDENT_2)
    assert decode(ReadBack, stored, READ_BACK) == summary
    assert list(orjson.loads(stored)["worst"][0]) == [
        "source", "language", "height", "label", "read", "errors", "characters", "cer", "key", "effects"
    ]  # fmt: skip


def test_read_back_when_repeated_is_reused_until_something_changes(tmp_path: Path, documents: Path) -> None:
    if tesseract_version() is None:
        pytest.skip("no tesseract: sh scripts/ocr_packages.sh")
    out = tmp_path / "out"
    run(recipe(documents), out)
    first = read_back(out, 1)
    assert first.groups["all"].lines >= 1 and first.groups["all"].cer < 0.1
    written = (out / READ_BACK).stat().st_mtime_ns
    assert read_back(out, 1) == first
    assert (out / READ_BACK).stat().st_mtime_ns == written
    assert "single lines cut out" in write_report(out).read_text()
    assert read_back(out, 2).of.pages == 2
    (documents / "z.pdf").write_bytes(trap.saved(trap.document(trap.light_on_dark), no_new_id=True))
    run(recipe(documents), out, fresh=True)
    assert "No line of this build was read back" in write_report(out).read_text()
    assert read_back(out, 2).of.dataset != first.of.dataset
