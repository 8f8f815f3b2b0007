"""The wheel alone, far from the tree: everything that is tracked is in it, and its commands run from an empty folder."""

import json
import os
import re
import stat
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

import qvl
from tests.pipeline.samples import jpeg, write_img2dataset

ROOT = Path(__file__).parents[2]
FOLDERS = ("pipeline", "synth_ocr", "grounding_builder", "model", "training")
RECIPE = """name: outside
sources:
  - {name: web, read: {kind: webdataset, paths: ["tars/*.tar"]}}
filters: {language: {}, text_length: {}}
"""


def called(*words: str, cwd: Path, code: int = 0) -> str:
    """A program that must end with this code; its output."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, (words, done.stdout, done.stderr)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    called(*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(folder), str(ROOT), cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def venv(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel; what it needs comes from the tests' own environment, but not its qvl."""
    folder = tmp_path_factory.mktemp("venv")
    called(sys.executable, "-m", "venv", "--without-pip", str(folder), cwd=folder)
    python = folder / "bin" / "python"
    packages = Path(called(str(python), "-c", "import site; print(site.getsitepackages()[0])", cwd=folder).strip())
    (packages / "shared.pth").write_text(sysconfig.get_path("purelib"))  # plain path: .pth files in it are not followed
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python))
    called(*pip, "install", "--no-deps", "--no-index", "--ignore-installed", str(wheel), cwd=folder)
    return folder


def tracked_files() -> set[str]:
    """Files of the package under the names that they have when installed."""
    listed = subprocess.run(["git", "ls-files", "qvl", *FOLDERS], cwd=ROOT, capture_output=True, text=True, check=True)
    names = [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    return {name if name.startswith("qvl/") else f"qvl/{name}" for name in names}


def test_everything_that_is_tracked_is_in_the_wheel(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    tracked = tracked_files()
    assert tracked - held == set()
    endings = {Path(name).suffix for name in held}
    assert {".yaml", ".css", ".js", ".html", ".npz", ".NOTICE"} <= endings


def test_wheel_when_unpacked_holds_one_top_level_name_and_no_link(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    tops = {name.split("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"qvl"}
    assert not [entry for entry in archive.infolist() if stat.S_ISLNK(entry.external_attr >> 16)]


def test_sdist_when_built_into_a_wheel_gives_the_same_files(wheel: Path, tmp_path: Path) -> None:
    called(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path), cwd=ROOT)
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as tar:
        assert not [member.name for member in tar.getmembers() if member.issym() or member.islnk()]
        tar.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    called(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "again"), cwd=source)
    (again,) = (tmp_path / "again").glob("*.whl")
    first, second = zipfile.ZipFile(wheel), zipfile.ZipFile(again)
    assert {entry.filename: entry.CRC for entry in first.infolist() if entry.filename.startswith("qvl/")} == {
        entry.filename: entry.CRC for entry in second.infolist() if entry.filename.startswith("qvl/")
    }


def test_its_version_and_licence(wheel: Path) -> None:
    assert re.match(r"qvl-\d+\.\d+\.\d+-py3-none-any\.whl", wheel.name)
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_commands_run_from_an_empty_folder(venv: Path, wheel: Path, tmp_path: Path) -> None:
    command = str(venv / "bin" / "qvl")
    where = called(
        str(venv / "bin/python"),
        "-c",
        "import qvl.pipeline, qvl.training; print(qvl.pipeline.__file__, qvl.training.__file__)",
        cwd=tmp_path,
    )
    assert all(path.startswith(str(venv)) for path in where.split())
    assert called(command, "--version", cwd=tmp_path).split()[1] == wheel.name.split("-")[1]
    rows = [
        {"key": f"0000{n}", "caption": text, "url": "http://x", "image": jpeg(n)}
        for n, text in enumerate(("the old stone bridge over the river", "no"))
    ]
    write_img2dataset(tmp_path / "tars", "00000", rows)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    shown = called(command, "curate", "run", "recipe.yaml", "--output", "out", cwd=tmp_path)
    assert "- text_length" in shown
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000
    assert "2 rows = 1 kept + 1 dropped" in called(command, "curate", "audit", "out", cwd=tmp_path)
    called(command, "ground", "lint", "out/shards/outside-000000.tar", cwd=tmp_path)
    assert json.loads(called(command, "model", "info", "tiny", "--json", cwd=tmp_path))["parts"]
    plan = called(command, "mix", "stats", "out", "--report", "mix.html", cwd=tmp_path)
    assert "caption" in plan
    for words in (("view",), ("ocr", "build"), ("text", "build"), ("train", "run"), ("eval", "run")):
        assert "--help" in called(command, *words, "--help", cwd=tmp_path)
    assert "checkout" in called(command, "demo", cwd=tmp_path, code=2)


def test_the_shipped_recipes_can_be_had(venv: Path, tmp_path: Path) -> None:
    command = str(venv / "bin" / "qvl")
    names = [line.split()[0] for line in called(command, "recipes", cwd=tmp_path).splitlines()]
    assert {"qwen_vl_stage1", "qwen_vl_ocr", "one_file"} <= set(names)
    assert called(command, "recipes", "qwen_vl_stage1", cwd=tmp_path).startswith("# The pre-training set")
    assert "there are qwen_vl_stage1" in called(command, "recipes", "nothing", cwd=tmp_path, code=2)
    assert len(names) == len(set(names)) >= len(list(Path(qvl.__file__).parent.glob("*/recipes/*.yaml")))
