"""The data of a small curation and its finished run, copied for each test."""

import shutil
from pathlib import Path

import pytest

from tests.pipeline.curate.small_run import curate, make_data


@pytest.fixture(scope="package")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data and a finished run over them, to be copied."""
    folder = tmp_path_factory.mktemp("original")
    make_data(folder / "data")
    curate(folder / "data", folder / "out")
    return folder


@pytest.fixture
def data(original: Path, tmp_path: Path) -> Path:
    """A copy of the data."""
    return Path(shutil.copytree(original / "data", tmp_path / "data"))


@pytest.fixture
def out(original: Path, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(original / "out", tmp_path / "out"))
