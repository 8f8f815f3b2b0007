"""Semantic duplicates as steps of select, on files: ``sample`` -> ``train`` -> ``assign`` -> ``compare``.

The cells are trained on a seeded sample of all stored vectors, whatever the rows' verdicts: they depend on the scores alone.
``assign`` sorts the vectors of the rows that are still kept by cell and divides them into partitions; ``compare`` finds
the losers of a partition, cell by cell. Memory is one group or one partition of vectors.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import xxhash

from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.selection.groups import Group
from qvl.pipeline.curate.selection.key_steps import fill_positions, language_keys
from qvl.pipeline.curate.selection.manifests import ArrayManifest
from qvl.pipeline.curate.selection.step_files import (
    DividedArray,
    commit_array,
    commit_divided_array,
    commit_losers,
    load_part,
)
from qvl.pipeline.curate.selection.task import SelectTask
from qvl.pipeline.curate.selection.verdict_codes import KEEP_CODE, codes_after
from qvl.pipeline.duplicates.kmeans import SAMPLE_PER_CLUSTER, Grid, nearest_clusters, on_grid, train_clusters
from qvl.pipeline.duplicates.near import mixed
from qvl.pipeline.duplicates.rules import LOSER, cluster_count, vector_partitions
from qvl.pipeline.duplicates.semantic import cluster_losers
from qvl.pipeline.recipe.duplicates import SemanticDuplicate
from qvl.pipeline.storage.arrow_files import load_array, read_parquet
from qvl.pipeline.storage.paths import map_concurrently


def semantic_rule(task: SelectTask) -> SemanticDuplicate:
    found = task.duplicate_rule.semantic
    if found is None:
        raise ContractError(f"{task.duplicate_rule.reason} is not a rule of semantic duplicates")
    return found


def cell_record(width: int) -> np.dtype[np.void]:
    """A row with its cell, language, rank, group, position and vector of ``width`` numbers.

    ``language`` is 0 unless the rule compares rows of one language only.
    """
    position = [("rank", "<u8"), ("group", "<u4"), ("row", "<u4")]
    return np.dtype([("cell", "<u4"), ("language", "<u8"), *position, ("vector", "<i2", (width,))])


def sample_record(width: int) -> np.dtype[np.void]:
    """A vector of ``width`` numbers with its position in the random order of all vectors."""
    return np.dtype([("order", "<u8"), ("vector", "<i2", (width,))])


def read_vectors(task: SelectTask, unit: str) -> tuple[np.ndarray, Grid]:
    """The rows of a unit that the rule's model has scored, ascending, and their vectors on the grid [n, width]."""
    table = read_parquet(Layout(task.out).embeddings(unit), ["row", "model", "vector"])
    of_model = np.array([name == task.duplicate_rule.model for name in table["model"].to_pylist()], bool)
    if not of_model.any():
        return np.empty(0, np.int64), np.empty((0, 0), np.int16)
    table = table.filter(of_model).combine_chunks()
    values = table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return table["row"].to_numpy().astype(np.int64), on_grid(values.reshape(len(table), -1))


def sample(task: SelectTask) -> ArrayManifest:
    """Commit a group's share of the vectors that the cells are trained on, each with its position in the random order."""
    rule = semantic_rule(task)
    share = min(1.0, SAMPLE_PER_CLUSTER * cluster_count(rule, task.rows) / max(1, task.rows))
    last = np.uint64(round(share * (2**64 - 1)) if share < 1 else 2**64 - 1)

    def of_unit(unit: str) -> np.ndarray:
        rows, vectors = read_vectors(task, unit)
        start = np.uint64(xxhash.xxh3_64_intdigest(f"{rule.seed}:{unit}".encode()))
        order = mixed(rows.astype(np.uint64) + start)
        chosen = order <= last
        result = np.empty(int(chosen.sum()), sample_record(vectors.shape[1]))
        result["order"], result["vector"] = order[chosen], vectors[chosen]
        return result

    return commit_array(
        task, f"sample-{task.duplicate_rule.step}", lambda: concatenate_samples(list(map(of_unit, task.group.units)))
    )


def concatenate_samples(parts: list[np.ndarray]) -> np.ndarray:
    """One array of samples. Empty parts are left out: they do not know the width of the vectors."""
    filled = [part for part in parts if len(part)]
    return np.concatenate(filled) if filled else np.empty(0, sample_record(0))


def train(task: SelectTask) -> ArrayManifest:
    """Commit the centres of all cells, trained on the samples of all groups."""
    step = task.duplicate_rule.step

    def centres() -> np.ndarray:
        paths = [Layout(task.out).work(f"sample-{step}", group.number) for group in task.groups]
        samples = concatenate_samples(list(map_concurrently(task.out, load_array, paths)))
        samples = samples[np.argsort(samples["order"], kind="stable")]
        return train_clusters(samples["vector"], cluster_count(semantic_rule(task), task.rows))

    return commit_array(task, f"cells-{step}", centres)


def records_by_cell(task: SelectTask, group: Group, codes: np.ndarray) -> np.ndarray:
    """Records of a group's rows that ``codes`` keep and that have a vector, by cell, then by position."""
    centres = load_array(Layout(task.out).work(f"cells-{task.duplicate_rule.step}", 0))
    parts = [np.empty(0, cell_record(centres.shape[1]))]
    for unit, source, start in zip(group.units, group.sources, group.starts.tolist(), strict=False):
        rows, vectors = read_vectors(task, unit)
        kept = codes[start + rows] == KEEP_CODE
        part = np.zeros(int(kept.sum()), cell_record(centres.shape[1]))
        if len(part):
            columns = task.read(unit, source, ["width", "height", "characters", "language"])
            if task.duplicate_rule.per_language:
                part["language"] = language_keys(columns["language"])[rows[kept]]
            part["vector"] = vectors[kept]
            part["cell"] = nearest_clusters(vectors[kept], centres)
            fill_positions(part, replace(task, number=group.number), source, columns, rows[kept], start)
        parts.append(part)
    records = np.concatenate(parts)
    return records[np.argsort(records["cell"], kind="stable")]


def assign(task: SelectTask) -> ArrayManifest:
    """Commit a group's kept vectors by cell, divided by partition.

    Partition p of P holds the cells [ceil(p * C / P), ceil((p + 1) * C / P)) of C: with 5 cells and 2 partitions these
    are the cells 0 to 2 and 3 to 4.
    """
    rule = semantic_rule(task)

    def records() -> DividedArray:
        found = records_by_cell(task, task.group, codes_after(task, task.number, task.rule))
        parts, cells = vector_partitions(rule, task.rows), cluster_count(rule, task.rows)
        bounds = [-(-part * cells // parts) for part in range(parts + 1)]
        return DividedArray(found, tuple(np.searchsorted(found["cell"], bounds).tolist()))

    return commit_divided_array(task, f"assigned-{task.duplicate_rule.step}", records)


def compare(task: SelectTask) -> ArrayManifest:
    """Commit the losers of one partition of cells."""
    step = task.duplicate_rule.step

    def partition_of(group: Group) -> np.ndarray:
        return load_part(task, f"assigned-{step}", group.number, task.number)

    def losers() -> np.ndarray:
        records = np.concatenate(list(map_concurrently(task.out, partition_of, task.groups)))
        return suppress_cells(records, semantic_rule(task))

    return commit_losers(task, f"losers-{step}", losers)


def losers_among(task: SelectTask, codes: np.ndarray) -> np.ndarray:
    """The losers among the rows of the whole run that ``codes`` keep, in the cells that the run has trained."""
    parts, start = [], 0
    for group in task.groups:
        rows = sum(group.rows)
        parts.append(records_by_cell(task, group, codes[start : start + rows]))
        start += rows
    return suppress_cells(np.concatenate(parts), semantic_rule(task))


def suppress_cells(found: np.ndarray, rule: SemanticDuplicate) -> np.ndarray:
    """The losers (LOSER) among the records of whole cells, sorted by (group, row)."""
    order = np.lexsort([found["row"], found["group"], ~found["rank"], found["language"], found["cell"]])
    parts = [np.empty(0, LOSER)]
    compared = found[["cell", "language"]][order]
    for first, last in pairwise(run_edges(compared).tolist()):
        cell = found[order[first:last]]
        losers, keepers = cluster_losers(cell["vector"], rule.similarity)
        part = np.empty(len(losers), LOSER)
        part["group"], part["row"] = cell["group"][losers], cell["row"][losers]
        part["keeper_group"], part["keeper_row"] = cell["group"][keepers], cell["row"][keepers]
        parts.append(part)
    result = np.concatenate(parts)
    return result[np.lexsort([result["row"], result["group"]])]


def run_edges(values: np.ndarray) -> np.ndarray:
    """Where runs of equal values begin, and the length at the end: [7, 7, 2] has the edges [0, 2, 3]; [] has [0]."""
    if not len(values):
        return np.zeros(1, np.int64)
    return np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1], [True])))
