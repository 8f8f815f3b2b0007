"""An output to change: a copy of a small curation, and the key of one of its samples."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.pipeline.view import conftest as view

curated = view.curated


@pytest.fixture
def copy(curated: tuple[Path, Any], tmp_path: Path) -> Iterator[Path]:
    yield Path(shutil.copytree(curated[0], tmp_path / "out"))


@pytest.fixture(scope="module")
def key(curated: tuple[Path, Any]) -> str:
    index = next((curated[0] / "shards").glob("*.parquet"))
    return str(pq.read_table(index)["key"][0].as_py())
