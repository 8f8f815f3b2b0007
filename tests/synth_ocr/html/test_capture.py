"""Transforms that turn text."""

import pytest

from qvl.synth_ocr.html.capture import is_turning


@pytest.mark.parametrize(
    ("transform", "rotate", "turns"),
    [
        ("none", "none", False),
        ("matrix(2, 0, 0, 2, 10, 5)", "none", False),  # scaled and moved
        ("matrix(0.87, 0.5, -0.5, 0.87, 0, 0)", "none", True),
        ("matrix(-1, 0, 0, 1, 0, 0)", "none", True),  # mirrored
        ("matrix3d(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1)", "none", True),
        ("none", "30deg", True),
        ("none", "0deg", False),
    ],
)
def test_transform_turns_text_unless_it_only_scales_and_moves(transform: str, rotate: str, turns: bool) -> None:
    assert is_turning(transform, rotate) is turns
