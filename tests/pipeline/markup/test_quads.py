"""Intersection over union of quads, against cases computed by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qvl.pipeline.markup.coordinates import Quad
from qvl.pipeline.markup.quads import quad_bounds, quad_iou

SQUARE: Quad = (0, 0, 2, 0, 2, 2, 0, 2)


def test_quad_iou_when_quads_are_turned_crossed_or_empty_is_that_of_their_hulls() -> None:
    assert quad_iou(SQUARE, SQUARE) == pytest.approx(1.0)
    assert quad_iou(SQUARE, (1, 1, 3, 1, 3, 3, 1, 3)) == pytest.approx(1 / 7)
    diamond: Quad = (1, 0, 2, 1, 1, 2, 0, 1)
    assert quad_iou(SQUARE, diamond) == pytest.approx(0.5)
    assert quad_iou(diamond, SQUARE) == pytest.approx(0.5)
    assert quad_iou(SQUARE, (0, 0, 0, 2, 2, 2, 2, 0)) == pytest.approx(1.0)  # counter-clockwise
    assert quad_iou(SQUARE, (0, 0, 2, 2, 2, 0, 0, 2)) == pytest.approx(1.0)  # crosses itself: its hull
    assert quad_iou(SQUARE, (5, 5, 6, 5, 6, 6, 5, 6)) == 0.0
    assert quad_iou((1, 1, 1, 1, 1, 1, 1, 1), (1, 1, 1, 1, 1, 1, 1, 1)) == 0.0


@given(st.lists(st.floats(0, 1), min_size=8, max_size=8), st.lists(st.floats(0, 1), min_size=8, max_size=8))
def test_quad_iou_when_arguments_are_swapped_is_the_same_share(first: list[float], second: list[float]) -> None:
    a, b = tuple(first), tuple(second)
    share = quad_iou(a, b)  # type: ignore[arg-type]
    assert -1e-9 <= share <= 1 + 1e-6
    assert share == pytest.approx(quad_iou(b, a), abs=1e-6)  # type: ignore[arg-type]


def test_quad_bounds_is_the_upright_box_around_the_corners() -> None:
    assert quad_bounds((1, 0, 2, 1, 1, 2, 0, 1)) == (0, 0, 2, 2)
