"""Schemas that readers of the output rely on."""

import pytest

from qvl.pipeline.curate.measuring.columns import CATEGORY_COLUMNS, COLUMNS, sample_id, split_sample_id
from qvl.pipeline.curate.selection.ledger import LEDGER
from qvl.pipeline.shards.writer import INDEX


def test_the_ledger_has_every_column_and_the_verdict() -> None:
    assert [field for field in LEDGER if field.name in COLUMNS.names] == list(COLUMNS)
    assert LEDGER.names[:5] == ["id", "source", "verdict", "failed", "dup_of"]


def test_no_schema_has_two_columns_of_one_name() -> None:
    for schema in (LEDGER, COLUMNS, INDEX):
        assert len(set(schema.names)) == len(schema.names)


def test_columns_of_few_distinct_values_are_dictionaries() -> None:
    assert set(CATEGORY_COLUMNS) == {"format", "mode", "language", "fault"}


@pytest.mark.parametrize(("unit", "row"), [("web-0123456789ab", 0), ("a-b-c", 12_345_678)])
def test_a_sample_id_is_split_into_its_unit_and_row(unit: str, row: int) -> None:
    assert split_sample_id(sample_id(unit, row)) == (unit, row)


@pytest.mark.parametrize("text", ["", "x", "-5", "a-b", "a-"])
def test_text_that_is_not_a_sample_id_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a sample id|invalid literal"):
        split_sample_id(text)
