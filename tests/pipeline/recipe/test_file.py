"""Reading recipes: paths of any kind of recipe, YAML, and mistakes."""

import os
from pathlib import Path
from typing import Any

import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.base.recipe_model import RecipeModel
from qvl.pipeline.recipe.file import anchored, read_recipe

FOLDER = Path("/recipes")


class Small(RecipeModel):
    name: str
    parts: tuple[int, ...] = ()


def unchanged(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    return content


def read(folder: Path, text: str) -> Small:
    path = folder / "small.yaml"
    path.write_text(text, encoding="utf-8")
    return read_recipe(path, Small, unchanged)


@pytest.mark.parametrize(
    ("value", "absolute"),
    [
        ("data/a.json", "/recipes/data/a.json"),
        ("/data/a.json", "/data/a.json"),
        ("s3://bucket/a.json", "s3://bucket/a.json"),
        (["a", "/b", "s3://c"], ["/recipes/a", "/b", "s3://c"]),
        (None, None),
        (5, 5),
        ({"a": "b"}, {"a": "b"}),
    ],
)
def test_a_relative_path_starts_at_the_recipes_folder(value: Any, absolute: Any) -> None:
    assert anchored(value, FOLDER) == absolute


def test_the_content_is_anchored_at_the_folder_of_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "small.yaml").write_text("name: data")
    monkeypatch.chdir(tmp_path)
    recipe = read_recipe(Path("small.yaml"), Small, lambda content, folder: {"name": anchored(content["name"], folder)})
    assert recipe.name == f"{tmp_path}/data"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\nname: y", "key name occurs twice"),
        ("name: x\nparts: 5", "parts: must be a list, such as [a, b]"),
        ("name: x\nparts: [1, a]", "parts.1: "),
        ("nam: x", "unknown key"),
        ("- x", "a recipe is a mapping"),
        ("name: [", "not valid YAML"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_file_and_the_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/small.yaml: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recipe_in_a_folder_whose_name_is_not_utf8_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    with pytest.raises(RecipeError, match="this name is not UTF-8; rename it"):
        read(folder, "name: x")
