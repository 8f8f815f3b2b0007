"""The same calls for local paths, file:// URLs and remote URLs."""

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
    """A folder with three files, as a local path, a file:// URL or a remote URL."""
    for name in NAMES:
        memory.pipe(f"/data/{name}", name.encode())
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return {"local": str(tmp_path), "file": f"file://{tmp_path}", "memory": "memory://data"}[request.param]


def test_glob_gives_sorted_paths_that_can_be_read(folder: str, storage: Storage) -> None:
    found = storage.glob(f"{folder}/*.tar")
    assert [storage.read(path) for path in found] == [b"a.tar", b"b.tar"]
    assert found == sorted(found)
    assert found == [storage.canonical(path) for path in found]


def test_glob_of_a_pattern_without_matches_is_empty(folder: str, storage: Storage) -> None:
    assert storage.glob(f"{folder}/none-*.tar") == []
    assert storage.glob(f"{folder}/none.tar") == []


def test_every_call_accepts_each_kind_of_path(folder: str, storage: Storage) -> None:
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


def test_the_copy_of_a_remote_file_is_removed_after_its_use(folder: str, storage: Storage) -> None:
    with storage.local(f"{folder}/a.tar") as local:
        assert local.is_file()
    assert local.is_file() == storage.is_local(folder)


def test_an_empty_file_is_mapped_as_an_empty_view(tmp_path: Path, storage: Storage) -> None:
    (tmp_path / "empty").write_bytes(b"")
    with storage.mapped(str(tmp_path / "empty")) as data:
        assert len(data) == 0


def test_a_view_can_be_read_after_the_context_ended(tmp_path: Path, storage: Storage) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    with storage.mapped(str(tmp_path / "file")) as data:
        view = data[3:6]
    del data
    assert bytes(view) == b"345"


def test_a_missing_file_is_an_oserror(folder: str, storage: Storage) -> None:
    with pytest.raises(OSError), storage.mapped(f"{folder}/missing.tar"):
        pass


def test_all_spellings_of_a_folder_give_a_file_one_identity(tmp_path: Path, storage: Storage) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.tar").write_bytes(b"a")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "b.tar").symlink_to("a.tar")
    spellings = (f"{tmp_path}/real/a.tar", f"{tmp_path}/link/a.tar", f"file://{tmp_path}/real/../link/a.tar")
    assert {storage.identity(path) for path in spellings} == {f"{tmp_path}/real/a.tar"}
    assert storage.identity(f"{tmp_path}/link/b.tar") == f"{tmp_path}/real/b.tar"
