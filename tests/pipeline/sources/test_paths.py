"""From patterns to units: sorted, with names and ids that do not depend on where the data is."""

import os
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.sources.paths import expanded, find_units, fixed_folder, matches, owned
from qvl.pipeline.storage.reader import Storage

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
        ("/data/{a,b}/x.tar", "/data"),
        ("/d[[]1]/[*][?][{]/*.tar", "/d[1]/*?{"),
        ("/d[[]1]/x.tar", "/d[1]"),
    ],
)
def test_the_fixed_folder_ends_before_the_first_wildcard(pattern: str, folder: str) -> None:
    assert fixed_folder(pattern) == folder


def test_units_are_sorted_by_name(data: Path, storage: Storage) -> None:
    assert [unit.name for unit in find_units((f"{data}/here/*.tar",), storage)] == ["00000.tar", "00001.tar"]


def test_names_and_ids_do_not_depend_on_where_the_data_is(data: Path, storage: Storage) -> None:
    roots = [f"{data}/here", f"{data}/there/deeper", f"file://{data}/here", "memory://bucket"]
    found = [owned(find_units((f"{root}/**/*.tar",), storage), "set") for root in roots]
    ids = [[(unit.name, unit.id) for unit in units] for units in found]
    assert ids == [ids[0]] * len(roots)
    assert [name for name, _ in ids[0]] == ["00000.tar", "00001.tar", "sub/00000.tar"]
    assert len({unit_id for _, unit_id in ids[0]}) == 3


def test_ids_are_safe_as_file_names_and_never_change_between_versions(data: Path, storage: Storage) -> None:
    unit = owned(find_units((f"{data}/here/00000.tar",), storage), "laion_en")[0]
    assert unit.id == "laion_en-ab841de5ce7e"


def test_units_do_not_depend_on_the_working_directory(
    data: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data)
    assert [unit.name for unit in find_units(("here/**/*.tar",), storage)] == sorted(NAMES)


def test_a_file_that_two_patterns_match_is_read_once(data: Path, storage: Storage) -> None:
    patterns = (f"{data}/here/*.tar", f"{data}/here/00000.tar")
    assert [unit.name for unit in find_units(patterns, storage)] == ["00000.tar", "00001.tar"]


@pytest.mark.parametrize(
    "patterns",
    [
        ("here/**/*.tar", "here/sub/*.tar"),
        ("here/**/*.tar", "there/../here/*.tar"),
        ("here/**/*.tar", "link/*.tar"),
        ("here/**/*.tar", "here/{00000,00001}.tar", "here/sub/00000.tar"),
    ],
)
def test_a_file_that_two_patterns_match_under_two_names_is_read_once(
    data: Path, storage: Storage, patterns: tuple[str, ...]
) -> None:
    (data / "link").symlink_to(data / "here")
    units = find_units(tuple(f"{data}/{pattern}" for pattern in patterns), storage)
    assert len(units) == 3
    assert len({Path(unit.path).resolve() for unit in units}) == 3


def test_a_file_named_twice_by_a_wildcard_through_a_link_is_two_files(data: Path, storage: Storage) -> None:
    (data / "here" / "00002.tar").symlink_to("00000.tar")
    assert len(find_units((f"{data}/here/*.tar",), storage)) == 3


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("{a,b}.tar", ["a.tar", "b.tar"]),
        ("{08..11}.tar", ["08.tar", "09.tar", "10.tar", "11.tar"]),
        ("{8..10}", ["8", "9", "10"]),
        ("{2..0}", ["2", "1", "0"]),
        ("{000..1}", ["000", "001"]),
        ("{a,}{0..1}", ["a0", "a1", "0", "1"]),
        ("x{a,b{1..2}}", ["xa", "xb1", "xa", "xb2"]),
        ("{a}", ["{a}"]),
        ("[{]a,b}{1,2}", ["[{]a,b}1", "[{]a,b}2"]),
        ("{}..{..}", ["{}..{..}"]),
    ],
)
def test_braces_are_expanded_as_in_a_shell(pattern: str, paths: list[str]) -> None:
    assert list(expanded(pattern)) == paths


@pytest.mark.parametrize("root", ["{data}/here", "file://{data}/here", "memory://bucket"])
@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("{00000..00001}.tar", ["00000.tar", "00001.tar"]),
        ("0000{1,0}.tar", ["00000.tar", "00001.tar"]),
        ("{00001,sub/00000}.tar", ["00001.tar", "sub/00000.tar"]),
        ("{sub/0,0}000[0].tar", ["00000.tar", "sub/00000.tar"]),
    ],
)
def test_files_are_found_by_braces(data: Path, storage: Storage, root: str, pattern: str, names: list[str]) -> None:
    found = find_units((root.replace("{data}", str(data)) + "/" + pattern,), storage)
    assert [unit.name for unit in found] == names


def test_a_missing_number_of_a_range_is_named(data: Path, storage: Storage) -> None:
    with pytest.raises(RecipeError, match=r"here/00002\.tar: no such file"):
        find_units((f"{data}/here/{{00000..00003}}.tar",), storage)
    with pytest.raises(RecipeError, match=r"here/b\*: no such file"):
        find_units((f"{data}/here/{{0,b}}*",), storage)


def test_a_range_of_too_many_numbers_is_an_error(storage: Storage) -> None:
    with pytest.raises(RecipeError, match="a range of more than 10,000,000 numbers"):
        find_units(("/data/{0..99999999999}.tar",), storage)


def test_a_range_of_many_files_is_checked_with_one_listing(tmp_path: Path, storage: Storage) -> None:
    for number in range(1_000):
        (tmp_path / f"{number:05d}.tar").touch()
    looks: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Storage, "exists", lambda self, path: looks.append(path))
        assert len(find_units((f"{tmp_path}/{{00000..00999}}.tar",), storage)) == 1_000
    assert looks == []


@pytest.mark.parametrize("root", ["{data}/here", "{data}/here/", "memory://bucket"])
def test_a_pattern_that_names_a_folder_is_an_error(data: Path, storage: Storage, root: str) -> None:
    with pytest.raises(RecipeError, match=r"is a folder; write .*/\*\.tar"):
        find_units((root.replace("{data}", str(data)),), storage)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("{data}/here/**/*.tar", True),
        ("{data}/**/*.tar", True),
        ("file://{data}/here/*/{00..99,x}.tar", True),
        ("{data}/link/sub/*", True),
        ("{data}/there/../here/*/x.tar", True),
        ("{data}/here/[s]ub/x.tar", True),
        ("{data}/here/sub/x.tar", True),
        ("here/*/*.tar", True),
        ("{data}/here/*.tar", False),
        ("{data}/here/**/*.parquet", False),
        ("{data}/there/**/*.tar", False),
        ("{data}/here/[[]s]ub/x.tar", False),
        ("memory://here/**/*.tar", False),
    ],
)
def test_matches_says_whether_a_pattern_would_find_a_path(
    data: Path, storage: Storage, pattern: str, found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data / "link").symlink_to(data / "here")
    monkeypatch.chdir(data)
    assert matches(pattern.replace("{data}", str(data)), data.resolve() / "here" / "sub" / "x.tar", storage) is found


def test_two_files_with_the_same_name_are_an_error(data: Path, storage: Storage) -> None:
    with pytest.raises(RecipeError, match=r"also named 00000\.tar"):
        find_units((f"{data}/here/*.tar", f"{data}/there/deeper/*.tar"), storage)


def test_a_pattern_without_matches_is_an_error_that_names_it(data: Path, storage: Storage) -> None:
    with pytest.raises(RecipeError, match="none-"):
        find_units((f"{data}/here/none-*.tar",), storage)


def test_a_file_whose_name_is_not_utf8_is_an_error_that_names_it(tmp_path: Path, storage: Storage) -> None:
    (tmp_path / os.fsdecode(b"a\xff.tar")).touch()
    with pytest.raises(RecipeError, match="this name is not UTF-8; rename it"):
        find_units((f"{tmp_path}/*.tar",), storage)


def test_a_pattern_that_names_too_many_files_is_an_error(tmp_path: Path, storage: Storage) -> None:
    with pytest.raises(RecipeError, match="names more than 10,000,000 files"):
        find_units((f"{tmp_path}/" + "{0..99}" * 4,), storage)


@pytest.mark.parametrize("pattern", ["a**", "***/b"])
def test_a_pattern_that_means_nothing_is_an_error(tmp_path: Path, storage: Storage, pattern: str) -> None:
    with pytest.raises(RecipeError, match="not a pattern"):
        find_units((f"{tmp_path}/{pattern}",), storage)
    with pytest.raises(RecipeError, match="not a pattern"):
        matches(f"{tmp_path}/{pattern}", tmp_path / "x", storage)


def test_braces_that_follow_each_other_are_expanded(tmp_path: Path, storage: Storage) -> None:
    for name in ("a0.tar", "a1.tar", "b0.tar", "b1.tar"):
        (tmp_path / name).touch()
    units = find_units((f"{tmp_path}/" + "{a,b}{0..1}.tar",), storage)
    assert [unit.name for unit in units] == ["a0.tar", "a1.tar", "b0.tar", "b1.tar"]
