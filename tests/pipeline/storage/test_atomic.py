"""Replacing a file in one step."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from qvl.pipeline.storage.atomic import replace_file, replacing, sync
from qvl.pipeline.storage.paths import StorePath


def test_a_file_is_replaced_when_the_context_ends(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.json"
    with replacing(path) as temporary:
        temporary.write_bytes(b"new")
        assert temporary.parent == path.parent
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="crash"), replacing(path) as temporary:
        temporary.write_bytes(b"ne")
        raise RuntimeError("crash")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_when_many_threads_replace_a_file_it_is_one_of_theirs(tmp_path: Path) -> None:
    path = tmp_path / "shared"
    contents = [bytes([number]) * 10_000 for number in range(16)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda content: replace_file(path, content), contents))
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_on_a_store_is_replaced() -> None:
    path = StorePath("memory://replaced/report.json")
    replace_file(path, b"old")
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    path.parent.remove_tree()


def test_files_and_folders_can_be_flushed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    sync(tmp_path / "file")
    sync(tmp_path)
