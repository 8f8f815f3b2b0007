"""Datasets beside an output: those that a mixture draws from, and folders with shards that an evaluation asked.

What the user names (``--data``) is read as it is. What files of the output name is taken for shards alone: nothing is read
there but indexes, and pictures at the places that an index knows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import yaml

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.shards.reader import Dataset, open_dataset

RECORDED = "images.json"  # of an evaluation: the folders of its images
RECIPE_FILES = ("recipe.yaml", "run.json")


@dataclass(frozen=True)
class Beside:
    """``mixture``: datasets by name, whose samples are shown; ``shelves``: folders where shards or images of questions lie.

    ``given``: those of the shelves that the user named. ``absent``: what is not at hand, one line each.
    """

    mixture: Mapping[str, Dataset]
    shelves: tuple[Path, ...] = ()
    given: tuple[Path, ...] = ()
    absent: tuple[str, ...] = ()


def beside(out: Path, data: tuple[Path, ...] = ()) -> Beside:
    """The datasets that an output, a folder of shards or a recipe speaks of. Raises DataError for a damaged file."""
    mixture, absent = dict[str, Dataset](), list[str]()
    for name, path in _named(out).items():
        # a mixture that moved: a folder that is given and called the same stands in for the one that is gone
        found = [
            each for each in (Path(path), *(each for each in data if each.name == Path(path).name)) if _is_dataset(each)
        ]
        if found:
            mixture[name] = open_dataset(str(found[-1].resolve()))
        else:
            absent.append(f"dataset {name}: {path} is not at hand; --data FOLDER names where it lies now")
    given = tuple(folder.resolve() for each in data for folder in (each, each / "shards") if folder.is_dir())
    recorded = [(out / folder).resolve() for folder in _recorded(out)]
    shelves = dict.fromkeys([*given, *(Path(each.folder) for each in mixture.values()), *recorded])
    return Beside(mixture, tuple(folder for folder in shelves if folder.is_dir()), given, tuple(absent))


def _is_dataset(folder: Path) -> bool:
    return any((place / "dataset.json").is_file() for place in (folder, folder / "shards"))


def _named(out: Path) -> dict[str, str]:
    """Folders of datasets by name: of a recipe file, a run that keeps one, or a bare folder of shards."""
    if out.is_file():
        found = _datasets(out)
        if not found:
            raise DataError(f"{out}: names no datasets; to see a curation, name its output")
        return found
    if (out / "dataset.json").is_file():
        return {out.name: str(out)}
    return next((_datasets(out / name) for name in RECIPE_FILES if (out / name).is_file()), {})


def _datasets(path: Path) -> dict[str, str]:
    """Of a training recipe; relative paths count from its folder."""
    try:
        content: Any = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{path}: cannot be read as a recipe: {' '.join(str(error).split())[:200]}") from None
    recipe = content.get("recipe", content) if isinstance(content, dict) else {}
    datasets = recipe.get("datasets") if isinstance(recipe, dict) else None
    named = datasets.items() if isinstance(datasets, dict) else ()
    paths = {str(name): str(each["path"]) for name, each in named if isinstance(each, dict) and "path" in each}
    return {name: text if "://" in text else str(path.parent / text) for name, text in paths.items()}


def _recorded(out: Path) -> list[str]:
    try:
        content = orjson.loads((out / RECORDED).read_bytes())
        listed = [str(folder) for folder in content["folders"]]
        return [folder for folder in listed if "://" not in folder and "\0" not in folder]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # an evaluation from before this was recorded, or no evaluation
