"""Stage select in the driver: what its fingerprint covers, the order of its steps, and a stage that is done."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.measuring.added_columns import NOTHING_ADDED
from qvl.pipeline.curate.selection.ledger import read_select_summary
from qvl.pipeline.curate.selection.select_stage import run_select, select_fingerprint, steps_before_the_ledger
from qvl.pipeline.recipe.recipe import Recipe
from tests.pipeline.curate.finished_run import curation, first_task, scanned
from tests.pipeline.curate.small_run import content, files


def changed(**keys: Any) -> Recipe:
    """The recipe of the run with other keys. Its paths lead nowhere, because select reads no input."""
    return Recipe.model_validate(content(**keys))


def test_select_fingerprint_when_a_threshold_changes_differs_and_when_packing_changes_does_not(
    data: Path, out: Path
) -> None:
    bound = curation(data, out)
    units, first = scanned(bound), first_task(bound.recipe, out).fingerprint
    assert select_fingerprint(bound.recipe, units) == first
    assert select_fingerprint(changed(pack={"shard_rows": 3}), units) == first
    assert (
        select_fingerprint(changed(filters={"image_size": {"minimum_side": 20}, "text_length": {"minimum": 7}}), units)
        != first
    )
    assert select_fingerprint(changed(dedup={"image": False}), units) != first
    assert select_fingerprint(bound.recipe, units, scores="other weights") != first
    assert select_fingerprint(bound.recipe, [replace(units[0], hash="0" * 32), *units[1:]]) != first


def test_steps_before_the_ledger_judge_first_and_apply_the_rules_in_their_order(data: Path, out: Path) -> None:
    recipe = changed(dedup={"repeated_text": 3})
    steps = steps_before_the_ledger(first_task(recipe, out))
    assert [step.function.__name__ for step in steps] == ["judge", "emit", "resolve", "emit", "resolve"]
    assert [step.tasks[0].rule for step in steps] == [-1, 0, 0, 1, 1]


def test_run_select_when_the_stage_is_done_returns_its_summary_and_changes_nothing(data: Path, out: Path) -> None:
    bound = curation(data, out)
    before = files(out)
    with RunProgress() as progress:
        summary, ledgers = run_select(bound.recipe, out, scanned(bound), [], NOTHING_ADDED, SerialPool(), progress)
    assert summary == read_select_summary(out)
    assert (
        sum(sum(unit.verdicts.values()) for ledger in ledgers for unit in ledger.units.values()) == summary.rows == 32
    )
    assert files(out) == before


def test_run_select_when_a_scanned_row_has_no_verdict_raises(data: Path, out: Path) -> None:
    bound = curation(data, out)
    units = scanned(bound)
    more = [replace(units[0], rows=units[0].rows + 1), *units[1:]]
    Layout(out).stage_manifest("select").unlink()
    with RunProgress() as progress, pytest.raises(ContractError, match="rows"):
        run_select(bound.recipe, out, more, [], NOTHING_ADDED, SerialPool(), progress)
