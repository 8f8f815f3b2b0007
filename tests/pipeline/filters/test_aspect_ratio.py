"""Rule 1: the aspect ratio, whichever side is longer."""

import pytest
from pydantic import ValidationError

from qvl.pipeline.filters.aspect_ratio import AspectRatio
from tests.pipeline.filters.judging import kept


def test_the_longer_side_over_the_shorter() -> None:
    found = kept(AspectRatio(maximum=3.0), width=[300, 301, 100, 100, 99], height=[100, 100, 300, 301, 99])
    assert found == [True, False, True, False, True]


def test_a_ratio_that_is_no_binary_fraction_holds_at_its_boundary() -> None:
    assert kept(AspectRatio(maximum=1.1), width=[110, 1_101], height=[100, 1_000]) == [True, False]


def test_sides_near_the_limit_of_the_column_do_not_overflow() -> None:
    assert kept(AspectRatio(), width=[2**31 - 1, 2**31 - 1], height=[2**30, 1]) == [True, False]


def test_an_unknown_or_empty_size_does_not_pass() -> None:
    assert kept(AspectRatio(), width=[None, 0, 5, None], height=[None, 0, None, 5]) == [False] * 4


def test_a_ratio_below_one_is_no_limit() -> None:
    with pytest.raises(ValidationError):
        AspectRatio(maximum=0.5)
