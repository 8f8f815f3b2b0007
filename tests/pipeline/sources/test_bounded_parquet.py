"""Parquet files of tables that expand too far, and large cells that rows share."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from qvl.pipeline.sources.base import ImageReference
from qvl.pipeline.sources.columns import Columns
from qvl.pipeline.sources.table import Table
from qvl.pipeline.storage.reader import Storage
from tests.pipeline.samples import read_all
from tests.pipeline.sources.parquet_tables import in_table, write_parquet


def write_shared_image(tmp_path: Path, size: int, rows: int) -> Path:
    """One image of ``size`` equal bytes on all rows: a few kilobytes."""
    positions = pa.array(np.zeros(rows, np.int32))
    images = pa.DictionaryArray.from_arrays(positions, pa.array([bytes(size)]))
    options = {"compression": "zstd", "dictionary_pagesize_limit": 1 << 30, "store_schema": False}
    return write_parquet(tmp_path, {"jpg": images, "text": ["a"] * rows}, **options)


def test_an_image_over_the_limit_that_many_rows_share_is_never_expanded(tmp_path: Path, storage: Storage) -> None:
    path = write_shared_image(tmp_path, 3_000_000, 80)
    assert path.stat().st_size < 10_000
    source = Table(paths=(str(path),), columns=Columns(caption="text", image="jpg"), max_image_bytes=1_000_000)
    before = pa.total_allocated_bytes()
    rows = read_all(source, storage)
    assert [row.fault for row in rows] == ["unreadable:too_large"] * 80
    assert pa.total_allocated_bytes() - before < 1_000_000


def test_rows_that_share_a_large_image_share_its_bytes(tmp_path: Path, storage: Storage) -> None:
    rows = read_all(in_table(write_shared_image(tmp_path, 3_000_000, 40), caption="text", image="jpg"), storage)
    assert len({id(row.image) for row in rows}) == 1
    assert [row.fault for row in rows] == [None] * 40


def test_a_small_file_that_expands_too_far_is_a_fault(tmp_path: Path, storage: Storage) -> None:
    path = write_shared_image(tmp_path, 3_000_000, 200)
    rows = read_all(in_table(path, caption="text", image="jpg"), storage)
    assert [(row.key, row.fault) for row in rows] == [("", "unreadable:expands_too_far")]


def test_images_of_a_shared_dictionary_are_found_again(tmp_path: Path, storage: Storage) -> None:
    source = in_table(write_shared_image(tmp_path, 3_000_000, 80), caption="text", image="jpg")
    (unit,) = source.units(storage)
    found = dict(source.images(unit, [ImageReference(3, 3, 0), ImageReference(79, 79, 0)], storage))
    assert {row: len(image) for row, image in found.items()} == {3: 3_000_000, 79: 3_000_000}


def test_a_file_that_claims_millions_of_rows_in_a_few_kilobytes_is_a_fault(tmp_path: Path, storage: Storage) -> None:
    path = write_shared_image(tmp_path, 1, 2_000_000)
    rows = read_all(in_table(path, caption="text", image="jpg"), storage)
    assert [row.fault for row in rows] == ["unreadable:expands_too_far"]
