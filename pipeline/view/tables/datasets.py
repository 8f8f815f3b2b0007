"""Datasets that an output refers to: those of a mixture, and folders whose shards an evaluation asked about.

Folders that the user names (``--data``) are trusted. Folders that files of the output name are not: only indexes are read
there, and pictures at offsets that an index lists.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.recipe.bounded_yaml import YamlFault, read_yaml
from qvl.pipeline.shards.reader import Dataset, open_dataset

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


def related_datasets(out: Path, data: tuple[Path, ...] = ()) -> RelatedDatasets:
    """The datasets that an output, a folder of shards or a recipe refers to. Raises DataError for a damaged file."""
    mixture, missing = dict[str, Dataset](), list[str]()
    for name, path in _named(out).items():
        # if a dataset has moved, a folder of the same name in --data replaces it
        found = [
            each for each in (Path(path), *(each for each in data if each.name == Path(path).name)) if _is_dataset(each)
        ]
        if found:
            mixture[name] = open_dataset(str(found[-1].resolve()))
        else:
            missing.append(f"dataset {name}: {path} was not found; name its folder with --data FOLDER")
    user_folders = tuple(folder.resolve() for each in data for folder in (each, each / "shards") if folder.is_dir())
    recorded = [(out / folder).resolve() for folder in _recorded(out)]
    folders = dict.fromkeys([*user_folders, *(Path(each.folder) for each in mixture.values()), *recorded])
    return RelatedDatasets(mixture, tuple(each for each in folders if each.is_dir()), user_folders, tuple(missing))


def _is_dataset(folder: Path) -> bool:
    return any((each / "dataset.json").is_file() for each in (folder, folder / "shards"))


def _named(out: Path) -> dict[str, str]:
    """Folders of datasets by name, from a recipe file, a run that saved one, or a bare folder of shards."""
    if out.is_file():
        found = _datasets(out)
        if not found:
            raise DataError(f"{out} does not name any datasets; to view a curation, give its output")
        return found
    if (out / "dataset.json").is_file():
        return {out.name: str(out)}
    return next((_datasets(out / name) for name in RECIPE_FILES if (out / name).is_file()), {})


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
        content = orjson.loads((out / RECORDED).read_bytes())
        listed = [str(folder) for folder in content["folders"]]
        return [folder for folder in listed if "://" not in folder and "\0" not in folder]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # not an evaluation, or one by a version that did not record this
