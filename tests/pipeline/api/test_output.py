"""A finished output in Python: what it tells agrees with the files of the run."""

from pathlib import Path

import pytest

import qvl
from qvl.pipeline.base.errors import DataError, RecipeError


@pytest.fixture
def run(curated: Path) -> qvl.Output:
    return qvl.open(curated / "out")


def test_open_when_nothing_is_finished_raises(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no finished run"):
        qvl.open(tmp_path)


def test_ledger_has_a_row_for_each_input_row_and_samples_for_each_kept_one(run: qvl.Output) -> None:
    assert run.ledger("SELECT count(*) FROM ledger").fetchall() == [(run.dataset.rows,)]
    kept = run.ledger("SELECT id FROM ledger WHERE verdict = 'keep' ORDER BY 1").fetchall()
    assert kept == run.ledger("SELECT key FROM samples ORDER BY 1").fetchall()
    assert len(kept) == run.dataset.samples


def test_samples_when_read_come_in_stored_order_with_their_images(run: qvl.Output) -> None:
    found = list(run.samples())
    assert len(found) == run.dataset.samples
    assert [sample.shard for sample in found] == sorted(sample.shard for sample in found)
    for sample in found:
        assert sample.record.id == sample.key
        assert sample.images == 1
        width, height = sample.image().size
        (row,) = run.ledger(f"SELECT width, height, caption FROM ledger WHERE id = '{sample.key}'").fetchall()
        assert row == (width, height, sample.answer)


def test_samples_when_a_condition_is_given_are_those_that_meet_it(run: qvl.Output) -> None:
    disk = [sample.key for sample in run.samples("source = 'disk'")]
    assert 0 < len(disk) < run.dataset.samples
    assert {run.trace(key).columns["source"] for key in disk} == {"disk"}
    assert [s.key for s in run.samples("key IN (SELECT id FROM ledger WHERE source = 'disk')")] == disk


def test_trace_and_audit_answer_as_the_commands_do(run: qvl.Output) -> None:
    sample = next(run.samples())
    assert run.trace(sample.key).verdict == "keep"
    assert run.trace_row(sample.record.origin.file, sample.record.origin.row).id == sample.key
    assert run.audit().discrepancy is None
    with pytest.raises(DataError, match="not a sample id"):
        run.trace("unknown")


def test_output_in_a_notebook_shows_verdicts_and_pictures_without_markup_from_the_data(run: qvl.Output) -> None:
    shown = run._repr_html_()
    assert "keep" in shown
    assert shown.count("<img") == 8
    assert "samples in" in repr(run)
