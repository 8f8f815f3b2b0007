"""``qvl train plan`` as it is printed."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from qvl.pipeline.base.errors import RecipeError
from qvl.training.commands.plan import plan as plan_command
from tests.training.made import stage, write_recipe

RECIPES = Path("training/recipes")


def run(*arguments: str) -> Any:
    app = typer.Typer()
    app.command()(plan_command)
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "100"})


def test_the_plan_command_prints_tables_and_json(start: Path, datasets: dict[str, Path], tmp_path: Path) -> None:
    path = write_recipe(tmp_path / "r.yaml", start, datasets, stage(), stage(stage="sft", steps=400))
    shown = run(str(path), "--samples", "64")
    assert shown.exit_code == 0, shown.output
    for words in (
        "Time and cost",
        "multitask: the mix",
        "sft: MB per GPU, on 8 of 80 GB",
        "useful GPUs",
        "← the recipe",
        "is seen",
    ):
        assert words in shown.output
    told = json.loads(run(str(path), "--json", "--gpu", "a100", "--gpus", "1", "--price", "2").output)
    assert told["terms"]["peak_tflops"] == 312 and told["total"]["cost"] == pytest.approx(
        2 * told["total"]["gpu_hours"]
    )
    assert any("mixed is seen" in line for line in told["warnings"])
    wide = json.loads(run(str(RECIPES / "stage2_multitask.yaml"), "--assume", "122", "--gpus", "64", "--json").output)
    assert any("ZeRO-2 reduces gradients in each of" in line for line in wide["warnings"])
    small = json.loads(run(str(RECIPES / "stage2_multitask.yaml"), "--assume", "122", "--gpus", "1", "--json").output)
    assert any("needs" in line and "GB per GPU of 80" in line for line in small["warnings"])
    assert isinstance(run(str(path), "--gpu", "z80").exception, RecipeError)
