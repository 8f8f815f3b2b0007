"""Attempts: private while they run, gone afterwards; published files have their final names."""

from pathlib import Path

import pytest

from qvl.pipeline.commit.attempts import attempt, clear_attempts, publish
from qvl.pipeline.commit.fingerprint import file_hash
from qvl.pipeline.commit.layout import Layout
from tests.pipeline.commit.listing import files


def test_an_attempt_is_private_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with attempt(tmp_path) as first, attempt(tmp_path) as second:
        assert first != second
        (first / "half.tar").write_bytes(b"x")
    assert files(tmp_path) == []
    with pytest.raises(RuntimeError, match="crash"), attempt(tmp_path) as third:
        (third / "half.tar").write_bytes(b"x")
        raise RuntimeError("crash")
    assert files(tmp_path) == []


def test_leftovers_of_a_killed_attempt_are_cleared(tmp_path: Path) -> None:
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
