"""Fingerprints: equal for equal work, different for any difference."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qvl.pipeline.commit.fingerprint import EDGE_BYTES, content_hash, file_hash, file_identity, fingerprint, merkle_root
from qvl.pipeline.storage.reader import Storage

HASHES = st.lists(st.text("0123456789abcdef", min_size=32, max_size=32), max_size=20)


def test_a_fingerprint_depends_on_the_order_of_lists_but_not_of_keys() -> None:
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})
    assert fingerprint([1, 2]) != fingerprint([2, 1])
    assert fingerprint({"a": None}) != fingerprint({})


def test_a_value_that_json_cannot_hold_is_an_error() -> None:
    with pytest.raises(TypeError):
        fingerprint({"path": Path("/tmp")})


def test_fingerprints_never_change_between_versions() -> None:
    assert fingerprint({"a": [1, "x", None, 0.5]}) == content_hash(b'{"a":[1,"x",null,0.5]}')
    assert content_hash(b"") == "99aa06d3014798d86001c324468d497f"


@given(HASHES, st.data())
def test_a_merkle_root_changes_with_any_leaf_and_with_their_order(leaves: list[str], data: st.DataObject) -> None:
    root = merkle_root(leaves)
    assert merkle_root(iter(leaves)) == root
    assert merkle_root([*leaves, "0" * 32]) != root
    if leaves:
        at = data.draw(st.integers(0, len(leaves) - 1))
        changed = [*leaves]
        changed[at] = content_hash(changed[at].encode())
        assert merkle_root(changed) != root
    if leaves != leaves[::-1]:
        assert merkle_root(leaves[::-1]) != root


def test_a_files_identity_does_not_depend_on_its_folder_or_time(tmp_path: Path, storage: Storage) -> None:
    for name in ("x/a.tar", "y/b.tar"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"same bytes")
    first, second = (file_identity(storage, str(tmp_path / name)) for name in ("x/a.tar", "y/b.tar"))
    assert first == second


@pytest.mark.parametrize("at", [0, EDGE_BYTES - 1, -1, -EDGE_BYTES])
def test_a_files_identity_changes_with_a_byte_at_either_end(tmp_path: Path, storage: Storage, at: int) -> None:
    path = tmp_path / "file"
    data = bytearray(3 * EDGE_BYTES)
    path.write_bytes(data)
    before = file_identity(storage, str(path))
    data[at] = 1
    path.write_bytes(data)
    assert file_identity(storage, str(path)) != before


def test_a_files_identity_changes_with_its_size(tmp_path: Path, storage: Storage) -> None:
    path = tmp_path / "file"
    seen = []
    for size in (0, 1, EDGE_BYTES, EDGE_BYTES + 1, 5 * EDGE_BYTES, 5 * EDGE_BYTES + 1):
        path.write_bytes(bytes(size))
        seen.append(file_identity(storage, str(path)))
    assert len({str(identity) for identity in seen}) == len(seen)


def test_an_unreadable_file_has_an_identity(tmp_path: Path, storage: Storage) -> None:
    folder = tmp_path / "folder.tar"
    folder.mkdir()
    assert file_identity(storage, str(folder))["unreadable"] == "IsADirectoryError"
    assert file_identity(storage, str(tmp_path / "gone.tar"))["unreadable"] == "FileNotFoundError"


def test_file_hash_equals_the_hash_of_the_bytes(tmp_path: Path) -> None:
    data = os.urandom(9 << 20)
    (tmp_path / "file").write_bytes(data)
    assert file_hash(tmp_path / "file") == content_hash(data)
