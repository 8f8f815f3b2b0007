"""Rows without a caption."""

from qvl.pipeline.filters.no_caption import NoCaption
from tests.pipeline.filters.judging import kept


def test_an_empty_caption_does_not_pass() -> None:
    assert kept(NoCaption(), characters=[0, 1, 900, None]) == [False, True, True, False]
