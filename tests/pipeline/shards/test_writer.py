"""Shards: plain tars with the same bytes each time that other tools can read, and an index that is correct."""

import gc
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import webdataset

from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.commit.fingerprint import file_hash
from qvl.pipeline.shards.sample import Sample, SampleImage, encode_sample
from qvl.pipeline.shards.writer import ShardWriter, tar_header
from tests.pipeline.samples import jpeg
from tests.pipeline.shards.written import content, record, samples


def write(path: Path, chosen: list[Sample]) -> ShardWriter:
    with ShardWriter(path) as writer:
        for sample in chosen:
            writer.write(sample)
    return writer


def test_shard_members_are_read_in_order_by_tarfile(tmp_path: Path) -> None:
    write(tmp_path / "s.tar", samples())
    with tarfile.open(tmp_path / "s.tar") as archive:
        members = archive.getmembers()
        bodies = {member.name: archive.extractfile(member).read() for member in members}  # type: ignore[union-attr]
    keys = [sample.id for sample in samples()]
    assert list(bodies) == [
        *(f"{keys[0]}.jpg", f"{keys[0]}.json", f"{keys[1]}.png", f"{keys[1]}.json"),
        *(f"{keys[2]}.0.jpg", f"{keys[2]}.1.png", f"{keys[2]}.json", f"{keys[3]}.json"),
        *(f"{keys[4]}.webp", f"{keys[4]}.json", f"{keys[5]}.jpg", f"{keys[5]}.json"),
    ]
    assert bodies[f"{keys[0]}.jpg"] == jpeg(0)
    assert json.loads(bodies[f"{keys[1]}.json"]) == content(1)


def test_tar_header_is_canonical(tmp_path: Path) -> None:
    write(tmp_path / "s.tar", samples())
    with tarfile.open(tmp_path / "s.tar") as archive:
        for member in archive.getmembers():
            assert (member.mtime, member.uid, member.gid, member.mode) == (0, 0, 0, 0o644)
            assert (member.uname, member.gname, member.linkname, member.type) == ("", "", "", tarfile.REGTYPE)
            info = tarfile.TarInfo(member.name)
            info.size, info.mode = member.size, 0o644
            assert tar_header(member.name, member.size)[:257] == info.tobuf(tarfile.USTAR_FORMAT)[:257]
    data = (tmp_path / "s.tar").read_bytes()
    assert data.endswith(bytes(1_024))
    assert len(data) % 512 == 0


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_shard_is_read_by_webdataset(tmp_path: Path) -> None:
    write(tmp_path / "s.tar", samples())
    found = list(webdataset.WebDataset(str(tmp_path / "s.tar"), shardshuffle=False))
    assert [row["__key__"] for row in found] == [sample.id for sample in samples()]
    assert found[0]["jpg"] == jpeg(0)
    assert json.loads(found[1]["json"]) == content(1)
    assert set(found[2]) >= {"0.jpg", "1.png", "json"}
    gc.collect()  # webdataset leaves the file open


def test_index_gives_the_offsets_of_the_bytes(tmp_path: Path) -> None:
    write(tmp_path / "s.tar", samples())
    data = (tmp_path / "s.tar").read_bytes()
    rows = pq.read_table(tmp_path / "s.parquet").to_pylist()
    at = 0
    for row, sample in zip(rows, samples(), strict=True):
        assert row["offset"] == at
        at += row["size"]
        images = zip(row["image_offsets"], row["image_sizes"], strict=True)
        assert [data[offset : offset + size] for offset, size in images] == [
            bytes(image.data) for image in sample.images
        ]
        assert json.loads(data[row["json_offset"] : row["json_offset"] + row["json_size"]]) == json.loads(
            encode_sample(sample.record)
        )
        assert row["widths"] == [image.width for image in sample.images]
        assert row["heights"] == [image.height for image in sample.images]
        assert row["text_length"] == sum(len(turn.text) for turn in sample.record.turns)
        origin = (row["key"], row["source"], row["task"], row["language"], row["origin_file"], row["origin_row"])
        r = sample.record
        assert origin == (r.id, r.source, r.task, r.language, r.origin.file, r.origin.row)
    assert at + 1_024 == len(data)


def test_shard_when_samples_are_the_same_has_the_same_bytes(tmp_path: Path) -> None:
    one, two = (write(tmp_path / name, samples()) for name in ("a.tar", "b.tar"))
    for ending in (".tar", ".parquet"):
        first, second = (writer.path.with_suffix(ending).read_bytes() for writer in (one, two))
        assert first == second
    assert one.hash == two.hash == file_hash(tmp_path / "a.tar")
    assert one.image_bytes == sum(len(image.data) for sample in samples() for image in sample.images)


def test_shard_when_there_are_no_samples_is_an_empty_tar(tmp_path: Path) -> None:
    writer = write(tmp_path / "s.tar", [])
    assert (tmp_path / "s.tar").read_bytes() == bytes(1_024)
    assert pq.read_metadata(tmp_path / "s.parquet").num_rows == 0
    assert writer.hash == file_hash(tmp_path / "s.tar")


def test_shard_when_samples_exceed_the_write_buffer_is_complete(tmp_path: Path) -> None:
    big = [Sample(record(i), (SampleImage("jpg", bytes([i]) * 3_000_001, 1, 1),)) for i in range(5)]
    writer = write(tmp_path / "s.tar", big)
    assert writer.hash == file_hash(tmp_path / "s.tar")
    with tarfile.open(tmp_path / "s.tar") as archive:
        assert [m.size for m in archive.getmembers() if m.name.endswith("jpg")] == [3_000_001] * 5


def test_writer_when_a_sample_fails_writes_no_index(tmp_path: Path) -> None:
    with pytest.raises(ContractError), ShardWriter(tmp_path / "s.tar") as writer:
        writer.write(samples()[0])
        writer.write(Sample(replace(record(0), id="x" * 101)))
    assert not (tmp_path / "s.parquet").exists()


@pytest.mark.parametrize(("name", "size"), [("x" * 101, 1), ("é" * 51, 1), ("a", 8**11)])
def test_tar_header_when_name_or_size_does_not_fit_raises(name: str, size: int) -> None:
    with pytest.raises(ContractError):
        tar_header(name, size)
    assert len(tar_header("x" * 100, 8**11 - 1)) == 512
