"""The commands ``qvl mix stats``, ``plan`` and ``diff``."""

import json
from pathlib import Path

import typer
from typer.testing import CliRunner

from qvl.training.commands.mix import app
from tests.training.made import stage, write_recipe


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit | typer.Exit):
        raise result.exception
    return result.exit_code, result.output


def test_mix_commands_print_figures_and_exit_with_1_when_there_are_problems(
    datasets: dict[str, Path], start: Path, tmp_path: Path
) -> None:
    target = tmp_path / "page.html"
    code, text = run("stats", str(datasets["mixed"]), "--tokenizer", str(start), "--report", str(target))
    assert code == 0 and "24" in text and target.read_text("utf-8").startswith("<!doctype html>")
    code, text = run("stats", str(datasets["mixed"]), "--json")
    assert json.loads(text)["stages"][0]["parts"][0]["counted"] == "estimated"
    mix = [{"dataset": "mixed", "weight": 1}]
    recipe = write_recipe(tmp_path / "r.yaml", start, {"mixed": datasets["mixed"]}, stage(mix=mix))
    assert run("plan", str(recipe), "--world-size", "2")[0] == 0
    code, text = run("plan", str(recipe), "--world-size", "5", "--json", "--no-duplicates")
    content = json.loads(text)
    assert code == 1 and content["duplicates"] is None and content["stages"][0]["preflight"]["problems"]
    assert json.loads(run("stats", str(recipe), "--json")[1])["datasets"][0]["samples"] == 96
    code, text = run("diff", str(datasets["mixed"]), str(datasets["text"]))
    assert code == 1 and "only in A" in text
    assert run("diff", str(datasets["text"]), str(datasets["text"]), "--json")[0] == 0
