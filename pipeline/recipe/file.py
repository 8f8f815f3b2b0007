"""Reading a recipe, whatever it is the recipe of: YAML to a frozen model, mistakes in one line with their places."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from qvl.pipeline.base.errors import RecipeError

Model = TypeVar("Model", bound=BaseModel)


class UniqueKeys(yaml.SafeLoader):
    """Plain YAML in which a key stands once per mapping; PyYAML would keep the last and say nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value} stands twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def read_recipe(
    path: Path,
    model: type[Model],
    anchored: Callable[[dict[str, Any], Path], dict[str, Any]],
    kinds: tuple[str, ...] = (),
) -> Model:
    """Read and check a recipe; ``anchored`` makes its relative paths count from the recipe's folder.

    ``kinds``: the values of ``kind:`` below ``read:``, which pydantic puts into the place of a mistake.

    Raises RecipeError in one line per mistake, each with its place in the file.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), UniqueKeys)
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such recipe") from None
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise RecipeError(f"{path}: a recipe is a mapping with `name:` and `sources:`")
    try:
        return model.model_validate(anchored(content, path.resolve().parent))
    except ValidationError as error:
        raise RecipeError(f"{path}: {_explain(error, kinds)}") from None


def _explain(error: ValidationError, kinds: tuple[str, ...]) -> str:
    """Each mistake as ``place: what``; what follows from another mistake (a list too short without it) is left out."""
    faults = error.errors()
    places = [_place(fault["loc"], kinds) for fault in faults]
    lines = []
    for place, fault in zip(places, faults, strict=True):
        deeper = any(other != place and other[: len(place)] == place for other in places)
        if not (deeper and fault["type"] == "too_short"):
            lines.append(f"{'.'.join(place) or 'recipe'}: {_what(fault, kinds)}")
    return "; ".join(lines)


def _place(location: tuple[int | str, ...], kinds: tuple[str, ...]) -> list[str]:
    """As it stands in the file: pydantic names the kind of a reader too."""
    parts = [str(part) for part in location]
    return [part for i, part in enumerate(parts) if not (part in kinds and i and parts[i - 1] == "read")]


def _what(fault: Any, kinds: tuple[str, ...]) -> str:
    """The mistake in words that a recipe's author knows; a misspelt key is called by its name."""
    context = fault.get("ctx", {})
    words = {
        "extra_forbidden": "unknown key",
        "tuple_type": "must be a list, such as [a, b]",
        "too_short": f"needs at least {context.get('min_length')} entry",
        "model_type": "must be a mapping, such as {key: value}",
        "model_attributes_type": "must be a mapping, such as {key: value}",
        "union_tag_not_found": f"needs `kind:`, one of {', '.join(kinds)}",
        "union_tag_invalid": f"kind {context.get('tag')} is none of {', '.join(kinds)}",
    }
    return words.get(fault["type"], str(fault["msg"]).removeprefix("Value error, "))
