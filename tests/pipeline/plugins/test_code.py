"""Where the source of a plug-in is found, and that a worker runs exactly that source."""

import importlib.metadata
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.plugins import code
from qvl.pipeline.plugins.code import FileCode, PackageCode, find_code
from tests.pipeline.plugins.modules import HOST, write

USES = "from dotted_plugin.util import suffix\n" + HOST.replace(".split", ".__add__(suffix).split")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An importable package whose operator uses another module of it."""
    write(tmp_path / "site" / "dotted_plugin" / "__init__.py", "")
    write(tmp_path / "site" / "dotted_plugin" / "util.py", "suffix = '.old'\n")
    write(tmp_path / "site" / "dotted_plugin" / "ops.py", USES)
    monkeypatch.syspath_prepend(tmp_path / "site")
    return tmp_path / "site"


def suffix_of(found: PackageCode) -> str:
    return str(sys.modules[found.load().__name__.replace(".ops", ".util")].suffix)


def test_package_when_found_has_all_its_files_and_is_loaded_from_where_it_is_installed(package: Path) -> None:
    found = find_code("dotted_plugin.ops")
    assert isinstance(found, PackageCode)
    assert [path for path, _ in found.files] == [f"dotted_plugin/{name}.py" for name in ("__init__", "ops", "util")]
    assert Path(str(found.load().__file__)).is_relative_to(package)


def test_package_when_another_of_its_files_changes_is_another_source_and_is_loaded_again(package: Path) -> None:
    before = find_code("dotted_plugin.ops")
    assert isinstance(before, PackageCode)
    assert suffix_of(before) == ".old"
    write(package / "dotted_plugin" / "util.py", "suffix = '.newer'\n")
    after = find_code("dotted_plugin.ops")
    assert isinstance(after, PackageCode)
    assert after.hash != before.hash
    assert suffix_of(after) == ".newer"
    assert suffix_of(before) == ".old", "the source that was found first is no longer what is installed"


def test_package_when_a_worker_has_none_installed_runs_from_the_files_that_travelled(package: Path) -> None:
    (package.parent / "code.pickle").write_bytes(pickle.dumps(find_code("dotted_plugin.ops")))
    script = (
        "import pickle, sys; found = pickle.load(open(sys.argv[1], 'rb')); module = found.load(); "
        "print(module.suffix, module.Host().reads)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(code.__file__).parents[3])}
    command = [sys.executable, "-c", script, str(package.parent / "code.pickle")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ".old ['url']"


def test_entry_point_when_a_distribution_declares_it_names_its_module(package: Path) -> None:
    info = package / "dotted_plugin-1.0.dist-info"
    write(info / "METADATA", "Metadata-Version: 2.1\nName: dotted-plugin\nVersion: 1.0\n")
    write(info / "entry_points.txt", "[qvl.plugins]\ndotted = dotted_plugin.ops\n")
    assert importlib.metadata.entry_points(group="qvl.plugins", name="dotted")
    found = find_code("dotted")
    assert found.name == "dotted_plugin.ops"


def test_file_when_found_is_identified_by_its_bytes_alone(tmp_path: Path) -> None:
    one, other = find_code(write(tmp_path / "a" / "my.py", HOST)), find_code(write(tmp_path / "b" / "my.py", HOST))
    assert one == other == FileCode("my.py", HOST.encode())
    assert one.load() is other.load()


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("/nowhere/my.py", "my.py: No such file"),
        ("nowhere.ops", "nowhere.ops is neither a file"),
        ("", "neither a file"),
        ("json", "belongs to Python"),
        ("qvl.pipeline", "belongs to qvl"),
    ],
)
def test_plugin_when_it_is_nowhere_is_an_error_that_says_what_was_tried(named: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        find_code(named)


def test_package_when_it_is_too_large_to_travel_is_refused(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code, "MOST_BYTES", 100)
    with pytest.raises(RecipeError, match="more than 100"):
        find_code("dotted_plugin.ops")
