"""A shard without some of its samples: the others keep their bytes."""

import tarfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.shards.cut import cut_shard
from tests.training.made import of_task, write_dataset


@pytest.fixture
def tar(tmp_path: Path) -> Path:
    samples = [of_task(task, number) for number, task in enumerate(("caption", "vqa", "text", "ocr", "caption"))]
    return write_dataset(tmp_path / "d", "d", samples) / "d-000000.tar"


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as opened:
        return {member.name: opened.extractfile(member).read() for member in opened.getmembers()}  # type: ignore[union-attr]


@pytest.mark.parametrize("rows", [set[int](), {0}, {1, 2}, {4}, {0, 1, 2, 3, 4}])
def test_cut_shard_keeps_the_other_samples_and_their_index_finds_them(
    tar: Path, tmp_path: Path, rows: set[int]
) -> None:
    before = pq.read_table(tar.with_suffix(".parquet")).to_pylist()
    gone = {before[row]["key"] for row in rows}
    cut = cut_shard(tar, tmp_path / "cut.tar", rows)
    assert members(cut.tar) == {name: data for name, data in members(tar).items() if name.split(".")[0] not in gone}
    assert cut.tar.stat().st_size == cut.bytes
    index, data = pq.read_table(cut.index).to_pylist(), cut.tar.read_bytes()
    assert [row["key"] for row in index] == [row["key"] for row in before if row["key"] not in gone]
    assert cut.samples == len(index) and cut.image_bytes == sum(sum(row["image_sizes"]) for row in index)
    found = members(cut.tar)
    for row in index:
        assert data[row["json_offset"] :][: row["json_size"]] == found[f"{row['key']}.json"]
        for offset, size in zip(row["image_offsets"], row["image_sizes"], strict=True):
            assert data[offset : offset + size] == found[f"{row['key']}.jpg"]
    assert sum(cut.kept["tasks"].values()) + sum(cut.removed["tasks"].values()) == 5


def test_cut_shard_when_nothing_is_removed_writes_the_same_bytes(tar: Path, tmp_path: Path) -> None:
    assert cut_shard(tar, tmp_path / "cut.tar", set()).tar.read_bytes() == tar.read_bytes()


def test_cut_shard_when_the_index_leaves_a_gap_or_the_tar_is_truncated_raises(tar: Path, tmp_path: Path) -> None:
    index = pq.read_table(tar.with_suffix(".parquet"))
    pq.write_table(index.slice(1), tar.with_suffix(".parquet"))
    with pytest.raises(DataError, match="gap before"):
        cut_shard(tar, tmp_path / "cut.tar", {0})
    pq.write_table(index, tar.with_suffix(".parquet"))
    tar.write_bytes(tar.read_bytes()[:2_000])
    with pytest.raises(DataError, match="truncated at byte"):
        cut_shard(tar, tmp_path / "cut.tar", {0})
