"""Lines and pages for tests."""

import numpy as np

from qvl.synth_ocr.page.geometry import rect_quad
from qvl.synth_ocr.page.page import Line, Page, Word


def line(text: str, top: float, contrast: float = 200.0, tall: float = 20.0) -> Line:
    quad = rect_quad((10, top, 10 + 8.0 * len(text), top + tall))
    layout = rect_quad((10, top - 2, 10 + 8.0 * len(text), top + tall + 4))
    return Line(text, quad, layout, [Word(text, quad)], int(top) // 100, 0.3, contrast, tall)


def page(*lines: Line) -> Page:
    return Page(np.zeros((0, 0, 3), np.uint8), list(lines), fonts=["Some"])
