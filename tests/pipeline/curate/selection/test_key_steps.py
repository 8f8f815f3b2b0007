"""Filters and exact duplicates through the steps of select, against the rules written down once more in plain Python."""

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash

import qvl.pipeline.duplicates.rules
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.measuring.columns import sample_id
from qvl.pipeline.curate.selection.groups import make_groups, write_groups
from qvl.pipeline.curate.selection.judge import judge
from qvl.pipeline.curate.selection.key_steps import emit, resolve
from qvl.pipeline.curate.selection.task import SelectTask
from qvl.pipeline.curate.selection.write_ledger import write_ledger
from qvl.pipeline.filters import FILTER_NAMES
from qvl.pipeline.recipe.recipe import Recipe
from tests.pipeline.curate.scanned import scan_manifest
from tests.pipeline.filters.judging import rows as make_batch

UNITS = [("a", 17), ("b", 0), ("a", 1), ("b", 25), ("c", 12), ("b", 9)]
SIZES = {0: (300, 300), 1: (600, 300), 2: (600, 600), 3: (150, 600), 4: (300, 600)}

Plain = dict[str, Any]


def a_recipe(**dedup: Any) -> Recipe:
    read = {"read": {"kind": "webdataset", "paths": ["x.tar"]}}
    sources = [
        {"name": "a", "priority": 2, **read},
        {"name": "b", "academic": True, "filters": {"emoji": None}, **read},
        {"name": "c", "academic": True, "priority": 1, **read},
    ]
    filters = {"image_size": {"minimum_side": 200}, "text_length": {"minimum": 3}, "emoji": {}}
    return Recipe.model_validate({"name": "r", "sources": sources, "filters": filters, "dedup": dedup})


def make_units(seed: int) -> list[list[Plain]]:
    """Rows by unit, with few different images and texts."""
    random = np.random.default_rng(seed)
    units = []
    for number, (source, count) in enumerate(UNITS):
        rows: list[Plain] = []
        for row in range(count):
            image, text = int(random.integers(12)), int(random.integers(8))
            width, height = SIZES[image % 5]
            rows.append(
                {
                    **{"unit": f"u{number}", "source": source, "row": row, "width": width, "height": height},
                    "fault": "unreadable:truncated" if random.random() < 0.1 else None,
                    "image_hash": xxhash.xxh3_128_digest(b"image %d" % image),
                    "text_hash": xxhash.xxh3_128_digest(b"text %d" % text) if text else None,
                    "characters": int(random.integers(1, 9)),
                    "emoji": int(random.random() < 0.1),
                }
            )
            if rows[-1]["fault"] and random.random() < 0.5:
                rows[-1] |= {"image_hash": None, "width": None, "height": None}
        units.append(rows)
    return units


def keep_best(rows: list[Plain], reason: str, key: Any, allowed: int, quality: Any) -> None:
    """Give all but the best rows of every key the verdict ``reason``."""
    groups = defaultdict(list)
    for position, row in enumerate(rows):
        if row["verdict"] == "keep" and key(row) is not None:
            groups[key(row)].append((*quality(row), position))
    for members in groups.values():
        members.sort()
        for *_, position in members[allowed:]:
            rows[position]["verdict"] = reason
            rows[position]["dup_of"] = sample_id(*(rows[members[0][-1]][name] for name in ("unit", "row")))


def reference(units: list[list[Plain]], dedup: Plain) -> list[Plain]:
    priority = {"a": 2, "b": 0, "c": 1}
    rows = [dict(row) for unit in units for row in unit]
    for row in rows:
        failed = []
        if row["fault"] is None:
            failed += ["image_size"] if min(row["width"], row["height"]) < 200 else []
            failed += ["text_length"] if row["characters"] < 3 else []
            failed += ["emoji"] if row["emoji"] and row["source"] != "b" else []
        row["failed"] = failed
        row["verdict"] = row["fault"] or (failed[0] if failed else "keep")
        row["dup_of"] = None

    def pixels(row: Plain) -> tuple[int, int, int]:
        return -row["width"] * row["height"], -row["characters"], -priority[row["source"]]

    def longest(row: Plain) -> tuple[int, int, int]:
        return -row["characters"], -row["width"] * row["height"], -priority[row["source"]]

    academic = lambda row: (row["source"], row["image_hash"]) if row["source"] in "bc" else None  # noqa: E731
    keep_best(rows, "longest_caption", academic, 1, longest)
    if dedup.get("image", True):
        keep_best(rows, "duplicate_image", lambda row: row["image_hash"], 1, pixels)
    elif dedup.get("pair", True):
        keep_best(rows, "duplicate_pair", lambda row: (row["image_hash"], row["text_hash"]), 1, pixels)
    if dedup.get("repeated_text", 10) is not None:
        keep_best(rows, "repeated_text", lambda row: row["text_hash"], dedup.get("repeated_text", 10), pixels)
    return rows


def select(out: Path, units: list[list[Plain]], recipe: Recipe, group_rows: int) -> list[Plain]:
    """Ledger rows, by the steps that a run takes."""
    layout = Layout(out)
    layout.columns("x").parent.mkdir(parents=True)
    for number, rows in enumerate(units):
        names = ("row", "fault", "width", "height", "image_hash", "text_hash", "characters", "emoji")
        batch = make_batch(**{name: [row[name] for row in rows] for name in names})
        pq.write_table(pa.Table.from_batches([batch]), layout.columns(f"u{number}"))
    scanned = [scan_manifest(f"u{i}", source, count) for i, (source, count) in enumerate(UNITS)]
    groups = make_groups(scanned, group_rows)
    write_groups(out, groups)
    every = range(len(groups))
    first = SelectTask(out, recipe, str(out), 0)
    for number in every:
        judge(SelectTask(out, recipe, str(out), number))
    for rule in range(len(first.rules)):
        for number in every:
            emit(SelectTask(out, recipe, str(out), number, rule))
        for number in range(first.partitions):
            resolve(SelectTask(out, recipe, str(out), number, rule))
    for number in every:
        write_ledger(SelectTask(out, recipe, str(out), number))
    tables = [pq.read_table(layout.ledger(f"u{i}")) for i in range(len(units))]
    return [row for table in tables for row in table.to_pylist()]


DEDUPS: list[Plain] = [
    {"repeated_text": 3},
    {"image": False, "repeated_text": 2},
    {"image": False, "pair": False, "repeated_text": 1},
    {"repeated_text": None},
]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("dedup", DEDUPS, ids=str)
@pytest.mark.parametrize(("group_rows", "partition_rows"), [(1, 16), (20, 1_000), (10_000, 40)])
def test_select_steps_when_rows_share_images_and_texts_follow_the_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, dedup: Plain, group_rows: int, partition_rows: int
) -> None:
    monkeypatch.setattr(qvl.pipeline.duplicates.rules, "PARTITION_ROWS", partition_rows)
    units = make_units(seed)
    expected = reference(units, dedup)
    found = select(tmp_path, units, a_recipe(**dedup), group_rows)
    for name in ("verdict", "dup_of", "source"):
        assert [row[name] for row in found] == [row[name] for row in expected]
    assert [row["id"] for row in found] == [sample_id(row["unit"], row["row"]) for row in expected]
    failed = [[name for bit, name in enumerate(FILTER_NAMES) if row["failed"] >> bit & 1] for row in found]
    assert failed == [row["failed"] for row in expected]


def test_generated_rows_meet_every_verdict() -> None:
    seen = Counter(row["verdict"] for seed in range(4) for row in reference(make_units(seed), {"repeated_text": 1}))
    seen += Counter(row["verdict"] for seed in range(4) for row in reference(make_units(seed), {"image": False}))
    assert set(seen) == {
        *("keep", "unreadable:truncated", "image_size", "text_length", "emoji"),
        *("longest_caption", "duplicate_image", "duplicate_pair", "repeated_text"),
    }


def test_steps_when_run_again_read_what_was_committed(tmp_path: Path) -> None:
    units = make_units(0)
    recipe = a_recipe()
    before = select(tmp_path, units, recipe, 20)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    task = SelectTask(tmp_path, recipe, str(tmp_path), 0)
    assert judge(task).rows == sum(task.group.rows)
    assert write_ledger(task).units
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert before
