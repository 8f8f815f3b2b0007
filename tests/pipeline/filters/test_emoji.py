"""Rule 5: emoji in the caption."""

from qvl.pipeline.filters.emoji import Emoji
from tests.pipeline.filters.judging import kept


def test_by_default_no_emoji_passes() -> None:
    assert kept(Emoji(), emoji=[0, 1, 9, None]) == [True, False, False, False]


def test_as_many_emoji_as_the_maximum_pass() -> None:
    assert kept(Emoji(maximum=2), emoji=[0, 2, 3]) == [True, True, False]
