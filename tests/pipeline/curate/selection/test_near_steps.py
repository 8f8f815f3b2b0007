"""Near duplicates through the steps of select, on files, against the rule on all rows at once."""

from pathlib import Path

import pytest

import qvl.pipeline.duplicates.rules
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.measuring.columns import sample_id
from tests.pipeline.curate.selection.look_rows import Plain, a_recipe, make_units, run_select_steps, write_columns


def tints_near(a: int, b: int) -> bool:
    return all(abs((a >> s & 255) - (b >> s & 255)) <= 6 for s in range(0, 64, 8))


def reference(units: list[list[Plain]], radius: int, per_language: bool = False) -> list[tuple[str, str | None]]:
    """Equal looks first, then greedily from the best row down."""

    def language(i: int) -> str | None:
        return rows[i]["language"] if per_language else None

    rows = [row for unit in units for row in unit]
    verdicts: list[tuple[str, str | None]] = [("emoji", None) if row["emoji"] else ("keep", None) for row in rows]
    compared = [i for i, row in enumerate(rows) if not row["emoji"] and row["phash_spread"] >= 4]
    compared.sort(key=lambda i: (-rows[i]["width"] * rows[i]["height"], -rows[i]["characters"], i))
    best: dict[tuple[int, int, str | None], int] = {}
    stays: list[int] = []
    for i in compared:
        first = best.setdefault((rows[i]["phash"], rows[i]["phash_tint"], language(i)), i)
        if first != i:
            verdicts[i] = ("near_duplicate", sample_id(rows[first]["unit"], rows[first]["row"]))
    for i in (i for i in compared if verdicts[i][0] == "keep"):
        near = [
            j
            for j in stays
            if language(i) == language(j)
            and (rows[i]["phash"] ^ rows[j]["phash"]).bit_count() <= radius
            and tints_near(rows[i]["phash_tint"], rows[j]["phash_tint"])
        ]
        if near:
            verdicts[i] = ("near_duplicate", sample_id(rows[near[0]]["unit"], rows[near[0]]["row"]))
        else:
            stays.append(i)
    return verdicts


@pytest.mark.parametrize("radius", [0, 1, 3, 4])
@pytest.mark.parametrize(("group_rows", "partition_rows"), [(1, 1_000), (50, 20), (1_000, 9)])
def test_select_steps_when_rows_look_alike_follow_the_greedy_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, radius: int, group_rows: int, partition_rows: int
) -> None:
    monkeypatch.setattr(qvl.pipeline.duplicates.rules, "PARTITION_ROWS", partition_rows)
    units = make_units(radius)
    write_columns(tmp_path, units)
    rows = run_select_steps(tmp_path, a_recipe(radius), group_rows)
    expected = reference(units, radius)
    assert [(row["verdict"], row["dup_of"]) for row in rows] == expected
    assert {verdict for verdict, _ in expected} == {"keep", "near_duplicate", "emoji"}


@pytest.mark.parametrize("radius", [0, 3])
@pytest.mark.parametrize(("group_rows", "partition_rows"), [(1, 1_000), (50, 20), (1_000, 9)])
def test_select_steps_when_images_are_compared_per_language_follow_the_greedy_rule_within_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, radius: int, group_rows: int, partition_rows: int
) -> None:
    monkeypatch.setattr(qvl.pipeline.duplicates.rules, "PARTITION_ROWS", partition_rows)
    units = make_units(radius)
    write_columns(tmp_path, units)
    rows = run_select_steps(tmp_path, a_recipe(radius, per=("language",)), group_rows)
    expected = reference(units, radius, per_language=True)
    assert [(row["verdict"], row["dup_of"]) for row in rows] == expected
    assert expected != reference(units, radius)


def test_steps_when_run_again_write_no_file(tmp_path: Path) -> None:
    write_columns(tmp_path, make_units(1))
    first = run_select_steps(tmp_path, a_recipe(), 50)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    assert run_select_steps(tmp_path, a_recipe(), 50) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")} == before


def test_steps_when_a_partition_is_lost_rebuild_it_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qvl.pipeline.duplicates.rules, "PARTITION_ROWS", 20)
    write_columns(tmp_path, make_units(2))
    first = run_select_steps(tmp_path, a_recipe(), 50)
    layout = Layout(tmp_path)
    for step, number in (("pairs-near_duplicate", 3), ("bands-near_duplicate", 1)):
        layout.group_manifest(step, number).unlink()
        layout.work(step, number).unlink()
    assert run_select_steps(tmp_path, a_recipe(), 50) == first


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"score": None}, "needs `score"),
        ({"score": None, "dedup": {}, "decontaminate": [{"name": "x", "path": "x"}]}, "radius: null"),
        ({"decontaminate": [{"name": "x", "path": "x"}] * 2}, "same name"),
    ],
)
def test_recipe_when_a_rule_needs_scores_that_are_off_is_refused(more: Plain, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        a_recipe(**more)
