"""One set of calls for local files, file:// and remote URLs."""

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from qvl.pipeline.storage.reader import Storage

NAMES = ["b.tar", "a.tar", "sub/c.tar"]


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    filesystem.rm("/", recursive=True)


@pytest.fixture(params=["local", "file", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, memory: fsspec.AbstractFileSystem) -> str:
    """A folder with three files, under one of three kinds of address."""
    for name in NAMES:
        memory.pipe(f"/data/{name}", name.encode())
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return {"local": str(tmp_path), "file": f"file://{tmp_path}", "memory": "memory://data"}[request.param]


def test_a_pattern_gives_sorted_paths_that_can_be_read(folder: str, storage: Storage) -> None:
    found = storage.glob(f"{folder}/*.tar")
    assert [storage.read(path) for path in found] == [b"a.tar", b"b.tar"]
    assert found == sorted(found)
    assert found == [storage.canonical(path) for path in found]


def test_a_pattern_that_names_nothing_is_empty(folder: str, storage: Storage) -> None:
    assert storage.glob(f"{folder}/none-*.tar") == []
    assert storage.glob(f"{folder}/none.tar") == []


def test_every_call_takes_the_address_as_it_was_given(folder: str, storage: Storage) -> None:
    path = f"{folder}/sub/c.tar"
    assert storage.exists(path)
    assert not storage.exists(f"{folder}/sub/d.tar")
    assert storage.size(path) == 9
    assert storage.read(path) == b"sub/c.tar"
    assert storage.read_range(path, 4, 7) == b"c.t"
    with storage.local(path) as local:
        assert local.read_bytes() == b"sub/c.tar"
    with storage.mapped(path) as data:
        assert bytes(data) == b"sub/c.tar"


def test_a_remote_file_is_removed_after_its_use(folder: str, storage: Storage) -> None:
    with storage.local(f"{folder}/a.tar") as local:
        assert local.is_file()
    assert local.is_file() == storage.is_local(folder)


def test_an_empty_file_maps_to_an_empty_view(tmp_path: Path, storage: Storage) -> None:
    (tmp_path / "empty").write_bytes(b"")
    with storage.mapped(str(tmp_path / "empty")) as data:
        assert len(data) == 0


def test_views_outlive_the_context(tmp_path: Path, storage: Storage) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    with storage.mapped(str(tmp_path / "file")) as data:
        view = data[3:6]
    del data
    assert bytes(view) == b"345"


def test_a_missing_file_is_an_oserror(folder: str, storage: Storage) -> None:
    with pytest.raises(OSError), storage.mapped(f"{folder}/missing.tar"):
        pass
