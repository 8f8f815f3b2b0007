"""A whole journey of seconds over made datasets: it goes on where it was, refuses another one, and its page adds up."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from qvl.pipeline.base.errors import RecipeError, StaleError
from qvl.training.pages.journey.run import plan_journey, run_journey
from qvl.training.pages.journey.steps import read_costs
from tests.training.conftest import ROOT
from tests.training.made import stage, write_recipe

MIX = {"mix": [{"dataset": "mixed", "weight": 3}, {"dataset": "chat", "weight": 1}]}
HELD: dict[str, Any] = {"holdout": {"share": 0.3, "seed": 3}}


def write(path: Path, start: Path, used: dict[str, Path], **top: Any) -> Path:
    stages = [stage(stage=kind, steps=2, mix=[{"dataset": "mixed", "weight": 1}]) for kind in ("pretrain", "multitask")]
    return write_recipe(path, start, used, *stages, stage(stage="sft", steps=2, chatml="all", **MIX), **top)


TRAVEL = """
import sys
from pathlib import Path
from qvl.training.pages.journey.run import plan_journey, run_journey
recipe, out, *used = map(Path, sys.argv[1:])
print(run_journey(plan_journey(recipe, {path.name: path for path in used}, out)))
"""


def travel(recipe: Path, used: dict[str, Path], out: Path) -> Path:
    """A journey in a process of its own, as training needs; returns the page."""
    arguments = [sys.executable, "-c", TRAVEL, str(recipe), str(out), *map(str, used.values())]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.splitlines()[-1])


@pytest.fixture
def used(datasets: dict[str, Path]) -> dict[str, Path]:
    """Outputs of the datasets, not their shards: what the parts of the demo hand on."""
    return {name: datasets[name].parent for name in ("mixed", "chat")}


def test_plan_journey_when_nothing_is_held_out_is_refused(tmp_path: Path, start: Path, used: dict[str, Path]) -> None:
    recipe = write(tmp_path / "r.yaml", start, used)
    with pytest.raises(RecipeError, match="holdout"):
        plan_journey(recipe, used, tmp_path / "out")


def test_plan_journey_when_a_dataset_is_missing_names_those_that_it_needs(
    tmp_path: Path, start: Path, used: dict[str, Path]
) -> None:
    recipe = write(tmp_path / "r.yaml", start, used, **HELD)
    with pytest.raises(RecipeError, match="chat, mixed, not mixed"):
        plan_journey(recipe, {"mixed": used["mixed"]}, tmp_path / "out")


@pytest.mark.long
def test_journey_when_repeated_trains_nothing_again_and_another_recipe_is_refused(
    tmp_path: Path, start: Path, used: dict[str, Path]
) -> None:
    recipe, out = write(tmp_path / "r.yaml", start, used, **HELD), tmp_path / "out"
    page = travel(recipe, used, out)
    assert page == out / "index.html"
    text = page.read_text("utf-8")
    for model in ("pretrain", "multitask", "sft"):
        assert f"after {model}" in text
        assert (out / "eval" / model / "scores.json").is_file()
    assert "first weights" in text
    assert str(tmp_path) not in text
    made = {path: path.stat().st_mtime_ns for path in (out / "train").rglob("*.safetensors")}
    (out / "loss" / "sft.json").unlink()
    assert travel(recipe, used, out) == page
    assert {path: path.stat().st_mtime_ns for path in (out / "train").rglob("*.safetensors")} == made
    assert {"training", "evaluation", "page"} < set(read_costs(out / "steps.json"))
    other = write(tmp_path / "other.yaml", start, used, seed=1, **HELD)
    with pytest.raises(StaleError, match="with another recipe"):
        run_journey(plan_journey(other, used, out))
