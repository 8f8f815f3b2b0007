"""Changes of a recipe as words on a command line: ``clip.minimum=0.28``, ``coyo.emoji=null``, ``dedup.image=false``."""

from collections.abc import Iterable
from typing import Any

import yaml
from pydantic import ValidationError

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.filters import FILTER_NAMES, Filters
from qvl.pipeline.recipe.recipe import Recipe


def apply_changes(recipe: Recipe, changes: Iterable[str]) -> Recipe:
    """The recipe with the changes made, checked as a recipe is.

    ``FILTER.KEY=VALUE`` changes the filter of every source that has it, or of all sources where none has; with
    ``SOURCE.`` before it that of one source; ``FILTER=null`` switches it off. ``dedup.KEY=VALUE`` changes a duplicate rule.
    """
    content = recipe.model_dump(mode="json", exclude={"filters"})
    own = {s.name: recipe.filters_of(s.name).model_dump(mode="json", exclude_none=True) for s in recipe.sources}
    for change in changes:
        place, equals, text = change.partition("=")
        if not equals:
            raise RecipeError(f"{change}: write it as NAME=VALUE, for example clip.minimum=0.28")
        path, value = place.strip().split("."), _value(change, text)
        if path[0] == "dedup" and len(path) > 1:
            _set(content["dedup"], path[1:], value, change)
        else:
            names = [path.pop(0)] if _names_source(path, own) else _sources_with(path[0], own)
            for name in names:
                _change_filter(own[name], path, value, change)
    for source in content["sources"]:
        source["filters"] = {word: own[source["name"]].get(word) for word in FILTER_NAMES}
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        fault = error.errors()[0]
        raise RecipeError(f"{'.'.join(map(str, fault['loc'][2:]))}: {fault['msg']}") from None


def _value(change: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise RecipeError(f"{change}: {text} is no value") from None


def _names_source(path: list[str], own: dict[str, dict[str, Any]]) -> bool:
    """A source may bear a filter's name: then it is meant only where a filter follows."""
    words = Filters.model_fields
    return path[0] in own and (path[0] not in words or (len(path) > 1 and path[1] in words))


def _sources_with(word: str, own: dict[str, dict[str, Any]]) -> list[str]:
    """The sources that have a filter; all where none has."""
    return [name for name, filters in own.items() if filters.get(word) is not None] or list(own)


def _change_filter(filters: dict[str, Any], path: list[str], value: Any, change: str) -> None:
    if not path or path[0] not in Filters.model_fields:
        raise RecipeError(
            f"{change}: no filter {path[0] if path else ''}; there are {', '.join(FILTER_NAMES)} and dedup"
        )
    if len(path) == 1:
        filters[path[0]] = value
        return
    filters[path[0]] = dict(filters.get(path[0]) or {})
    _set(filters[path[0]], path[1:], value, change)


def _set(content: dict[str, Any], path: list[str], value: Any, change: str) -> None:
    """Set a value in nested mappings."""
    for name in path[:-1]:
        inner = content.get(name)
        content[name] = dict(inner) if isinstance(inner, dict) else {}
        content = content[name]
    if not path[-1]:
        raise RecipeError(f"{change}: a name is missing")
    content[path[-1]] = value
