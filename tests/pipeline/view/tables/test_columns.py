"""Columns of files that somebody else wrote."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.curate.selection.ledger import LEDGER
from qvl.pipeline.shards.writer import INDEX
from qvl.pipeline.view.tables.columns import FILE_COLUMN, columns_of, literal, quoted


def test_columns_of_when_types_differ_gives_each_its_kind(tmp_path: Path) -> None:
    table = pa.table(
        {
            "n": [1, 2],
            "share": [0.5, 1.0],
            "flag": [True, False],
            "hash": pa.array([1, 2], pa.uint64()),
            "data": [b"a", b"b"],
            "words": [["a"], ["b"]],
            "numbers": [[1], [2]],
            "when": pa.array([0, 1], pa.date32()),
            FILE_COLUMN: ["x", "y"],
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    kinds = {column.name: column.kind for column in columns_of([tmp_path / "t.parquet"])}
    assert kinds == {
        "n": "number", "share": "number", "flag": "flag", "hash": "hash", "data": "hash", "words": "words",
        "numbers": "numbers", "when": "text",
    }  # fmt: skip


def test_columns_of_when_names_differ_only_in_capitals_gives_the_first(tmp_path: Path) -> None:
    pq.write_table(pa.table({"Width": [1], "width": [2]}), tmp_path / "t.parquet")
    assert [column.name for column in columns_of([tmp_path / "t.parquet"])] == ["Width"]


@pytest.mark.parametrize("expected", [LEDGER, INDEX], ids=["ledger", "index"])
def test_columns_of_when_an_expected_column_is_missing_or_of_another_type_names_it(
    expected: pa.Schema, tmp_path: Path
) -> None:
    path, first = tmp_path / "t.parquet", expected.names[0]
    pq.write_table(pa.table({"x": [1]}), path)
    with pytest.raises(DataError, match=f"t.parquet has no column {first}"):
        columns_of([path], expected)
    table = expected.empty_table()
    pq.write_table(table.set_column(0, first, pa.array([], pa.int64())), path)
    with pytest.raises(DataError, match=f"the column {first} is int64 instead of "):
        columns_of([path], expected)


def test_quoted_and_literal_when_a_name_holds_quotes_stay_one_token() -> None:
    assert quoted('a"; DROP') == '"a""; DROP"'
    assert literal("it's") == "'it''s'"
