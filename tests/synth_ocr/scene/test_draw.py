"""Lines drawn on a document: the label is exactly what is drawn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qvl.synth_ocr.page.text import PRIVATE_USE
from qvl.synth_ocr.scene.corpus import without_markup
from qvl.synth_ocr.scene.draw import Writer, draw_mask
from qvl.synth_ocr.scene.fonts import Face, coverage, load
from qvl.synth_ocr.scene.layout import Box
from qvl.synth_ocr.scene.line_breaking import units
from tests.synth_ocr.scene.scenes import CHINESE, LATIN, empty_sheet, need


def test_character_when_the_face_lacks_it_is_drawn_with_another_or_dropped_with_a_reason() -> None:
    box = Box(10, 20, 500, 40)
    for faces, expected in (([Face(LATIN), Face(need(CHINESE))], ["中文"]), ([Face(LATIN)], [])):
        sheet = empty_sheet()
        Writer(sheet, faces, list(units("中文"))).write(box, Face(LATIN), (0, 0, 0))
        assert [line.text for line in sheet.lines] == expected
        assert bool(sheet.lost["uncovered"]) == (not expected)
        assert sheet.lacking[Face(LATIN).name] == sheet.requested[Face(LATIN).name] > 0
        assert bool(sheet.ink.any()) == bool(expected)


def test_ink_when_outside_the_advance_is_measured_and_never_cut() -> None:
    italic = need("/usr/share/fonts/truetype/liberation/LiberationSerif-Italic.ttf")
    sheet = empty_sheet()
    writer = Writer(sheet, [Face(italic)], list(units("jf")))
    writer.write(Box(100, 10, 300, 80), Face(italic), (0, 0, 0))
    (line,) = sheet.lines
    (_, rect), columns = line.words[0], np.flatnonzero((sheet.ink >= 96).any(axis=0))
    assert rect[0] < line.layout[0] and rect[2] > line.layout[2]
    assert (rect[0], rect[2]) == (columns[0], columns[-1] + 1)
    sheet = empty_sheet()
    Writer(sheet, [Face(italic)], list(units("jf"))).write(Box(0, 10, 300, 80), Face(italic), (0, 0, 0))
    assert not sheet.lines and sheet.lost["over_edge"] == 1 and not sheet.ink.any()


@pytest.mark.parametrize("text", [r"C:\temp\x", "f(x) = [a] {b} 1<2>0", "“quoted” – it’s", "ﬁne oﬃce"])
def test_label_is_the_drawn_string(text: str) -> None:
    sheet = empty_sheet()
    Writer(sheet, [Face(LATIN)], list(units(without_markup(text)))).write(Box(10, 20, 580, 40), Face(LATIN), (0, 0, 0))
    assert [line.text for line in sheet.lines] == [text.replace("ﬁ", "fi").replace("ﬃ", "ffi")]


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("/usr/share/fonts/opentype/bwht/BecauseWeLearn-Regular.otf", "SMALL LETTERS"),
        ("/usr/share/fonts/truetype/humor-sans/Humor-Sans.ttf", "SMALL LETTERS"), (LATIN, "small letters"),
        ("/usr/share/fonts/truetype/agave/agave-r-autohinted.ttf", "small letters"),
    ],
)  # fmt: skip
def test_label_when_the_face_is_all_capitals_is_in_capitals(path: str, label: str) -> None:
    sheet = empty_sheet()
    face = Face(need(path))
    Writer(sheet, [face], list(units("small letters"))).write(Box(10, 20, 580, 40), face, (0, 0, 0))
    assert [line.text for line in sheet.lines] == [label]


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_any_text_when_drawn_is_covered_and_labelled_character_by_character(text: str) -> None:
    sheet = empty_sheet()
    face = Face(LATIN)
    Writer(sheet, [face], list(units(without_markup(text)))).write(Box(10, 20, 580, 40), face, (0, 0, 0))
    for line in sheet.lines:
        assert coverage(face).issuperset(map(ord, line.text)) and not PRIVATE_USE.search(line.text)
        assert " ".join(word for word, _ in line.words) == line.text


def test_vertical_text_has_vertical_signs() -> None:
    font = load(Face(need(CHINESE)), 80)
    flat, upright = (draw_mask(font, "（", 100, 100, down) for down in (False, True))
    assert flat is not None and upright is not None
    assert flat[0].shape[0] > flat[0].shape[1] and upright[0].shape[0] < upright[0].shape[1]


def test_second_line_when_drawn_over_the_first_is_dropped_and_counted() -> None:
    sheet = empty_sheet()
    for _ in range(2):
        Writer(sheet, [Face(LATIN)], list(units("first"))).write(Box(10, 20, 200, 40), Face(LATIN), (0, 0, 0))
    assert [line.text for line in sheet.lines] == ["first"] and sheet.lost["overlap"] == 1
