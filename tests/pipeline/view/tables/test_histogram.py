"""Axes are round and hold every value once; counted bins are those of numpy, and a bin's filter finds its rows."""

import itertools
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qvl.pipeline.view.output import Output
from qvl.pipeline.view.tables.columns import Column
from qvl.pipeline.view.tables.histogram import axis_of
from qvl.pipeline.view.tables.queries import Facets, Query, RowCount, counts, facets, histogram, total
from qvl.pipeline.view.tables.tables import Table

whole = st.integers(-(10**6), 10**9)
real = st.floats(-1e6, 1e9, allow_nan=False).map(lambda value: round(value, 4))


@given(st.lists(whole, min_size=1, max_size=40))
@example([0])
@example([0, 10**9])
@example([7, 7])
def test_every_whole_number_lies_on_the_axis(values: list[int]) -> None:
    _check(values, integer=True)


@given(st.lists(real, min_size=1, max_size=40))
@example([0.0, 1.0])
@example([0.9999, 1.0])
@example([1e-4])
def test_every_number_lies_on_the_axis(values: list[float]) -> None:
    _check(values, integer=False)


def _check(values: list[Any], integer: bool) -> None:
    axis = axis_of(float(min(values)), float(max(values)), integer)
    assert all(low < high for low, high in itertools.pairwise(axis.edges))
    assert axis.edges[0] <= min(values) and axis.edges[-1] >= max(values)
    assert len(axis.uppers) == len(axis.edges) - 1 <= 140
    assert not integer or all(edge == int(edge) for edge in axis.edges)


VALUES: dict[str, list[Any]] = {
    "width": [0, 1, 199, 200, 201, 5000, 70_000, None], "small": [1, 2, 3, 2, 2, 1, 1, None],
    "share": [0.0, 0.025, 0.0249, 1.0, 0.975, 0.5, 0.5, None], "huge": [0, 3, 10**6, 5 * 10**9, 17, 17, 17, 1],
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_bins_are_counted_as_numpy_counts_and_their_filter_finds_them(name: str) -> None:
    values = VALUES[name]
    connection = duckdb.connect()
    kind = "DOUBLE" if name == "share" else "BIGINT"
    connection.execute(f"CREATE TABLE t AS SELECT unnest(?::{kind}[]) AS x", [values])
    column = Column("x", "number", '"x"', name != "share", True)
    table = Table("t", "T", (), (column,), "x", "x > 2")
    found = histogram(Query(connection, table), column)
    present = np.array([value for value in values if value is not None], float)
    assert found.missing == values.count(None)
    assert found.every == np.histogram(present, found.edges)[0].tolist()
    assert found.kept == np.histogram(present[present > 2], found.edges)[0].tolist()
    connection.close()


def test_a_bins_rows_are_those_that_its_bar_shows(output: Output, cursor: Any) -> None:
    data = histogram(output.query(cursor, "rows", []), output.table("rows").column("width"))
    bars = list(zip(itertools.pairwise(data.edges), data.every, data.kept, strict=True))
    for number, ((low, high), every, kept) in enumerate(bars):
        text = f"width:in:{low}..{'' if number == len(bars) - 1 else high}"
        assert total(output.query(cursor, "rows", [text])) == RowCount(every, kept)
    assert sum(data.every) + data.missing == 48


def test_counts_add_up(output: Output, cursor: Any, ledger: list[dict[str, Any]]) -> None:
    query = output.query(cursor, "rows", [])
    table = output.table("rows")
    by = {
        (row[0], row[1]): (row[2], row[3]) for row in counts(query, [table.column("verdict"), table.column("source")])
    }
    for (verdict, source), (every, kept) in by.items():
        rows = [row for row in ledger if row["verdict"] == verdict and row["source"] == source]
        assert every == len(rows) and kept == (len(rows) if verdict == "keep" else 0)
    assert sum(every for every, _ in by.values()) == 48
    fails = {word: every for word, every, _ in counts(query, [table.column("fails")])}
    assert sum(fails.values()) == sum(row["failed"].bit_count() for row in ledger)


def test_facets_from_one_reading_are_the_counts_of_each(output: Output, cursor: Any) -> None:
    for texts in ([], ["caption:has:a"], ["verdict:is:keep", "width:in:100.."]):
        query = output.query(cursor, "rows", texts)
        columns = [output.table("rows").column(name) for name in ("source", "verdict", "fails", "format", "animated")]
        found = facets(query, columns)
        assert found.total == total(query)
        for column in columns:
            assert sorted(map(str, found.counts[column.name])) == sorted(map(str, counts(query, [column])))
    assert facets(query, []) == Facets(total(query), {})
