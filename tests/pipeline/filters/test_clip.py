"""Rule 3: the CLIP score."""

import pytest
from pydantic import ValidationError

from qvl.pipeline.filters.clip import Clip
from tests.pipeline.filters.judging import kept


def test_a_score_equal_to_the_minimum_as_stored_passes() -> None:
    assert kept(Clip(minimum=0.28), clip=[0.2799, 0.28, 0.2801, -1.0, None]) == [False, True, True, False, False]


def test_a_filter_without_a_minimum_is_an_error() -> None:
    with pytest.raises(ValidationError):
        Clip()  # type: ignore[call-arg]
