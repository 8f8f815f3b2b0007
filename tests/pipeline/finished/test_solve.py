"""Thresholds that are solved for a rate."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.commands.curate import app
from qvl.pipeline.curate.selection.ledger import read_ledger
from qvl.pipeline.finished.changes import apply_changes
from qvl.pipeline.finished.solve import Target, solve
from qvl.pipeline.finished.stored_columns import StoredColumns
from qvl.pipeline.finished.whatif import whatif
from qvl.pipeline.recipe.recipe import load_recipe
from tests.pipeline.finished.small_runs import curate, verdicts


@pytest.mark.parametrize("keep", [0.1, 0.25, 0.4])
def test_solve_finds_the_threshold_whose_share_is_nearest(out: Path, keep: float) -> None:
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


def test_solve_when_the_threshold_is_a_maximum_keeps_the_share(out: Path) -> None:
    (solved,) = solve(StoredColumns.open(out), [Target("web", 0.04)], "text_length.maximum")
    assert abs(solved.kept - 0.04) < 0.02
    assert 8 <= solved.value < 16
    assert solved.without > solved.kept


def test_solve_when_the_share_cannot_be_reached_says_what_the_other_rules_leave(out: Path) -> None:
    (solved,) = solve(StoredColumns.open(out), [Target("web", 1.0)])
    assert solved.kept == pytest.approx(solved.without, abs=0.1)
    assert solved.without < 1


def test_solve_command_writes_a_recipe_that_keeps_the_shares(data: Path, out: Path, tmp_path: Path) -> None:
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
    ("target", "threshold", "message"),
    [
        (Target("web", 0.5), "clip", "a threshold is FILTER.minimum"),
        (Target("web", 0.5), "nothing.minimum", "a threshold is FILTER.minimum"),
        (Target("nowhere", 0.5), "clip.minimum", "no source nowhere"),
        (Target("web", 1.5), "clip.minimum", "a share between 0 and 1"),
        (Target("web", 0.5), "nsfw.maximum", "no row of web has a value of nsfw"),
        (Target("web", 0.5), "aspect_ratio.maximum", "judges width, height together"),
    ],
)
def test_solve_when_a_question_makes_no_sense_says_why(out: Path, target: Target, threshold: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        solve(StoredColumns.open(out), [target], threshold)
