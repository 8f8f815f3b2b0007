"""Indexes for tars whose samples are already in our format."""

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qvl.pipeline.base.errors import DataError, RecipeError
from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.builders.foreign import convert
from qvl.pipeline.builders.foreign_index import index_beside, is_own, tars_of
from tests.pipeline.builders.foreign_tars import png, write_tar


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with a tar in our format and its original index."""
    members = [(f"{n}.{end}", data) for n in range(5) for end, data in (("png", png(n)), ("txt", f"cat {n}".encode()))]
    convert([write_tar(tmp_path / "in.tar", members)], tmp_path / "out", "cats", "en", SerialPool())
    return tmp_path / "out" / "shards"


def test_index_beside_writes_the_index_that_the_shard_writer_wrote(own: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    shutil.copy(own / "cats-000000.tar", folder)
    dataset = index_beside(folder, "cats")
    assert (folder / "cats-000000.parquet").read_bytes() == (own / "cats-000000.parquet").read_bytes()
    assert dataset.samples == 5 and dataset.tasks == {"caption": 5}


def test_is_own_tells_our_format_from_others(own: Path, tmp_path: Path) -> None:
    assert is_own(own / "cats-000000.tar")
    assert not is_own(tmp_path / "in.tar")


def test_index_beside_raises_when_it_would_overwrite_a_foreign_table(own: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), own / "cats-000000.parquet")
    with pytest.raises(RecipeError, match="is not one of our indexes and would be overwritten"):
        index_beside(own, "cats")


def test_index_beside_raises_when_a_sample_is_not_in_our_format(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", [("a.png", png(1)), ("a.json", b"{}")])
    with pytest.raises(DataError, match="is not a sample in our format"):
        index_beside(tmp_path, "cats")
    with pytest.raises(RecipeError, match=r"not a folder with \*\.tar files"):
        tars_of(tmp_path / "none")
