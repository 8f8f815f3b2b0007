"""Operators over tables: unusable rows, rows that fail, results that are not what was declared."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.plugins import apply
from qvl.pipeline.plugins.apply import apply_column
from tests.pipeline.plugins.modules import HOST, KEYWORDS, loaded, write

FAULT = "unreadable:plugin:host:IndexError"


def urls(*bad: int, rows: int = 20) -> pa.Table:
    return pa.table({"url": ["no address" if row in bad else f"http://h{row}/x" for row in range(rows)]})


def run(tmp_path: Path, text: str, table: pa.Table, usable: np.ndarray | None = None) -> pa.Table:
    (plugin,) = loaded(write(tmp_path / "a.py", text)).columns
    return apply_column(plugin, table, np.ones(len(table), bool) if usable is None else usable)


def test_apply_column_when_rows_are_unusable_leaves_them_out_and_null(tmp_path: Path) -> None:
    usable = np.arange(20) % 3 > 0
    result = run(tmp_path, HOST, urls(0, 3), usable)
    assert result["host"].to_pylist() == [f"h{row}" if row % 3 else None for row in range(20)]
    assert result["fault"].null_count == 20
    assert len(run(tmp_path, HOST, urls(rows=0))) == 0
    assert run(tmp_path, HOST, urls(), np.zeros(20, bool))["host"].null_count == 20


@pytest.mark.parametrize("batch", [1, 7, 8_192])
def test_apply_column_when_some_rows_make_it_raise_gives_these_rows_a_fault_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(apply, "BATCH_ROWS", batch)
    result = run(tmp_path, HOST, urls(0, 7, 19))
    assert [row for row in range(20) if result["fault"][row].as_py() == FAULT] == [0, 7, 19]
    assert result["host"].to_pylist() == [None if row in (0, 7, 19) else f"h{row}" for row in range(20)]


def test_apply_column_when_every_row_makes_it_raise_is_the_error_of_the_run_with_the_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"host fails on every row: IndexError: list index out of range \(a.py:10\)"):
        run(tmp_path, HOST, urls(*range(20)))
    assert run(tmp_path, HOST, urls(*range(7), rows=7))["fault"].to_pylist() == [FAULT] * 7


RETURN = 'return [url.split("/")[2] for url in batch["url"].to_pylist()]'


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('return ["a"]', "1 values of host for a batch of 20 rows"),
        ('return {"hosts": batch["url"]}', "`apply` returned hosts; `writes` declares host"),
        ("return {}", "`apply` returned nothing"),
        ("return 5", "every row: TypeError: the column host is declared as string"),
        (
            "return [1.5] * len(batch)",
            "every row: TypeError: the column host is declared as string, the values are list",
        ),
        ("", "every row: TypeError"),
    ],
)
def test_apply_column_when_the_result_is_not_what_was_declared_says_what_it_is(
    tmp_path: Path, body: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        run(tmp_path, HOST.replace(RETURN, body or "pass"), urls())


def test_apply_column_when_one_value_has_another_type_gives_that_row_a_fault(tmp_path: Path) -> None:
    body = "return [1 if row == 4 else 'a' for row in map(int, batch['url'].to_pylist())]"
    result = run(tmp_path, HOST.replace(RETURN, body), pa.table({"url": list(map(str, range(9)))}))
    assert result["fault"].to_pylist() == [None] * 4 + ["unreadable:plugin:host:TypeError"] + [None] * 4


def test_apply_column_when_values_come_as_numpy_or_in_chunks_or_in_a_narrower_type_takes_them(tmp_path: Path) -> None:
    values = (
        "{'length': np.arange(len(batch), dtype=np.int8), 'has_word': pa.chunked_array([batch['caption'].is_valid()])}"
    )
    text = KEYWORDS.split("        found =")[0] + f"        import numpy as np; return {values}\n"
    result = run(tmp_path, text, pa.table({"caption": ["a", None]}))
    assert result.schema.types[:2] == [pa.bool_(), pa.int32()]
    assert result.to_pylist()[1] == {"has_word": False, "length": 1, "fault": None}
