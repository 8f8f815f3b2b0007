"""Rows that make an operator fail are found by bisection, and the others have their values."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.plugins.attempts import Attempts
from tests.pipeline.plugins.modules import HOST, loaded, write

SCHEMA = pa.schema([("host", pa.string())])


def attempts(folder: Path, calls: list[int]) -> Attempts[pa.RecordBatch]:
    def compute(rows: pa.RecordBatch) -> Sequence[pa.Array]:
        calls.append(len(rows))
        return [pa.array([url.split("/")[2] for url in rows["url"].to_pylist()])]

    (plugin,) = loaded(write(folder / "a.py", HOST)).columns
    return Attempts(plugin, SCHEMA, compute)


def urls(*bad: int, rows: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"url": ["none" if n in bad else f"http://h{n}/" for n in range(rows)]})


@pytest.mark.parametrize("bad", [(), (0,), (63,), (5, 6, 40)])
def test_rows_when_some_fail_gives_these_a_fault_in_few_calls(bad: tuple[int, ...], tmp_path: Path) -> None:
    calls: list[int] = []
    found = attempts(tmp_path, calls).rows(urls(*bad, rows=64))
    assert found["host"].to_pylist() == [None if n in bad else f"h{n}" for n in range(64)]
    assert [
        n for n, fault in enumerate(found["fault"].to_pylist()) if fault == "unreadable:plugin:host:IndexError"
    ] == list(bad)
    assert len(calls) <= 1 + 12 * len(bad)


def test_rows_when_all_of_several_fail_is_the_error_of_the_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="plug-in host fails on every row: IndexError"):
        attempts(tmp_path, []).rows(urls(*range(8), rows=8))
    few = attempts(tmp_path, []).rows(urls(*range(7), rows=7))
    assert few["fault"].null_count == 0
