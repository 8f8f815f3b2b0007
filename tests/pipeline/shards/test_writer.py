"""Shards: plain tars that everyone opens, with the same bytes each time, and an index that tells the truth."""

import gc
import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import webdataset

from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.commit.fingerprint import file_hash
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.shards.dataset import commit_shard, finish
from qvl.pipeline.shards.order import shard_plans, windows
from qvl.pipeline.shards.sample import Sample, SampleImage
from qvl.pipeline.shards.writer import ShardWriter, tar_header
from tests.pipeline.samples import encoded, jpeg, picture


def content(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": f"web-0123456789ab-{number:07d}",
        "source": "web",
        "task": "caption",
        "language": "zh" if number % 2 else "en",
        "turns": [{"role": "user", "text": "<img>0</img>Describe:"}, {"role": "assistant", "text": f" 猫 {number}"}],
        "regions": [],
        "origin": {"file": "a.tar", "row": number, "key": "k", "url": "u", "sha": "00"},
        **more,
    }


def samples() -> list[Sample]:
    png = encoded(picture(30, 20), "png")
    return [
        Sample(content(0), (SampleImage("jpg", jpeg(0), 40, 30),)),
        Sample(content(1), (SampleImage("png", memoryview(png), 30, 20),)),
        Sample(content(2), (SampleImage("jpg", jpeg(2), 40, 30), SampleImage("png", png, 30, 20))),
        Sample(content(3, task="text")),
        Sample(content(4), (SampleImage("webp", b"", 1, 1),)),
        Sample(content(5), (SampleImage("jpg", b"x" * 512, 1, 1),)),
    ]


def write(path: Path, chosen: list[Sample]) -> ShardWriter:
    with ShardWriter(path) as writer:
        for sample in chosen:
            writer.write(sample)
    return writer


def test_the_standard_library_reads_the_members_in_order(tmp_path: Path) -> None:
    write(tmp_path / "s.tar", samples())
    with tarfile.open(tmp_path / "s.tar") as archive:
        members = archive.getmembers()
        bodies = {member.name: archive.extractfile(member).read() for member in members}  # type: ignore[union-attr]
    keys = [sample.content["id"] for sample in samples()]
    assert list(bodies) == [
        *(f"{keys[0]}.jpg", f"{keys[0]}.json", f"{keys[1]}.png", f"{keys[1]}.json"),
        *(f"{keys[2]}.0.jpg", f"{keys[2]}.1.png", f"{keys[2]}.json", f"{keys[3]}.json"),
        *(f"{keys[4]}.webp", f"{keys[4]}.json", f"{keys[5]}.jpg", f"{keys[5]}.json"),
    ]
    assert bodies[f"{keys[0]}.jpg"] == jpeg(0)
    assert json.loads(bodies[f"{keys[1]}.json"]) == content(1)


def test_headers_are_canonical(tmp_path: Path) -> None:
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
def test_webdataset_opens_a_shard(tmp_path: Path) -> None:
    write(tmp_path / "s.tar", samples())
    found = list(webdataset.WebDataset(str(tmp_path / "s.tar"), shardshuffle=False))
    assert [row["__key__"] for row in found] == [sample.content["id"] for sample in samples()]
    assert found[0]["jpg"] == jpeg(0)
    assert json.loads(found[1]["json"]) == content(1)
    assert set(found[2]) >= {"0.jpg", "1.png", "json"}
    gc.collect()  # webdataset leaves the file open


def test_the_index_points_to_the_bytes(tmp_path: Path) -> None:
    write(tmp_path / "s.tar", samples())
    data = (tmp_path / "s.tar").read_bytes()
    rows = pq.read_table(tmp_path / "s.parquet").to_pylist()
    at = 0
    for row, sample in zip(rows, samples(), strict=True):
        assert row["offset"] == at
        at += row["size"]
        places = zip(row["image_offsets"], row["image_sizes"], strict=True)
        assert [data[offset : offset + size] for offset, size in places] == [
            bytes(image.data) for image in sample.images
        ]
        assert json.loads(data[row["json_offset"] : row["json_offset"] + row["json_size"]]) == sample.content
        assert row["widths"] == [image.width for image in sample.images]
        assert row["heights"] == [image.height for image in sample.images]
        assert row["text_length"] == sum(len(turn["text"]) for turn in sample.content["turns"])
        origin = (row["key"], row["source"], row["task"], row["language"], row["origin_file"], row["origin_row"])
        c = sample.content
        assert origin == (c["id"], c["source"], c["task"], c["language"], c["origin"]["file"], c["origin"]["row"])
    assert at + 1_024 == len(data)


def test_the_same_samples_give_the_same_bytes(tmp_path: Path) -> None:
    one, two = (write(tmp_path / name, samples()) for name in ("a.tar", "b.tar"))
    for ending in (".tar", ".parquet"):
        first, second = (writer.path.with_suffix(ending).read_bytes() for writer in (one, two))
        assert first == second
    assert one.hash == two.hash == file_hash(tmp_path / "a.tar")
    assert one.image_bytes == sum(len(image.data) for sample in samples() for image in sample.images)


def test_an_empty_shard_is_an_empty_archive(tmp_path: Path) -> None:
    writer = write(tmp_path / "s.tar", [])
    assert (tmp_path / "s.tar").read_bytes() == bytes(1_024)
    assert pq.read_metadata(tmp_path / "s.parquet").num_rows == 0
    assert writer.hash == file_hash(tmp_path / "s.tar")


def test_samples_beyond_the_write_buffer(tmp_path: Path) -> None:
    big = [Sample(content(i), (SampleImage("jpg", bytes([i]) * 3_000_001, 1, 1),)) for i in range(5)]
    writer = write(tmp_path / "s.tar", big)
    assert writer.hash == file_hash(tmp_path / "s.tar")
    with tarfile.open(tmp_path / "s.tar") as archive:
        assert [m.size for m in archive.getmembers() if m.name.endswith("jpg")] == [3_000_001] * 5


def test_an_error_leaves_no_index(tmp_path: Path) -> None:
    with pytest.raises(KeyError), ShardWriter(tmp_path / "s.tar") as writer:
        writer.write(samples()[0])
        writer.write(Sample({"id": "x"}))
    assert not (tmp_path / "s.parquet").exists()


@pytest.mark.parametrize(("name", "size"), [("x" * 101, 1), ("é" * 51, 1), ("a", 8**11)])
def test_what_the_header_cannot_hold_is_refused(name: str, size: int) -> None:
    with pytest.raises(ContractError):
        tar_header(name, size)
    assert len(tar_header("x" * 100, 8**11 - 1)) == 512


def test_a_committed_shard_counts_what_it_holds(tmp_path: Path) -> None:
    manifest = commit_shard(tmp_path, "d-000000", samples(), "mark")
    layout = Layout(tmp_path)
    assert manifest.samples == 6
    assert manifest.tasks == {"caption": 5, "text": 1}
    assert manifest.languages == {"en": 3, "zh": 3}
    assert manifest.sources == {"web": 6}
    assert manifest.bytes == layout.shard("d-000000").stat().st_size
    assert (manifest.hash, manifest.index_hash) == (
        file_hash(layout.shard("d-000000")),
        file_hash(layout.index("d-000000")),
    )
    assert commit_shard(tmp_path, "d-000000", samples(), "mark") == manifest
    with pytest.raises(ContractError, match="hash"):
        commit_shard(tmp_path, "d-000000", samples()[:-1], "mark")


def test_a_dataset_adds_its_shards_up(tmp_path: Path) -> None:
    plans = shard_plans("d", 6, windows(0, 1, [("u", 12)]))
    for plan in plans:
        commit_shard(tmp_path, plan.name, samples(), "mark")
    found = finish("d", tmp_path, plans, 12, {"rows": 20})
    assert (found.samples, found.tasks, found.lineage) == (12, {"caption": 10, "text": 2}, {"rows": 20})
    assert [shard.shard for shard in found.shards] == ["d-000000", "d-000001"]
    assert found.bytes == sum(shard.bytes for shard in found.shards)


def test_a_missing_or_short_shard_is_no_dataset(tmp_path: Path) -> None:
    plans = shard_plans("d", 6, windows(0, 1, [("u", 6)]))
    with pytest.raises(ContractError, match="d-000000"):
        finish("d", tmp_path, plans, 6, {})
    commit_shard(tmp_path, "d-000000", samples()[:5], "mark")
    with pytest.raises(ContractError, match="d-000000"):
        finish("d", tmp_path, plans, 6, {})
