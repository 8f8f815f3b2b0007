"""Rule 5: emoji in the caption."""

from qvl.pipeline.filters.emoji import Emoji
from tests.pipeline.filters.judging import kept


def test_no_emoji_is_allowed_by_default() -> None:
    assert kept(Emoji(), emoji=[0, 1, 9, None]) == [True, False, False, False]


def test_some_may_be_allowed() -> None:
    assert kept(Emoji(maximum=2), emoji=[0, 2, 3]) == [True, True, False]
