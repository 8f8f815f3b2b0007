"""Rule 6: length in words."""

from qvl.pipeline.filters.word_count import WordCount
from tests.pipeline.filters.judging import kept


def test_counts_equal_to_the_bounds_pass() -> None:
    chosen = WordCount(minimum=3, maximum=256)
    assert kept(chosen, words=[0, 2, 3, 256, 257, None]) == [False, False, True, True, False, False]
