"""A run accepts the recipe and the datasets that it began with, and names what differs in any other."""

import json
from pathlib import Path

import pytest

from qvl.pipeline.base.errors import DataError, StaleError
from qvl.training.loop.run_manifest import accept_recipe, recipe_fingerprint
from qvl.training.recipe import TrainRecipe
from tests.training.made import stage

HASHES = {"mixed": "a", "text": "b"}


def recipe(start: str = "/models/start", **changes: object) -> TrainRecipe:
    datasets = {name: {"path": f"/data/{name}"} for name in HASHES}
    return TrainRecipe.model_validate(
        {"name": "made", "start": start, "datasets": datasets, "stages": [stage(**changes)]}
    )


def test_the_same_recipe_is_accepted_again_and_rewrites_the_same_bytes(tmp_path: Path) -> None:
    accept_recipe(recipe(), tmp_path, HASHES)
    before = (tmp_path / "run.json").read_bytes()
    accept_recipe(recipe(), tmp_path, HASHES)
    assert (tmp_path / "run.json").read_bytes() == before
    content = json.loads(before)
    assert before.decode() == json.dumps(content, indent=2, sort_keys=True) + "\n"
    assert set(content) == {"recipe", "fingerprint", "datasets"}


def test_paths_engine_and_saving_may_change_between_two_starts(tmp_path: Path) -> None:
    accept_recipe(recipe(), tmp_path, HASHES)
    moved = recipe("/elsewhere/start", engine={"zero": 2, "precision": "bfloat16"}, save={"every": 7})
    accept_recipe(moved, tmp_path, HASHES)
    assert recipe_fingerprint(moved) == recipe_fingerprint(recipe())


def test_another_recipe_is_refused_with_its_differences(tmp_path: Path) -> None:
    accept_recipe(recipe(), tmp_path, HASHES)
    with pytest.raises(StaleError, match=r"built from a different recipe \(stages\.0\.steps: 6 -> 7\)"):
        accept_recipe(recipe(steps=7), tmp_path, HASHES)


def test_a_dataset_with_other_samples_is_refused_by_name(tmp_path: Path) -> None:
    accept_recipe(recipe(), tmp_path, HASHES)
    with pytest.raises(StaleError, match="the samples of text have changed"):
        accept_recipe(recipe(), tmp_path, {"mixed": "a", "text": "c"})


def test_a_manifest_without_dataset_hashes_is_accepted_and_an_unknown_key_is_not(tmp_path: Path) -> None:
    accept_recipe(recipe(), tmp_path, HASHES)
    path = tmp_path / "run.json"
    content = json.loads(path.read_text())
    del content["datasets"]
    path.write_text(json.dumps(content))
    accept_recipe(recipe(), tmp_path, HASHES)
    path.write_text(json.dumps({**content, "more": 1}))
    with pytest.raises(DataError, match=r"run\.json: unknown key more"):
        accept_recipe(recipe(), tmp_path, HASHES)
