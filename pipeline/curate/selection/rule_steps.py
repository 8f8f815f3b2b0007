"""The steps of each duplicate rule, in their order: what runs over groups, what over partitions, what once."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from qvl.pipeline.curate.selection.near_steps import band, pair, pair_tasks, suppress_near
from qvl.pipeline.curate.selection.select import SelectTask, emit, resolve
from qvl.pipeline.curate.selection.semantic_steps import assign, compare, sample, train
from qvl.pipeline.duplicates.rules import vector_partitions

Step = tuple[Callable[[SelectTask], Any], list[SelectTask]]


def rule_steps(first: SelectTask) -> list[Step]:
    """The steps of rule ``first.rule``, each with its tasks; a step begins when the one before it is done."""
    rule, groups = first.rules[first.rule], over(first, len(first.groups))
    if rule.semantic is not None:
        parts = over(first, vector_partitions(rule.semantic, first.rows))
        return [(sample, groups), (train, over(first, 1)), (assign, groups), (compare, parts)]
    steps: list[Step] = [(emit, groups), (resolve, over(first, first.partitions))]
    if rule.near is not None:
        steps += [(band, groups), (pair, pair_tasks(first)), (suppress_near, over(first, 1))]
    return steps


def over(first: SelectTask, count: int) -> list[SelectTask]:
    """The same task for each of the first ``count`` numbers."""
    return [replace(first, number=number) for number in range(count)]
