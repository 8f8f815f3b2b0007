"""Comparisons that all filters share, and settings that are laid over defaults."""

import pyarrow as pa
import pytest

from qvl.pipeline.filters.base import among, between
from qvl.pipeline.filters.image_size import ImageSize
from qvl.pipeline.filters.text_length import TextLength


@pytest.mark.parametrize(
    ("minimum", "maximum", "expected"),
    [
        (None, None, [True, True, True, False]),
        (2, None, [False, True, True, None]),
        (None, 2, [True, True, False, None]),
        (2, 2, [False, True, False, None]),
        (-1e30, 1e30, [True, True, True, None]),
    ],
)
def test_between_includes_its_bounds_and_leaves_null(
    minimum: float | None, maximum: float | None, expected: list[bool | None]
) -> None:
    assert between(pa.array([1, 2, 3, None], pa.int32()), minimum, maximum).to_pylist() == expected


def test_between_when_values_are_float32_compares_in_their_precision() -> None:
    assert between(pa.array([0.1, 0.3], pa.float32()), 0.1, 0.3).to_pylist() == [True, True]


def test_among_of_categories_is_true_for_the_values_and_leaves_null() -> None:
    column = pa.array(["jpeg", "gif", None, "png", "jpeg"]).dictionary_encode()
    assert among(column, ("jpeg", "png")).to_pylist() == [True, False, None, True, True]
    assert among(pa.chunked_array([column, column]), ()).to_pylist() == [False, False, None, False, False] * 2


def test_over_keeps_the_values_of_the_default_that_are_not_set() -> None:
    default = TextLength(minimum=5, maximum=60)
    assert TextLength(maximum=30).over(default) == TextLength(minimum=5, maximum=30)
    assert TextLength().over(default) == default


def test_contradiction_names_bounds_that_no_row_can_meet() -> None:
    assert TextLength(minimum=9, maximum=3).contradiction() == "minimum 9 is above maximum 3"
    assert TextLength(minimum=3, maximum=3).contradiction() is None
    assert ImageSize(minimum_side=9).contradiction() is None
