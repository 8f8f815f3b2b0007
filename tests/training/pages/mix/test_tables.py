"""Figures of a mixture as text."""

import pytest

from qvl.training.pages.mix.tables import percent, times


@pytest.mark.parametrize(
    ("share", "text"),
    [(None, "–"), (0.0, "0.0%"), (0.0004, "0.04%"), (0.001, "0.1%"), (0.1234, "12.3%"), (1.0, "100.0%")],
)
def test_percent_has_two_digits_below_a_tenth_of_a_percent(share: float | None, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(("epochs", "text"), [(0.5, "0.50"), (99.99, "99.99"), (1234.4, "1,234")])
def test_times_drops_digits_of_large_numbers(epochs: float, text: str) -> None:
    assert times(epochs) == text
