"""Rule 6: length in characters."""

from qvl.pipeline.filters.text_length import TextLength
from tests.pipeline.filters.judging import kept


def test_lengths_equal_to_the_bounds_pass() -> None:
    chosen = TextLength(minimum=6, maximum=1_000)
    assert kept(chosen, characters=[0, 5, 6, 1_000, 1_001, None]) == [False, False, True, True, False, False]
