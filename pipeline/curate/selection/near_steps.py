"""Near duplicates as steps of select, on files: ``band`` (hashes by table and partition) -> ``pair`` -> ``suppress_near``.

They follow ``emit`` and ``resolve`` of the same rule, which left one row for each pair of hash and tint. Memory is one
partition of one table; the last step holds the near pairs alone.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.selection.groups import Group
from qvl.pipeline.curate.selection.manifests import ArrayManifest
from qvl.pipeline.curate.selection.step_files import (
    DividedArray,
    commit_array,
    commit_divided_array,
    commit_losers,
    load_part,
)
from qvl.pipeline.curate.selection.task import SelectTask
from qvl.pipeline.duplicates.near import PAIR, Table, mixed, table_pairs, tables, unique_pairs
from qvl.pipeline.duplicates.near_rows import Indices, suppress
from qvl.pipeline.duplicates.rules import LOSER
from qvl.pipeline.images.perceptual_hash import BITS, tint_distance
from qvl.pipeline.recipe.duplicates import NearDuplicate
from qvl.pipeline.storage.arrow_files import load_array
from qvl.pipeline.storage.paths import map_concurrently


def near_rule(task: SelectTask) -> NearDuplicate:
    found = task.duplicate_rule.near
    if found is None:
        raise ContractError(f"{task.duplicate_rule.reason} is not a rule of near duplicates")
    return found


def near_tables(task: SelectTask) -> tuple[Table, ...]:
    """The tables of this run: a function of the radius and of the number of input rows."""
    return tables(near_rule(task).radius, task.rows)


def survivors(task: SelectTask, group: int) -> np.ndarray:
    """The key records of a group that did not lose to a row with the same hash and tint."""
    step = task.duplicate_rule.step
    keys = load_array(Layout(task.out).work(f"keys-{step}", group))

    def losers(partition: int) -> np.ndarray:
        rows: np.ndarray = load_part(task, f"losers-{step}", partition, group)["row"]
        return rows

    lost = np.concatenate([np.empty(0, np.uint32), *map_concurrently(task.out, losers, range(task.partitions))])
    result: np.ndarray = keys[~np.isin(keys["row"], lost)]
    return result


def band(task: SelectTask) -> ArrayManifest:
    """Commit a group's hashes once for each table, permuted for it, and divided by the partitions of the tables.

    With three tables of two partitions the parts are: table 0 low, table 0 high, table 1 low, and so on; part number
    p belongs to table p // 2. Partitions divide the range of the permuted hashes evenly.
    """

    def hashes_by_table() -> DividedArray:
        hashes = survivors(task, task.number)["low"]
        bounds = np.array([part * 2**BITS // task.partitions for part in range(task.partitions)], np.uint64)
        permuted = [np.sort(table.permute(hashes)) for table in near_tables(task)]
        offsets: list[int] = []
        for number, ordered in enumerate(permuted):
            offsets += (number * len(hashes) + np.searchsorted(ordered, bounds)).tolist()
        offsets.append(len(permuted) * len(hashes))
        return DividedArray(np.concatenate([np.empty(0, np.uint64), *permuted]), tuple(offsets))

    return commit_divided_array(task, f"bands-{task.duplicate_rule.step}", hashes_by_table)


def pair(task: SelectTask) -> ArrayManifest:
    """Commit the near pairs of one partition of one table; ``number`` counts through the partitions of all tables."""
    step = task.duplicate_rule.step

    def partition_of(group: Group) -> np.ndarray:
        return load_part(task, f"bands-{step}", group.number, task.number)

    def pairs() -> np.ndarray:
        hashes = np.concatenate([np.empty(0, np.uint64), *map_concurrently(task.out, partition_of, task.groups)])
        return table_pairs(hashes, task.number // task.partitions, near_tables(task), near_rule(task).radius)

    return commit_array(task, f"pairs-{step}", pairs)


def pair_tasks(first: SelectTask) -> list[SelectTask]:
    """One task for each partition of each table."""
    return [replace(first, number=number) for number in range(len(near_tables(first)) * first.partitions)]


def suppress_near(task: SelectTask) -> ArrayManifest:
    """Commit the losers among all near pairs, each with the row that it lost to."""
    step, layout = task.duplicate_rule.step, Layout(task.out)

    def losers() -> np.ndarray:
        paths = [layout.work(f"pairs-{step}", other.number) for other in pair_tasks(task)]
        pairs = unique_pairs(np.concatenate([np.empty(0, PAIR), *map_concurrently(task.out, load_array, paths)]))
        wanted = np.unique(np.concatenate([pairs["low"], pairs["high"]]))
        rows = [np.empty(0, task.duplicate_rule.key_type)]
        for group in task.groups if len(wanted) else ():
            keys = survivors(task, group.number)
            rows.append(keys[np.isin(keys["low"], wanted)])
        return near_losers(np.concatenate(rows), pairs, near_rule(task).tint)

    return commit_losers(task, f"settled-{step}", losers)


def near_losers(rows: np.ndarray, pairs: np.ndarray, tint: int) -> np.ndarray:
    """The losers (LOSER) among key records, given the near pairs of their hashes; sorted by (group, row)."""
    rows = rows[np.lexsort([rows["row"], rows["group"], ~rows["rank"]])]  # the best first
    tints = rows["high"] ^ mixed(rows["low"])
    languages = rows["language"] if "language" in (rows.dtype.names or ()) else None

    def alike(one: Indices, other: Indices) -> npt.NDArray[np.bool_]:
        near = tint_distance(tints[one], tints[other]) <= tint
        return near if languages is None else near & (languages[one] == languages[other])

    lost, keepers = suppress(rows["low"], pairs, alike)
    result = np.empty(len(lost), LOSER)
    result["group"], result["row"] = rows["group"][lost], rows["row"][lost]
    result["keeper_group"], result["keeper_row"] = rows["group"][keepers], rows["row"][keepers]
    return result[np.lexsort([result["row"], result["group"]])]
