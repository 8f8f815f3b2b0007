"""Manifests: the first one wins, equal ones are accepted, others are errors."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from qvl.pipeline.base.errors import ContractError, DataError
from qvl.pipeline.commit.manifests import (
    committed_manifest,
    create_manifest,
    read_committed,
    read_manifest,
    restate_manifest,
)
from tests.pipeline.commit.listing import files


@dataclass(frozen=True, slots=True)
class Receipt:
    fingerprint: str
    rows: int
    counts: dict[str, int | list[int]] = field(default_factory=dict)


def test_a_manifest_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "unit.json"
    assert read_manifest(path, Receipt) is None
    receipt = Receipt("目", 3, {"b": 1, "a": [1, 2]})
    assert create_manifest(path, receipt) == receipt
    assert read_manifest(path, Receipt) == receipt
    assert files(tmp_path) == ["deep/unit.json"]


def test_creating_equal_content_again_keeps_the_first_file(tmp_path: Path) -> None:
    path = tmp_path / "unit.json"
    create_manifest(path, Receipt("f", 1, {"a": 1, "b": 2}))
    before = path.stat()
    create_manifest(path, Receipt("f", 1, {"b": 2, "a": 1}))
    assert path.stat().st_ino == before.st_ino
    assert files(tmp_path) == ["unit.json"]


def test_other_content_is_refused_and_its_keys_are_named(tmp_path: Path) -> None:
    path = tmp_path / "unit.json"
    create_manifest(path, Receipt("f", 1))
    with pytest.raises(ContractError, match=r"\(counts, rows\)"):
        create_manifest(path, Receipt("f", 2, {"extra": 1}))
    assert read_manifest(path, Receipt) == Receipt("f", 1)
    assert files(tmp_path) == ["unit.json"]


def test_when_many_threads_create_a_manifest_exactly_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "unit.json"

    def write(number: int) -> Receipt | None:
        try:
            return create_manifest(path, Receipt("f", number))
        except ContractError:
            return None

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(write, range(32)))
    assert [result for result in results if result is not None] == [read_manifest(path, Receipt)]
    assert files(tmp_path) == ["unit.json"]


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"fingerprint": "f", "rows": "3"}', b'{"fingerprint": "f"}'])
def test_a_corrupted_manifest_is_an_error_that_names_it_and_says_what_to_do(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "unit.json"
    path.write_bytes(data)
    message = r"unit\.json.*; delete it and run the same command again; that work is done again"
    for read in (lambda: read_manifest(path, Receipt), lambda: read_committed(path, "f", [], Receipt)):
        with pytest.raises(DataError, match=message):
            read()
    assert path.read_bytes() == data


def test_a_manifest_of_another_fingerprint_and_of_an_earlier_version_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "unit.json"
    path.write_bytes(b'{"fingerprint": "f", "lines": 3}')
    assert read_committed(path, "g", [], Receipt) is None
    assert not path.exists()


@pytest.mark.parametrize(
    ("fingerprint", "files", "found"),
    [("f", ["a"], True), ("g", ["a"], False), ("f", ["a", "gone"], False)],
    ids=["finished", "another fingerprint", "a file is missing"],
)
def test_a_manifest_counts_only_with_its_fingerprint_and_files(
    tmp_path: Path, fingerprint: str, files: list[str], found: bool
) -> None:
    """A manifest that does not count is removed, so that its work is done again."""
    (tmp_path / "a").touch()
    path, receipt = tmp_path / "unit.json", Receipt("f", 3)
    create_manifest(path, receipt)
    result = read_committed(path, fingerprint, [tmp_path / name for name in files], Receipt)
    assert result == (receipt if found else None)
    assert path.exists() == found


def test_a_summary_of_another_fingerprint_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "select.json"
    restate_manifest(path, Receipt("f", 3))
    restate_manifest(path, Receipt("g", 4))
    assert committed_manifest(path, Receipt) == Receipt("g", 4)
    with pytest.raises(ContractError, match="different results"):
        restate_manifest(path, Receipt("g", 5))


def test_work_without_a_manifest_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="has no manifest"):
        committed_manifest(tmp_path / "unit.json", Receipt)
