"""The README tells the truth: its recipe loads, its files exist, its commands are commands."""

import re
from pathlib import Path

import pytest
import typer.main

import qvl
from pipeline.recipe import load_recipe

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_first_recipe_loads(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    recipe = tmp_path / "pairs.yaml"
    recipe.write_text(text)
    assert [source.name for source in load_recipe(recipe).sources] == ["coyo", "mine"]


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_every_link_leads_somewhere(target: str) -> None:
    assert target.startswith("https://") or (ROOT / target).exists()


@pytest.mark.parametrize("words", sorted(set(re.findall(r"^qvl (\w+ \w+)", README, re.MULTILINE))))
def test_every_command_exists(words: str) -> None:
    noun, verb = words.split()
    command = typer.main.get_command(qvl.app)
    group = command.commands[noun]
    assert verb in group.commands


@pytest.mark.parametrize("target", ["demo", "test"])
def test_every_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert f"make {target}" in README
