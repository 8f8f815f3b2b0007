"""Writes a recipe with solved thresholds as a new file."""

from pathlib import Path

import yaml

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.filters import FILTER_NAMES
from qvl.pipeline.finished.solve import Solved
from qvl.pipeline.recipe.bounded_yaml import read_yaml
from qvl.pipeline.recipe.file import RecipeContent
from qvl.pipeline.recipe.recipe import load_recipe
from qvl.pipeline.recipe.source import SourceSpec


def write_solved(recipe: Path, target: Path, solved: list[Solved]) -> None:
    """Write the recipe with the solved thresholds. Comments are lost; paths become absolute in another folder.

    Raises RecipeError if the recipe has none of the sources.
    """
    loaded = load_recipe(recipe)
    content: RecipeContent = read_yaml(recipe)
    by_source = {one.source: one for one in solved}
    if not by_source.keys() & {source.name for source in loaded.sources}:
        raise RecipeError(f"{recipe}: has none of the sources {', '.join(by_source)}")
    moved = recipe.resolve().parent != target.resolve().parent
    for source, spec in zip(content["sources"], loaded.sources, strict=True):
        if moved:
            _make_paths_absolute(source, spec)
        if source["name"] in by_source:
            _set_threshold(source, by_source[source["name"]])
    notes = [f"#   {s.source}: {s.threshold} {s.value:g} keeps {s.kept:.2%}, asked for {s.wanted:.2%}" for s in solved]
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\n".join([f"# {recipe.name} with solved thresholds", *notes, text]), encoding="utf-8")


def _set_threshold(source: RecipeContent, solved: Solved) -> None:
    filter_name, _, bound = solved.threshold.partition(".")
    filters = dict(source.get("filters") or {})
    source["filters"] = filters
    if filter_name not in FILTER_NAMES:
        filters["columns"] = filters = dict(filters.get("columns") or {})
    filters[filter_name] = {**(filters.get(filter_name) or {}), bound: solved.value}


def _make_paths_absolute(source: RecipeContent, spec: SourceSpec) -> None:
    read = spec.read.model_dump(mode="json")
    for name in ("paths", "image_folder"):
        if read.get(name) is not None:
            source["read"][name] = read[name]
