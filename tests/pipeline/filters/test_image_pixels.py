"""Decompression bombs."""

from qvl.pipeline.filters.image_pixels import ImagePixels
from tests.pipeline.filters.judging import kept


def test_bombs_are_dropped_and_their_product_does_not_overflow() -> None:
    found = kept(ImagePixels(), width=[200, 60_000, 2**31 - 1], height=[200, 60_000, 2**31 - 1])
    assert found == [True, False, False]


def test_the_boundary_is_inside() -> None:
    assert kept(ImagePixels(maximum=100), width=[10, 101], height=[10, 1]) == [True, False]


def test_a_size_of_nothing_does_not_pass() -> None:
    assert kept(ImagePixels(), width=[0, None], height=[0, None]) == [False, False]
