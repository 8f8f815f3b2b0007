"""Paths in a recipe start at its folder, whatever the folder is called."""

from pathlib import Path

import pytest

from qvl.pipeline.storage.reader import Storage
from tests.pipeline.recipe.test_recipe import GOOD, load


def test_relative_paths_start_at_the_recipes_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    web, local = load(tmp_path, GOOD).sources
    assert web.read.paths == (f"{tmp_path}/data/*.tar", "/abs/*.tar", "s3://bucket/*.tar")
    assert local.read.paths == (f"{tmp_path.parent}/t.jsonl",)
    assert getattr(local.read, "image_folder", None) == f"{tmp_path}/images"


@pytest.mark.parametrize("name", ["dir[1]", "dir{a}", "dir{a,b}", "d*r?", "[", "}{"])
def test_wildcards_in_the_name_of_the_recipes_folder_are_escaped(tmp_path: Path, name: str) -> None:
    """The same files are found under the same names whatever the folder is called."""
    for folder in (tmp_path / name, tmp_path / "dir1", tmp_path / "plain"):
        (folder / "data").mkdir(parents=True)
        for file in ("data/0.tar", "data/1.tar", "up.tar"):
            (folder / file).touch()
    text = "name: x\nsources: [{{name: a, read: {{kind: webdataset, paths: [{}]}}}}]"
    for paths in ("'data/*.tar'", "'data/{0..1}.tar'", "data/0.tar", "../plain/up.tar", "'../plain/u*.tar'"):
        found, plain = (
            load(folder, text.format(paths)).sources[0].read.units(Storage())
            for folder in (tmp_path / name, tmp_path / "plain")
        )
        assert [unit.name for unit in found] == [unit.name for unit in plain]
        assert all(name in unit.path for unit in found) != paths.strip("'").startswith("..")


def test_the_path_of_a_language_model_starts_at_the_recipes_folder(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD).language_model == "lid.176.ftz"
    assert load(tmp_path, GOOD + "language_model: models/lid.bin\n").language_model == f"{tmp_path}/models/lid.bin"
