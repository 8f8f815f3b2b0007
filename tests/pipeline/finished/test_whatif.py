"""What-if against real runs of the changed recipe; thresholds that hit their rates; what cannot be known is said."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.commands.curate import app
from qvl.pipeline.curate.run import run
from qvl.pipeline.curate.selection.ledger import read_ledger
from qvl.pipeline.finished.changes import apply_changes
from qvl.pipeline.finished.solve import Target, solve
from qvl.pipeline.finished.stored_columns import StoredColumns
from qvl.pipeline.finished.whatif import verdict_totals, whatif
from qvl.pipeline.recipe.recipe import Recipe, load_recipe
from tests.pipeline.samples import encoded, picture

WORDS = ["red", "green", "blue", "house", "tree", "river", "cat", "dog", "bird", "hill", "road", "boat"]


def content(folder: Path) -> dict[str, Any]:
    columns = {"caption": "text", "path": "file", "clip": "similarity"}
    sources = [
        {
            "name": name,
            "priority": number,
            "table2": {"dataset": name, "original": 100, "cleaned": 40 + 10 * number},
            "read": {
                "kind": "table",
                "paths": [str(folder / f"{name}-*.jsonl")],
                "image_folder": str(folder),
                "columns": columns,
            },
        }
        for number, name in enumerate(("web", "books"))
    ]
    return {
        "name": "small",
        "sources": sources,
        "filters": {"text_length": {"minimum": 8}, "clip": {"minimum": 0.2}, "image_size": {"minimum_side": 30}},
        "score": {"phash": {}, "always": True},
        "dedup": {"near_duplicate": {}, "repeated_text": 2},
        "tolerance": {"unreadable_rows": 0.5, "unreadable_units": 1},
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources of two tables: equal and nearly equal pictures, repeated captions, missing scores, broken files."""
    folder, random = tmp_path_factory.mktemp("data"), np.random.default_rng(5)
    for number in range(60):
        base = picture(48, 36, seed=int(random.integers(25)))
        side = int(random.choice([24, 40, 48]))
        image = base.resize((48, side), Image.Resampling.LANCZOS)
        (folder / f"{number}.jpg").write_bytes(encoded(image, "jpeg", quality=int(random.choice([60, 90]))))
    (folder / "60.jpg").write_bytes(b"broken")
    for name in ("web", "books"):
        for table in range(2):
            lines = []
            for _ in range(70):
                text = " ".join(random.choice(WORDS, int(random.integers(1, 4))))
                clip = None if random.random() < 0.1 else round(float(random.random()) * 0.4, 4)
                lines.append({"text": text, "file": f"{random.integers(61)}.jpg", "similarity": clip})
            (folder / f"{name}-{table}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (folder / "recipe.yaml").write_text(yaml.safe_dump(content(folder)))
    return folder


def curate(recipe: Recipe, out: Path) -> None:
    with RunProgress() as progress:
        run(recipe, out, SerialPool(), progress)


@pytest.fixture(scope="module")
def out(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "out"
    curate(load_recipe(data / "recipe.yaml"), path)
    return path


def verdicts(out: Path) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for _, table in read_ledger(out, ["source", "verdict"]):
        for row in table.to_pylist():
            found.setdefault(row["source"], Counter())[row["verdict"]] += 1
    return found


CHANGES = [
    ["clip.minimum=0.3"],
    ["clip.minimum=0.05"],
    ["web.clip.minimum=0.25", "books.clip=null"],
    ["text_length.minimum=14", "image_size.minimum_side=41"],
    ["text_length=null", "image_size=null", "clip=null"],
    ["aspect_ratio.maximum=1.3", "emoji.maximum=0"],
    ["dedup.image=false"],
    ["dedup.repeated_text=1", "clip.minimum=0.1"],
    ["dedup.near_duplicate=null", "dedup.repeated_text=null"],
    ["dedup.near_duplicate.radius=1", "dedup.near_duplicate.tint=2", "clip.minimum=0.15"],
]


@pytest.mark.parametrize("changes", CHANGES, ids=" ".join)
def test_it_says_what_a_run_of_the_changed_recipe_does(
    data: Path, out: Path, tmp_path: Path, changes: list[str]
) -> None:
    recipe = apply_changes(load_recipe(data / "recipe.yaml"), changes)
    stored = StoredColumns.open(out)
    answer = whatif(stored, apply_changes(stored.recipe, changes))
    curate(recipe, tmp_path / "changed")
    found = answer.counts()
    assert {s: Counter(c) for s, c in found.after.items()} == verdicts(tmp_path / "changed")
    assert {s: Counter(c) for s, c in found.before.items()} == verdicts(out)
    kept = {id_: v == "keep" for path in (tmp_path / "changed", out) for id_, v in ids(path).items()}
    assert len(kept) == found.rows
    gained = sum(ids(tmp_path / "changed")[i] == "keep" != v for i, v in ids(out).items())
    assert (found.gained, found.lost) == (gained, found.kept_before + gained - found.kept_after)
    assert found.unscored == 0


def ids(out: Path) -> dict[str, str]:
    return {r["id"]: r["verdict"] for _, t in read_ledger(out, ["id", "verdict"]) for r in t.to_pylist()}


def test_no_change_changes_nothing(out: Path) -> None:
    stored = StoredColumns.open(out)
    answer = whatif(stored, apply_changes(stored.recipe, []), ("source", "language", "format"))
    assert np.array_equal(answer.before, answer.after)
    found = answer.counts()
    for name in ("rows", "kept_after", "unscored"):
        assert sum(getattr(cell, name) for cell in found.by) == getattr(found, name)


def test_rows_that_were_never_scored_are_said(data: Path, tmp_path: Path) -> None:
    frugal = {**content(data), "score": {"phash": {}}}
    curate(Recipe.model_validate(frugal), tmp_path / "out")
    stored = StoredColumns.open(tmp_path / "out")
    found = whatif(stored, apply_changes(stored.recipe, ["clip.minimum=0.1", "text_length.minimum=1"])).counts()
    assert found.unscored > 20
    assert sum(cell.unscored for cell in found.by) == found.unscored
    without = apply_changes(stored.recipe, ["clip.minimum=0.1", "dedup.near_duplicate=null"])
    assert whatif(stored, without).counts().unscored == 0, "without a rule on looks nothing is unknown"


def test_rows_without_a_value_are_said(out: Path) -> None:
    stored = StoredColumns.open(out)
    found = whatif(stored, apply_changes(stored.recipe, ["clip.minimum=0.0"])).counts()
    missing = sum(r["clip"] is None and r["fault"] is None for _, t in read_ledger(out) for r in t.to_pylist())
    assert found.missing == missing > 0


@pytest.mark.parametrize("keep", [0.1, 0.25, 0.4])
def test_a_solved_threshold_is_the_nearest_there_is(out: Path, keep: float) -> None:
    stored = StoredColumns.open(out)
    (solved,) = solve(stored, [Target("web", keep)])
    clips = sorted(
        {r["clip"] for _, t in read_ledger(out, ["clip", "source"]) for r in t.to_pylist() if r["clip"] is not None}
    )
    shares = []
    for value in clips[::4]:
        answer = whatif(stored, apply_changes(stored.recipe, [f"web.clip.minimum={value:.4f}"]))
        kept, rows = answer.kept_of("web")
        shares.append(kept / rows)
    assert abs(solved.kept - keep) <= min(abs(share - keep) for share in shares) + 1e-9
    again = whatif(stored, apply_changes(stored.recipe, [f"web.clip.minimum={solved.value}"]))
    assert again.kept_of("web")[0] / again.kept_of("web")[1] == solved.kept


def test_a_maximum_can_be_solved_too(out: Path) -> None:
    (solved,) = solve(StoredColumns.open(out), [Target("web", 0.04)], "text_length.maximum")
    assert abs(solved.kept - 0.04) < 0.02
    assert 8 <= solved.value < 16
    assert solved.without > solved.kept


def test_what_cannot_be_reached_is_said(out: Path) -> None:
    (solved,) = solve(StoredColumns.open(out), [Target("web", 1.0)])
    assert solved.kept == pytest.approx(solved.without, abs=0.1)
    assert solved.without < 1


def test_all_targets_of_a_recipe_and_the_recipe_written(data: Path, out: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "solved.yaml"
    arguments = ["solve", str(out), "--table2", "--recipe", str(data / "recipe.yaml"), "--write", str(target), "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    solved = json.loads(result.stdout)
    assert [(one["source"], one["wanted"]) for one in solved] == [("web", 0.4), ("books", 0.5)]
    recipe = load_recipe(target)
    assert {s.name: s.filters.clip.minimum for s in recipe.sources if s.filters.clip} == {
        one["source"]: one["value"] for one in solved
    }
    curate(recipe, tmp_path / "out")
    for one in solved:
        counts = verdicts(tmp_path / "out")[one["source"]]
        assert counts["keep"] / counts.total() == one["kept"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("clip", "NAME=VALUE"),
        ("nothing.minimum=1", "no filter nothing"),
        ("clip.minimum=high", "valid number"),
        ("clip.least=1", "not permitted"),
        ("web.clip.minimum=[", "not a value"),
        ("dedup.image=maybe", "valid boolean"),
    ],
)
def test_a_change_that_makes_no_sense_is_one_line(out: Path, change: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        apply_changes(StoredColumns.open(out).recipe, [change])


def test_of_an_unfinished_run_nothing_can_be_asked(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no finished select"):
        StoredColumns.open(tmp_path)


def test_the_command_prints_what_it_counts(out: Path) -> None:
    result = CliRunner().invoke(app, ["whatif", str(out), "clip.minimum=0.3", "--by", "source", "--json"])
    found = json.loads(result.stdout)
    stored = StoredColumns.open(out)
    answer = whatif(stored, apply_changes(stored.recipe, ["clip.minimum=0.3"]))
    assert found["kept_after"] == answer.kept == verdict_totals(answer.counts().after)["keep"]
    printed = CliRunner().invoke(app, ["whatif", str(out), "clip.minimum=0.3"]).stdout
    assert f"{answer.kept:,} after" in printed
