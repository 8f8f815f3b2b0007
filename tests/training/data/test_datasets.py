"""Datasets of a recipe: what is missing is named before anything is read."""

from pathlib import Path

import pytest

from qvl.pipeline.base.errors import DataError
from qvl.training.data.datasets import open_all
from tests.training.made import of_task, write_dataset


def test_open_all_when_files_are_missing_names_all_of_them_at_once(datasets: dict[str, Path], tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "d", "d", [of_task("text", n) for n in range(40)])
    (folder / "d-000000.tar").unlink()
    (folder / "d-000001.parquet").unlink()
    with pytest.raises(DataError, match=r"(?s)nowhere.*d-000000\.tar: missing.*d-000001\.parquet: missing"):
        open_all({"a": str(tmp_path / "nowhere"), "b": str(folder)})
