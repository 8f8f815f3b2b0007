"""The steps of each duplicate rule and of balance: which run over groups, which over partitions, and which run once."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from qvl.pipeline.curate.selection.balance_steps import offer, settle
from qvl.pipeline.curate.selection.key_steps import emit, resolve
from qvl.pipeline.curate.selection.manifests import ArrayManifest
from qvl.pipeline.curate.selection.near_steps import band, pair, pair_tasks, suppress_near
from qvl.pipeline.curate.selection.semantic_steps import assign, compare, sample, train
from qvl.pipeline.curate.selection.task import SelectTask
from qvl.pipeline.duplicates.rules import vector_partitions


@dataclass(frozen=True, slots=True)
class Step:
    """A function of a task, and the tasks that it is called with, in any order."""

    function: Callable[[SelectTask], ArrayManifest]
    tasks: list[SelectTask]


def rule_steps(first: SelectTask) -> list[Step]:
    """The steps of rule ``first.rule``; a step begins when the one before it is done."""
    rule, groups = first.duplicate_rule, tasks_over(first, len(first.groups))
    if rule.semantic is not None:
        partitions = tasks_over(first, vector_partitions(rule.semantic, first.rows))
        return [
            Step(sample, groups),
            Step(train, tasks_over(first, 1)),
            Step(assign, groups),
            Step(compare, partitions),
        ]
    steps = [Step(emit, groups), Step(resolve, tasks_over(first, first.partitions))]
    if rule.near is not None:
        steps += [Step(band, groups), Step(pair, pair_tasks(first)), Step(suppress_near, tasks_over(first, 1))]
    return steps


def balance_steps(first: SelectTask) -> list[Step]:
    """The steps of step ``first.rule`` of balance."""
    return [Step(offer, tasks_over(first, len(first.groups))), Step(settle, tasks_over(first, first.partitions))]


def tasks_over(first: SelectTask, count: int) -> list[SelectTask]:
    """The same task for each number from 0 to ``count`` - 1."""
    return [replace(first, number=number) for number in range(count)]
