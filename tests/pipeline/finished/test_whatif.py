"""What-if against real runs of the changed recipe."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.commands.curate import app
from qvl.pipeline.curate.selection.ledger import read_ledger
from qvl.pipeline.finished.changes import apply_changes
from qvl.pipeline.finished.stored_columns import StoredColumns
from qvl.pipeline.finished.whatif import verdict_totals, whatif
from qvl.pipeline.recipe.recipe import Recipe, load_recipe
from tests.pipeline.finished.small_runs import content, curate, ids, verdicts

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
def test_whatif_when_a_recipe_changes_counts_what_a_run_of_it_does(
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


def test_whatif_without_changes_changes_nothing(out: Path) -> None:
    stored = StoredColumns.open(out)
    answer = whatif(stored, apply_changes(stored.recipe, []), ("source", "language", "format"))
    assert np.array_equal(answer.before, answer.after)
    found = answer.counts()
    for name in ("rows", "kept_after", "unscored"):
        assert sum(getattr(cell, name) for cell in found.by) == getattr(found, name)


def test_whatif_when_rows_were_never_scored_counts_them_apart(data: Path, tmp_path: Path) -> None:
    frugal = {**content(data), "score": {"phash": {}}}
    curate(Recipe.model_validate(frugal), tmp_path / "out")
    stored = StoredColumns.open(tmp_path / "out")
    found = whatif(stored, apply_changes(stored.recipe, ["clip.minimum=0.1", "text_length.minimum=1"])).counts()
    assert found.unscored > 20
    assert sum(cell.unscored for cell in found.by) == found.unscored
    without = apply_changes(stored.recipe, ["clip.minimum=0.1", "dedup.near_duplicate=null"])
    assert whatif(stored, without).counts().unscored == 0, "without a rule on looks nothing is unknown"


def test_whatif_when_rows_have_no_value_counts_them_as_missing(out: Path) -> None:
    stored = StoredColumns.open(out)
    found = whatif(stored, apply_changes(stored.recipe, ["clip.minimum=0.0"])).counts()
    missing = sum(r["clip"] is None and r["fault"] is None for _, t in read_ledger(out) for r in t.to_pylist())
    assert found.missing == missing > 0


def test_stored_columns_of_an_unfinished_run_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no finished select"):
        StoredColumns.open(tmp_path)


def test_whatif_command_prints_what_it_counts(out: Path) -> None:
    result = CliRunner().invoke(app, ["whatif", str(out), "clip.minimum=0.3", "--by", "source", "--json"])
    found = json.loads(result.stdout)
    stored = StoredColumns.open(out)
    answer = whatif(stored, apply_changes(stored.recipe, ["clip.minimum=0.3"]))
    assert found["kept_after"] == answer.kept == verdict_totals(answer.counts().after)["keep"]
    printed = CliRunner().invoke(app, ["whatif", str(out), "clip.minimum=0.3"]).stdout
    assert f"{answer.kept:,} after" in printed
