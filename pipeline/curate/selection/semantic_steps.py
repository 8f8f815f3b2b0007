"""Semantic duplicates as steps of select, on files: ``sample`` -> ``train`` -> ``assign`` -> ``compare``.

Cells are trained on a seeded sample of all stored vectors, whatever the verdicts: they depend on the scores alone.
``assign`` sorts the vectors of the rows that are still kept by cell and splits them into partitions; ``compare`` settles a
partition, cell by cell. Memory is one group or one partition of vectors.
"""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import xxhash

from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.curate.measuring.scan import read_columns
from qvl.pipeline.curate.selection.groups import Group
from qvl.pipeline.curate.selection.select import (
    KEEP_CODE,
    SelectTask,
    codes_after,
    commit_array,
    commit_losers,
    fill_places,
)
from qvl.pipeline.duplicates.kmeans import SAMPLE_PER_CELL, Grid, nearest_cells, on_grid, train_cells
from qvl.pipeline.duplicates.near import mixed
from qvl.pipeline.duplicates.rules import LOSER, cell_count, vector_partitions
from qvl.pipeline.duplicates.semantic import cell_losers
from qvl.pipeline.recipe.recipe import SemanticDuplicate
from qvl.pipeline.storage.arrow_files import load_array, load_slice, read_parquet
from qvl.pipeline.storage.paths import map_concurrently


def semantic_rule(task: SelectTask) -> SemanticDuplicate:
    found = task.rules[task.rule].semantic
    if found is None:
        raise ContractError(f"{task.rules[task.rule].reason} is no rule of semantic duplicates")
    return found


def read_vectors(task: SelectTask, unit: str) -> tuple[np.ndarray, Grid]:
    """Rows of a unit that the rule's model has seen, ascending, and their vectors on the grid [n, width]."""
    table = read_parquet(Layout(task.out).embeddings(unit), ["row", "model", "vector"])
    mine = np.array([word == task.rules[task.rule].model for word in table["model"].to_pylist()], bool)
    if not mine.any():
        return np.empty(0, np.int64), np.empty((0, 0), np.int16)
    table = table.filter(mine).combine_chunks()
    values = table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return table["row"].to_numpy().astype(np.int64), on_grid(values.reshape(len(table), -1))


def records(width: int) -> np.dtype[Any]:
    """A row with its cell, rank, place and vector."""
    fields: list[Any] = [
        ("cell", "<u4"),
        ("rank", "<u8"),
        ("group", "<u4"),
        ("row", "<u4"),
        ("vector", "<i2", (width,)),
    ]
    return np.dtype(fields)


def sampled(width: int) -> np.dtype[Any]:
    """A vector with its random place among all."""
    fields: list[Any] = [("order", "<u8"), ("vector", "<i2", (width,))]
    return np.dtype(fields)


def sample(task: SelectTask) -> dict[str, Any]:
    """A group's share of the vectors that the cells are trained on, each with its random place in the order."""
    share = min(1.0, SAMPLE_PER_CELL * cell_count(semantic_rule(task), task.rows) / max(1, task.rows))

    def of_unit(unit: str) -> np.ndarray:
        rows, vectors = read_vectors(task, unit)
        start = np.uint64(xxhash.xxh3_64_intdigest(f"{semantic_rule(task).seed}:{unit}".encode()))
        order = mixed(rows.astype(np.uint64) + start)
        chosen = order <= np.uint64(round(share * (2**64 - 1)) if share < 1 else 2**64 - 1)
        result = np.empty(int(chosen.sum()), sampled(vectors.shape[1]))
        result["order"], result["vector"] = order[chosen], vectors[chosen]
        return result

    return commit_array(
        task, f"sample-{task.rules[task.rule].step}", lambda: joined(list(map(of_unit, task.group.units)))
    )


def joined(parts: list[np.ndarray]) -> np.ndarray:
    """Arrays of vectors in one; those without rows do not know their width."""
    filled = [part for part in parts if len(part)]
    return np.concatenate(filled) if filled else np.empty(0, sampled(0))


def train(task: SelectTask) -> dict[str, Any]:
    """The centres of all cells, from the groups' samples."""
    step = task.rules[task.rule].step

    def make() -> np.ndarray:
        paths = [Layout(task.out).work(f"sample-{step}", group.number) for group in task.groups]
        chosen = joined(list(map_concurrently(task.out, load_array, paths)))
        chosen = chosen[np.argsort(chosen["order"], kind="stable")]
        return train_cells(chosen["vector"], cell_count(semantic_rule(task), task.rows))

    return commit_array(task, f"cells-{step}", make)


def assigned(task: SelectTask, group: Group, codes: np.ndarray) -> np.ndarray:
    """Records of a group's rows that ``codes`` keep and that have a vector, by cell, then by place."""
    centres = load_array(Layout(task.out).work(f"cells-{task.rules[task.rule].step}", 0))
    parts = [np.empty(0, records(centres.shape[1]))]
    for unit, source, start in zip(group.units, group.sources, group.starts.tolist(), strict=False):
        rows, vectors = read_vectors(task, unit)
        alive = codes[start + rows] == KEEP_CODE
        part = np.empty(int(alive.sum()), records(centres.shape[1]))
        if len(part):
            columns = read_columns(task.out, unit, ["width", "height", "characters"])
            part["vector"] = vectors[alive]
            part["cell"] = nearest_cells(vectors[alive], centres)
            fill_places(part, replace(task, number=group.number), source, columns, rows[alive], start)
        parts.append(part)
    found = np.concatenate(parts)
    return found[np.argsort(found["cell"], kind="stable")]


def assign(task: SelectTask) -> dict[str, Any]:
    """A group's kept vectors by cell, split by partition."""
    offsets: list[int] = []

    def make() -> np.ndarray:
        found = assigned(task, task.group, codes_after(task, task.number, task.rule))
        parts = vector_partitions(semantic_rule(task), task.rows)
        bounds = [-(-part * cell_count(semantic_rule(task), task.rows) // parts) for part in range(parts + 1)]
        offsets.extend(np.searchsorted(found["cell"], bounds).tolist())
        return found

    return commit_array(task, f"assigned-{task.rules[task.rule].step}", make, lambda: {"offsets": offsets})


def compare(task: SelectTask) -> dict[str, Any]:
    """Losers of one partition of cells."""
    step, layout = task.rules[task.rule].step, Layout(task.out)

    def piece(group: Group) -> np.ndarray:
        manifest = read_manifest(layout.group_manifest(f"assigned-{step}", group.number))
        if manifest is None:
            raise ContractError(f"{task.out}: step assigned-{step} of group {group.number} is missing; run again")
        first, last = manifest["offsets"][task.number : task.number + 2]
        return load_slice(layout.work(f"assigned-{step}", group.number), first, last)

    def make() -> np.ndarray:
        return suppress_cells(np.concatenate(list(map_concurrently(task.out, piece, task.groups))), semantic_rule(task))

    return commit_losers(task, f"losers-{step}", make)


def losers_among(task: SelectTask, codes: np.ndarray) -> np.ndarray:
    """Losers among the rows of the whole run that ``codes`` keep, by the cells that the run has trained."""
    parts, start = [], 0
    for group in task.groups:
        rows = sum(group.rows)
        parts.append(assigned(task, group, codes[start : start + rows]))
        start += rows
    return suppress_cells(np.concatenate(parts), semantic_rule(task))


def suppress_cells(found: np.ndarray, rule: SemanticDuplicate) -> np.ndarray:
    """Losers (LOSER) among records of whole cells, sorted by (group, row)."""
    order = np.lexsort([found["row"], found["group"], ~found["rank"], found["cell"]])
    cells = found["cell"][order]
    edges = (
        np.flatnonzero(np.concatenate(([True], cells[1:] != cells[:-1], [True]))) if len(cells) else np.zeros(1, int)
    )
    parts = [np.empty(0, LOSER)]
    for first, last in pairwise(edges.tolist()):
        cell = found[order[first:last]]
        losers, keepers = cell_losers(cell["vector"], rule.similarity)
        part = np.empty(len(losers), LOSER)
        part["group"], part["row"] = cell["group"][losers], cell["row"][losers]
        part["keeper_group"], part["keeper_row"] = cell["group"][keepers], cell["row"][keepers]
        parts.append(part)
    result = np.concatenate(parts)
    return result[np.lexsort([result["row"], result["group"]])]
