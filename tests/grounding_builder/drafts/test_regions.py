"""Which boxes are kept, as which fractions, and why the others are dropped."""

import pytest

from qvl.grounding_builder.drafts.regions import Boxes, covers, fit, flags
from qvl.pipeline.markup.coordinates import Box

NAN = float("nan")


@pytest.mark.parametrize(
    ("corners", "expected"),
    [
        ((100, 50, 300, 150), (0.25, 0.25, 0.75, 0.75)),
        ((-20, -10, 100, 100), (0, 0, 0.25, 0.5)),
        ((380, 150, 410, 210), (0.95, 0.75, 1, 1)),
        ((0, 0, 400, 200), (0, 0, 1, 1)),
        ((10, -904, 60, -844), "box:outside"),
        ((400, 0, 450, 50), "box:outside"),
        ((-300, 0, 100, 100), "box:contradicts_size"),
        ((350, 0, 900, 100), "box:contradicts_size"),
        ((100, 100, 100, 150), "box:zero_area"),
        ((100, 150, 120, 150), "box:zero_area"),
        ((300, 50, 100, 150), "box:swapped"),
        ((NAN, 0, 1, 1), "box:not_a_number"),
        ((0, 0, float("inf"), 1), "box:not_a_number"),
        ((10, 10, 10.5, 60), "box:too_small"),
    ],
)
def test_fit_clips_a_box_or_names_the_reason(corners: Box, expected: Box | str) -> None:
    """The annotated size is 400 x 200 pixels."""
    assert fit(corners, 400, 200, Boxes()) == expected


def test_collapsed_and_whole_image_boxes_are_flagged_or_dropped() -> None:
    thin: Box = (1000, 1000, 1006, 3000)
    assert fit(thin, 4000, 4000, Boxes(collapsed="drop")) == (0.25, 0.25, 0.2515, 0.75)
    thinner: Box = (1000.2, 1000, 1001.3, 3000)
    assert fit(thinner, 4000, 4000, Boxes(collapsed="drop")) == "box:collapsed"
    kept = fit(thinner, 4000, 4000, Boxes())
    assert not isinstance(kept, str) and flags([kept], Boxes()) == ["widened"]
    card: Box = (0.019, 0.027, 0.959, 0.967)
    assert covers(card, Boxes()) and flags([card], Boxes()) == ["whole_image"]
    assert fit(card, 1, 1, Boxes(min_side=0, drop_whole=True)) == "box:whole_image"
