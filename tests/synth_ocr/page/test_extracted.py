"""Words as a document claims them."""

from qvl.synth_ocr.page.extracted import ExtractedWord, is_oblique
from qvl.synth_ocr.page.geometry import rect_quad


def test_direction_is_oblique_unless_it_is_parallel_to_a_side() -> None:
    assert is_oblique((0.8, 0.6)) and not is_oblique((1.0, 0.0)) and not is_oblique((0.0, -1.0))


def test_layout_of_a_word_is_its_tall_rectangle_or_its_oblique_quad() -> None:
    right = (1.0, 0.0)
    level = ExtractedWord("level", (0, 5, 20, 10), (0, 2, 20, 12), (0, 0), right, right, 10.0)
    assert level.layout.tolist() == rect_quad((0, 2, 20, 12)).tolist()
    quad = rect_quad((1, 1, 9, 4))
    oblique = ExtractedWord("oblique", (0, 0, 9, 9), (0, 0, 9, 9), (0, 0), (0.8, 0.6), (0.8, 0.6), 10.0, quad)
    assert oblique.layout is quad
