"""Which extracted words are seen, and how they form lines."""

import pytest

from qvl.synth_ocr.page.evidence import Evidence
from qvl.synth_ocr.page.extracted import ExtractedWord
from qvl.synth_ocr.page.visibility import group_into_lines, judge_words
from tests.synth_ocr.page.test_evidence import evidence_of

RIGHT = (1.0, 0.0)


def word(text: str, x0: float, x1: float, line: int = 0, y0: float = 10) -> ExtractedWord:
    rect = (x0, y0, x1, y0 + 10)
    return ExtractedWord(text, rect, rect, (0, line), RIGHT, RIGHT, 10.0)


def reasons(words: list[ExtractedWord], evidence: Evidence) -> list[str]:
    return [each.reason for each in judge_words(words, evidence)]


@pytest.mark.parametrize(
    ("text", "ink", "reason"),
    [
        ("seen", (10, 10, 40, 20), ""),
        ("hidden", (60, 40, 70, 50), "invisible"),
        ("half", (10, 10, 25, 20), "cut"),  # its end is covered
        ("low", (10, 10, 40, 14), "cut"),  # its lower part is covered
        ("\ufffd", (10, 10, 40, 20), "unknown_character"),
    ],
)
def test_word_is_judged_by_its_ink(text: str, ink: tuple[int, int, int, int], reason: str) -> None:
    assert reasons([word(text, 10, 40)], evidence_of(ink)) == [reason]


def test_word_when_outside_the_page_has_no_ink() -> None:
    assert reasons([word("away", 200, 240)], evidence_of((10, 10, 40, 20))) == ["outside"]


def test_word_when_drawn_twice_is_a_copy_and_other_words_on_top_of_it_are_doubtful() -> None:
    evidence = evidence_of((10, 10, 40, 20))
    assert reasons([word("same", 10, 40), word("same", 10, 40)], evidence) == ["", "copy"]
    assert reasons([word("one", 10, 40), word("two", 10, 40)], evidence) == ["overlap", "overlap"]


def test_words_with_small_gaps_are_one_line_and_a_lost_word_or_a_wide_gap_ends_it() -> None:
    evidence = evidence_of((0, 10, 20, 20), (25, 10, 45, 20), (80, 10, 99, 20))
    words = [word("one", 0, 20), word("two", 25, 45), word("far", 80, 99)]
    lines, lost = group_into_lines(judge_words(words, evidence), evidence)
    assert [line.text for line in lines] == ["one two", "far"] and not lost
    assert lines[0].quad.min(axis=0).tolist() == [0, 10] and lines[0].quad.max(axis=0).tolist() == [45, 20]
    assert lines[0].agreement == 1.0
    words.insert(1, word("gone", 46, 60))
    lines, lost = group_into_lines(judge_words(words, evidence), evidence)
    assert [line.text for line in lines] == ["one", "two", "far"] and lost == {"invisible": 1}
