"""Paths on a real S3 server on loopback: racing writers, injected 500s, slow and lost answers."""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import qvl.pipeline.storage.arrow_files
import qvl.pipeline.storage.stores
from qvl.pipeline.base.errors import ContractError, QvlError, RecipeError
from qvl.pipeline.commit.attempts import attempt, clear_attempts, publish
from qvl.pipeline.commit.fingerprint import content_hash, file_hash
from qvl.pipeline.commit.manifests import create_manifest, read_committed, read_manifest, restate_manifest
from qvl.pipeline.commit.records import encode
from qvl.pipeline.storage.arrow_files import load_array, load_slice, read_parquet, read_span
from qvl.pipeline.storage.atomic import replace_file
from qvl.pipeline.storage.paths import StorePath, map_concurrently, parse_path, remove_tree, size_of
from qvl.pipeline.storage.reader import Storage
from tests.s3_server import Proxy, environment, faulty_proxy, filesystem, s3_server
from tests.shared import HANG

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Receipt:
    rows: int
    fingerprint: str = ""


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with s3_server() as port:
        yield port


def folder_at(port: int, bucket: str, monkeypatch: pytest.MonkeyPatch) -> StorePath:
    """A folder in a bucket of the server, found through the environment as a user's run finds it."""
    for name, value in environment(port).items():
        monkeypatch.setenv(name, value)
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    found = filesystem(port)
    if not found.exists(bucket):
        found.call_s3("create_bucket", Bucket=bucket)
    result = parse_path(f"s3://{bucket}/run/")
    assert isinstance(result, StorePath)
    return result


@pytest.fixture
def out(server: int, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> StorePath:
    """An empty output on the server."""
    name = f"t{content_hash(request.node.name.encode())[:12]}"
    return folder_at(server, name, monkeypatch)


@pytest.fixture
def stumbling(server: int, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[StorePath]:
    """The same behind a proxy that injects faults, with short pauses between retries."""
    monkeypatch.setattr(qvl.pipeline.storage.stores, "FIRST_PAUSE", 0.01)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # the client's own retries pause too
    with faulty_proxy(server) as port:
        yield folder_at(port, f"p{content_hash(request.node.name.encode())[:12]}", monkeypatch)


def test_a_store_path_has_the_parts_of_a_local_path() -> None:
    path = parse_path("s3://bucket/run/") / "shards" / "a-000001.tar"
    assert str(path) == "s3://bucket/run/shards/a-000001.tar"
    assert (path.name, path.stem, path.suffix) == ("a-000001.tar", "a-000001", ".tar")
    assert path.with_suffix(".parquet").name == "a-000001.parquet"
    assert path.parent.parent == parse_path("s3a://bucket/run")
    assert pickle.loads(pickle.dumps(path)) == path.resolve() == path
    assert parse_path("out/x") == Path("out/x")
    assert parse_path("file:///tmp/x") == Path("/tmp/x")


@pytest.mark.parametrize("url", ["sftp://host/x", "https://host/x", "nonsense://x", "s3:/x/y://"])
def test_a_store_without_conditional_create_is_an_error(url: str) -> None:
    with pytest.raises(RecipeError, match="create a file only if it does not exist"):
        parse_path(url)


def test_a_url_that_lost_a_slash_is_an_error() -> None:
    with pytest.raises(RecipeError, match="two slashes"):
        parse_path(Path("s3://bucket/run"))


def test_when_credentials_are_missing_the_message_says_how_to_log_in(server: int) -> None:
    script = "from qvl.pipeline.storage.paths import parse_path; parse_path('s3://bucket/x').is_file()"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    found = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server}", "AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nowhere"}
    command = [sys.executable, "-c", script]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env={**clean, **found})
    assert "QvlError: the store asks for credentials" in result.stderr


def test_files_are_written_listed_and_removed(out: StorePath, tmp_path: Path) -> None:
    assert not out.is_dir()
    assert list((out / "manifests").glob("*.json")) == []
    with attempt(out) as private:
        (private / "a.bin").write_bytes(b"0123456789")
        publish(private / "a.bin", out / "shards" / "a.bin", "")
    assert not private.exists()
    replace_file(out / "shards" / "b.json", b"{}")
    replace_file(out / "shards" / "b.json", b"[]")
    assert out.is_dir()
    assert (out / "shards" / "a.bin").is_file()
    assert not (out / "shards").is_file()
    assert size_of(out / "shards" / "a.bin") == 10
    assert [path.name for path in (out / "shards").glob("*.*")] == ["a.bin", "b.json"]
    assert [path.name for path in (out / "shards").glob("*.json")] == ["b.json"]
    assert file_hash(out / "shards" / "a.bin") == content_hash(b"0123456789")
    assert read_span(out / "shards" / "a.bin", 3, 6) == b"345"
    (out / "shards" / "a.bin").unlink()
    (out / "shards" / "a.bin").unlink(missing_ok=True)
    assert not (out / "shards" / "a.bin").is_file()
    remove_tree(out / "shards")
    remove_tree(out / "shards")
    assert not out.is_dir()


def test_arrays_and_tables_are_read_from_a_store_as_from_a_disk(
    out: StorePath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = np.zeros(1000, [("low", "<u8"), ("group", "<u4"), ("row", "<u4")])
    records["low"], records["row"] = np.arange(1000) ** 2, np.arange(1000)
    table = pa.table({"a": list(range(5000)), "b": [f"text {i}" for i in range(5000)]})
    np.save(tmp_path / "a.npy", records)
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=700)
    for name in ("a.npy", "t.parquet"):
        publish(tmp_path / name, out / name, "")
    for where in (tmp_path, out):
        np.testing.assert_array_equal(load_array(where / "a.npy"), records)
        for first, last in ((0, 0), (0, 1000), (17, 400), (999, 1000), (1000, 1000)):
            np.testing.assert_array_equal(load_slice(where / "a.npy", first, last), records[first:last])
        assert read_parquet(where / "t.parquet").equals(table)
    monkeypatch.setattr(qvl.pipeline.storage.arrow_files, "WHOLE_BYTES", 100)
    assert read_parquet(out / "t.parquet", ["b"]).equals(table.select(["b"]))


def test_the_first_manifest_wins_and_equal_content_is_accepted(out: StorePath) -> None:
    path = out / "m.json"
    assert read_manifest(path, Receipt) is None
    assert create_manifest(path, Receipt(3, "a")) == Receipt(3, "a")
    assert create_manifest(path, Receipt(fingerprint="a", rows=3)).rows == 3
    with pytest.raises(ContractError, match=r"different results \(rows\)"):
        create_manifest(path, Receipt(4, "a"))
    assert read_manifest(path, Receipt) == Receipt(3, "a")
    assert restate_manifest(path, Receipt(5, "new")).rows == 5
    assert read_committed(path, "new", [path], Receipt) == Receipt(5, "new")
    assert read_committed(path, "new", [out / "gone.tar"], Receipt) is None
    assert read_manifest(path, Receipt) is None


@pytest.mark.parametrize("race", range(3))
def test_when_writers_race_exactly_one_wins(out: StorePath, race: int) -> None:
    start = Barrier(8)

    def write(number: int) -> bool:
        start.wait()
        try:
            create_manifest(out / f"m{race}.json", Receipt(number))
        except ContractError:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(write, range(8)))
    assert won.count(True) == 1
    assert read_manifest(out / f"m{race}.json", Receipt) == Receipt(won.index(True))


def test_many_calls_run_at_once_and_answer_in_order(out: StorePath) -> None:
    for number in range(40):
        replace_file(out / f"{number}.json", encode(Receipt(number)))
    read = map_concurrently(out, lambda n: read_manifest(out / f"{n}.json", Receipt), range(40))
    assert read == [Receipt(number) for number in range(40)]


FAULTS = [["refuse"], ["refuse", "refuse"], ["slow"], ["lost"], ["lost", "refuse", "lost"]]


@pytest.mark.parametrize("faults", FAULTS, ids=" ".join)
def test_when_the_store_fails_at_times_there_is_one_manifest(stumbling: StorePath, faults: list[str]) -> None:
    Proxy.plan[:] = list(faults)
    assert create_manifest(stumbling / "m.json", Receipt(7)) == Receipt(7)
    assert not Proxy.plan, "every fault was met"
    assert any(fault in line for line in Proxy.seen for fault in faults)
    assert read_manifest(stumbling / "m.json", Receipt) == Receipt(7)


def test_when_the_answer_to_a_write_is_lost_a_disagreement_is_still_an_error(stumbling: StorePath) -> None:
    create_manifest(stumbling / "m.json", Receipt(1))
    Proxy.plan[:] = ["lost", "refuse"]
    with pytest.raises(ContractError):
        create_manifest(stumbling / "m.json", Receipt(2))


def test_when_a_store_never_answers_the_error_is_one_line_and_not_a_missing_file(stumbling: StorePath) -> None:
    replace_file(stumbling / "there.json", b"{}")
    Proxy.share, Proxy.faults = 1.0, ("refuse",)
    for act in (
        lambda: create_manifest(stumbling / "m.json", Receipt(1)),
        (stumbling / "there.json").is_file,
        lambda: Storage().exists(str(stumbling / "there.json")),
        lambda: list(stumbling.glob("*.json")),
        lambda: read_parquet(stumbling / "there.json"),
    ):
        with pytest.raises(QvlError, match="failed 6 times in a row"):
            act()
    Proxy.share = 0.0
    assert read_manifest(stumbling / "m.json", Receipt) is None
    assert read_committed(stumbling / "there.json", "x", [], Receipt) is None


def test_read_when_the_store_freezes_in_the_middle_is_repeated_and_then_an_error(
    server: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stores = qvl.pipeline.storage.stores
    monkeypatch.setattr(stores, "TIMEOUTS", {"connect_timeout": 1, "read_timeout": 0.5})
    monkeypatch.setattr(stores, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(stores, "NOTICE_AFTER", 0.1)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with faulty_proxy(server) as port:
        file = folder_at(port, "frozen", monkeypatch) / "x.bin"
        file.write_bytes(b"x" * 1000)
        Proxy.plan[:] = ["freeze"]
        assert file.read_bytes() == b"x" * 1000
        Proxy.plan[:] = ["freeze"] * 50
        with pytest.raises(QvlError, match="the store failed 6 times in a row"):
            file.read_bytes()
        Proxy.plan[:] = []
    assert "waiting for the store" in capsys.readouterr().err


INTERRUPTED = """
import os, signal, threading, time
from qvl.pipeline.storage.paths import map_with_threads
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    map_with_threads(lambda _: time.sleep(10_000), range(40))
except KeyboardInterrupt:
    print("stopped")
"""


def test_concurrent_calls_when_interrupted_do_not_wait_for_a_frozen_store() -> None:
    command = [sys.executable, "-c", INTERRUPTED]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=HANG, check=True)
    assert ended.stdout == "stopped\n"


REQUESTS: dict[str, Callable[[StorePath], object]] = {
    "HEAD": lambda path: path.is_file(),
    "size": lambda path: path.size(),
    "GET": lambda path: path.read_bytes(),
    "PUT": lambda path: path.write_bytes(b"2"),
    "create": lambda path: path.create(b"2"),
    "list": lambda path: list(path.parent.glob("*")),
}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_when_the_token_has_expired_the_first_answer_says_so(
    stumbling: StorePath, request_: Callable[[StorePath], object]
) -> None:
    (stumbling / "m").write_bytes(b"1")
    Proxy.seen.clear()
    Proxy.share, Proxy.faults = 1.0, ("expired",)
    with pytest.raises(PermissionError, match="ExpiredToken"):
        request_(stumbling / "m")
    assert len(Proxy.seen) <= 4, Proxy.seen


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_when_a_redirection_names_no_region_the_message_says_what_to_set(
    stumbling: StorePath, request_: Callable[[StorePath], object]
) -> None:
    (stumbling / "m").write_bytes(b"1")
    Proxy.share, Proxy.faults = 1.0, ("redirect",)
    with pytest.raises(
        QvlError, match="redirects this request to another region and does not name it; set AWS_DEFAULT"
    ):
        request_(stumbling / "m")


def test_uploads_that_nobody_finished_are_aborted_below_the_output_only(out: StorePath, server: int) -> None:
    files, (bucket, _, prefix) = filesystem(server), out.url.removeprefix("s3://").partition("/")
    for key in (f"{prefix}/shards/a.tar", f"{prefix}2/b.tar"):
        begun = files.call_s3("create_multipart_upload", Bucket=bucket, Key=key)
        files.call_s3(
            "upload_part", Bucket=bucket, Key=key, UploadId=begun["UploadId"], PartNumber=1, Body=b"half of a shard"
        )
    clear_attempts(out)
    left = files.call_s3("list_multipart_uploads", Bucket=bucket)["Uploads"]
    assert [upload["Key"] for upload in left] == [f"{prefix}2/b.tar"]
