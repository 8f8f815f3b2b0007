"""``OUT/recipe.json``: the recipe that an output was built from, without anything that does not alter data."""

import orjson
from pydantic import JsonValue

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.selection.decontaminate import benchmarks_identity
from qvl.pipeline.plugins.operators import NO_PLUGINS, Plugins
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.recipe.source import reading
from qvl.pipeline.storage.atomic import replace_file
from qvl.pipeline.storage.paths import AnyPath

RecipeNote = dict[str, JsonValue]

# the paths of weights are left out: the hashes of the files are in the manifests of the scores
WEIGHT_FILES = {"clip": {"english": {"model", "pretrained"}, "chinese": {"model", "pretrained"}}}


def recipe_note(recipe: Recipe, plugins: Plugins = NO_PLUGINS) -> RecipeNote:
    """The part of a recipe that alters data: no folders, tolerances or notes; sources by name, each with all its filters.

    Plug-ins are in it by name and speakers in their order, with what identifies them.
    """
    content: RecipeNote = recipe.model_dump(
        mode="json",
        exclude={
            **{"filters": True, "tolerance": True, "sources": True, "score": WEIGHT_FILES},
            **dict.fromkeys(("decontaminate", "dedup", "plugins", "caption", "speakers", "answers", "balance"), True),
        },
    )
    sources: dict[str, JsonValue] = {
        source.name: {
            **source.model_dump(mode="json", exclude={"name", "read", "table2", "caption"}),
            **_caption(recipe, source.name),
            "read": reading(source),
            "filters": recipe.filters_of(source.name).model_dump(mode="json", exclude_none=True),
        }
        for source in recipe.sources
    }
    benchmarks: dict[str, JsonValue] = {name: [*each] for name, each in benchmarks_identity(recipe).items()}
    dedup = recipe.duplicate_settings()
    own: dict[str, JsonValue] = {"plugins": plugins.note()} if plugins.all else {}
    if recipe.speakers:
        own["speakers"] = [{"name": speaker.name, **speaker.identity()} for speaker in recipe.speakers]
    if recipe.balance:
        own["balance"] = [step.identity() for step in recipe.balance]
    return {**content, "sources": sources, "decontaminate": benchmarks, "dedup": dedup, **own}


def _caption(recipe: Recipe, source: str) -> RecipeNote:
    """How the rows of a source get their text, for a source with several captions."""
    rule = recipe.caption_of(source)
    return {} if rule is None else {"caption": rule.model_dump(mode="json", exclude_defaults=True)}


def write_recipe_note(recipe: Recipe, out: AnyPath, plugins: Plugins = NO_PLUGINS) -> None:
    """Leave the recipe in the output, for readers and for the comparison with the recipe of the next run."""
    data = orjson.dumps(recipe_note(recipe, plugins), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
    replace_file(Layout(out).recipe, data)


def read_recipe_note(out: AnyPath) -> RecipeNote | None:
    """The note of an output, or None where there is none. Raises DataError for a corrupted one."""
    path = Layout(out).recipe
    try:
        content = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except orjson.JSONDecodeError:
        content = None
    if not isinstance(content, dict):
        raise DataError(f"{path} is corrupted; delete it and run the same command with --fresh")
    return content
