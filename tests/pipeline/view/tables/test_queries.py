"""Queries over a table."""

from typing import Any

import pytest

from qvl.pipeline.view.output import Output
from qvl.pipeline.view.tables.conditions import BadQuery
from qvl.pipeline.view.tables.queries import PAGE, keys, records


def test_pages_follow_one_another(output: Output, cursor: Any, ledger: list[dict[str, Any]]) -> None:
    query = output.query(cursor, "rows", [])
    width = query.table.column("width")
    assert keys(query, None, False, 0) == [row["id"] for row in ledger][:PAGE]
    ordered = [records(query, [key], [width])[0]["width"] for key in keys(query, width, True, 0)]
    present = [value for value in ordered if value is not None]
    assert present == sorted(present, reverse=True) and ordered[len(present) :] == [None] * (48 - len(present))
    assert keys(query, width, True, 40) == keys(query, width, True, 0)[40:]
    with pytest.raises(BadQuery):
        keys(query, None, False, 10**8)
