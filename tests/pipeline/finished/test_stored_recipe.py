"""The recipe that a finished run left, without any path."""

import json
from pathlib import Path

import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.curate.recipe_note import recipe_note
from qvl.pipeline.finished.stored_recipe import stored_recipe
from qvl.pipeline.recipe.recipe import load_recipe


def test_stored_recipe_judges_as_the_recipe_of_the_run(data: Path, out: Path) -> None:
    original = load_recipe(data / "recipe.yaml")
    recipe, fingerprint = stored_recipe(out)
    assert recipe.duplicate_settings() == original.duplicate_settings()
    for source in original.sources:
        assert recipe.filters_of(source.name) == original.filters_of(source.name)
        assert recipe.source(source.name).priority == source.priority
    assert fingerprint == json.loads((out / "manifests" / "select.json").read_bytes())["fingerprint"]


def test_stored_recipe_holds_no_path(data: Path, out: Path) -> None:
    assert str(data) not in stored_recipe(out)[0].model_dump_json()
    assert str(data) not in json.dumps(recipe_note(load_recipe(data / "recipe.yaml")))


def test_stored_recipe_of_an_unfinished_run_raises(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no finished select stage"):
        stored_recipe(tmp_path)
