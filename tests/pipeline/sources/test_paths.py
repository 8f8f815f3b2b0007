"""Patterns to units: sorted, with names and ids that do not depend on where the data lies."""

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from pipeline.errors import RecipeError
from pipeline.sources.paths import find_units, fixed_folder, owned
from pipeline.storage import Storage

NAMES = ["00001.tar", "00000.tar", "sub/00000.tar"]


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    for root in (tmp_path / "here", tmp_path / "there" / "deeper"):
        for name in NAMES:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(b"")
    memory = fsspec.filesystem("memory")
    for name in NAMES:
        memory.pipe(f"/bucket/{name}", b"")
    yield tmp_path
    memory.rm("/", recursive=True)


@pytest.mark.parametrize(
    ("pattern", "folder"),
    [
        ("/data/*.tar", "/data"),
        ("/data/a-*/x.tar", "/data"),
        ("/data/a/x.tar", "/data/a"),
        ("/data/[ab]/x.tar", "/data"),
        ("s3://bucket/set/**/*.tar", "s3://bucket/set"),
        ("*.tar", ""),
    ],
)
def test_the_fixed_folder_ends_before_the_first_wildcard(pattern: str, folder: str) -> None:
    assert fixed_folder(pattern) == folder


def test_units_are_sorted_by_name(data: Path, storage: Storage) -> None:
    assert [unit.name for unit in find_units((f"{data}/here/*.tar",), storage)] == ["00000.tar", "00001.tar"]


def test_names_and_ids_are_the_same_wherever_the_data_lies(data: Path, storage: Storage) -> None:
    roots = [f"{data}/here", f"{data}/there/deeper", f"file://{data}/here", "memory://bucket"]
    found = [owned(find_units((f"{root}/**/*.tar",), storage), "set") for root in roots]
    ids = [[(unit.name, unit.id) for unit in units] for units in found]
    assert ids == [ids[0]] * len(roots)
    assert [name for name, _ in ids[0]] == ["00000.tar", "00001.tar", "sub/00000.tar"]
    assert len({unit_id for _, unit_id in ids[0]}) == 3


def test_ids_are_safe_as_file_names_and_fixed_for_all_time(data: Path, storage: Storage) -> None:
    unit = owned(find_units((f"{data}/here/00000.tar",), storage), "laion_en")[0]
    assert unit.id == "laion_en-ab841de5ce7e"


def test_the_folder_of_the_process_does_not_matter(
    data: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data)
    assert [unit.name for unit in find_units(("here/**/*.tar",), storage)] == sorted(NAMES)


def test_a_file_that_two_patterns_match_is_read_once(data: Path, storage: Storage) -> None:
    patterns = (f"{data}/here/*.tar", f"{data}/here/00000.tar")
    assert [unit.name for unit in find_units(patterns, storage)] == ["00000.tar", "00001.tar"]


def test_two_files_of_one_name_are_refused(data: Path, storage: Storage) -> None:
    with pytest.raises(RecipeError, match=r"also named 00000\.tar"):
        find_units((f"{data}/here/*.tar", f"{data}/there/deeper/*.tar"), storage)


def test_a_pattern_without_a_file_is_named(data: Path, storage: Storage) -> None:
    with pytest.raises(RecipeError, match="none-"):
        find_units((f"{data}/here/none-*.tar",), storage)
