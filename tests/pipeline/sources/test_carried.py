"""Carried values of one column: Arrow's own, and those of texts and JSON under a declared type."""

from typing import Any

import pyarrow as pa
import pytest

from qvl.pipeline.sources.carried import arrow_cells, carried_bytes, carried_column, carried_type, declared_type
from qvl.pipeline.sources.columns import Columns

COLUMNS = [
    pa.array([1, None], pa.int8()),
    pa.array(["a", None], pa.large_string()),
    pa.array([[None, [1]], None]),
    pa.array([{"a": [1, None]}, None]),
    pa.array([[("a", None)], None], pa.map_(pa.string(), pa.int64())),
    pa.array([[1.0, 2.0], None], pa.list_(pa.float32(), 2)),
    pa.nulls(2),
]


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: str(column.type))
def test_arrow_cells_when_put_together_again_are_the_column(column: pa.Array) -> None:
    cells = arrow_cells(column)
    assert carried_column(cells, column.type).equals(column)
    assert carried_bytes(cells) >= 2 * 16


def test_carried_type_of_a_dictionary_is_that_of_its_values() -> None:
    column = pa.array(["a", "b", None]).dictionary_encode()
    assert carried_type(column.type) == pa.string()
    assert carried_column(arrow_cells(column), pa.string()).to_pylist() == ["a", "b", None]


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([b"5", "6.5", "x", None, 7], "float64", [5.0, 6.5, None, None, 7.0]),
        ([b"\xff a", "x", 5, {"a": [1]}, None, True], "string", ["\\xff a", "x", "5", '{"a":[1]}', None, "true"]),
        ([["a"], "x", None, [1]], "list<string>", [["a"], None, None, None]),
        ([1.5, 2.0, 2**70], "int64", [None, 2, None]),
        ([b"\xff", b"a"], "binary", [b"\xff", b"a"]),
        (["\ud800"], "string", ["\\ud800"]),
    ],
)
def test_carried_column_when_a_value_does_not_fit_has_null_for_it_alone(
    values: list[Any], kind: str, expected: list[Any]
) -> None:
    assert carried_column(values, declared_type(kind)).to_pylist() == expected


@pytest.mark.parametrize("text", ["strin", "list<>", "", "list<strin>"])
def test_recipe_when_a_declared_type_is_unknown_names_it(text: str) -> None:
    with pytest.raises(ValueError, match="is not a type"):
        Columns.model_validate({"extra": {"x": {"column": "x", "type": text}}})


@pytest.mark.parametrize("name", ["", "a b", "1a", "a.b", "é"])
def test_recipe_when_a_carried_name_is_no_plain_name_refuses_it(name: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        Columns.model_validate({"extra": {name: "x"}})
