"""Mistakes in a recipe are reported in one line each."""

from pathlib import Path

import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.builders.text.recipe import load_recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\nsources: []", "sources"),
        ("name: x\nsources: [{name: a, kind: prose, paths: [a]}]", "sources.0"),
        ("name: x\nsources: [{name: a, kind: text, paths: [a], images: 3}]", "images: unknown key"),
        ("name: x\nsources: [{name: a, kind: text, paths: [a]}, {name: a, kind: chat, paths: [a]}]", "the same name"),
        ("- x", "not valid YAML|a recipe is a mapping"),
    ],
)
def test_load_recipe_reports_a_mistake_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message) as raised:
        load_recipe(path)
    assert "\n" not in str(raised.value)
