"""Recipes that stand in the guides are recipes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import qvl.grounding_builder.build.benchmarks
import qvl.pipeline.builders.text.recipe
import qvl.pipeline.recipe.recipe
import qvl.training.recipe
from tests.docs.pages import ROOT, blocks, page

LOADERS: dict[str, Callable[[Path], Any]] = {
    "docs/curation.md": qvl.pipeline.recipe.recipe.load_recipe,
    "docs/text.md": qvl.pipeline.builders.text.recipe.load_recipe,
    "docs/training.md": qvl.training.recipe.load_train_recipe,
}


@pytest.mark.parametrize("name", LOADERS)
def test_the_recipe_of_the_guide_is_read(name: str, tmp_path: Path) -> None:
    (text,) = blocks(page(name), "yaml")
    (tmp_path / "recipe.yaml").write_text(text, "utf-8")
    assert LOADERS[name](tmp_path / "recipe.yaml").name


def test_the_exclusion_list_of_the_grounding_guide_is_read() -> None:
    (text,) = blocks(page("docs/grounding.md"), "yaml")
    found = qvl.grounding_builder.build.benchmarks.Exclude.model_validate(yaml.safe_load(text)["exclude"])
    assert [one.name for one in found.benchmarks] == ["refcoco", "refcoco+", "refcocog", "coco", "flickr30k"]


def test_every_guide_with_a_recipe_is_tested() -> None:
    guides = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md") if blocks(path.read_text("utf-8"), "yaml")}
    assert guides - {"docs/experiments.md"} == {*LOADERS, "docs/grounding.md", "docs/add_a_filter.md"}
