"""The recipe that an output remembers."""

from pathlib import Path
from typing import Any

import pytest

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.curate.recipe_note import read_recipe_note, recipe_note, write_recipe_note
from qvl.pipeline.recipe.recipe import Recipe


def recipe(folder: str = "/data", **more: Any) -> Recipe:
    source = {"name": "web", "read": {"kind": "webdataset", "paths": [f"{folder}/*.tar"]}, "filters": {"emoji": {}}}
    return Recipe.model_validate({"name": "r", "sources": [source], "filters": {"text_length": {"minimum": 5}}, **more})


def test_recipe_note_does_not_depend_on_folders_and_tolerances() -> None:
    assert recipe_note(recipe("/data")) == recipe_note(recipe("/elsewhere", tolerance={"unreadable_rows": 0.5}))


def test_recipe_note_depends_on_what_alters_data() -> None:
    assert recipe_note(recipe()) != recipe_note(recipe(pack={"shard_rows": 7}))


def test_recipe_note_lists_all_filters_of_each_source() -> None:
    sources = recipe_note(recipe())["sources"]
    assert isinstance(sources, dict) and isinstance(sources["web"], dict)
    assert set(sources["web"]["filters"]) == {"emoji", "markup", "text_length"}  # type: ignore[arg-type]


def test_read_recipe_note_returns_what_was_written(tmp_path: Path) -> None:
    assert read_recipe_note(tmp_path) is None
    write_recipe_note(recipe(), tmp_path)
    assert read_recipe_note(tmp_path) == recipe_note(recipe())


@pytest.mark.parametrize("data", [b"", b"{", b"[]"])
def test_read_recipe_note_when_the_file_is_corrupted_names_it(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "recipe.json").write_bytes(data)
    with pytest.raises(DataError, match=r"recipe\.json is corrupted"):
        read_recipe_note(tmp_path)
