"""One unit: its files, its ledger and its manifest."""

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq

from qvl.pipeline.builders.make import MakeTask, made_unit, make_unit, unit_files
from qvl.pipeline.commit.layout import Layout
from tests.pipeline.builders.numbers import Numbers


def first_task(out: Path, builder: Numbers | None = None) -> MakeTask:
    builder = builder or Numbers()
    return MakeTask(out, builder, builder.units()[0])


def test_make_unit_commits_sums_that_agree_with_the_ledger(tmp_path: Path) -> None:
    manifest = make_unit(first_task(tmp_path))
    assert (manifest.rows, manifest.samples, manifest.verdicts) == (10, 8, {"keep": 5, "odd": 5})
    ledger = pq.read_table(tmp_path / "ledger" / "numbers-0000.parquet")
    assert ledger["samples"].to_pylist() == [2, 0, 1, 0, 2, 0, 1, 0, 2, 0]
    assert ledger["value"].to_pylist() == list(range(10))
    assert ledger["id"].to_pylist()[0] == "numbers-0000-0000000"


def test_make_unit_changes_nothing_when_the_unit_is_already_made(tmp_path: Path) -> None:
    manifest = make_unit(first_task(tmp_path))
    files = {path: path.stat().st_mtime_ns for path in unit_files(Layout(tmp_path), "numbers-0000")}
    assert make_unit(first_task(tmp_path)) == manifest == made_unit(first_task(tmp_path))
    assert {path: path.stat().st_mtime_ns for path in files} == files


def test_made_unit_is_none_when_an_input_changed_or_a_file_is_missing(tmp_path: Path) -> None:
    task = first_task(tmp_path)
    assert made_unit(task) is None
    make_unit(task)
    assert made_unit(replace(task, builder=Numbers(salt="x"))) is None
    manifest = make_unit(task)
    Layout(tmp_path).ledger("numbers-0000").unlink()
    assert made_unit(task) is None
    assert make_unit(task) == manifest
