"""Units of rows with perceptual hashes, and the steps of select over them."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.measuring.score_columns import SCORES
from qvl.pipeline.curate.selection.decontaminate import decontaminate
from qvl.pipeline.curate.selection.groups import make_groups, write_groups
from qvl.pipeline.curate.selection.judge import judge
from qvl.pipeline.curate.selection.key_steps import emit, resolve
from qvl.pipeline.curate.selection.near_steps import band, pair, pair_tasks, suppress_near
from qvl.pipeline.curate.selection.task import SelectTask
from qvl.pipeline.curate.selection.write_ledger import write_ledger
from qvl.pipeline.recipe.recipe import Recipe
from tests.pipeline.curate.scanned import scan_manifests
from tests.pipeline.filters.judging import rows as make_batch

Plain = dict[str, Any]
UNITS = (40, 0, 25, 60, 1)


def a_recipe(radius: int = 3, per: tuple[str, ...] = (), **more: Any) -> Recipe:
    source = {"name": "a", "priority": 1, "read": {"kind": "webdataset", "paths": ["x.tar"]}}
    dedup = {"near_duplicate": {"radius": radius}, "repeated_text": None, "per": per}
    return Recipe.model_validate(
        {"name": "r", "sources": [source], "score": {"phash": {}}, "dedup": dedup, "filters": {"emoji": {}}, **more}
    )


def make_units(seed: int) -> list[list[Plain]]:
    """Rows by unit: few looks with some bits flipped, tints that differ by little or by much, flat ones, lost ones."""
    random = np.random.default_rng(seed)
    bases = random.integers(0, 2**64, 12, np.uint64, endpoint=False).tolist()
    units = []
    for number, count in enumerate(UNITS):
        rows = []
        for row in range(count):
            phash = bases[random.integers(12)]
            for bit in random.choice(64, int(random.integers(0, 5)), replace=False):
                phash ^= 1 << int(bit)
            rows.append(
                {
                    **{"unit": f"u{number}", "row": row, "phash": phash, "emoji": int(random.random() < 0.1)},
                    "phash_tint": int(random.choice([0x80, 0x84, 0x88, 0xF0])),
                    "phash_spread": float(random.choice([1.0, 4.0, 50.0], p=[0.1, 0.2, 0.7])),
                    "width": int(random.integers(1, 9)) * 100,
                    "height": 300,
                    "characters": int(random.integers(1, 5)),
                    "language": ("en", "zh", None)[len(rows) % 3],
                    "image_hash": xxhash.xxh3_128_digest(b"%d %d" % (number, row)),
                }
            )
        units.append(rows)
    return units


def write_columns(out: Path, units: list[list[Plain]]) -> None:
    layout = Layout(out)
    layout.columns("x").parent.mkdir(parents=True)
    layout.scores("x").parent.mkdir(parents=True)
    for number, rows in enumerate(units):
        names = ("row", "emoji", "width", "height", "characters", "image_hash", "language")
        batch = make_batch(**{name: [row[name] for row in rows] for name in names})
        pq.write_table(pa.Table.from_batches([batch]), layout.columns(f"u{number}"))
        scores = {name: [row.get(name) for row in rows] for name in SCORES.names} | {
            "score_state": ["scored"] * len(rows)
        }
        columns = [
            pa.array(scores[f.name], pa.string()).dictionary_encode().cast(f.type)
            if f.name == "score_state"
            else pa.array(scores[f.name], f.type)
            for f in SCORES
        ]
        pq.write_table(pa.Table.from_arrays(columns, schema=SCORES), layout.scores(f"u{number}"))


def run_select_steps(out: Path, recipe: Recipe, group_rows: int) -> list[Plain]:
    groups = make_groups(scan_manifests(UNITS), group_rows)
    write_groups(out, groups)

    def task(number: int) -> SelectTask:
        return SelectTask(out, recipe, str(out), number, 1)

    assert [rule.reason for rule in task(0).rules] == ["duplicate_image", "near_duplicate"]
    for number in range(len(groups)):
        judge(task(number))
        if recipe.decontaminate:
            decontaminate(task(number))
    for rule in range(2):
        for step, count in ((emit, len(groups)), (resolve, task(0).partitions)):
            for number in range(count):
                step(SelectTask(out, recipe, str(out), number, rule))
    for number in range(len(groups)):
        band(task(number))
    for piece in pair_tasks(task(0)):
        pair(piece)
    suppress_near(task(0))
    for number in range(len(groups)):
        write_ledger(task(number))
    return [row for i in range(len(UNITS)) for row in pq.read_table(Layout(out).ledger(f"u{i}")).to_pylist()]
