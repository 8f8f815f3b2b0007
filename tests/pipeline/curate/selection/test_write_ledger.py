"""The ledger of a group: ids of keepers, and the same bytes when it is written again."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.measuring.columns import sample_id
from qvl.pipeline.curate.selection.write_ledger import keeper_ids, sample_ids, write_ledger, written_ledger
from tests.pipeline.curate.finished_run import curation, first_task


def test_sample_ids_of_columns_are_those_of_single_rows() -> None:
    units, rows = ["a-0001", "b", "b"], [0, 12, 12_345_678]
    found = sample_ids(pa.array(units), pa.array(rows, pa.int32()))
    assert found.to_pylist() == [sample_id(unit, row) for unit, row in zip(units, rows, strict=True)]


def test_keeper_ids_name_kept_rows_with_the_same_image_for_duplicates_alone(data: Path, out: Path) -> None:
    task = first_task(curation(data, out).recipe, out)
    ledgers = [pq.read_table(Layout(out).ledger(unit)).to_pylist() for unit in task.group.units]
    rows = [row for ledger in ledgers for row in ledger]
    by_id = {row["id"]: row for row in rows}
    found = keeper_ids(task).to_pylist()
    assert [keeper is not None for keeper in found] == [row["verdict"] == "duplicate_image" for row in rows]
    for row, keeper in zip(rows, found, strict=True):
        if keeper is not None:
            assert by_id[keeper]["verdict"] == "keep"
            assert by_id[keeper]["image_hash"] == row["image_hash"] and keeper != row["id"]


def test_write_ledger_when_its_manifest_is_lost_commits_the_same_bytes(data: Path, out: Path) -> None:
    task, layout = first_task(curation(data, out).recipe, out), Layout(out)
    committed = written_ledger(task)
    assert committed is not None and write_ledger(task) == committed
    paths = [layout.ledger(unit) for unit in task.group.units]
    before = [path.read_bytes() for path in paths]
    layout.group_manifest("ledger", 0).unlink()
    paths[0].unlink()
    assert written_ledger(task) is None
    assert write_ledger(task) == committed
    assert [path.read_bytes() for path in paths] == before
    assert sum(sum(unit.verdicts.values()) for unit in committed.units.values()) == task.rows
