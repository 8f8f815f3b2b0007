"""Animations are dropped."""

from qvl.pipeline.filters.animated import Animated
from tests.pipeline.filters.judging import kept


def test_still_images_pass_and_animations_do_not() -> None:
    assert kept(Animated(), animated=[False, True, None]) == [True, False, False]
