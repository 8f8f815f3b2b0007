"""From fragments to lines with words."""

from qvl.synth_ocr.html.fragments import Fragment
from qvl.synth_ocr.html.lines import is_tofu, read_lines
from qvl.synth_ocr.page.geometry import rect_quad
from tests.synth_ocr.page.test_evidence import evidence_of


def fragment(text: str, x0: float, x1: float, block: int = 0) -> Fragment:
    return Fragment(text, rect_quad((x0, 10, x1, 20)), (0, block), 10.0, (1.0, 0.0), True)


def test_fragments_of_one_block_are_one_line_with_words_at_the_gaps_of_the_ink() -> None:
    evidence = evidence_of((0, 10, 17, 20), (25, 10, 45, 20))
    lines, lost = read_lines([fragment("one ", 0, 24), fragment("two", 25, 45)], evidence)
    (line,) = lines
    assert line.text == "one two" and not lost
    assert [(word.text, *word.quad[0], *word.quad[2]) for word in line.words] == [
        ("one", 0, 10, 17, 20), ("two", 25, 10, 45, 20)
    ]  # fmt: skip


def test_fragments_of_two_blocks_are_two_lines_and_paragraphs() -> None:
    evidence = evidence_of((0, 10, 20, 20), (25, 10, 45, 20))
    lines, _ = read_lines([fragment("one", 0, 20), fragment("two", 25, 45, block=1)], evidence)
    assert [(line.text, line.paragraph) for line in lines] == [("one", 0), ("two", 1)]


def test_fragment_when_hidden_cut_or_outside_is_dropped_with_its_reason() -> None:
    evidence = evidence_of((0, 10, 10, 20))
    fragments = [
        fragment("hidden", 50, 80),
        fragment("half seen", 0, 40),
        fragment("away", 200, 220),
        fragment(" ", 0, 9),
    ]
    fragments += [fragment("edge", 90, 120)]
    lines, lost = read_lines(fragments, evidence)
    assert lines == [] and lost == {"invisible": 1, "cut": 1, "outside": 1, "empty": 1, "cut_by_edge": 1}


def test_character_without_a_font_is_tofu_and_private_ones_are_not() -> None:
    assert not is_tofu("plain") and not is_tofu("\ue000")
