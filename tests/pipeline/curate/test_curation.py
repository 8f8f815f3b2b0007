"""The input files of a recipe, in an order that does not depend on the recipe's."""

from pathlib import Path

import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.curate.curation import Curation
from qvl.pipeline.recipe.recipe import Recipe
from tests.pipeline.samples import jpeg, write_img2dataset


def recipe(folder: Path, *names: str) -> Recipe:
    sources = [
        {"name": name, "read": {"kind": "webdataset", "paths": [str(folder / name / "*.tar")]}} for name in names
    ]
    return Recipe.model_validate({"name": "r", "sources": sources})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for source, tars in (("web", ("1", "0")), ("art", ("0",))):
        for tar in tars:
            rows = [{"key": "0", "url": "", "caption": "a caption", "image": jpeg(1)}]
            write_img2dataset(tmp_path / source, tar, rows)
    return tmp_path


def test_units_come_by_source_and_name_whatever_the_order_of_the_recipe(data: Path) -> None:
    forward, backward = (Curation(recipe(data, *names), data).units() for names in (("web", "art"), ("art", "web")))
    assert forward == backward
    assert [(unit.source, unit.name) for unit in forward] == [("art", "0.tar"), ("web", "0.tar"), ("web", "1.tar")]


def test_scan_tasks_follow_the_units_and_know_their_sizes(data: Path) -> None:
    curation = Curation(recipe(data, "web", "art"), data / "out")
    tasks = curation.scan_tasks()
    assert [task.unit for task in tasks] == curation.units()
    assert [task.input_bytes for task in tasks] == [Path(task.unit.path).stat().st_size for task in tasks]


def test_units_when_a_source_has_no_files_raises(tmp_path: Path) -> None:
    with pytest.raises(RecipeError):
        Curation(recipe(tmp_path, "web"), tmp_path).units()
