"""Near duplicates as steps of select, on files: ``band`` (hashes by table and partition) -> ``pair`` -> ``suppress_near``.

They follow ``emit`` and ``resolve`` of the same rule, which left one row per different pair of hash and tint. Memory is one
partition of one table; the last step holds the near pairs alone.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.curate.selection.groups import Group
from qvl.pipeline.curate.selection.select import SelectTask, commit_array, commit_losers, losers_of
from qvl.pipeline.duplicates.near import PAIR, Table, mixed, settle, table_pairs, tables, unique_pairs
from qvl.pipeline.duplicates.rules import KEY, LOSER
from qvl.pipeline.images.perceptual_hash import BITS, tint_distance
from qvl.pipeline.recipe.recipe import NearDuplicate
from qvl.pipeline.storage.arrow_files import load_array, load_slice
from qvl.pipeline.storage.paths import map_concurrently


def near_rule(task: SelectTask) -> NearDuplicate:
    found = task.rules[task.rule].near
    if found is None:
        raise ContractError(f"{task.rules[task.rule].reason} is no rule of near duplicates")
    return found


def near_tables(task: SelectTask) -> tuple[Table, ...]:
    """The tables of this run: a function of the number of input rows."""
    radius = near_rule(task).radius
    return tables(radius, sum(sum(group.rows) for group in task.groups))


def survivors(task: SelectTask, group: int) -> np.ndarray:
    """Key records of a group that no row with the same hash and tint beats."""
    word = task.rules[task.rule].reason
    keys = load_array(Layout(task.out).work(f"keys-{word}", group))

    def lost(part: int) -> np.ndarray:
        rows: np.ndarray = losers_of(task, f"losers-{word}", part, group)["row"]
        return rows

    gone = np.concatenate([np.empty(0, np.uint32), *map_concurrently(task.out, lost, range(task.partitions))])
    result: np.ndarray = keys[~np.isin(keys["row"], gone)]
    return result


def band(task: SelectTask) -> dict[str, Any]:
    """A group's hashes once per table, permuted for it, split by the tables' partitions."""
    offsets: list[int] = []

    def make() -> np.ndarray:
        hashes = survivors(task, task.number)["low"]
        bounds = np.array([part * 2**BITS // task.partitions for part in range(task.partitions)], np.uint64)
        parts = [np.sort(table.permute(hashes)) for table in near_tables(task)]
        for number, part in enumerate(parts):
            places: list[int] = np.searchsorted(part, bounds).tolist()
            offsets.extend(number * len(hashes) + place for place in places)
        offsets.append(len(parts) * len(hashes))
        return np.concatenate([np.empty(0, np.uint64), *parts])

    return commit_array(task, f"bands-{task.rules[task.rule].reason}", make, lambda: {"offsets": offsets})


def pair(task: SelectTask) -> dict[str, Any]:
    """Near pairs of hashes in one partition of one table; ``number`` counts through the partitions of all tables."""
    word, layout = task.rules[task.rule].reason, Layout(task.out)

    def piece(group: Group) -> np.ndarray:
        manifest = read_manifest(layout.group_manifest(f"bands-{word}", group.number))
        if manifest is None:
            raise ContractError(f"{task.out}: step bands-{word} of group {group.number} is missing; run again")
        first, last = manifest["offsets"][task.number : task.number + 2]
        return load_slice(layout.work(f"bands-{word}", group.number), first, last)

    def make() -> np.ndarray:
        pieces = map_concurrently(task.out, piece, task.groups)
        table = task.number // task.partitions
        return table_pairs(
            np.concatenate([np.empty(0, np.uint64), *pieces]), table, near_tables(task), near_rule(task).radius
        )

    return commit_array(task, f"pairs-{word}", make)


def pair_tasks(first: SelectTask) -> list[SelectTask]:
    """One task per table and partition."""
    return [replace(first, number=number) for number in range(len(near_tables(first)) * first.partitions)]


def suppress_near(task: SelectTask) -> dict[str, Any]:
    """All near pairs to losers, with the row that each lost to."""
    word, layout = task.rules[task.rule].reason, Layout(task.out)

    def make() -> np.ndarray:
        paths = [layout.work(f"pairs-{word}", other.number) for other in pair_tasks(task)]
        pairs = unique_pairs(np.concatenate([np.empty(0, PAIR), *map_concurrently(task.out, load_array, paths)]))
        wanted = np.unique(np.concatenate([pairs["low"], pairs["high"]]))
        rows = [np.empty(0, KEY)]
        for group in task.groups if len(wanted) else ():
            keys = survivors(task, group.number)
            rows.append(keys[np.isin(keys["low"], wanted)])
        return settle_rows(np.concatenate(rows), pairs, near_rule(task).tint)

    return commit_losers(task, f"settled-{word}", make)


def settle_rows(rows: np.ndarray, pairs: np.ndarray, tint: int) -> np.ndarray:
    """Losers (LOSER) among key records, from near pairs of their hashes; sorted by (group, row)."""
    rows = rows[np.lexsort([rows["row"], rows["group"], ~rows["rank"]])]  # the best first
    better, worse = _row_pairs(rows["low"], pairs)
    tints = rows["high"] ^ mixed(rows["low"])
    alike = tint_distance(tints[better], tints[worse]) <= tint
    lost, keepers = settle(better[alike], worse[alike], len(rows))
    result = np.empty(len(lost), LOSER)
    result["group"], result["row"] = rows["group"][lost], rows["row"][lost]
    result["keeper_group"], result["keeper_row"] = rows["group"][keepers], rows["row"][keepers]
    return result[np.lexsort([result["row"], result["group"]])]


def _row_pairs(hashes: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of hashes to pairs of places, the smaller place first: every row of the one with every row of the other."""
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    first, last = (
        [np.searchsorted(ordered, pairs[side], side=end) for side in ("low", "high")] for end in ("left", "right")
    )
    sizes = [last[side] - first[side] for side in (0, 1)]
    total = sizes[0] * sizes[1]
    which = np.repeat(np.arange(len(pairs)), total)
    within = np.arange(int(total.sum())) - np.repeat(np.cumsum(total) - total, total)
    one = order[first[0][which] + within // np.maximum(sizes[1][which], 1)]
    other = order[first[1][which] + within % np.maximum(sizes[1][which], 1)]
    better, worse = np.minimum(one, other), np.maximum(one, other)
    proper = better < worse
    both = np.unique(better[proper] * len(hashes) + worse[proper])
    return both // max(1, len(hashes)), both % max(1, len(hashes))
