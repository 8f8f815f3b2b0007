"""Decompression bombs."""

from qvl.pipeline.filters.image_pixels import ImagePixels
from tests.pipeline.filters.judging import kept


def test_decompression_bombs_do_not_pass_and_do_not_overflow() -> None:
    found = kept(ImagePixels(), width=[200, 60_000, 2**31 - 1], height=[200, 60_000, 2**31 - 1])
    assert found == [True, False, False]


def test_as_many_pixels_as_the_maximum_pass() -> None:
    assert kept(ImagePixels(maximum=100), width=[10, 101], height=[10, 1]) == [True, False]


def test_an_unknown_or_zero_size_does_not_pass() -> None:
    assert kept(ImagePixels(), width=[0, None], height=[0, None]) == [False, False]
