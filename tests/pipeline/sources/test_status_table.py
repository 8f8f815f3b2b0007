"""Side files of a tar: the table of downloads and the statistics."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qvl.pipeline.sources.columns import Columns
from qvl.pipeline.storage.reader import Storage
from tests.pipeline.samples import faults, jpeg, tar_bytes, write_img2dataset
from tests.pipeline.sources.tar_rows import row, rows_in, rows_of


def test_failed_downloads_of_img2dataset_are_rows(tmp_path: Path, storage: Storage) -> None:
    given = [row("000000002", jpeg(2)), row("000000000", jpeg(0), "猫"), row("000000001", None, "gone")]
    path = write_img2dataset(tmp_path, "00000", given)
    rows = rows_of(path, storage)
    assert faults(rows) == {"000000002": None, "000000000": None, "000000001": "download:failed_to_download"}
    assert [(r.caption.decode(), r.url) for r in rows] == [(g["caption"], g["url"]) for g in given]
    assert [r.image for r in rows[:2]] == [jpeg(2), jpeg(0)]


def test_a_successful_download_that_is_missing_in_the_tar_is_a_fault(tmp_path: Path, storage: Storage) -> None:
    path = write_img2dataset(tmp_path, "00000", [row(str(i), jpeg(i)) for i in range(3)])
    path.write_bytes(tar_bytes([("0.jpg", jpeg(0)), ("0.txt", b"a dog")]))
    assert faults(rows_of(path, storage)) == {"0": None, **dict.fromkeys("12", "unreadable:missing_in_tar")}


def test_when_a_key_occurs_twice_in_the_table_each_row_has_a_verdict(tmp_path: Path, storage: Storage) -> None:
    given = [row("1", None, "x"), row("0", jpeg(0), "a"), row("1", jpeg(1), "b"), row("1", None, "y"), row("2", None)]
    path = write_img2dataset(tmp_path, "00000", given)
    failed = "download:failed_to_download"
    assert [(r.key, r.caption, r.url, r.fault) for r in rows_of(path, storage)] == [
        ("0", b"a", "http://x/0", None),
        ("1", b"b", "http://x/1", None),
        ("1", b"x", "http://x/1", failed),
        ("1", b"y", "http://x/1", failed),
        ("2", b"a dog", "http://x/2", failed),
    ]


def test_when_a_key_was_downloaded_twice_each_sample_has_its_own_table_row(tmp_path: Path, storage: Storage) -> None:
    table = {"key": ["0", "0", "0"], "url": ["u", "v", "w"], "similarity": [0.1, 0.2, 0.3], "status": ["success"] * 3}
    pq.write_table(pa.table(table), tmp_path / "x.parquet")
    members = [("0.jpg", jpeg(0)), ("0.txt", b"a"), ("0.jpg", jpeg(1)), ("0.txt", b"b")]
    rows = rows_in(tmp_path, members, storage, columns=Columns(clip="similarity"))
    assert [(r.url, r.numbers, r.fault) for r in rows] == [
        ("u", {"clip": 0.1}, None),
        ("v", {"clip": 0.2}, None),
        ("w", {}, "unreadable:missing_in_tar"),
    ]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"count": "many"}', b"null", b'{"count": 1e400}'])
def test_damaged_statistics_are_a_fault_of_their_own(tmp_path: Path, storage: Storage, content: bytes) -> None:
    path = write_img2dataset(tmp_path, "00000", [row("0", jpeg(0))])
    (tmp_path / "00000_stats.json").write_bytes(content)
    assert faults(rows_of(path, storage)) == {"0": None, "": "unreadable:statistics:damaged"}


def test_a_damaged_status_table_is_a_fault_of_its_own(tmp_path: Path, storage: Storage) -> None:
    path = write_img2dataset(tmp_path, "00000", [row("0", jpeg(0))])
    (tmp_path / "00000.parquet").write_bytes(b"no parquet at all")
    assert faults(rows_of(path, storage)) == {"0": None, "": "unreadable:status_table:damaged"}


def test_a_damaged_page_of_the_status_table_is_a_fault_of_its_own(tmp_path: Path, storage: Storage) -> None:
    path = write_img2dataset(tmp_path, "00000", [row("0", jpeg(0))])
    content = bytearray((tmp_path / "00000.parquet").read_bytes())
    content[4:200] = bytes(196)
    (tmp_path / "00000.parquet").write_bytes(content)
    assert faults(rows_of(path, storage)) == {"0": None, "": "unreadable:status_table:damaged"}


def test_a_status_table_of_millions_of_rows_in_a_small_file_is_a_fault(tmp_path: Path, storage: Storage) -> None:
    path = write_img2dataset(tmp_path, "00000", [row("0", jpeg(0))])
    constant = pa.DictionaryArray.from_arrays(pa.array(np.zeros(2_000_000, np.int8)), pa.array(["x"]))
    pq.write_table(pa.table({"key": constant, "status": constant}), tmp_path / "00000.parquet")
    assert faults(rows_of(path, storage)) == {"0": None, "": "unreadable:status_table:expands_too_far"}


BAD_CELLS = {
    "invalid_utf8": pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(np.array([0, 2], np.int32)), pa.py_buffer(b"\xff\xfe")]
    ),
    "far_date": pa.array([2**52], pa.timestamp("ms")),
    "unknown_time_zone": pa.array([0], pa.timestamp("us", "Moon/Crater")),
}


@pytest.mark.parametrize("name", BAD_CELLS)
@pytest.mark.parametrize("column", ["exif", "caption", "url"])
def test_a_bad_cell_of_the_status_table_does_not_cost_the_sample(
    tmp_path: Path, storage: Storage, name: str, column: str
) -> None:
    table: dict[str, Any] = {"key": ["0"], "status": ["success"], "caption": ["a"], "url": ["u"], "exif": ["{}"]}
    pq.write_table(pa.table({**table, column: BAD_CELLS[name]}), tmp_path / "x.parquet")
    (found,) = rows_in(tmp_path, [("0.jpg", jpeg(0)), ("0.txt", b"A")], storage)
    assert (found.caption, found.fault) == (b"A", None)
