"""Tasks of stage select over the groups of a finished run."""

from dataclasses import replace
from pathlib import Path

from tests.pipeline.curate.finished_run import curation, first_task


def test_task_when_the_run_is_small_has_one_group_with_all_rows(data: Path, out: Path) -> None:
    task = first_task(curation(data, out).recipe, out)
    assert len(task.groups) == 1 and task.group == task.groups[0]
    assert task.rows == sum(task.group.rows) == 32
    assert task.partitions == 1


def test_duplicate_rule_of_a_task_is_that_of_its_number(data: Path, out: Path) -> None:
    task = first_task(curation(data, out).recipe, out)
    assert task.rules[0].reason == "duplicate_image"
    assert [replace(task, rule=number).duplicate_rule for number in range(len(task.rules))] == list(task.rules)
