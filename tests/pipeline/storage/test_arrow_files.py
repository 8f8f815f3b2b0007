"""Files of an output are read alike from a disk and from a store."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qvl.pipeline.storage import arrow_files
from qvl.pipeline.storage.arrow_files import load_array, load_slice, parquet_file, read_parquet, read_span
from qvl.pipeline.storage.paths import AnyPath, StorePath

TABLE = pa.table({"a": list(range(1_000)), "b": [f"row {i}" for i in range(1_000)]})
ARRAY = np.arange(100, dtype=np.uint32)


@pytest.fixture(params=["disk", "store"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyPath]:
    pq.write_table(TABLE, tmp_path / "table.parquet", row_group_size=100)
    np.save(tmp_path / "array.npy", ARRAY)
    if request.param == "disk":
        yield tmp_path
        return
    store = StorePath("memory://arrow-files")
    for path in tmp_path.iterdir():
        (store / path.name).upload(path)
    yield store
    store.remove_tree()


@pytest.mark.parametrize("whole_bytes", [100, arrow_files.WHOLE_BYTES], ids=["by column", "whole"])
def test_a_table_and_some_of_its_columns_are_read(
    folder: AnyPath, whole_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrow_files, "WHOLE_BYTES", whole_bytes)
    assert read_parquet(folder / "table.parquet") == TABLE
    assert read_parquet(folder / "table.parquet", ["b"]) == TABLE.select(["b"])
    with parquet_file(folder / "table.parquet") as file:
        assert file.num_row_groups == 10


@pytest.mark.parametrize(("first", "last"), [(0, 100), (17, 40), (99, 100), (50, 50)])
def test_an_array_and_a_slice_of_it_are_read(folder: AnyPath, first: int, last: int) -> None:
    assert np.array_equal(load_array(folder / "array.npy"), ARRAY)
    part = load_slice(folder / "array.npy", first, last)
    assert part.dtype == ARRAY.dtype
    assert np.array_equal(part, ARRAY[first:last])


def test_bytes_of_a_file_are_read(folder: AnyPath) -> None:
    assert read_span(folder / "array.npy", 1, 6) == b"NUMPY"


def test_a_missing_file_is_an_error(folder: AnyPath) -> None:
    with pytest.raises(FileNotFoundError):
        read_parquet(folder / "none.parquet")
    with pytest.raises(FileNotFoundError):
        load_array(folder / "none.npy")
