"""A run with plug-ins that is killed while it computes: the same command finishes to the same bytes, serial and on Ray."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.conftest import ROOT, contents, dataset_hash, kill_and_finish, qvl, run_to_the_end

SLOW = """
import time

import pyarrow.compute as pc
import qvl


class Length(qvl.Column):
    reads = ["caption"]
    writes = {"length": "int32"}

    def apply(self, batch):
        time.sleep(0.05)  # so that a kill finds it at work
        return pc.utf8_length(batch["caption"])
"""
PACKAGE = """
import qvl

from shout_plugin.words import loud


class Shout(qvl.Column):
    reads = ["caption"]
    writes = {"shout": "string"}

    def apply(self, batch):
        return [loud(text) for text in batch["caption"].to_pylist()]
"""


def computed(out: Path) -> dict[str, bytes]:
    """What plug-ins computed, with the ledger and the shards."""
    return contents(out, ("computed", "manifests/computed", "ledger", "shards"))


@pytest.fixture(scope="module")
def recipe(many_units: Path) -> Path:
    """The recipe over twelve tars with a plug-in and a filter over its column."""
    (many_units.parent / "lengths.py").write_text(SLOW)
    path = many_units.with_name("plugins.yaml")
    text = many_units.read_text().replace("characters: {}", "characters: {}, columns: {length: {maximum: 60}}")
    path.write_text(text + "plugins: [lengths.py]\n")
    return path


@pytest.fixture(scope="module")
def undisturbed_plugins(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("plugins") / "out"
    run_to_the_end(recipe, out)
    found = computed(out)
    assert sum(name.startswith("computed/length/") for name in found) == 12
    return found


@pytest.mark.parametrize("workers", ["serial", "ray"])
def test_a_run_killed_while_it_computes_columns_is_finished_by_the_same_command_to_the_same_bytes(
    recipe: Path, undisturbed_plugins: dict[str, bytes], tmp_path: Path, workers: str
) -> None:
    out = tmp_path / "out"
    manifests = out / "manifests" / "computed" / "length"
    kill_and_finish(recipe, out, workers, lambda: len(list(manifests.glob("*.json"))) >= 2)
    assert computed(out) == undisturbed_plugins


def test_workers_of_ray_run_a_package_that_only_the_driver_can_import(
    many_units: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "shout_plugin"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "words.py").write_text("def loud(text):\n    return text.upper()\n")
    (package / "ops.py").write_text(PACKAGE)
    path = many_units.with_name("package.yaml")
    path.write_text(many_units.read_text() + "plugins: [shout_plugin.ops]\n")
    before = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{package.parent}{os.pathsep}{before}")
    serial = qvl("curate", "run", str(path), "--output", str(tmp_path / "serial"))
    assert serial.returncode == 0, serial.stderr
    monkeypatch.setenv("PYTHONPATH", before)
    script = (
        f"import sys; sys.path.insert(0, {str(package.parent)!r}); import qvl; "
        f"qvl.curate({str(path)!r}, {str(tmp_path / 'ray')!r}, workers='ray')"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert computed(tmp_path / "ray") == computed(tmp_path / "serial")
    assert dataset_hash(tmp_path / "ray") == dataset_hash(tmp_path / "serial")
