"""Quads in pixels."""

import numpy as np
import pytest

from qvl.synth_ocr.page.geometry import (
    area,
    around,
    bounds,
    fractions,
    heading,
    iou,
    is_sound,
    rect_quad,
    sides,
    tight_quad,
    union,
)

RECT = (10.0, 20.0, 40.0, 30.0)


@pytest.mark.parametrize("direction", [(1, 0), (0, 1), (-1, 0), (0, -1)])
def test_rect_quad_starts_where_text_in_the_direction_starts(direction: tuple[float, float]) -> None:
    quad = rect_quad(RECT, direction)
    assert heading(quad) == direction and is_sound(quad) and area(quad) == 300
    assert sides(quad) == ((30, 10) if direction[0] else (10, 30))


def test_tight_quad_when_upright_covers_the_ink_exactly_and_is_none_without_ink() -> None:
    ink = np.zeros((8, 12), bool)
    ink[2:5, 3:9] = True
    quad = tight_quad(ink, 100, 50, (1.0, 0.0))
    assert quad is not None and quad[0].tolist() == [103, 52] and quad[2].tolist() == [109, 55]
    assert tight_quad(np.zeros((4, 4), bool), 0, 0, (1.0, 0.0)) is None


def test_quad_when_crossed_or_counter_clockwise_is_not_sound() -> None:
    quad = rect_quad(RECT)
    assert is_sound(quad) and not is_sound(quad[::-1]) and not is_sound(quad[[0, 2, 1, 3]])
    assert area(quad[::-1]) == -area(quad)


def test_iou_of_quads_that_share_a_third_or_have_no_area() -> None:
    first, second = rect_quad((0, 0, 2, 2)), rect_quad((1, 0, 3, 2))
    assert iou(first, first) == pytest.approx(1) and iou(first, second) == pytest.approx(1 / 3)
    assert iou(first, rect_quad((5, 5, 5, 9))) == 0


def test_around_of_several_quads_is_the_smallest_rectangle_along_the_first() -> None:
    joined = around([rect_quad((0, 0, 2, 2)), rect_quad((4, 1, 6, 3))])
    assert joined.tolist() == rect_quad((0, 0, 6, 3)).tolist()
    assert union([(0, 0, 2, 2), (4, 1, 6, 3)]) == (0, 0, 6, 3)


def test_bounds_and_fractions_when_a_quad_leaves_the_image_are_clipped_to_it() -> None:
    quad = rect_quad((-3.5, 2.2, 50, 8.1))
    assert bounds(quad, 40, 20) == (0, 2, 40, 9) and bounds(quad, 40, 20, margin=1) == (0, 1, 40, 10)
    assert fractions([quad], 40, 20) == [(0.0, 0.11, 1.0, 0.11, 1.0, 0.405, 0.0, 0.405)]
    assert fractions([], 40, 20) == []
