"""Rule 3: the CLIP score."""

import pytest
from pydantic import ValidationError

from qvl.pipeline.filters.clip import Clip
from tests.pipeline.filters.judging import kept


def test_the_stored_score_decides() -> None:
    assert kept(Clip(minimum=0.28), clip=[0.2799, 0.28, 0.2801, -1.0, None]) == [False, True, True, False, False]


def test_there_is_no_default_because_the_threshold_belongs_to_a_source() -> None:
    with pytest.raises(ValidationError):
        Clip()  # type: ignore[call-arg]
