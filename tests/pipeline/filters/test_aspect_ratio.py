"""Rule 1: the aspect ratio, whichever side is longer."""

import pytest
from pydantic import ValidationError

from qvl.pipeline.filters.aspect_ratio import AspectRatio
from tests.pipeline.filters.judging import kept


def test_a_ratio_above_the_maximum_does_not_pass_in_either_orientation() -> None:
    found = kept(AspectRatio(maximum=3.0), width=[300, 301, 100, 100, 99], height=[100, 100, 300, 301, 99])
    assert found == [True, False, True, False, True]


def test_a_ratio_equal_to_a_decimal_maximum_passes() -> None:
    assert kept(AspectRatio(maximum=1.1), width=[110, 1_101], height=[100, 1_000]) == [True, False]


def test_sides_near_the_limit_of_the_column_do_not_overflow() -> None:
    assert kept(AspectRatio(), width=[2**31 - 1, 2**31 - 1], height=[2**30, 1]) == [True, False]


def test_an_unknown_or_zero_size_does_not_pass() -> None:
    assert kept(AspectRatio(), width=[None, 0, 5, None], height=[None, 0, None, 5]) == [False] * 4


def test_a_maximum_below_one_is_an_error() -> None:
    with pytest.raises(ValidationError):
        AspectRatio(maximum=0.5)
