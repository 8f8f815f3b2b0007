"""Pictures that are not safe for work."""

from qvl.pipeline.filters.nsfw import Nsfw
from tests.pipeline.filters.judging import kept


def test_a_score_above_the_maximum_does_not_pass() -> None:
    assert kept(Nsfw(maximum=0.3), nsfw=[0.0, 0.3, 0.3001, None]) == [True, True, False, False]
