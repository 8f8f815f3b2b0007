"""One finished run for all questions."""

from pathlib import Path

import pytest

from qvl.pipeline.recipe.recipe import load_recipe
from tests.pipeline.curate import small_run
from tests.pipeline.finished.small_runs import curate, write_data


@pytest.fixture(scope="package")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The input files, and ``recipe.yaml``."""
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


@pytest.fixture(scope="package")
def out(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run."""
    path = tmp_path_factory.mktemp("run") / "out"
    curate(load_recipe(data / "recipe.yaml"), path)
    return path


@pytest.fixture(scope="package")
def curated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data and the finished run of the small curation that the tests of curate use, to be copied."""
    folder = tmp_path_factory.mktemp("curated")
    small_run.make_data(folder / "data")
    small_run.curate(folder / "data", folder / "out")
    return folder
