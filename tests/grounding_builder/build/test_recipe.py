"""Mistakes in a recipe are reported in one line each."""

from pathlib import Path

import pytest

from qvl.grounding_builder.build.recipe import load_recipe
from qvl.pipeline.base.errors import RecipeError


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("sources: []", "sources"),
        ("pack: {rows: 5}", "pack.rows: unknown key"),
        ("name: Bad", "name"),
        ("sources: [{name: a, kind: coyo}]", "sources.0"),
        ("- nothing", "not valid YAML"),
    ],
)
def test_load_recipe_reports_a_mistake_in_one_line(tmp_path: Path, change: str, message: str) -> None:
    key = change.split(":", maxsplit=1)[0]
    base = {"name": "name: x", "sources": "sources: [{name: g, kind: grit, paths: [a]}]", "leaks": "leaks: allowed"}
    path = tmp_path / "r.yaml"
    path.write_text("\n".join([*(line for k, line in base.items() if k != key), change]))
    with pytest.raises(RecipeError, match=message) as raised:
        load_recipe(path)
    assert "\n" not in str(raised.value)


def test_load_recipe_raises_when_no_benchmark_is_excluded_and_leaks_are_not_allowed(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("name: x\nsources: [{name: g, kind: grit, paths: [a]}]")
    with pytest.raises(RecipeError, match="evaluation images would be trained on"):
        load_recipe(path)
    with pytest.raises(RecipeError, match="no such recipe"):
        load_recipe(tmp_path / "none.yaml")
