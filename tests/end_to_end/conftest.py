"""Runs of the real command on real pairs, in processes of their own that a test may kill."""

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.browser import launched
from tests.shared import HANG, ROOT, built_once

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CORPUS = ROOT / "examples" / "corpus"
QVL = [sys.executable, "-c", "from qvl.command import main; main()"]
UNITS, ROWS = 12, 60


def captions() -> list[str]:
    lines = (CORPUS / "museum" / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line)["caption"] for line in lines if "planted://" not in line]
    return [text for text in found if isinstance(text, str)]


def pictures() -> Iterator[bytes]:
    """Crops of the corpus's real pictures, all different, 224 px JPEG."""
    paths = [p for p in sorted((CORPUS / "museum" / "images").iterdir()) if "planted" not in p.name]
    while True:
        for number, path in enumerate(paths):
            with Image.open(path) as opened:
                image = opened.convert("RGB")
            if min(image.size) < 240:
                continue
            for left in range(0, image.width - 224, 7):
                buffer = io.BytesIO()
                image.crop((left, 0, left + 224, 224)).save(buffer, "JPEG", quality=90 - number % 5)
                yield buffer.getvalue()


@pytest.fixture(scope="session")
def many_units(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe over twelve tars of sixty real pairs each, some of them twice."""
    return built_once(tmp_path_factory, "many", _write_many_units) / "recipe.yaml"


def _write_many_units(folder: Path) -> None:
    texts, images = captions(), pictures()
    for unit in range(UNITS):
        with tarfile.open(folder / f"{unit:05d}.tar", "w") as tar:
            first = next(images)
            for row in range(ROWS):
                image = first if row % 20 == 7 else next(images)
                text = f"{texts[(unit * ROWS + row) % len(texts)]}, view {unit * ROWS + row}"
                for name, data in ((f"{unit:05d}{row:04d}.jpg", image), (f"{unit:05d}{row:04d}.txt", text.encode())):
                    member = tarfile.TarInfo(name)
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
    recipe = folder / "recipe.yaml"
    recipe.write_text(
        "name: many\n"
        "sources: [{name: photos, read: {kind: webdataset, paths: ['*.tar']}}]\n"
        "filters: {image_size: {minimum_side: 200}, text_length: {minimum: 6, maximum: 1000}, characters: {}}\n"
        "pack: {shard_rows: 80, window_units: 4}\n"
    )


def start(recipe: Path, out: Path, *flags: str) -> subprocess.Popen[str]:
    """`qvl curate run`, in its own process group."""
    command = [*QVL, "curate", "run", str(recipe), "--output", str(out), *flags]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, cwd=ROOT
    )


def qvl(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, to its end."""
    return subprocess.run([*QVL, *arguments], capture_output=True, text=True, check=False, cwd=ROOT, timeout=HANG)


def dataset_hash(out: Path) -> str:
    return str(json.loads((out / "shards" / "dataset.json").read_text())["hash"])


def manifests(out: Path) -> int:
    """Committed pieces of work so far."""
    return sum(1 for path in (out / "manifests").rglob("*.json") if not path.name.startswith("."))


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str], seconds: float = HANG) -> bool:
    """True when the condition came true while the process ran; False when the process ended first."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        if process.poll() is not None:
            return False
        time.sleep(0.002)
    raise TimeoutError("the run neither got there nor ended")


def descendants(pid: int) -> dict[int, str]:
    """Process ids below ``pid`` with their command lines, from /proc."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, queue = {}, [pid]
    while queue:
        for child in children.get(queue.pop(), []):
            try:
                found[child] = (Path("/proc") / str(child) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            queue.append(child)
    return found


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def run_to_the_end(recipe: Path, out: Path, *flags: str) -> None:
    """Run `qvl curate run`, which must succeed."""
    done = qvl("curate", "run", str(recipe), "--output", str(out), *flags)
    assert done.returncode == 0, done.stderr


def kill_and_finish(recipe: Path, out: Path, workers: str, reached: Callable[[], bool]) -> None:
    """Start a run, kill it when it has ``reached`` a point before its end, run it again to its end, and audit."""
    process = start(recipe, out, "--workers", workers)
    assert wait_for(reached, process)
    kill(process.pid)
    process.communicate()
    assert not (out / "shards" / "dataset.json").exists()
    run_to_the_end(recipe, out, "--workers", workers)
    audit = qvl("curate", "audit", str(out))
    assert audit.returncode == 0, audit.stdout


def contents(out: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    """The bytes of all files below these folders of an output, by path."""
    found = sorted(path for name in names for path in (out / name).rglob("*") if path.is_file())
    return {str(path.relative_to(out)): path.read_bytes() for path in found}


@pytest.fixture(scope="session")
def undisturbed(many_units: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The dataset hash of a serial run that nothing disturbed."""
    folder = built_once(tmp_path_factory, "undisturbed", lambda folder: _run_undisturbed(many_units, folder / "out"))
    return dataset_hash(folder / "out")


def _run_undisturbed(recipe: Path, out: Path) -> None:
    result = qvl("curate", "run", str(recipe), "--output", str(out))
    assert result.returncode == 0, result.stderr
    audit = qvl("curate", "audit", str(out))
    assert audit.returncode == 0, audit.stderr


def changed(recipe: Path, folder: Path, old: str, new: str) -> Path:
    """A copy of a recipe next to links to its data, with one text replaced."""
    for tar in recipe.parent.glob("*.tar"):
        if not (folder / tar.name).exists():
            (folder / tar.name).symlink_to(tar)
    text = recipe.read_text()
    assert old in text
    target = folder / "recipe.yaml"
    target.write_text(text.replace(old, new))
    return target


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """One browser for all tests of a file."""
    with launched() as started:
        yield started
