"""Balance as steps of select, on files: ``offer`` (candidates by partition) -> ``settle`` (the rows that a partition loses).

All rows of a group of values are in one partition: a step without ``per``, or with one huge value, needs 32 bytes of
memory per row of it, twice while it sorts.
"""

import numpy as np

from qvl.pipeline.balance.limits import CANDIDATE, beyond_limits, candidates, columns_read
from qvl.pipeline.curate.measuring.added_columns import known_columns
from qvl.pipeline.curate.selection.groups import Group
from qvl.pipeline.curate.selection.manifests import ArrayManifest
from qvl.pipeline.curate.selection.step_files import DividedArray, commit_divided_array, commit_losers, load_part
from qvl.pipeline.curate.selection.task import SelectTask
from qvl.pipeline.curate.selection.verdict_codes import KEEP_CODE, codes_after_balance
from qvl.pipeline.duplicates.rules import partition_of
from qvl.pipeline.storage.paths import map_concurrently


def offer(task: SelectTask) -> ArrayManifest:
    """Commit the candidates (CANDIDATE) of a group for one step, divided by partition."""
    step = task.balance_step
    names = columns_read(step, known_columns(task.recipe))

    def offered() -> DividedArray:
        kept = codes_after_balance(task, task.number, task.rule) == KEEP_CODE
        parts = [np.empty(0, CANDIDATE)]
        for i, (unit, source) in enumerate(zip(task.group.units, task.group.sources, strict=True)):
            first, last = task.group.starts[i : i + 2]
            table = task.read(unit, source, names or ["row"])
            found = candidates(step, table, source, unit, np.flatnonzero(kept[first:last]))
            found["row"] += np.uint32(first)
            parts.append(found)
        every = np.concatenate(parts)
        every["group"] = task.number
        part = partition_of(every["key"], task.partitions)
        offsets = np.concatenate(([0], np.cumsum(np.bincount(part, minlength=task.partitions))))
        return DividedArray(every[np.argsort(part, kind="stable")], tuple(offsets.tolist()))

    return commit_divided_array(task, f"offered-{step.name}", offered)


def settle(task: SelectTask) -> ArrayManifest:
    """Commit the rows (LOST) that one partition loses in one step."""
    step = task.balance_step

    def offered_by(group: Group) -> np.ndarray:
        return load_part(task, f"offered-{step.name}", group.number, task.number)

    def lost() -> np.ndarray:
        found = map_concurrently(task.out, offered_by, task.groups)
        return beyond_limits(np.concatenate([np.empty(0, CANDIDATE), *found]), step)

    return commit_losers(task, f"balanced-{step.name}", lost)
