"""Which lines and pages are rejected."""

from qvl.synth_ocr.page.geometry import rect_quad
from qvl.synth_ocr.page.rules import PageRules, split_readable
from tests.synth_ocr.page.pages import line


def test_line_when_it_cannot_be_read_is_left_out_of_the_label_and_counted() -> None:
    flat = line("flat", 60)
    flat.quad = rect_quad((10, 60, 42, 60))
    lines = [line("good", 0), line("pale", 20, contrast=3), line("low", 40, tall=1), flat, line("a\ufffd", 80)]
    kept, lost = split_readable(lines, PageRules())
    assert [each.text for each in kept] == ["good"]
    assert lost == {"faint": 1, "too_low": 1, "degenerate": 1, "unknown_character": 1}
