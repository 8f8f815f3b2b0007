"""Whole runs whose output lies on S3, against a server program on loopback: the bytes of a local run, whatever happens."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import ROOT, changed, dataset_hash, descendants, kill, qvl, wait_for
from tests.end_to_end.test_three_nodes import Cluster
from tests.s3_server import Proxy, environment, faulty_proxy, filesystem, s3_server
from tests.shared import HANG, demo_output

DEMO = ROOT / "examples" / "demo.yaml"
GROUNDING = ROOT / "examples" / "grounding_demo.yaml"
SHORT_PAUSES = "import qvl.pipeline.storage.stores as stores; stores.FIRST_PAUSE = 0.02"
PRIVATE = (".lock", ".attempts")
SEED = 11


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with s3_server() as port:
        yield port


class Bucket:
    """A bucket of the server, and the command run with the server's address in its environment."""

    def __init__(self, server: int, name: str) -> None:
        self.server, self.files = server, filesystem(server)
        self.files.call_s3("create_bucket", Bucket=name)
        self.name, self.url, self.out = name, f"s3://{name}", f"s3://{name}/deep/out"

    def environment(self, port: int | None = None) -> dict[str, str]:
        return {**os.environ, **environment(port or self.server), "AWS_MAX_ATTEMPTS": "2"}

    def start(self, *arguments: str, port: int | None = None, before: str = "") -> subprocess.Popen[str]:
        """The command; ``before`` are statements in front of it."""
        code = f"{before}\nfrom qvl.command import main; main()"
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            cwd=ROOT,
            env=self.environment(port),
        )

    def qvl(self, *arguments: str, port: int | None = None) -> str:
        """The command to its end, which must be a good one."""
        process = self.start(*arguments, port=port)
        answer, errors = process.communicate(timeout=HANG)
        assert process.returncode == 0, answer + errors
        return answer

    def refused(self, *arguments: str, port: int | None = None) -> str:
        """The one line with which the command ends that cannot do what was asked."""
        process = self.start(*arguments, port=port)
        answer, errors = process.communicate(timeout=HANG)
        assert process.returncode == 2, answer + errors
        return errors

    def content(self, out: str | None = None) -> dict[str, bytes]:
        """Every file of an output by its path below it."""
        root = (out or self.out).removeprefix("s3://") + "/"
        found = {path.removeprefix(root): self.files.cat_file(path) for path in self.files.find(root)}
        return {name: data for name, data in found.items() if not name.startswith(PRIVATE)}

    def manifests(self) -> int:
        """Committed pieces of work so far."""
        return sum(1 for path in self.files.find(f"{self.out}/manifests") if path.endswith(".json"))

    def hash(self) -> str:
        return str(json.loads(self.files.cat_file(f"{self.out}/shards/dataset.json"))["hash"])


@pytest.fixture
def bucket(server: int, request: pytest.FixtureRequest) -> Bucket:
    name = "".join(c if c.isalnum() else "-" for c in request.node.name.lower()).strip("-")
    return Bucket(server, f"{name[:40].strip('-')}-{len(name)}")


def local_content(out: Path) -> dict[str, bytes]:
    found = {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    return {name: data for name, data in found.items() if not name.startswith(PRIVATE)}


def same_files(here: dict[str, bytes], there: dict[str, bytes]) -> None:
    """Both outputs hold the same files with the same bytes; a difference is told by name."""
    assert sorted(here) == sorted(there)
    assert [name for name in here if here[name] != there[name]] == []


def test_the_demo_on_s3_is_byte_for_byte_the_local_one_and_answers_the_same(
    bucket: Bucket, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(demo_output(tmp_path_factory) / "demo", tmp_path / "out"))
    bucket.qvl("curate", "run", str(DEMO), "--output", bucket.out)
    same_files(local_content(out), bucket.content())
    questions: list[tuple[str, ...]] = [
        ("audit", "OUT"),
        ("whatif", "OUT", "aspect_ratio.maximum=2", "image_bytes.minimum=9000", "dedup.near_duplicate=null"),
        ("solve", "OUT", "--source", "museum", "--keep", "0.3", "--threshold", "word_count.minimum"),
    ]
    for question in questions:
        ours, theirs = ([word.replace("OUT", place) for word in question] for place in (str(out), bucket.out))
        here, there = qvl("curate", *ours, "--json"), bucket.qvl("curate", *theirs, "--json")
        assert here.returncode == 0, here.stderr
        assert json.loads(here.stdout) == json.loads(there), question


def test_inputs_and_output_on_s3_with_ray(bucket: Bucket, many_units: Path, undisturbed: str, tmp_path: Path) -> None:
    for path in many_units.parent.glob("*.tar"):
        bucket.files.put_file(str(path), f"{bucket.url}/in/{path.name}")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(many_units.read_text().replace("'*.tar'", f"'{bucket.url}/in/*.tar'"))
    bucket.qvl("curate", "run", str(recipe), "--output", bucket.out, "--workers", "ray")
    assert bucket.hash() == undisturbed
    assert json.loads(bucket.qvl("curate", "audit", bucket.out, "--json"))["discrepancy"] is None
    greedy = recipe.with_name("greedy.yaml")
    greedy.write_text(recipe.read_text().replace("/in/*.tar", "/**/*.tar"))
    refused = bucket.refused("curate", "run", str(greedy), "--output", bucket.out)
    assert "matches what the run itself would write" in refused


@pytest.mark.parametrize("share", [0.03, pytest.param(0.15, marks=pytest.mark.long)])
def test_a_store_that_fails_is_slow_and_loses_answers(
    share: float, bucket: Bucket, many_units: Path, undisturbed: str
) -> None:
    with faulty_proxy(bucket.server, share, slow=0.3, seed=SEED) as port:
        bucket.qvl("curate", "run", str(many_units), "--output", bucket.out, port=port)
    assert bucket.hash() == undisturbed
    assert json.loads(bucket.qvl("curate", "audit", bucket.out, "--json"))["discrepancy"] is None


def test_a_store_that_goes_away_is_one_line_and_the_same_command_goes_on(
    bucket: Bucket, many_units: Path, undisturbed: str
) -> None:
    with faulty_proxy(bucket.server) as port:
        process = bucket.start(
            "curate", "run", str(many_units), "--output", bucket.out, port=port, before=SHORT_PAUSES
        )  # fmt: skip
        assert wait_for(lambda: bucket.manifests() >= 3, process)
        Proxy.share, Proxy.faults = 1.0, ("cut",)
    _, errors = process.communicate(timeout=HANG)
    assert process.returncode == 2, errors
    assert "the store failed 6 times in a row" in errors
    assert "Traceback" not in errors
    bucket.qvl("curate", "run", str(many_units), "--output", bucket.out)
    assert bucket.hash() == undisturbed


@pytest.mark.parametrize("kills", [2, pytest.param(8, marks=pytest.mark.long)])
def test_a_killed_driver_is_followed_by_the_same_command(
    kills: int, bucket: Bucket, many_units: Path, undisturbed: str
) -> None:
    moments, met = random.Random(SEED), 0
    for _ in range(kills):
        target = bucket.manifests() + moments.randint(1, 8)
        process = bucket.start("curate", "run", str(many_units), "--output", bucket.out)
        if wait_for(lambda target=target: bucket.manifests() >= target, process):
            kill(process.pid)
            met += 1
        _, errors = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), errors
    assert met >= 1
    bucket.qvl("curate", "run", str(many_units), "--output", bucket.out)
    assert bucket.hash() == undisturbed
    assert json.loads(bucket.qvl("curate", "audit", bucket.out, "--json"))["discrepancy"] is None


@pytest.mark.long
def test_a_killed_ray_driver_is_followed_by_the_same_command(
    bucket: Bucket, many_units: Path, undisturbed: str
) -> None:
    process = bucket.start("curate", "run", str(many_units), "--output", bucket.out, "--workers", "ray")
    assert wait_for(lambda: bucket.manifests() >= 3, process)
    below = descendants(process.pid)
    kill(process.pid)
    process.communicate()
    for pid in below:
        kill(pid)
    bucket.qvl("curate", "run", str(many_units), "--output", bucket.out)
    assert bucket.hash() == undisturbed


@pytest.mark.long
def test_three_nodes_without_a_common_output_folder(
    bucket: Bucket,
    many_units: Path,
    undisturbed: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    tokens = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef0123456789abcdef"}
    for name, value in {**environment(bucket.server), **tokens}.items():
        monkeypatch.setenv(name, value)
    cluster = Cluster(Path(tmp_path_factory.mktemp("r", numbered=True)))
    try:
        flags = ["--workers", "ray", "--address", cluster.address]
        process = bucket.start("curate", "run", str(many_units), "--output", bucket.out, *flags)
        assert wait_for(lambda: bucket.manifests() >= 4, process)
        cluster.kill_worker(2)
        process.communicate(timeout=HANG)
        bucket.qvl("curate", "run", str(many_units), "--output", bucket.out, *flags)
    finally:
        cluster.close()
    assert bucket.hash() == undisturbed


def test_of_two_drivers_at_once_one_works_and_one_is_told(bucket: Bucket, many_units: Path, undisturbed: str) -> None:
    drivers = [bucket.start("curate", "run", str(many_units), "--output", bucket.out) for _ in range(2)]
    ends = [(driver.communicate(timeout=HANG)[1], driver.returncode) for driver in drivers]
    assert 0 in [code for _, code in ends], ends
    assert all(code == 0 or (code == 2 and "another run (process" in errors) for errors, code in ends), ends
    assert bucket.hash() == undisturbed


SHORT_LEASE = "import qvl.pipeline.commit.lease as lease; lease.LEASE, lease.RENEWAL = 2.0, 0.5"


def test_a_driver_that_sleeps_loses_the_output_and_does_no_harm(
    bucket: Bucket, many_units: Path, undisturbed: str
) -> None:
    def start() -> "subprocess.Popen[str]":
        return bucket.start("curate", "run", str(many_units), "--output", bucket.out, before=SHORT_LEASE)

    sleeper = start()
    assert wait_for(lambda: bucket.manifests() >= 3, sleeper)
    os.kill(sleeper.pid, signal.SIGSTOP)
    try:
        time.sleep(4)
        second = start()
        assert wait_for(lambda: bucket.manifests() >= 6, second)
        os.kill(sleeper.pid, signal.SIGCONT)
        _, errors = second.communicate(timeout=HANG)
        assert second.returncode == 0, errors
    finally:
        os.kill(sleeper.pid, signal.SIGCONT)
    _, errors = sleeper.communicate(timeout=HANG)
    assert sleeper.returncode == 2, errors
    assert "another run took over" in errors
    assert bucket.hash() == undisturbed
    assert json.loads(bucket.qvl("curate", "audit", bucket.out, "--json"))["discrepancy"] is None


@pytest.mark.long
def test_another_recipe_is_refused_and_fresh_keeps_what_did_not_change(
    bucket: Bucket, many_units: Path, tmp_path: Path
) -> None:
    bucket.qvl("curate", "run", str(many_units), "--output", bucket.out)
    before = bucket.content()
    other = changed(many_units, tmp_path, "minimum: 6", "minimum: 40")
    assert "minimum: 6 -> 40" in bucket.refused("curate", "run", str(other), "--output", bucket.out)
    assert bucket.content() == before
    bucket.qvl("curate", "run", str(other), "--output", bucket.out, "--fresh")
    result = qvl("curate", "run", str(other), "--output", str(tmp_path / "out"))
    assert result.returncode == 0, result.stderr
    assert bucket.hash() == dataset_hash(tmp_path / "out")
    same_files(local_content(tmp_path / "out"), bucket.content())


@pytest.mark.parametrize("workers", ["serial", pytest.param("ray", marks=pytest.mark.long)])
def test_a_build_on_s3_is_byte_for_byte_the_local_one(
    workers: str, bucket: Bucket, tmp_path_factory: pytest.TempPathFactory
) -> None:
    local = demo_output(tmp_path_factory) / "demo_ground"
    bucket.qvl("ground", "build", str(GROUNDING), "--output", bucket.out, "--workers", workers)
    same_files(local_content(local), bucket.content())
    assert json.loads(bucket.qvl("curate", "audit", bucket.out, "--json"))["discrepancy"] is None
