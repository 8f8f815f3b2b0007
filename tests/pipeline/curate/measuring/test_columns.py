"""Columns of a scanned unit, and the ids of its rows."""

from pathlib import Path

import pytest

from qvl.pipeline.curate.measuring.columns import COLUMNS, read_columns, sample_id, split_sample_id
from tests.pipeline.curate.finished_run import curation


@pytest.mark.parametrize(("unit", "row"), [("web-00000", 0), ("a-b-c", 9_999_999), ("u", 10_000_000)])
def test_split_sample_id_gives_back_what_the_id_was_made_of(unit: str, row: int) -> None:
    assert split_sample_id(sample_id(unit, row)) == (unit, row)


@pytest.mark.parametrize("text", ["", "17", "-17", "web-", "web-one"])
def test_split_sample_id_of_another_text_raises(text: str) -> None:
    with pytest.raises(ValueError, match=r"sample id|invalid literal"):
        split_sample_id(text)


def test_read_columns_of_a_unit_has_the_schema_and_its_rows_in_order(data: Path, out: Path) -> None:
    unit = curation(data, out).units()[0]
    table = read_columns(out, unit.id)
    assert table.schema.equals(COLUMNS)
    assert table["row"].to_pylist() == list(range(len(table)))
    assert read_columns(out, unit.id, ["caption", "row"]).column_names == ["caption", "row"]
