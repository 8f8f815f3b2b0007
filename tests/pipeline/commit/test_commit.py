"""Commits: the first manifest wins, attempts leave nothing, one run holds an output."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from qvl.pipeline.base.errors import ContractError, QvlError
from qvl.pipeline.commit.attempts import attempt, clear_attempts, publish
from qvl.pipeline.commit.fingerprint import content_hash, file_hash
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.lock import output_lock
from qvl.pipeline.commit.manifests import create_manifest, read_manifest

HOLD = """
import sys, pathlib
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.lock import output_lock
with output_lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_manifest_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "unit.json"
    assert read_manifest(path) is None
    content = {"rows": 3, "counts": {"b": 1, "a": [1, 2]}, "name": "目"}
    assert create_manifest(path, content) == content
    assert read_manifest(path) == content
    assert files(tmp_path) == ["deep/unit.json"]


def test_the_same_content_twice_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "unit.json"
    create_manifest(path, {"a": 1, "b": 2})
    before = path.stat()
    create_manifest(path, {"b": 2, "a": 1})
    assert path.stat().st_ino == before.st_ino
    assert files(tmp_path) == ["unit.json"]


def test_other_content_is_refused_by_the_names_of_its_keys(tmp_path: Path) -> None:
    path = tmp_path / "unit.json"
    create_manifest(path, {"rows": 1, "hash": "x", "same": 0})
    with pytest.raises(ContractError, match=r"\(extra, hash\)"):
        create_manifest(path, {"rows": 1, "hash": "y", "same": 0, "extra": None} | {"extra": 1})
    assert read_manifest(path) == {"rows": 1, "hash": "x", "same": 0}
    assert files(tmp_path) == ["unit.json"]


def test_of_many_writers_exactly_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "unit.json"

    def write(number: int) -> Any:
        try:
            return create_manifest(path, {"writer": number})
        except ContractError:
            return None

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(write, range(32)))
    assert [result for result in results if result is not None] == [read_manifest(path)]
    assert files(tmp_path) == ["unit.json"]


def test_an_attempt_is_private_and_leaves_nothing(tmp_path: Path) -> None:
    with attempt(tmp_path) as first, attempt(tmp_path) as second:
        assert first != second
        (first / "half.tar").write_bytes(b"x")
    assert files(tmp_path) == []
    with pytest.raises(RuntimeError, match="crash"), attempt(tmp_path) as third:
        (third / "half.tar").write_bytes(b"x")
        raise RuntimeError("crash")
    assert files(tmp_path) == []


def test_what_a_killed_attempt_left_is_cleared(tmp_path: Path) -> None:
    left = Layout(tmp_path).attempts / "dead"
    left.mkdir(parents=True)
    (left / "half.tar").write_bytes(b"x")
    clear_attempts(tmp_path)
    clear_attempts(tmp_path)
    assert not left.exists()


@pytest.mark.parametrize("leftover", [None, b"the same bytes", b"half of the sa"])
def test_publish_replaces_an_uncommitted_leftover(tmp_path: Path, leftover: bytes | None) -> None:
    final = tmp_path / "shards" / "a.tar"
    if leftover is not None:
        final.parent.mkdir()
        final.write_bytes(leftover)
    with attempt(tmp_path) as folder:
        written = folder / "a.tar"
        written.write_bytes(b"the same bytes")
        publish(written, final, file_hash(written))
    assert final.read_bytes() == b"the same bytes"
    assert files(tmp_path) == ["shards/a.tar"]


def test_file_hash_is_the_hash_of_the_bytes(tmp_path: Path) -> None:
    data = os.urandom(9 << 20)
    (tmp_path / "file").write_bytes(data)
    assert file_hash(tmp_path / "file") == content_hash(data)


def test_a_second_process_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", HOLD, str(out)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(QvlError, match=rf"process {holder.pid}\)"), output_lock(out):
            pass
        holder.kill()
    with output_lock(out):
        assert (out / ".lock").read_text() == str(os.getpid())


def test_the_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), output_lock(tmp_path):
        raise RuntimeError
    with output_lock(tmp_path):
        pass
