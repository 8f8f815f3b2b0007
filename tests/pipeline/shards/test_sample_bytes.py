"""Samples of remote shards: range requests, a bounded cache that is filled ahead, and stores that fail."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from s3fs import S3FileSystem

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.shards.reader import absent_files, open_dataset, read_index
from qvl.pipeline.shards.sample_bytes import FetchAhead, ShardBytes, cached_path
from tests.s3_server import environment, filesystem, s3_server
from tests.training.made import of_task, write_dataset


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    samples = [of_task("caption", number) for number in range(40)]
    return write_dataset(tmp_path_factory.mktemp("local"), "d", samples, shard_rows=10)


@pytest.fixture(scope="module")
def remote(local: Path) -> Iterator[str]:
    """The same dataset on a real S3 server."""
    with s3_server() as port, pytest.MonkeyPatch.context() as patch:
        for name, value in environment(port).items():
            patch.setenv(name, value)
        S3FileSystem.clear_instance_cache()  # fsspec caches the file systems of earlier tests, whose servers have stopped
        store = filesystem(port)
        store.call_s3("create_bucket", Bucket="bucket")
        store.put(str(local), "bucket/shards", recursive=True)
        yield "s3://bucket/shards"
        S3FileSystem.clear_instance_cache()


def everything(folder: str, reader: ShardBytes) -> list[bytes]:
    found = []
    for shard in open_dataset(folder).shards:
        index = read_index(shard.index, ["offset", "size"])
        found += [reader.read(shard.tar, *row) for row in zip(*(c.to_pylist() for c in index.columns), strict=True)]
    return found


def test_read_from_a_store_or_the_cache_gives_the_bytes_of_local_shards(
    local: Path, remote: str, tmp_path: Path
) -> None:
    expected = everything(str(local), ShardBytes())
    assert absent_files(open_dataset(remote)) == []
    assert everything(remote, ShardBytes()) == expected
    ahead, reader = FetchAhead(tmp_path), ShardBytes(tmp_path)
    for shard in open_dataset(remote).shards:
        ahead.want(shard.tar)
    ahead.wait()
    ahead.close()
    assert ahead.failures == 0 and len(list(tmp_path.glob("*.tar"))) == 4
    os.environ["AWS_ENDPOINT_URL"], kept = "http://127.0.0.1:9", os.environ["AWS_ENDPOINT_URL"]
    S3FileSystem.clear_instance_cache()
    try:  # nothing listens at that address, so the bytes come from the cache
        shards = open_dataset(str(local)).shards
        tars = [f"{remote}/{shard.name}.tar" for shard in shards]
        index = [read_index(shard.index, ["offset", "size"]).to_pylist() for shard in shards]
        rows = [(tar, row) for tar, table in zip(tars, index, strict=True) for row in table]
        assert [reader.read(tar, row["offset"], row["size"]) for tar, row in rows] == expected
    finally:
        os.environ["AWS_ENDPOINT_URL"] = kept
        reader.close()


def test_fetch_ahead_when_the_cache_is_full_evicts_the_oldest_shard(remote: str, tmp_path: Path) -> None:
    shards = open_dataset(remote).shards
    limit = 2 * max(shard.bytes for shard in shards)
    ahead = FetchAhead(tmp_path, limit)
    for number, shard in enumerate(shards):
        ahead.want(shard.tar)
        ahead.wait()
        assert sum(path.stat().st_size for path in tmp_path.glob("*.tar")) <= limit
        os.utime(
            cached_path(tmp_path, shard.tar), (number, number)
        )  # the time of arrival, whatever the clock's precision
    ahead.close()
    assert cached_path(tmp_path, shards[-1].tar).exists() and not cached_path(tmp_path, shards[0].tar).exists()


def test_fetch_ahead_when_a_shard_is_missing_counts_a_failure_and_read_raises(remote: str, tmp_path: Path) -> None:
    ahead = FetchAhead(tmp_path)
    ahead.want(f"{remote}/nowhere.tar")
    ahead.wait()
    ahead.close()
    assert ahead.failures == 1
    with pytest.raises(FileNotFoundError):
        ShardBytes(tmp_path).read(f"{remote}/nowhere.tar", 0, 10)


def test_fetch_ahead_when_a_shard_is_local_copies_nothing(local: Path, tmp_path: Path) -> None:
    ahead = FetchAhead(tmp_path)
    ahead.want(open_dataset(str(local)).shards[0].tar)
    ahead.wait()
    ahead.close()
    assert not list(tmp_path.glob("*.tar"))


def test_read_when_a_shard_is_truncated_raises_data_error(local: Path) -> None:
    shard = open_dataset(str(local)).shards[0]
    with pytest.raises(DataError, match="truncated"):
        ShardBytes().read(shard.tar, shard.bytes - 4, 10)
