"""Watermarks."""

from qvl.pipeline.filters.watermark import Watermark
from tests.pipeline.filters.judging import kept


def test_a_score_above_the_maximum_does_not_pass() -> None:
    assert kept(Watermark(), watermark=[0.0, 0.8, 0.8001, None]) == [True, True, False, False]
