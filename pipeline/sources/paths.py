"""Patterns to units: sorted, named below their fixed folder, never twice."""

import posixpath
import re
from dataclasses import replace

from pipeline.errors import RecipeError
from pipeline.sources.base import Unit
from pipeline.storage import Storage

WILDCARD = re.compile(r"[*?\[{]")


def fixed_folder(pattern: str) -> str:
    """The part of a pattern before its first wildcard, cut at a slash."""
    match = WILDCARD.search(pattern)
    return posixpath.dirname(pattern[: match.start()] + "x") if match else posixpath.dirname(pattern)


def find_units(patterns: tuple[str, ...], storage: Storage) -> list[Unit]:
    """Units of all patterns, without a source name yet. Raises RecipeError for a pattern that matches nothing."""
    units: dict[str, Unit] = {}
    for pattern in patterns:
        found = storage.glob(pattern)
        if not found:
            raise RecipeError(f"{pattern}: no such file; paths are relative to the recipe's folder")
        root = storage.canonical(fixed_folder(pattern)).rstrip("/") + "/"
        for path in found:
            name = path.removeprefix(root) if path.startswith(root) else posixpath.basename(path)
            if name in units and units[name].path != path:
                raise RecipeError(f"{path}: another file of this source is also named {name}; give them two sources")
            units[name] = Unit(source="", name=name, path=path)
    return [units[name] for name in sorted(units)]


def owned(units: list[Unit], source: str) -> list[Unit]:
    """The same units under their source's name."""
    return [replace(unit, source=source) for unit in units]
