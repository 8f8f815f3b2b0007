"""Text ink in pixels."""

import numpy as np

from qvl.synth_ocr.page.evidence import INK, Evidence, measure_line, text_change, unlabelled_share
from qvl.synth_ocr.page.geometry import rect_quad
from qvl.synth_ocr.page.page import Line


def line_at(x0: float, y0: float, x1: float, y1: float) -> Line:
    quad = rect_quad((x0, y0, x1, y1))
    return Line("text", quad, quad, [], 0)


def evidence_of(*rects: tuple[int, int, int, int]) -> Evidence:
    """Ink of change 200 in rectangles (x0, y0, x1, y1) of an image of 100 x 60 pixels."""
    change = np.zeros((60, 100), np.uint8)
    for x0, y0, x1, y1 in rects:
        change[y0:y1, x0:x1] = 200
    return Evidence(change)


def test_text_change_is_the_largest_change_of_a_channel() -> None:
    white = np.full((1, 3, 3), 255, np.uint8)
    shown = white.copy()
    shown[0, 1] = (255, 240, 0)
    assert text_change(shown, white).tolist() == [[0, 255, 0]]


def test_change_when_faint_is_not_ink() -> None:
    evidence = Evidence(np.array([[INK, INK + 1]], np.uint8))
    assert evidence.ink.tolist() == [[False, True]] and evidence.mask.tolist() == [[0, 1]]


def test_measured_line_has_ink_share_contrast_and_height() -> None:
    line = measure_line(line_at(10, 10, 30, 20), 0.9, evidence_of((10, 10, 20, 20)))
    assert (line.ink_share, line.contrast, line.pixel_height, line.agreement) == (0.5, 200.0, 10.0, 0.9)
    empty = measure_line(line_at(50, 40, 60, 50), 0.0, evidence_of((10, 10, 20, 20)))
    assert (empty.ink_share, empty.contrast) == (0.0, 0.0)


def test_unlabelled_share_counts_ink_outside_all_lines() -> None:
    evidence = evidence_of((10, 10, 20, 20), (60, 10, 70, 20))
    assert unlabelled_share([line_at(10, 10, 20, 20)], evidence) == 0.5
    assert unlabelled_share([], evidence) == 1.0
    assert unlabelled_share([], evidence_of()) == 0.0
