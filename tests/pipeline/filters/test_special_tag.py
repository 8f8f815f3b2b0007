"""Tags such as <PERSON>."""

from qvl.pipeline.filters.special_tag import SpecialTag
from tests.pipeline.filters.judging import kept


def test_a_tag_that_hides_a_name_does_not_pass() -> None:
    assert kept(SpecialTag(), special_tags=[0, 1, None]) == [True, False, False]
