"""Rule 4: letters of other scripts."""

import pytest
from pydantic import ValidationError

from qvl.pipeline.filters.characters import Characters
from tests.pipeline.filters.judging import kept


def test_by_default_no_other_letter_passes() -> None:
    assert kept(Characters(), other=[0.0, 0.0001, 1.0, None]) == [True, False, False, False]


def test_a_share_equal_to_the_maximum_passes() -> None:
    assert kept(Characters(maximum_share=0.3), other=[0.2999, 0.3, 0.3001]) == [True, True, False]


def test_a_maximum_share_above_one_is_an_error() -> None:
    with pytest.raises(ValidationError):
        Characters(maximum_share=1.5)
