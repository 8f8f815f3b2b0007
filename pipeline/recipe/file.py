"""Reading a recipe of any kind: YAML to a frozen model, and every mistake in one line with its location in the file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from qvl.pipeline.base.errors import RecipeError, require_utf8
from qvl.pipeline.recipe.bounded_yaml import YamlFault, read_yaml

Model = TypeVar("Model", bound=BaseModel)

MISTAKES = 20  # that one message names
RecipeContent = dict[str, Any]
"""A recipe as YAML gives it, before it is checked."""


def read_recipe(
    path: Path,
    model: type[Model],
    anchor_paths: Callable[[RecipeContent, Path], RecipeContent],
    kinds: tuple[str, ...] = (),
) -> Model:
    """Read and check a recipe.

    ``anchor_paths``: gets the content and the recipe's folder, and returns the content with its paths made absolute by
    ``anchored``. ``kinds``: the values of ``kind:`` below ``read:``, which pydantic adds to the location of a mistake.

    Raises RecipeError with every mistake and its location, in one line.
    """
    folder = path.resolve().parent
    require_utf8(str(folder))
    try:
        content = read_yaml(path)
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such recipe") from None
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from None
    except YamlFault as error:
        raise RecipeError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise RecipeError(f"{path}: a recipe is a mapping with `name:` and `sources:`")
    try:
        return model.model_validate(anchor_paths(content, folder))
    except ValidationError as error:
        raise RecipeError(f"{path}: {_explanation(error, kinds)}") from None


def anchored(value: Any, folder: Path) -> Any:
    """A path of a recipe, or each path of a list, relative to the recipe's folder wherever the command runs.

    URLs and absolute paths stay as they are, and so does any other value: the model will report it.
    """
    if isinstance(value, list):
        return [anchored(each, folder) for each in value]
    return str(folder / value) if isinstance(value, str) and "://" not in value else value


def _explanation(error: ValidationError, kinds: tuple[str, ...]) -> str:
    """Each mistake as ``location: what``. A list that is too short only because an entry is wrong is left out."""
    mistakes = error.errors()[:MISTAKES]
    locations = [_location(mistake["loc"], kinds) for mistake in mistakes]
    lines = []
    for location, mistake in zip(locations, mistakes, strict=True):
        has_deeper = any(other != location and other[: len(location)] == location for other in locations)
        if not (has_deeper and mistake["type"] == "too_short"):
            lines.append(f"{'.'.join(location) or 'recipe'}: {_message(mistake, kinds)}")
    more = f"; and {error.error_count() - MISTAKES} more" if error.error_count() > MISTAKES else ""
    return "; ".join(lines) + more


def _location(keys: tuple[int | str, ...], kinds: tuple[str, ...]) -> list[str]:
    """The keys as they are in the file, without the kind of a reader that pydantic inserts."""
    parts = [str(part) for part in keys]
    return [part for i, part in enumerate(parts) if not (part in kinds and i and parts[i - 1] == "read")]


def _message(mistake: Any, kinds: tuple[str, ...]) -> str:
    """The mistake in terms of YAML instead of Python."""
    context = mistake.get("ctx", {})
    messages = {
        "extra_forbidden": "unknown key",
        "tuple_type": "must be a list, such as [a, b]",
        "too_short": f"needs at least {context.get('min_length')} entry",
        "model_type": "must be a mapping, such as {key: value}",
        "model_attributes_type": "must be a mapping, such as {key: value}",
        "union_tag_not_found": f"needs `kind:`, one of {', '.join(kinds)}",
        "union_tag_invalid": f"kind {context.get('tag')} is none of {', '.join(kinds)}",
    }
    return messages.get(mistake["type"], str(mistake["msg"]).removeprefix("Value error, "))
