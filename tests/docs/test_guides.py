"""The recipes in the guides can be loaded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import qvl.grounding_builder.build.benchmarks
import qvl.pipeline.builders.text.recipe
import qvl.pipeline.filters
import qvl.pipeline.recipe.balance
import qvl.pipeline.recipe.recipe
import qvl.training.recipe
from tests.docs.pages import ROOT, blocks, page

LOADERS: dict[str, Callable[[Path], Any]] = {
    "docs/curation.md": qvl.pipeline.recipe.recipe.load_recipe,
    "docs/text.md": qvl.pipeline.builders.text.recipe.load_recipe,
    "docs/training.md": qvl.training.recipe.load_train_recipe,
}


@pytest.mark.parametrize("name", LOADERS)
def test_recipe_of_a_guide_when_loaded_is_valid(name: str, tmp_path: Path) -> None:
    (text,) = blocks(page(name), "yaml")
    (tmp_path / "recipe.yaml").write_text(text, "utf-8")
    assert LOADERS[name](tmp_path / "recipe.yaml").name


def test_exclusion_list_of_the_grounding_guide_when_validated_names_the_benchmarks() -> None:
    (text,) = blocks(page("docs/grounding.md"), "yaml")
    found = qvl.grounding_builder.build.benchmarks.Exclude.model_validate(yaml.safe_load(text)["exclude"])
    assert [one.name for one in found.benchmarks] == ["refcoco", "refcoco+", "refcocog", "coco", "flickr30k"]


def test_filters_over_columns_of_the_page_when_validated_judge_three_columns() -> None:
    (text,) = blocks(page("docs/filters.md"), "yaml")
    found = qvl.pipeline.filters.Filters.model_validate(yaml.safe_load(text)["filters"])
    assert list(found.columns) == ["aesthetic", "license", "url"]


def test_steps_of_the_page_about_balance_when_validated_are_known() -> None:
    (text,) = blocks(page("docs/balance.md"), "yaml")
    steps = [qvl.pipeline.recipe.balance.BalanceStep.model_validate(step) for step in yaml.safe_load(text)["balance"]]
    assert [step.name for step in steps] == ["domains", "licenses", "best", "drawn"]


def test_guides_with_a_recipe_when_listed_are_all_tested() -> None:
    guides = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md") if blocks(path.read_text("utf-8"), "yaml")}
    assert guides - {"docs/experiments.md", "docs/filters.md"} == {
        *LOADERS,
        "docs/grounding.md",
        "docs/add_a_filter.md",
        "docs/balance.md",
    }
