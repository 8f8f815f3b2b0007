"""The recipe that a finished run left in its output."""

from typing import Any

from qvl.pipeline.base.errors import DataError, RecipeError
from qvl.pipeline.curate.recipe_note import read_recipe_note
from qvl.pipeline.curate.selection.ledger import read_select_summary
from qvl.pipeline.filters import FILTER_NAMES
from qvl.pipeline.plugins.operators import SCORER
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.storage.paths import AnyPath

NO_READER = {"kind": "webdataset", "paths": ["-"]}
NO_ENDPOINT = "http://-"
NO_WEIGHTS = {"model": "-", "pretrained": "-"}


def _no_reader(source: dict[str, Any]) -> dict[str, Any]:
    """A reader of nothing that names the columns which the source carries along, and its texts."""
    columns = source.get("read", {}).get("columns", {})
    named = {name: columns[name] for name in ("extra", "captions") if columns.get(name)}
    return {**NO_READER, "columns": named} if named else NO_READER


def stored_recipe(out: AnyPath) -> tuple[Recipe, str]:
    """The recipe of a finished run, without any path, and the fingerprint of its verdicts.

    Raises RecipeError where select has not finished, and DataError if the record of the recipe is not one.
    """
    note, selected = read_recipe_note(out), read_select_summary(out)
    if note is None or selected is None:
        raise RecipeError(f"{out}: there is no finished select stage here; `qvl curate run` makes one")
    try:
        return _without_paths(dict(note)), selected.fingerprint
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise DataError(f"{out}/recipe.json is not the record of a run: {' '.join(lines[:2])}") from None


def _without_paths(content: dict[str, Any]) -> Recipe:
    sources = [{**source, "name": name, "read": _no_reader(source)} for name, source in content.pop("sources").items()]
    benchmarks = content.pop("decontaminate", {})
    clip = (content.get("score") or {}).get("clip") or {}
    for model in ("english", "chinese"):
        if clip.get(model):
            clip[model] |= NO_WEIGHTS
    content["dedup"] = {"per": [], **content["dedup"]}  # not null, which would mean the default of today
    plugins = content.pop("plugins", {})
    content["computed"] = [column for plugin in plugins.values() for column in plugin["columns"]]
    content["speakers"] = [{**speaker, "endpoint": NO_ENDPOINT} for speaker in content.get("speakers", [])]
    scored = [name for plugin in plugins.values() if plugin.get("kind") == SCORER for name in plugin["columns"]]
    if scored:
        content["score"] = {**content["score"], "by_plugins": scored}
    known = {key: value for key, value in content.items() if key in Recipe.model_fields}
    lists = [{"name": name, "path": "-", "radius": radius} for name, (radius, _) in benchmarks.items()]
    return Recipe.model_validate({**known, "sources": sources, "decontaminate": lists})


def stored_filter_names(out: AnyPath) -> tuple[str, ...]:
    """The names of the bits of ``failed``, in order; the usual ones where select has not finished."""
    try:
        return stored_recipe(out)[0].filter_names
    except RecipeError:
        return FILTER_NAMES
