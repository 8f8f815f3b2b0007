"""Schemas that readers of the output rely on."""

import pytest

from qvl.pipeline.curate.measuring.columns import CATEGORY_COLUMNS, COLUMNS, sample_id, split_sample_id
from qvl.pipeline.curate.selection.ledger import LEDGER
from qvl.pipeline.shards.writer import INDEX


def test_the_ledger_holds_every_column_and_the_verdict() -> None:
    assert [field for field in LEDGER if field.name in COLUMNS.names] == list(COLUMNS)
    assert LEDGER.names[:5] == ["id", "source", "verdict", "failed", "dup_of"]


def test_names_are_used_once() -> None:
    for schema in (LEDGER, COLUMNS, INDEX):
        assert len(set(schema.names)) == len(schema.names)


def test_words_are_dictionaries() -> None:
    assert set(CATEGORY_COLUMNS) == {"format", "mode", "language", "fault"}


@pytest.mark.parametrize(("unit", "row"), [("web-0123456789ab", 0), ("a-b-c", 12_345_678)])
def test_sample_ids_go_both_ways(unit: str, row: int) -> None:
    assert split_sample_id(sample_id(unit, row)) == (unit, row)


@pytest.mark.parametrize("text", ["", "x", "-5", "a-b", "a-"])
def test_what_is_no_sample_id(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a sample id|invalid literal"):
        split_sample_id(text)
