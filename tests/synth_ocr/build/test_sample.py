"""From a page to a sample and a ledger row."""

from qvl.synth_ocr.build.sample import built_row, fitting_lines
from qvl.synth_ocr.page.page import Outcome
from qvl.synth_ocr.page.text import token_estimate
from tests.synth_ocr.page.pages import line, page


def test_records_when_the_sequence_is_full_end_with_a_whole_one() -> None:
    lines = [line(f"line number {number}", 30 * number) for number in range(60)]
    room = fitting_lines(lines, 1790)
    assert 20 < room < 60
    assert (
        12 + sum(37 + token_estimate(each.text) for each in lines[:room])
        <= 1790
        < 12 + sum(37 + token_estimate(each.text) for each in lines[: room + 1])
    )
    outcome = Outcome("k", "keep", b"jpeg", 1000, 2000, page(*lines))
    from qvl.pipeline.builders.builder import BuildUnit

    result = built_row(outcome, BuildUnit("u", "s", "n"), "scene", 0, 1790)
    (sample,) = result.samples
    text = sample.record.turns[-1].text
    assert text.count("<quad>") == text.count("</quad>") == text.count("<ref>") == room
    assert result.columns["records_cut"] == 60 - room
    assert sum(region.level == "line" for region in sample.record.regions) == 60


def test_ledger_row_of_a_page_has_its_scripts_and_measures() -> None:
    from qvl.pipeline.builders.builder import BuildUnit

    outcome = Outcome("k", "keep", b"jpeg", 1000, 1000, page(line("中文 text 12", 0), line("文字！", 30)))
    columns = built_row(outcome, BuildUnit("u", "s", "n"), "pdf", 0, 1790).columns
    assert columns["han"] == "中字文" and columns["language"] == "zh"
    assert columns["scripts"] == '{"Han":4,"Latin":4,"digits":2,"signs":1}'
    assert columns["heights"] == [20.0, 20.0] and columns["lost"] == "{}"
