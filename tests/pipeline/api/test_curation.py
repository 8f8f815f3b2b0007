"""``qvl.curate``: the same bytes as the command, and the same refusals."""

from pathlib import Path

import pytest

import qvl
from qvl.pipeline.base.errors import RecipeError, StaleError
from tests.pipeline.curate.small_run import files


def test_curate_when_given_a_path_or_a_recipe_writes_the_bytes_of_the_command(curated: Path, tmp_path: Path) -> None:
    path = curated / "data" / "recipe.yaml"
    first = qvl.curate(path, tmp_path / "a")
    second = qvl.curate(qvl.Recipe.load(path), str(tmp_path / "b"))
    assert first.dataset == second.dataset == qvl.open(curated / "out").dataset
    for part in ("shards", "ledger", "manifests"):
        assert files(tmp_path / "a" / part) == files(tmp_path / "b" / part) == files(curated / "out" / part)
    assert first.report.is_file()


def test_curate_when_the_recipe_changed_is_refused_until_fresh(curated: Path, tmp_path: Path) -> None:
    recipe = qvl.Recipe.load(curated / "data" / "recipe.yaml")
    qvl.curate(recipe, tmp_path / "out")
    changed = recipe.model_copy(update={"pack": recipe.pack.model_copy(update={"shard_rows": 5})})
    with pytest.raises(StaleError, match="shard_rows"):
        qvl.curate(changed, tmp_path / "out")
    assert len(qvl.curate(changed, tmp_path / "out", fresh=True).dataset.shards) > 1


def test_curate_when_workers_are_unknown_raises_before_anything_is_written(curated: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="serial or ray"):
        qvl.curate(curated / "data" / "recipe.yaml", tmp_path / "out", workers="threads")
    assert not (tmp_path / "out").exists()
