"""Errors of an output whose files contradict each other."""

from pathlib import Path

import pytest

from qvl.pipeline.base.errors import DataError, RecipeError
from qvl.pipeline.finished.consistent import consistent


def test_consistent_when_a_file_contradicts_another_names_the_output() -> None:
    with (
        pytest.raises(DataError, match=r"^out: the files .* \(IndexError: 42 is out of bounds\)"),
        consistent(Path("out")),
    ):
        raise IndexError("42 is out of bounds\nmore")


def test_consistent_when_the_error_is_ours_keeps_it() -> None:
    with pytest.raises(RecipeError, match=r"^no such threshold$"), consistent(Path("out")):
        raise RecipeError("no such threshold")
