"""The geometry of boxes and the size that a model sees."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qvl.pipeline.markup.coordinates import Box, box_iou, from_square, resized, to_square
from tests.pipeline.markup.boxes import SIDES as PIXELS
from tests.pipeline.markup.boxes import boxes

SIDES = st.floats(0.001, 1)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ((0, 0, 0.5, 1), 1),
        ((0.25, 0, 0.75, 1), 1 / 3),
        ((0.5, 0, 1, 1), 0),
        ((0.2, 0.3, 0.2, 0.9), 0),
        ((0.4, 1, 0.1, 0), 0),
    ],
    ids=["equal", "shifted by half", "touching", "empty", "swapped"],
)
def test_box_iou_of_known_boxes(other: Box, expected: float) -> None:
    assert box_iou((0, 0, 0.5, 1), other) == pytest.approx(expected)


@given(SIDES, SIDES, SIDES, SIDES)
def test_box_iou_is_symmetric_and_is_the_share_of_a_box_inside_another(x: float, y: float, w: float, h: float) -> None:
    outer: Box = (0, 0, 1, 1)
    inner: Box = (x * (1 - w), y * (1 - h), x * (1 - w) + w, y * (1 - h) + h)
    assert box_iou(outer, inner) == box_iou(inner, outer) == pytest.approx(w * h)


def test_box_iou_when_boxes_share_a_quarter_touch_or_are_empty_is_that_of_the_areas() -> None:
    assert box_iou((0, 0, 2, 2), (0, 0, 2, 2)) == 1
    assert box_iou((0, 0, 2, 2), (1, 1, 3, 3)) == pytest.approx(1 / 7)
    assert box_iou((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert box_iou((0, 0, 2, 2), (2, 0, 4, 2)) == 0
    assert box_iou((0, 0, 1, 1), (1, 0, 2, 1)) == 0.0
    assert box_iou((0, 0, 0, 1), (0, 0, 1, 1)) == 0.0
    assert box_iou((1, 1, 0, 0), (0, 0, 1, 1)) == 0.0


def test_resized_equals_the_released_processor() -> None:
    assert resized(280, 560) == (280, 560)
    assert resized(1_000, 700) == (1_008, 700)
    assert resized(10, 10) == (56, 56)
    wide, high = resized(9_000, 9_000)
    assert wide * high <= 16_384 * 784 and wide % 28 == high % 28 == 0


@given(boxes(), PIXELS, PIXELS)
def test_from_square_inverts_to_square(b: Box, width: int, height: int) -> None:
    assert from_square(to_square(b, (width, height)), (width, height)) == pytest.approx(b, abs=1e-9)
