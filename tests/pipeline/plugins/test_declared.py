"""What operators declare, and declarations that are not one."""

from typing import Any

import pyarrow as pa
import pytest

import qvl
from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.plugins.declared import declared_reads, written_columns


def column(reads: Any = ("caption",), writes: Any = None) -> Any:
    found = {"length": "int32"} if writes is None else writes

    class Made(qvl.Column):
        def apply(self, batch: pa.RecordBatch) -> Any:
            return []

    Made.reads, Made.writes = reads, found
    return Made()


def test_written_columns_when_types_are_names_or_types_are_a_schema() -> None:
    found = written_columns("made", column(writes={"a": "int32", "b_2": pa.list_(pa.string())}))
    assert found == pa.schema([("a", pa.int32()), ("b_2", pa.list_(pa.string()))])


@pytest.mark.parametrize(
    ("writes", "message"),
    [
        ({}, "must map names"),
        (["a"], "must map names"),
        ({"a b": "int32"}, "a b is not a valid column name"),
        ({1: "int32"}, "1 is not a valid column name"),
        ({"a": "int33"}, "not an Arrow type"),
        ({"a": 3}, "not an Arrow type"),
    ],
)
def test_written_columns_when_the_declaration_is_wrong_says_why(writes: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        written_columns("made", column(writes=writes))


@pytest.mark.parametrize("reads", ["caption", (), [1], None])
def test_declared_reads_when_they_are_not_a_list_of_names_is_refused(reads: Any) -> None:
    assert declared_reads("made", column(["caption", "url"])) == ["caption", "url"]
    with pytest.raises(RecipeError, match="must be a list of column names"):
        declared_reads("made", column(reads))
