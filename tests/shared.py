"""Folders that are expensive to build, built once for all workers of pytest-xdist (each of them is a session of its own)."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HANG = 1_500  # seconds: what takes longer hangs, on however busy a machine; below pytest's own limit


def built_once(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], object]) -> Path:
    """The folder ``name`` that ``build`` fills. The first worker builds it; the others wait for it and read it.

    No test may change what is in it. A build that fails leaves nothing, so the next worker tries again.
    """
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder, done = base / name, base / f"{name}.done"
    with (base / f"{name}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            build(folder)
            done.touch()
    return folder


def demo_output(factory: pytest.TempPathFactory) -> Path:
    """A folder with ``demo``, ``demo_text`` and ``demo_ground``, built by the real command, and what it printed.

    These are the parts of the demo that need nothing but the repository. What was printed is in ``printed.txt``.
    """
    return built_once(factory, "demo", _run_demo)


def _run_demo(folder: Path) -> None:
    only = [word for part in ("curate", "text", "ground") for word in ("--only", part)]
    command = [sys.executable, "-c", "from qvl.command import main; main()", "demo", "--output", str(folder / "demo")]
    done = subprocess.run([*command, *only], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    (folder / "printed.txt").write_text(done.stdout, "utf-8")
