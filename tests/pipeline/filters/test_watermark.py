"""Watermarks."""

from qvl.pipeline.filters.watermark import Watermark
from tests.pipeline.filters.judging import kept


def test_the_score_of_the_source_decides() -> None:
    assert kept(Watermark(), watermark=[0.0, 0.8, 0.8001, None]) == [True, True, False, False]
