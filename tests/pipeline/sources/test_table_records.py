"""Columns that a recipe expects of a table, and values of nested ones."""

from pathlib import Path
from typing import Any

import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.sources.columns import Columns
from qvl.pipeline.sources.table_records import Expectation, has_column, require_columns, value_of

EXPECTED = Expectation(Columns(caption="text", image="image.bytes", path="file"), None, by_path=False)


def test_wanted_columns_are_the_caption_the_image_and_those_that_the_recipe_names() -> None:
    assert EXPECTED.wanted == ["text", "image.bytes"]
    by_path = Expectation(EXPECTED.columns, None, by_path=True, required=("url",))
    assert by_path.wanted == ["text", "file", "url"]


def test_require_columns_names_every_missing_one_and_what_the_file_has() -> None:
    require_columns(Path("t.csv"), EXPECTED, ["image", "text", "more"])
    with pytest.raises(RecipeError, match=r"^t\.csv: no column text, image\.bytes; it has a, b \(a hint\)$"):
        require_columns(Path("/folder/t.csv"), EXPECTED, ["a", "b"], " (a hint)")


@pytest.mark.parametrize(
    ("column", "value"),
    [("a", {"b": {"c": 3}}), ("a.b.c", 3), ("a.b.x", None), ("x.y", None), ("d.e", 5), (None, None), (0, "first")],
)
def test_value_of_a_dotted_name_is_that_of_the_column_or_of_the_field(column: Any, value: Any) -> None:
    assert value_of({"a": {"b": {"c": 3}}, "d.e": 5, 0: "first"}, column) == value


def test_has_column_of_a_field_is_true_for_its_object() -> None:
    assert has_column(["a"], "a.b") and has_column(["a.b"], "a.b") and not has_column(["b"], "a.b")
