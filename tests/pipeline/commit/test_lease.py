"""The lock of an output on a store: one owner at a time, even if processes die, are suspended or race."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import orjson
import pytest
import s3fs

import qvl.pipeline.commit.lease
from qvl.pipeline.base.errors import QvlError, RecipeError
from qvl.pipeline.commit.lock import output_lock
from qvl.pipeline.storage.paths import StorePath, parse_path
from tests.s3_server import Proxy, environment, faulty_proxy, filesystem, s3_server
from tests.shared import HANG

ROOT = Path(__file__).parents[3]
HOLD = """
import sys
from qvl.pipeline.commit.lock import output_lock
from qvl.pipeline.storage.paths import parse_path
with output_lock(parse_path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with s3_server() as port:
        filesystem(port).call_s3("create_bucket", Bucket="locks")
        yield port


@pytest.fixture
def out(server: int, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> StorePath:
    for name, value in environment(server).items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    result = parse_path(f"s3://locks/{request.node.name}")
    assert isinstance(result, StorePath)
    return result


def owner(out: StorePath) -> str:
    (only,) = (path.name for path in (out / ".lock").glob("*.json"))
    return only


def someone_else(out: StorePath) -> None:
    """An owner on another machine that has just renewed its lease."""
    content = {"machine": "elsewhere", "process": 1, "started": "1", "host": "far", "run": "x", "renewals": 3}
    (out / ".lock" / "00000004.json").write_bytes(orjson.dumps(content))


def test_one_run_holds_the_output_and_the_next_run_gets_the_next_number(out: StorePath) -> None:
    with output_lock(out) as check:
        check()
        match = rf"another run \(process {os.getpid()} on .*lease expires in \d+ seconds"
        with pytest.raises(QvlError, match=match), output_lock(out):
            pytest.fail("two runs hold one output")
    with output_lock(out) as check:
        check()
        assert owner(out) == "00000002.json"


def test_the_lock_is_released_after_an_error(out: StorePath) -> None:
    with pytest.raises(RuntimeError), output_lock(out):
        raise RuntimeError
    with output_lock(out):
        pass


def test_when_runs_race_exactly_one_holds_the_output(out: StorePath) -> None:
    start, held = Barrier(6), Barrier(6)

    def try_it(_: int) -> bool:
        start.wait()
        try:
            with output_lock(out):
                held.wait(HANG)
        except QvlError:
            held.wait(HANG)
            return False
        return True

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(try_it, range(6))).count(True) == 1


def test_when_a_process_of_this_machine_is_dead_its_lease_is_taken_over(out: StorePath, server: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(QvlError, match=f"process {holder.pid} on"), output_lock(out):
            pass
        holder.kill()
        holder.wait()
        with output_lock(out):
            assert owner(out) == "00000002.json"


def test_another_machines_lease_is_taken_over_only_after_it_expired(
    out: StorePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    someone_else(out)
    with (
        pytest.raises(QvlError, match=r"process 1 on far\) is writing here.*expires in (5\d|60) seconds"),
        output_lock(out),
    ):
        pass
    monkeypatch.setattr(qvl.pipeline.commit.lease, "LEASE", 0.0)
    time.sleep(1.1)  # the store's clock counts whole seconds
    with output_lock(out):
        assert owner(out) == "00000005.json"


def test_a_run_that_lost_the_output_stops_and_leaves_the_new_owner_alone(
    out: StorePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qvl.pipeline.commit.lease, "RENEWAL", 0.05)
    with pytest.raises(QvlError, match="another run took over"), output_lock(out) as check:
        someone_else(out)
        end = time.monotonic() + HANG
        while time.monotonic() < end:
            check()
            time.sleep(0.02)
    assert (out / ".lock" / "00000004.json").is_file()
    assert b"released" not in (out / ".lock" / "00000004.json").read_bytes()


def test_a_suspended_run_continues_if_no_other_run_took_over(out: StorePath, monkeypatch: pytest.MonkeyPatch) -> None:
    with output_lock(out) as check:
        monkeypatch.setattr(qvl.pipeline.commit.lease, "LEASE", -1.0)
        check()
        someone_else(out)
        with pytest.raises(QvlError, match="another run took over"):
            check()


def test_a_store_that_ignores_conditional_writes_is_an_error(
    out: StorePath, server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty_proxy(server) as port:
        monkeypatch.setattr(Proxy, "dropped", ("if-none-match",))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        s3fs.S3FileSystem.clear_instance_cache()
        with pytest.raises(RecipeError, match="ignores conditional writes"), output_lock(out):
            pass
    s3fs.S3FileSystem.clear_instance_cache()


def test_a_missing_bucket_is_an_error_of_one_line(out: StorePath) -> None:
    with pytest.raises(RecipeError, match="no such bucket"), output_lock(StorePath("s3://nowhere/x")):
        pass
