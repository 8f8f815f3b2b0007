"""The stored columns of a finished run, and the cache of rows that can meet in a duplicate rule."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.curate.selection.ledger import read_ledger
from qvl.pipeline.finished.changes import apply_changes
from qvl.pipeline.finished.stored_columns import DuplicateCandidates, StoredColumns


@pytest.fixture
def stored(out: Path, tmp_path: Path) -> StoredColumns:
    return StoredColumns.open(Path(shutil.copytree(out, tmp_path / "copy")))


def test_ledgers_hold_every_row_once_in_the_order_of_units(stored: StoredColumns, out: Path) -> None:
    found = [row for table in stored.ledgers(["id", "verdict"]) for row in table.to_pylist()]
    assert len(found) == stored.rows == int(stored.starts[-1])
    expected = {
        row["id"]: row["verdict"] for _, table in read_ledger(out, ["id", "verdict"]) for row in table.to_pylist()
    }
    assert {row["id"]: row["verdict"] for row in found} == expected and len(found) == len(expected)
    assert [row["id"].rpartition("-")[0] for row in found] == [
        unit for group in stored.groups for unit, rows in zip(group.units, group.rows, strict=True) for _ in range(rows)
    ]


def test_over_units_gives_the_source_of_each_unit(stored: StoredColumns) -> None:
    found = list(stored.over_units(["source"], lambda _, source, table: (source, set(table["source"].to_pylist()))))
    assert [source for source, _ in found] == [source for _, source in stored.units]
    assert all(sources == {source} for source, sources in found)


def test_candidates_of_equal_images_are_the_readable_rows_that_share_their_image(
    stored: StoredColumns, out: Path
) -> None:
    rule = next(n for n, rule in enumerate(rules(stored)) if rule == "duplicate_image")
    candidates = stored.find_candidates(stored.recipe, rule)
    rows = [row for table in stored.ledgers(["id", "image_hash", "fault"]) for row in table.to_pylist()]
    readable = [row["image_hash"] if row["fault"] is None else None for row in rows]
    shared = {n for n, image in enumerate(readable) if image is not None and readable.count(image) > 1}
    assert set(candidates.rows.tolist()) == shared and len(candidates.rows) == len(shared)
    for run in np.unique(candidates.runs):
        assert len({readable[n] for n in candidates.rows[candidates.runs == run].tolist()}) == 1


def rules(stored: StoredColumns) -> list[str]:
    from qvl.pipeline.duplicates.rules import duplicate_rules

    return [rule.reason for rule in duplicate_rules(stored.recipe)]


def test_duplicate_candidates_when_the_cache_is_deleted_or_read_are_the_same(stored: StoredColumns) -> None:
    for rule in range(len(rules(stored))):
        computed = stored.find_candidates(stored.recipe, rule)
        for _ in range(2):
            cached = stored.duplicate_candidates(stored.recipe, rule)
            assert all(path.is_file() for path in stored.candidate_files(stored.recipe, rule))
            for part in DuplicateCandidates.PARTS:
                assert np.array_equal(getattr(cached, part), getattr(computed, part))


def test_candidate_files_depend_on_what_can_meet_and_not_on_what_is_dropped(stored: StoredColumns) -> None:
    near = rules(stored).index("near_duplicate")
    before = stored.candidate_files(stored.recipe, near)
    assert stored.candidate_files(apply_changes(stored.recipe, ["text_length.minimum=20"]), near) == before
    assert stored.candidate_files(apply_changes(stored.recipe, ["dedup.near_duplicate.radius=1"]), near) != before


def test_open_where_select_has_not_finished_raises(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no finished select stage"):
        StoredColumns.open(tmp_path)
