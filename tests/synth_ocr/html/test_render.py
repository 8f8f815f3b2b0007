"""Where the picture of a page ends."""

from qvl.synth_ocr.html.fragments import Fragment
from qvl.synth_ocr.html.render import crop_height
from qvl.synth_ocr.page.geometry import rect_quad


def line_at(top: float, bottom: float) -> Fragment:
    return Fragment("text", rect_quad((0, top, 50, bottom)), (0, 0), 10.0, (1.0, 0.0), True)


def test_picture_when_the_screen_cuts_a_line_ends_above_it() -> None:
    assert crop_height([line_at(10, 20), line_at(92.5, 104)], 100) == 92
    assert crop_height([line_at(10, 20)], 100) == 100


def test_picture_when_less_than_half_would_be_left_is_not_cropped() -> None:
    assert crop_height([line_at(30, 120)], 100) == 100
