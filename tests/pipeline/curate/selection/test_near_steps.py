"""Near duplicates and decontamination through the steps of select, against the rules on all rows at once."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash

import qvl.pipeline.duplicates.rules
from qvl.pipeline.base.arrays import hash_words
from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.measuring.columns import sample_id
from qvl.pipeline.curate.measuring.score_columns import SCORES
from qvl.pipeline.curate.selection.decontaminate import benchmark_hashes, decontaminate, hash_folder
from qvl.pipeline.curate.selection.groups import make_groups, write_groups
from qvl.pipeline.curate.selection.judge import judge
from qvl.pipeline.curate.selection.key_steps import emit, resolve
from qvl.pipeline.curate.selection.near_steps import band, pair, pair_tasks, suppress_near
from qvl.pipeline.curate.selection.task import SelectTask
from qvl.pipeline.curate.selection.write_ledger import write_ledger
from qvl.pipeline.exclusion.exclusion import Exclusion
from qvl.pipeline.images.perceptual_hash import bit_count
from qvl.pipeline.recipe.recipe import Recipe
from tests.pipeline.curate.scanned import scan_manifests
from tests.pipeline.filters.judging import rows as make_batch
from tests.pipeline.samples import jpeg

Plain = dict[str, Any]
UNITS = (40, 0, 25, 60, 1)


def a_recipe(radius: int = 3, **more: Any) -> Recipe:
    source = {"name": "a", "priority": 1, "read": {"kind": "webdataset", "paths": ["x.tar"]}}
    dedup = {"near_duplicate": {"radius": radius}, "repeated_text": None}
    return Recipe.model_validate(
        {"name": "r", "sources": [source], "score": {"phash": {}}, "dedup": dedup, "filters": {"emoji": {}}, **more}
    )


def made_up(seed: int) -> list[list[Plain]]:
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
                    "image_hash": xxhash.xxh3_128_digest(b"%d %d" % (number, row)),
                }
            )
        units.append(rows)
    return units


def tints_near(a: int, b: int) -> bool:
    return all(abs((a >> s & 255) - (b >> s & 255)) <= 6 for s in range(0, 64, 8))


def reference(units: list[list[Plain]], radius: int) -> list[tuple[str, str | None]]:
    """Equal looks first, then greedily from the best row down."""
    rows = [row for unit in units for row in unit]
    verdicts: list[tuple[str, str | None]] = [("emoji", None) if row["emoji"] else ("keep", None) for row in rows]
    asked = [i for i, row in enumerate(rows) if not row["emoji"] and row["phash_spread"] >= 4]
    asked.sort(key=lambda i: (-rows[i]["width"] * rows[i]["height"], -rows[i]["characters"], i))
    best: dict[tuple[int, int], int] = {}
    stays: list[int] = []
    for i in asked:
        first = best.setdefault((rows[i]["phash"], rows[i]["phash_tint"]), i)
        if first != i:
            verdicts[i] = ("near_duplicate", sample_id(rows[first]["unit"], rows[first]["row"]))
    for i in (i for i in asked if verdicts[i][0] == "keep"):
        near = [
            j
            for j in stays
            if (rows[i]["phash"] ^ rows[j]["phash"]).bit_count() <= radius
            and tints_near(rows[i]["phash_tint"], rows[j]["phash_tint"])
        ]
        if near:
            verdicts[i] = ("near_duplicate", sample_id(rows[near[0]]["unit"], rows[near[0]]["row"]))
        else:
            stays.append(i)
    return verdicts


def write_columns(out: Path, units: list[list[Plain]]) -> None:
    layout = Layout(out)
    layout.columns("x").parent.mkdir(parents=True)
    layout.scores("x").parent.mkdir(parents=True)
    for number, rows in enumerate(units):
        names = ("row", "emoji", "width", "height", "characters", "image_hash")
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


def select(out: Path, recipe: Recipe, group_rows: int) -> list[Plain]:
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


@pytest.mark.parametrize("radius", [0, 1, 3, 4])
@pytest.mark.parametrize(("group_rows", "partition_rows"), [(1, 1_000), (50, 20), (1_000, 9)])
def test_select_does_what_the_rule_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, radius: int, group_rows: int, partition_rows: int
) -> None:
    monkeypatch.setattr(qvl.pipeline.duplicates.rules, "PARTITION_ROWS", partition_rows)
    units = made_up(radius)
    write_columns(tmp_path, units)
    rows = select(tmp_path, a_recipe(radius), group_rows)
    expected = reference(units, radius)
    assert [(row["verdict"], row["dup_of"]) for row in rows] == expected
    words = [word for word, _ in expected]
    assert {"keep", "near_duplicate", "emoji"} == set(words)


def test_a_second_attempt_changes_no_file(tmp_path: Path) -> None:
    write_columns(tmp_path, made_up(1))
    first = select(tmp_path, a_recipe(), 50)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    assert select(tmp_path, a_recipe(), 50) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")} == before


def test_one_lost_partition_is_made_again_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qvl.pipeline.duplicates.rules, "PARTITION_ROWS", 20)
    write_columns(tmp_path, made_up(2))
    first = select(tmp_path, a_recipe(), 50)
    layout = Layout(tmp_path)
    for step, number in (("pairs-near_duplicate", 3), ("bands-near_duplicate", 1)):
        layout.group_manifest(step, number).unlink()
        layout.work(step, number).unlink()
    assert select(tmp_path, a_recipe(), 50) == first


def test_benchmarks_take_bytes_and_looks(tmp_path: Path) -> None:
    units = made_up(3)
    write_columns(tmp_path / "out", units)
    rows = [row for unit in units for row in unit]
    coco, other = Exclusion(), Exclusion()
    coco._add("bytes", rows[0]["image_hash"].hex(), "coco")
    coco._add("perceptual", f"{rows[7]['phash'] ^ 0b101:016x}", "coco")
    other._add("perceptual", f"{rows[7]['phash']:016x}", "other")
    other._add("perceptual", f"{rows[50]['phash']:016x}", "other")
    lists = []
    for name, made in (("coco", coco), ("other", other)):
        made.write(tmp_path / f"{name}.parquet")
        lists.append({"name": name, "path": str(tmp_path / f"{name}.parquet"), "radius": 3})
    found = select(tmp_path / "out", a_recipe(decontaminate=lists), 50)
    for row, given in zip(found, rows, strict=True):
        seen = given["phash_spread"] >= 4
        by = []
        if given is rows[0] or (seen and bit_distance(given, rows[7]["phash"] ^ 0b101) <= 3):
            by.append("benchmark:coco")
        if seen and min(bit_distance(given, rows[i]["phash"]) for i in (7, 50)) <= 3:
            by.append("benchmark:other")
        if given["emoji"]:
            assert row["verdict"] == "emoji"
        elif by:
            assert row["verdict"] == by[0]
        else:
            assert not row["verdict"].startswith("benchmark:")
    assert {"benchmark:coco", "benchmark:other"} <= {row["verdict"] for row in found}


def bit_distance(row: Plain, phash: int) -> int:
    return int(bit_count(np.array([row["phash"] ^ phash], np.uint64))[0])


def test_a_folder_and_its_list_are_one(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    (folder / "deep").mkdir(parents=True)
    for i in range(4):
        (folder / ("deep" if i % 2 else ".") / f"{i}.JPG").write_bytes(jpeg(i))
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("not asked")
    hashed = hash_folder(folder, "name")
    assert (hashed.images, [path.name for path in hashed.without_look]) == (5, ["broken.png"])
    hashed.exclusion.write(tmp_path / "list.parquet")
    one, two = benchmark_hashes(str(folder), "a"), benchmark_hashes(str(tmp_path / "list.parquet"), "b")
    assert (
        one.files
        == two.files
        == {xxhash.xxh3_128_digest(jpeg(i)) for i in range(4)} | {xxhash.xxh3_128_digest(b"no picture")}
    )
    assert np.array_equal(one.first_words, two.first_words)
    assert sorted(one.looks.tolist()) == sorted(two.looks.tolist())
    words = hash_words(pa.array(sorted(one.files), pa.binary(16)))
    assert np.array_equal(np.sort(words[:, 0]), one.first_words)


def test_a_folder_without_images_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no image files"):
        hash_folder(tmp_path, "name")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"score": None}, "needs `score"),
        ({"score": None, "dedup": {}, "decontaminate": [{"name": "x", "path": "x"}]}, "radius: null"),
        ({"decontaminate": [{"name": "x", "path": "x"}] * 2}, "same name"),
    ],
)
def test_what_cannot_work_is_refused(more: Plain, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        a_recipe(**more)
