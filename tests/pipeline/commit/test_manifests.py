"""Manifests: the first one wins, equal ones are accepted, others are errors."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.commit.manifests import (
    committed_manifest,
    create_manifest,
    read_committed,
    read_manifest,
    restate_manifest,
)
from tests.pipeline.commit.listing import files


def test_a_manifest_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "unit.json"
    assert read_manifest(path) is None
    content = {"rows": 3, "counts": {"b": 1, "a": [1, 2]}, "name": "目"}
    assert create_manifest(path, content) == content
    assert read_manifest(path) == content
    assert files(tmp_path) == ["deep/unit.json"]


def test_creating_equal_content_again_keeps_the_first_file(tmp_path: Path) -> None:
    path = tmp_path / "unit.json"
    create_manifest(path, {"a": 1, "b": 2})
    before = path.stat()
    create_manifest(path, {"b": 2, "a": 1})
    assert path.stat().st_ino == before.st_ino
    assert files(tmp_path) == ["unit.json"]


def test_other_content_is_refused_and_its_keys_are_named(tmp_path: Path) -> None:
    path = tmp_path / "unit.json"
    create_manifest(path, {"rows": 1, "hash": "x", "same": 0})
    with pytest.raises(ContractError, match=r"\(extra, hash\)"):
        create_manifest(path, {"rows": 1, "hash": "y", "same": 0, "extra": None} | {"extra": 1})
    assert read_manifest(path) == {"rows": 1, "hash": "x", "same": 0}
    assert files(tmp_path) == ["unit.json"]


def test_when_many_threads_create_a_manifest_exactly_one_wins(tmp_path: Path) -> None:
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


@dataclass(frozen=True, slots=True)
class Receipt:
    fingerprint: str
    rows: int


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
