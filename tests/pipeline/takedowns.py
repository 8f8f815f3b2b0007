"""Takedowns in processes of their own, killed somewhere in the middle."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
DAY = "2026-11-25"
REVOKE = (
    "import sys; from pathlib import Path; from qvl.pipeline.takedown.revoke import revoke; "
    "from qvl.pipeline.takedown.requests import read_list; "
    f"revoke(Path(sys.argv[1]), read_list(Path(sys.argv[2])), '{DAY}')"
)


def revoke_apart(out: Path, listed: Path) -> "subprocess.Popen[bytes]":
    """Begin the takedown of a list in a process of its own."""
    return subprocess.Popen([sys.executable, "-c", REVOKE, str(out), str(listed)], cwd=ROOT)


def killed_copy(out: Path, target: Path, listed: Path, moments: random.Random) -> bool:
    """Copy an output and kill a takedown in the copy at some moment; False where it was over before."""
    shutil.copytree(out, target)
    process = revoke_apart(target, listed)
    while process.poll() is None and not (target / ".revoke").exists():
        time.sleep(0.0005)
    time.sleep(moments.random() * 0.01)
    alive = process.poll() is None
    if alive:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return alive
