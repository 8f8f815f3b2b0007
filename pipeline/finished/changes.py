"""Changes of a recipe, as on a command line (``clip.minimum=0.28``, ``coyo.emoji=null``) or by name and value."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import JsonValue, ValidationError

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.curate.measuring.added_columns import check_balance, check_filtered_columns, known_columns
from qvl.pipeline.filters import FILTER_NAMES, Filters
from qvl.pipeline.recipe.bounded_yaml import YamlFault, parse_yaml
from qvl.pipeline.recipe.recipe import Recipe

Settings = dict[str, JsonValue]  # nested settings, as in a recipe's YAML


@dataclass(frozen=True, slots=True)
class Change:
    """A setting by its name, such as ``clip.minimum``, and its new value. ``text`` is how an error names the change."""

    name: str
    value: JsonValue
    text: str


def apply_changes(recipe: Recipe, changes: Iterable[str]) -> Recipe:
    """The recipe with changes written as ``NAME=VALUE``, the value in YAML. Raises RecipeError as ``change_recipe`` does."""
    return change_recipe(recipe, map(parse_change, changes))


def changed_recipe(recipe: Recipe, changes: Mapping[str, JsonValue]) -> Recipe:
    """The recipe with changes given by name. Raises RecipeError as ``change_recipe`` does."""
    return change_recipe(recipe, [Change(name, value, f"{name}={value}") for name, value in changes.items()])


def parse_change(text: str) -> Change:
    """A change that is written as ``NAME=VALUE``. Raises RecipeError."""
    name, equals, value = text.partition("=")
    if not equals:
        raise RecipeError(f"{text}: write it as NAME=VALUE, for example clip.minimum=0.28")
    return Change(name.strip(), _value(text, value), text)


def change_recipe(recipe: Recipe, changes: Iterable[Change]) -> Recipe:
    """The recipe with the changes, validated as any recipe is. Raises RecipeError for a change that makes no sense.

    ``FILTER.KEY=VALUE`` changes the filter of every source that has it, or of all sources if none has it. With ``SOURCE.``
    in front it changes that of one source. ``FILTER=null`` switches it off. ``dedup.KEY=VALUE`` changes a duplicate rule.
    ``balance.STEP.KEY=VALUE`` changes a step of balance, and ``balance.STEP=null`` leaves it out.
    FILTER is also any column, which needs no filter in the recipe. ``caption.KEY=VALUE`` changes which text a row gets.
    """
    columns = known_columns(recipe) - set(FILTER_NAMES)
    content = recipe.model_dump(mode="json", exclude={"filters"})
    filters: dict[str, Settings] = {
        source.name: recipe.filters_of(source.name).model_dump(mode="json", exclude_none=True)
        for source in recipe.sources
    }
    for change in changes:
        path = change.name.split(".")
        if path[0] == "dedup" and len(path) > 1:
            _set(content["dedup"], path[1:], change.value, change.text)
        elif path[0] == "balance" and len(path) > 1:
            _change_balance(content, path[1:], change)
        elif "caption" in path[:2] and (len(path) > 1 or path[0] not in filters):
            _change_caption(content["sources"], recipe, path, change)
        else:
            named = {*FILTER_NAMES, *columns, "columns"}
            own = [path.pop(0)] if _names_source(path, filters, named) else []
            if path and (path[0] in columns or (path[0] == "columns" and len(path) > 1)):
                path = ["columns", *path[path[0] == "columns" :]]
            for name in own or _sources_with(path, filters):
                _change_filter(filters[name], path, change.value, change.text)
    for source in content["sources"]:
        own_filters = filters[source["name"]]
        columns_of_source = own_filters.get("columns") or {}
        source["filters"] = {name: own_filters.get(name) for name in FILTER_NAMES} | {"columns": columns_of_source}
    try:
        changed = Recipe.model_validate({**content, "computed": recipe.computed, "score": recipe.score})
    except ValidationError as error:
        first = error.errors()[0]
        raise RecipeError(f"{'.'.join(map(str, first['loc'][2:]))}: {first['msg']}") from None
    check_filtered_columns(changed)
    check_balance(changed)
    return changed


def _change_caption(sources: list[Settings], recipe: Recipe, path: list[str], change: Change) -> None:
    """Change how rows get their text: of the source that the path names, or else of every source with several captions."""
    own, setting = (path[:1], path[2:]) if path[0] != "caption" else ([], path[1:])
    if not setting:
        raise RecipeError(f"{change.text}: name a setting, for example caption.order=[recaption, alt]")
    rules = {
        source.name: recipe.caption_of(source.name)
        for source in recipe.sources
        if source.name in (own or [source.name])
    }
    chosen = {name: rule for name, rule in rules.items() if rule is not None}
    if not chosen:
        raise RecipeError(f"{change.text}: no source {'of that name ' if own else ''}has several captions")
    for source in sources:
        rule = chosen.get(str(source["name"]))
        if rule is not None:
            before = source.get("caption")
            settings: Settings = dict(before) if isinstance(before, dict) else rule.model_dump(mode="json")
            _set(settings, setting, change.value, change.text)
            if change.value is not None and setting[0] in ("mix", "order", "best"):  # one decides, not several
                for other in {"mix": ("order", "best"), "order": ("mix",), "best": ("mix",)}[setting[0]]:
                    settings.pop(other, None)
            source["caption"] = settings


def _change_balance(content: Settings, path: list[str], change: Change) -> None:
    """Change a setting of a step of balance, or leave the step out. Raises RecipeError if there is no such step."""
    before = content["balance"]
    steps: list[Settings] = (
        [dict(step) for step in before if isinstance(step, dict)] if isinstance(before, list) else []
    )
    chosen = [step for step in steps if step["name"] == path[0]]
    if not chosen:
        names = ", ".join(str(step["name"]) for step in steps) or "none"
        raise RecipeError(f"{change.text}: no step of balance has the name {path[0]}; there are: {names}")
    if len(path) == 1:
        if change.value is not None:
            raise RecipeError(f"{change.text}: name a setting, for example balance.{path[0]}.cap.count=100")
        steps.remove(chosen[0])
    else:
        _set(chosen[0], path[1:], change.value, change.text)
    content["balance"] = [*steps]


def _value(change: str, text: str) -> JsonValue:
    try:
        value: JsonValue = parse_yaml(text)
    except YamlFault:
        raise RecipeError(f"{change}: {text} is not a value") from None
    return value


def _names_source(path: list[str], filters: dict[str, Settings], names: set[str]) -> bool:
    """True if the path begins with a source. A source that has a filter's name is meant only if a filter follows."""
    return path[0] in filters and (path[0] not in names or (len(path) > 1 and path[1] in names))


def _sources_with(path: list[str], filters: dict[str, Settings]) -> list[str]:
    """The sources that have the filter of a path, or all if none has it."""

    def has(own: Settings) -> bool:
        if path[0] != "columns":
            return own.get(path[0]) is not None
        columns = own.get("columns")
        return isinstance(columns, dict) and columns.get(path[1]) is not None

    return [name for name, own in filters.items() if has(own)] or list(filters)


def _change_filter(filters: Settings, path: list[str], value: JsonValue, change: str) -> None:
    if not path or path[0] not in Filters.model_fields:
        raise RecipeError(
            f"{change}: no filter {path[0] if path else ''}; there are {', '.join(FILTER_NAMES)}, columns and dedup"
        )
    if len(path) == 1:
        filters[path[0]] = value
        return
    _set(filters, path, value, change)


def _set(content: Settings, path: list[str], value: JsonValue, change: str) -> None:
    """Set a value in nested settings. Mappings on the way are copied; anything else on the way is replaced by one."""
    for name in path[:-1]:
        inner = content.get(name)
        copied: Settings = dict(inner) if isinstance(inner, dict) else {}
        content[name] = copied
        content = copied
    if not path[-1]:
        raise RecipeError(f"{change}: a name is missing")
    content[path[-1]] = value
