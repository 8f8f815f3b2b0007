"""Training markers in captions."""

from qvl.pipeline.filters.markup import Markup
from tests.pipeline.filters.judging import kept


def test_a_marker_of_the_training_format_does_not_pass() -> None:
    assert kept(Markup(), markers=[0, 1, 4, None]) == [True, False, False, False]
