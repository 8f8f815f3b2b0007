"""Rule 2: small pictures."""

from qvl.pipeline.filters.image_size import ImageSize
from tests.pipeline.filters.judging import kept


def test_a_shorter_side_below_the_minimum_does_not_pass() -> None:
    found = kept(ImageSize(minimum_side=200), width=[200, 199, 900, 900], height=[200, 900, 199, 900])
    assert found == [True, False, False, True]


def test_an_unknown_size_does_not_pass() -> None:
    assert kept(ImageSize(), width=[None, 300, None], height=[None, None, 300]) == [False] * 3
