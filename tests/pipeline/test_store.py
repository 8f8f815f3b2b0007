"""The commit on a real S3 server program on loopback: racing writers, injected 500s, slow and lost answers."""

import http.client
import http.server
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import pytest

import pipeline.store
from pipeline.errors import ContractError, QvlError
from pipeline.fingerprint import content_hash
from pipeline.store import Store

pytest.importorskip("s3fs")
pytest.importorskip("moto")
pytestmark = pytest.mark.filterwarnings("default")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    """moto_server in a process of its own."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            time.sleep(0.1)
    yield port
    process.terminate()
    process.wait(10)


class Faulty(http.server.BaseHTTPRequestHandler):
    """Passes requests on, but answers some with 500, some late, and some writes with 500 after they have arrived."""

    target = 0
    plan: ClassVar[list[str]] = []
    lock = threading.Lock()
    seen: ClassVar[list[str]] = []
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        with self.lock:
            fault = self.plan.pop(0) if self.plan else "pass"
            self.seen.append(f"{self.command} {fault}")
        if fault == "slow":
            time.sleep(1.5)
        status, headers, content = 500, [], b"<Error><Code>InternalError</Code></Error>"
        if fault != "refuse":
            upstream = http.client.HTTPConnection("127.0.0.1", self.target, timeout=30)
            upstream.request(self.command, self.path, body, dict(self.headers.items()))
            response = upstream.getresponse()
            content = response.read()
            if fault != "lost":
                status, headers = response.status, response.getheaders()
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        head = self.command == "HEAD"
        size = next((v for n, v in headers if n.lower() == "content-length"), "0") if head else str(len(content))
        self.send_header("Content-Length", size)
        self.end_headers()
        if not head:
            self.wfile.write(content)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answer

    def log_message(self, format: str, *arguments: object) -> None:
        """Quiet."""


@pytest.fixture
def proxy(server: int) -> Iterator[int]:
    Faulty.target, Faulty.plan, Faulty.seen = server, [], []
    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Faulty)
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    yield int(proxy.server_address[1])
    proxy.shutdown()
    proxy.server_close()


def store_at(port: int, bucket: str, **more: object) -> Store:
    import s3fs

    options = {"key": "test", "secret": "test", "endpoint_url": f"http://127.0.0.1:{port}"}
    config = {"retries": {"max_attempts": 1}, **more}
    client = {"region_name": "us-east-1"}
    filesystem = s3fs.S3FileSystem(**options, client_kwargs=client)
    if not filesystem.exists(bucket):
        filesystem.call_s3("create_bucket", Bucket=bucket)
    settings = (*options.items(), ("client_kwargs", client), ("config_kwargs", config), ("skip_instance_cache", True))
    return Store(f"s3://{bucket}/run", settings)


def test_the_first_manifest_wins_and_the_same_again_is_welcome(server: int) -> None:
    store = store_at(server, "first")
    assert store.read_manifest("m.json") is None
    assert store.create_manifest("m.json", {"rows": 3, "hash": "a"}) == {"rows": 3, "hash": "a"}
    assert store.create_manifest("m.json", {"hash": "a", "rows": 3})["rows"] == 3
    with pytest.raises(ContractError, match=r"other results \(rows\)"):
        store.create_manifest("m.json", {"rows": 4, "hash": "a"})
    assert store.read_manifest("m.json") == {"rows": 3, "hash": "a"}


@pytest.mark.parametrize("race", range(3))
def test_of_racing_writers_one_wins(server: int, race: int) -> None:
    store = store_at(server, "race")
    start = threading.Barrier(8)

    def write(number: int) -> bool:
        start.wait()
        try:
            store.create_manifest(f"m{race}.json", {"by": number})
        except ContractError:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(write, range(8)))
    assert won.count(True) == 1
    assert store.read_manifest(f"m{race}.json") == {"by": won.index(True)}


def test_two_processes_race_with_equal_results(server: int, tmp_path: Path) -> None:
    store = store_at(server, "equal")
    (tmp_path / "part.bin").write_bytes(b"x" * 100_000)

    def attempt(_: int) -> str:
        name = store.publish(tmp_path / "part.bin", "shards")
        store.create_manifest("m.json", {"file": name})
        return name

    with ThreadPoolExecutor(2) as threads:
        names = list(threads.map(attempt, range(2)))
    assert len(set(names)) == 1
    store.fetch(names[0], tmp_path / "back.bin")
    assert (tmp_path / "back.bin").read_bytes() == b"x" * 100_000
    assert Path(names[0]).stem == content_hash(b"x" * 100_000)


FAULTS = [["refuse"], ["refuse", "refuse"], ["slow"], ["lost"], ["lost", "refuse", "lost"]]


@pytest.mark.parametrize("faults", FAULTS, ids=" ".join)
def test_a_store_that_stumbles_ends_in_one_manifest(
    proxy: int, faults: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline.store, "FIRST_PAUSE", 0.01)
    store = store_at(proxy, "stumbles")
    name = "-".join(faults) + ".json"
    Faulty.plan[:] = list(faults)
    assert store.create_manifest(name, {"rows": 7}) == {"rows": 7}
    assert not Faulty.plan, "every fault was met"
    assert any(fault in line for line in Faulty.seen for fault in faults)
    assert store.read_manifest(name) == {"rows": 7}


def test_a_write_whose_answer_is_lost_does_not_hide_a_disagreement(proxy: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline.store, "FIRST_PAUSE", 0.01)
    store = store_at(proxy, "hidden")
    store.create_manifest("m.json", {"rows": 1})
    Faulty.plan[:] = ["lost", "refuse"]
    with pytest.raises(ContractError):
        store.create_manifest("m.json", {"rows": 2})


def test_a_store_that_never_answers_is_one_line(proxy: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline.store, "FIRST_PAUSE", 0.001)
    store = store_at(proxy, "down")
    Faulty.plan[:] = ["refuse"] * 200
    with pytest.raises(QvlError, match="failed 6 times"):
        store.create_manifest("m.json", {"rows": 1})
    Faulty.plan[:] = []
    assert store.read_manifest("m.json") is None


def test_changed_bytes_are_noticed(server: int, tmp_path: Path) -> None:
    store = store_at(server, "changed")
    (tmp_path / "a.bin").write_bytes(b"right")
    name = store.publish(tmp_path / "a.bin", "shards")
    filesystem, root = store._open()
    filesystem.pipe_file(f"{root}/{name}", b"wrong")
    with pytest.raises(ContractError, match="not those committed"):
        store.fetch(name, tmp_path / "b.bin")
    with pytest.raises(ContractError, match="is gone"):
        store.fetch("shards/none.bin", tmp_path / "b.bin")
