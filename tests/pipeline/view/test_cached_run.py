"""A finished run as the app asks it: columns are read once, candidates are found once, and nothing is written."""

import shutil
from pathlib import Path

import pytest

from qvl.pipeline.duplicates.rules import duplicate_rules
from qvl.pipeline.finished.stored_columns import StoredColumns
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.view import cached_run
from qvl.pipeline.view.cached_run import CachedRun, RunWithoutDuplicates


@pytest.fixture
def stored(curated: tuple[Path, Recipe], tmp_path: Path) -> StoredColumns:
    return StoredColumns.open(Path(shutil.copytree(curated[0], tmp_path / "out")))


@pytest.fixture
def run(stored: StoredColumns) -> CachedRun:
    return CachedRun(stored.out, stored.recipe, stored.fingerprint)


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def widths(run: StoredColumns) -> list[tuple[str, list[int | None]]]:
    return list(run.over_units(["width"], lambda _, source, table: (source, table["width"].to_pylist())))


def test_columns_when_asked_for_again_are_not_read_again(stored: StoredColumns, run: CachedRun, tmp_path: Path) -> None:
    first = widths(run)
    assert first == widths(stored) and sum(len(values) for _, values in first) == stored.rows
    shutil.rmtree(tmp_path / "out" / "ledger")
    assert widths(run) == first
    with pytest.raises(OSError, match="ledger"):
        widths(stored)


def test_columns_of_more_rows_than_are_kept_are_read_every_time(
    stored: StoredColumns, run: CachedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_run, "KEPT_ROWS", stored.rows - 1)
    assert widths(run) == widths(stored)
    assert run.tables == {}


def test_candidates_are_found_once_and_nothing_is_written(run: CachedRun, tmp_path: Path) -> None:
    before, rules = files(tmp_path), duplicate_rules(run.recipe)
    assert run.missing(run.recipe) == list(range(len(rules)))
    found = [run.duplicate_candidates(run.recipe, number) for number in range(len(rules))]
    assert run.missing(run.recipe) == [] and any(len(each.rows) for each in found)
    assert all(run.duplicate_candidates(run.recipe, number) is each for number, each in enumerate(found))
    assert files(tmp_path) == before


def test_a_run_without_duplicates_has_its_columns_and_no_candidates(stored: StoredColumns) -> None:
    alone = RunWithoutDuplicates(stored.out, stored.recipe, stored.fingerprint, stored)
    assert widths(alone) == widths(stored)
    assert len(alone.duplicate_candidates(stored.recipe, 0).rows) == 0
