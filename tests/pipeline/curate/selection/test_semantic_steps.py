"""Semantic duplicates through the steps of select, on files, against brute force inside the same cells."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash

import qvl.pipeline.duplicates.rules
from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import create_manifest
from qvl.pipeline.curate.measuring.columns import CATEGORY, sample_id
from qvl.pipeline.curate.measuring.score_columns import SCORES, VECTORS
from qvl.pipeline.curate.recipe_note import write_recipe_note
from qvl.pipeline.curate.selection.groups import make_groups, write_groups
from qvl.pipeline.curate.selection.judge import judge
from qvl.pipeline.curate.selection.manifests import SelectSummary
from qvl.pipeline.curate.selection.rule_steps import rule_steps, tasks_over
from qvl.pipeline.curate.selection.semantic_steps import run_edges
from qvl.pipeline.curate.selection.task import SelectTask
from qvl.pipeline.curate.selection.write_ledger import write_ledger
from qvl.pipeline.duplicates.kmeans import nearest_clusters, on_grid
from qvl.pipeline.finished.changes import apply_changes
from qvl.pipeline.finished.stored_columns import StoredColumns
from qvl.pipeline.finished.whatif import whatif
from qvl.pipeline.recipe.recipe import Recipe
from tests.pipeline.curate.scanned import scan_manifests
from tests.pipeline.duplicates.test_semantic import brute_force, clustered_vectors
from tests.pipeline.filters.judging import rows as make_batch

Plain = dict[str, Any]
UNITS = (40, 0, 25, 60, 1, 30)
WIDTHS = {"clip_english": 32, "clip_chinese": 16}


def a_recipe(similarity: float = 0.85, cells: int | None = 6, per: tuple[str, ...] = ()) -> Recipe:
    models = {name: {"model": "-", "pretrained": "-"} for name in ("english", "chinese")}
    return Recipe.model_validate(
        {
            "name": "r",
            "sources": [{"name": "a", "read": {"kind": "webdataset", "paths": ["x.tar"]}}],
            "score": {"clip": {**models, "embeddings": True}},
            "dedup": {
                "per": per,
                "repeated_text": None,
                "semantic_duplicate": {"similarity": similarity, "cells": cells},
            },
            "filters": {"emoji": {}},
        }
    )


def make_rows(seed: int) -> list[Plain]:
    """Rows of all units: vectors of either model or none, some of them lost to a filter."""
    random = np.random.default_rng(seed)
    count = sum(UNITS)
    vectors = {name: clustered_vectors(count, seed, 0.06, width) for name, width in WIDTHS.items()}
    rows: list[Plain] = []
    for number, size in enumerate(UNITS):
        for row in range(size):
            place = len(rows)
            model = str(random.choice([*WIDTHS, "none"], p=[0.6, 0.3, 0.1]))
            rows.append(
                {
                    **{"unit": f"u{number}", "row": row, "emoji": int(random.random() < 0.15), "model": model},
                    **{"width": int(random.integers(1, 9)) * 100, "height": 300, "characters": 5},
                    "language": ("en", "zh", None)[place % 3],
                    "vector": None if model == "none" else (vectors[model][place] / 4_000).astype(np.float16),
                    "image_hash": xxhash.xxh3_128_digest(b"%d" % place),
                }
            )
    return rows


def write_scored(out: Path, rows: list[Plain]) -> None:
    """Columns, scores and embeddings as scan and score leave them."""
    layout = Layout(out)
    for path in (layout.columns("x"), layout.scores("x"), layout.embeddings("x")):
        path.parent.mkdir(parents=True)
    for number in range(len(UNITS)):
        mine = [row for row in rows if row["unit"] == f"u{number}"]
        names = ("row", "emoji", "width", "height", "characters", "image_hash", "language")
        batch = make_batch(**{name: [row[name] for row in mine] for name in names})
        pq.write_table(pa.Table.from_batches([batch]), layout.columns(f"u{number}"))
        states = pa.array(["scored"] * len(mine), pa.string()).dictionary_encode().cast(CATEGORY)
        scores = [*(pa.nulls(len(mine), field.type) for field in list(SCORES)[:-1]), states]
        pq.write_table(pa.Table.from_arrays(scores, schema=SCORES), layout.scores(f"u{number}"))
        seen = sorted((row for row in mine if row["model"] != "none"), key=lambda row: row["model"])
        columns = [pa.array([row["row"] for row in seen], pa.int32())]
        columns.append(pa.array([row["model"] for row in seen], pa.string()).dictionary_encode().cast(CATEGORY))
        columns.append(pa.array([row["vector"] for row in seen], VECTORS.field("vector").type))
        pq.write_table(pa.Table.from_arrays(columns, schema=VECTORS), layout.embeddings(f"u{number}"))


def select(out: Path, recipe: Recipe, group_rows: int) -> list[Plain]:
    """All steps of select, one after the other."""
    groups = make_groups(scan_manifests(UNITS), group_rows)
    write_groups(out, groups)
    first = SelectTask(out, recipe, f"{out} {group_rows}", 0)
    assert [rule.step for rule in first.rules] == [
        "duplicate_image", "semantic_duplicate", "semantic_duplicate-clip_chinese",
    ]  # fmt: skip
    for task in tasks_over(first, len(groups)):
        judge(task)
    for rule in range(len(first.rules)):
        for step in rule_steps(replace(first, rule=rule)):
            for task in step.tasks:
                step.function(task)
    for task in tasks_over(first, len(groups)):
        write_ledger(task)
    write_recipe_note(recipe, out)
    create_manifest(Layout(out).stage_manifest("select"), SelectSummary(first.fingerprint, len(groups), first.rows, {}))
    return [row for i in range(len(UNITS)) for row in pq.read_table(Layout(out).ledger(f"u{i}")).to_pylist()]


def reference(
    rows: list[Plain], out: Path, similarity: float, per_language: bool = False
) -> list[tuple[str, str | None]]:
    """Every pair of a cell compared; the cells are those that the run trained."""
    verdicts: list[tuple[str, str | None]] = [("emoji", None) if row["emoji"] else ("keep", None) for row in rows]
    for model, step in (("clip_english", "semantic_duplicate"), ("clip_chinese", "semantic_duplicate-clip_chinese")):
        centres = np.load(Layout(out).work(f"cells-{step}", 0))
        mine = [i for i, row in enumerate(rows) if row["model"] == model and not row["emoji"]]
        mine.sort(key=lambda i: (-rows[i]["width"] * rows[i]["height"], i))
        vectors = on_grid(np.stack([rows[i]["vector"] for i in mine]))
        cells = nearest_clusters(vectors, centres)
        languages = [str(rows[i]["language"]) if per_language else "" for i in mine]
        compared = np.array([f"{cell} {language}" for cell, language in zip(cells, languages, strict=True)])
        for each in np.unique(compared):
            inside = np.flatnonzero(compared == each)
            for lost, by in brute_force(vectors[inside], similarity).items():
                keeper = rows[mine[inside[by]]]
                verdicts[mine[inside[lost]]] = ("semantic_duplicate", sample_id(keeper["unit"], keeper["row"]))
    return verdicts


@pytest.mark.parametrize("similarity", [0.8, 0.95])
@pytest.mark.parametrize(("group_rows", "partition_rows"), [(1, 10_000), (50, 40), (10_000, 30)])
def test_select_steps_when_vectors_are_near_agree_with_brute_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, similarity: float, group_rows: int, partition_rows: int
) -> None:
    monkeypatch.setattr(qvl.pipeline.duplicates.rules, "PARTITION_VECTORS", partition_rows)
    rows = make_rows(1)
    write_scored(tmp_path, rows)
    found = select(tmp_path, a_recipe(similarity), group_rows)
    expected = reference(rows, tmp_path, similarity)
    assert [(row["verdict"], row["dup_of"]) for row in found] == expected
    lost = sum(verdict == "semantic_duplicate" for verdict, _ in expected)
    assert 10 < lost < 120


def test_select_steps_when_vectors_are_compared_per_language_agree_with_brute_force_within_each(tmp_path: Path) -> None:
    rows = make_rows(1)
    write_scored(tmp_path, rows)
    found = select(tmp_path, a_recipe(0.8, per=("language",)), 50)
    expected = reference(rows, tmp_path, 0.8, per_language=True)
    assert [(row["verdict"], row["dup_of"]) for row in found] == expected
    assert expected != reference(rows, tmp_path, 0.8)


def test_verdicts_do_not_depend_on_groups_and_partitions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for number, (group_rows, partition_rows) in enumerate([(1, 10_000), (70, 20), (10_000, 50)]):
        monkeypatch.setattr(qvl.pipeline.duplicates.rules, "PARTITION_VECTORS", partition_rows)
        out = tmp_path / str(number)
        write_scored(out, make_rows(2))
        results.append([(row["verdict"], row["dup_of"]) for row in select(out, a_recipe(), group_rows)])
    assert results[0] == results[1] == results[2]


def test_steps_when_partitions_are_lost_rebuild_them_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qvl.pipeline.duplicates.rules, "PARTITION_VECTORS", 40)
    write_scored(tmp_path, make_rows(3))
    first, layout = select(tmp_path, a_recipe(), 50), Layout(tmp_path)
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "select").iterdir()}
    gone = [("losers-semantic_duplicate", 2), ("assigned-semantic_duplicate", 1), ("cells-semantic_duplicate", 0)]
    for step, number in gone:
        layout.group_manifest(step, number).unlink()
        layout.work(step, number).unlink()
    assert select(tmp_path, a_recipe(), 50) == first
    remade = {path for path in (tmp_path / "select").iterdir() if stamps[path] != path.stat().st_mtime_ns}
    assert remade - {tmp_path / "select" / "groups.json"} == {layout.work(step, number) for step, number in gone}


def test_whatif_when_the_similarity_changes_counts_what_a_run_keeps(tmp_path: Path) -> None:
    write_scored(tmp_path / "a", make_rows(4))
    write_scored(tmp_path / "b", make_rows(4))
    select(tmp_path / "a", a_recipe(0.9), 50)
    stored = StoredColumns.open(tmp_path / "a")
    for similarity in (0.8, 0.9, 0.97):
        asked = whatif(stored, apply_changes(stored.recipe, [f"dedup.semantic_duplicate.similarity={similarity}"]))
        words = [row["verdict"] for row in select(tmp_path / "b", a_recipe(similarity), 50)]
        assert asked.kept == words.count("keep")
        assert asked.counts().after["a"]["semantic_duplicate"] == words.count("semantic_duplicate")
        for folder in ("select", "manifests/select", "ledger"):
            for path in (tmp_path / "b" / folder).iterdir():
                path.unlink()
        Layout(tmp_path / "b").stage_manifest("select").unlink()


def test_whatif_when_the_cells_change_is_refused(tmp_path: Path) -> None:
    write_scored(tmp_path, make_rows(5))
    select(tmp_path, a_recipe(), 50)
    stored = StoredColumns.open(tmp_path)
    with pytest.raises(RecipeError, match="no such cells"):
        whatif(stored, apply_changes(stored.recipe, ["dedup.semantic_duplicate.cells=3"]))


@pytest.mark.parametrize("score", [None, {"phash": {}}, {"clip": {"english": {"model": "-", "pretrained": "-"}}}])
def test_recipe_when_vectors_are_not_stored_is_refused(score: Plain | None) -> None:
    content = a_recipe().model_dump(mode="json")
    with pytest.raises(ValueError, match="embeddings: true"):
        Recipe.model_validate({**content, "score": score})


@pytest.mark.parametrize(
    ("values", "edges"), [([], [0]), ([7], [0, 1]), ([7, 7, 2], [0, 2, 3]), ([1, 2, 1], [0, 1, 2, 3])]
)
def test_run_edges_mark_where_runs_of_equal_values_begin_and_the_end(values: list[int], edges: list[int]) -> None:
    assert run_edges(np.array(values)).tolist() == edges
