"""Three Ray nodes on one machine, each a `ray start` of its own; one is killed in each stage. Same bytes, nothing lost."""

import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import ROOT, changed, dataset_hash, descendants, kill, manifests, qvl, start, wait_for
from tests.shared import HANG

RAY = [sys.executable, "-m", "ray.scripts.scripts"]
CHAOS_KILLS = 20
SEED = 7


@pytest.fixture(scope="module")
def scored(many_units: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe over many units, with every stage in it."""
    stages = "score: {phash: {}}\ndedup: {near_duplicate: {radius: 3}}\npack:"
    return changed(many_units, tmp_path_factory.mktemp("scored"), "pack:", stages)


@pytest.fixture(scope="module")
def expected(scored: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The dataset of an undisturbed serial run."""
    out = tmp_path_factory.mktemp("expected") / "out"
    result = qvl("curate", "run", str(scored), "--output", str(out))
    assert result.returncode == 0, result.stderr
    return dataset_hash(out)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Cluster:
    """A head and two workers; each node is a process group that can be killed as a machine dies."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.folder = folder
        head = ["--head", "--port", str(self.port), "--node-ip-address", "127.0.0.1", "--include-dashboard", "false"]
        self.nodes = [self._node(0, [*head, "--temp-dir", str(folder), "--num-cpus", "0"])]
        self._wait_for_head()
        self.nodes += [self.join(number) for number in (1, 2)]

    def _wait_for_head(self) -> None:
        end = time.monotonic() + HANG
        while time.monotonic() < end and self.nodes[0].poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.2)
            else:
                return
        raise RuntimeError((self.folder / "node-0.log").read_text())

    def _node(self, number: int, flags: list[str]) -> subprocess.Popen[bytes]:
        memory = ["--object-store-memory", str(100 << 20), "--disable-usage-stats", "--block"]
        command = [*RAY, "start", *flags, *memory]
        with (self.folder / f"node-{number}.log").open("wb") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, cwd=ROOT)

    def join(self, number: int) -> subprocess.Popen[bytes]:
        """A worker node with one CPU, started; on a busy machine a start may time out and is tried again."""
        for _ in range(3):
            node = self._node(number, ["--address", self.address, "--num-cpus", "1"])
            while node.poll() is None:
                if "Ray runtime started" in (self.folder / f"node-{number}.log").read_text():
                    return node
                time.sleep(0.2)
        raise RuntimeError((self.folder / f"node-{number}.log").read_text())

    def kill_worker(self, number: int) -> None:
        """The whole node at once: its raylet and all its workers."""
        node = self.nodes[number]
        for pid in [*descendants(node.pid), node.pid]:
            kill(pid)
        node.wait(HANG)

    def close(self) -> None:
        for node in reversed(self.nodes):
            for pid in [*descendants(node.pid), node.pid]:
                kill(pid)
            node.wait(HANG)


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    # nodes and driver share a token; Ray refuses a node or a driver without it
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef0123456789abcdef")
    # sockets have short paths only
    made = Cluster(Path(tmp_path_factory.mktemp("r", numbered=True)))
    yield made
    made.close()


def in_stage(out: Path, stage: str) -> Callable[[], bool]:
    """True once a stage has committed a piece of work."""
    return lambda: any((out / "manifests" / stage).glob("*.json"))


def finish(scored: Path, out: Path, process: "subprocess.Popen[str]", flags: list[str]) -> str:
    """The run to its end; by the same command again where it gave up."""
    process.communicate(timeout=HANG)
    if process.returncode != 0:
        again = qvl("curate", "run", str(scored), "--output", str(out), *flags)
        assert again.returncode == 0, again.stderr
    audit = qvl("curate", "audit", str(out))
    assert audit.returncode == 0, audit.stdout + audit.stderr
    return dataset_hash(out)


@pytest.mark.parametrize(
    "stage", ["score", *(pytest.param(name, marks=pytest.mark.long) for name in ("scan", "select", "pack"))]
)
def test_a_dead_node_changes_nothing(stage: str, scored: Path, expected: str, cluster: Cluster, tmp_path: Path) -> None:
    out, flags = tmp_path / "out", ["--workers", "ray", "--address", cluster.address]
    process = start(scored, out, *flags)
    if not wait_for(in_stage(out, stage), process):
        pytest.fail(f"the run ended before the stage was seen: {process.communicate()[1]}")
    cluster.kill_worker(2)
    assert finish(scored, out, process, flags) == expected


def killed_or_done(scored: Path, out: Path, more: int) -> bool:
    """Run serially until ``more`` pieces of work are committed, then kill; false where the run ended before."""
    process = start(scored, out)
    target = more + (manifests(out) if (out / "manifests").is_dir() else 0)
    met = wait_for(lambda: (out / "manifests").is_dir() and manifests(out) >= target, process)
    if met:
        kill(process.pid)
    process.communicate()
    return met


def test_chaos_ends_in_the_same_dataset(scored: Path, expected: str, tmp_path: Path) -> None:
    """A run is killed at seeded moments, begun anew where it came to its end, until there were enough kills."""
    moments, met, outs = random.Random(SEED), 0, [tmp_path / "0"]
    while met < CHAOS_KILLS and len(outs) <= CHAOS_KILLS:
        if killed_or_done(scored, outs[-1], moments.randint(1, 4)):
            met += 1
        else:
            outs.append(tmp_path / str(len(outs)))
    assert met == CHAOS_KILLS
    for out in outs:
        result = qvl("curate", "run", str(scored), "--output", str(out))
        assert result.returncode == 0, result.stderr
        audit = qvl("curate", "audit", str(out))
        assert audit.returncode == 0, audit.stderr
        assert dataset_hash(out) == expected
