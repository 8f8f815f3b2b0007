"""Datasets that an output refers to: those of a mixture, and folders whose shards an evaluation asked about.

Folders that the user names (``--data``) are trusted. Folders that files of the output name are not: only indexes are read
there, and pictures at offsets that an index lists.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from qvl.pipeline.base.errors import DataError, QvlError
from qvl.pipeline.recipe.bounded_yaml import YamlFault, read_yaml
from qvl.pipeline.shards.reader import Dataset, open_dataset
from qvl.pipeline.view.tables.faults import Faults, inside

RECORDED = "images.json"  # written by an evaluation: the folders of its images
RECIPE_FILES = ("recipe.yaml", "run.json")


@dataclass(frozen=True)
class RelatedDatasets:
    """``mixture``: datasets by name, whose samples are shown. ``folders``: where shards or images of questions are.

    ``user_folders``: those of the folders that the user named. ``missing``: a line for each dataset that was not found.
    """

    mixture: Mapping[str, Dataset]
    folders: tuple[Path, ...] = ()
    user_folders: tuple[Path, ...] = ()
    missing: tuple[str, ...] = ()


def related_datasets(out: Path, data: tuple[Path, ...], faults: Faults) -> RelatedDatasets:
    """The datasets that an output, a folder of shards or a recipe refers to.

    Raises DataError if ``out`` itself is a file that cannot be read as a recipe.
    """
    mixture, missing = dict[str, Dataset](), list[str]()
    named = _named_by_file(out) if out.is_file() else faults.read(out.name, lambda: _named(out), dict[str, str]())
    for name, path in named.items():
        # if a dataset has moved, a folder of the same name in --data replaces it
        moved = [each for each in data if each.name == Path(path).name]
        found = faults.read(f"dataset {name}", partial(_first_dataset, [*moved[::-1], Path(path)]), None)
        if found is not None:
            mixture[name] = found
        else:
            missing.append(f"dataset {name}: {path} was not found; name its folder with --data FOLDER")
    user_folders = tuple(folder.resolve() for each in data for folder in (each, each / "shards") if folder.is_dir())
    recorded = [(out / folder).resolve() for folder in _recorded(out)]
    folders = dict.fromkeys([*user_folders, *(Path(each.folder) for each in mixture.values()), *recorded])
    return RelatedDatasets(mixture, tuple(each for each in folders if each.is_dir()), user_folders, tuple(missing))


def _first_dataset(folders: Sequence[Path]) -> Dataset | None:
    found = next((folder for folder in folders if _is_dataset(folder)), None)
    return None if found is None else open_dataset(str(found.resolve()))


def _is_dataset(folder: Path) -> bool:
    return any((each / "dataset.json").is_file() for each in (folder, folder / "shards"))


def _named_by_file(recipe: Path) -> dict[str, str]:
    """Folders of datasets by name, from a recipe file."""
    found = _datasets(recipe)
    if not found:
        raise DataError(f"{recipe} does not name any datasets; to view a curation, give its output")
    return found


def _named(out: Path) -> dict[str, str]:
    """Folders of datasets by name, from a run that saved its recipe, or a bare folder of shards."""
    if (out / "dataset.json").is_file():
        return {out.name: str(out)}
    return next((_datasets(inside(out, out / name)) for name in RECIPE_FILES if (out / name).is_file()), {})


def _datasets(path: Path) -> dict[str, str]:
    """The datasets of a training recipe; paths are relative to its folder."""
    try:
        content: Any = read_yaml(path)
    except (OSError, YamlFault) as error:
        raise DataError(f"{path}: cannot be read as a recipe: {' '.join(str(error).split())[:200]}") from None
    recipe = content.get("recipe", content) if isinstance(content, dict) else {}
    datasets = recipe.get("datasets") if isinstance(recipe, dict) else None
    named = datasets.items() if isinstance(datasets, dict) else ()
    paths = {str(name): str(each["path"]) for name, each in named if isinstance(each, dict) and "path" in each}
    return {name: text if "://" in text else str(path.parent / text) for name, text in paths.items()}


def _recorded(out: Path) -> list[str]:
    try:
        content = orjson.loads(inside(out, out / RECORDED).read_bytes())
        listed = [str(folder) for folder in content["folders"]]
        return [folder for folder in listed if "://" not in folder and "\0" not in folder]
    except (QvlError, OSError, ValueError, KeyError, TypeError):
        return []  # not an evaluation, or one by a version that did not record this
