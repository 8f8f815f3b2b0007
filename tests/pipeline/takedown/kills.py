"""Takedowns in processes of their own that kill themselves right before a chosen call that changes a file or folder.

The calls are counted, so a test picks its moments without a clock. Run as a program, this module imports the takedown once
and forks a process for each output.
"""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from qvl.pipeline.takedown.requests import read_list
from qvl.pipeline.takedown.revoke import revoke

ROOT = Path(__file__).parents[3]
DAY = "2026-11-25"
NEVER = 0
FUNCTIONS = frozenset([os.fsync, os.mkdir, os.replace, os.rmdir, os.unlink])
METHODS = frozenset(["truncate", "write"])


def run_takedown(out: Path, takedown_list: Path) -> int:
    """Take down a list in a process of its own. Returns the number of calls that changed a file or folder."""
    return _run_processes(takedown_list, {out: NEVER})[0]


def kill_takedowns(takedown_list: Path, moments: dict[Path, int]) -> None:
    """Begin a takedown in each output and kill it right before the call of this number, counted from 1."""
    assert _run_processes(takedown_list, moments) == [-signal.SIGKILL] * len(moments)


def stopped_after(moves: list[tuple[str | None, str]], out: Path, copy: Path) -> Path:
    """A copy of an output whose staged takedown stopped after these moves of its journal."""
    shutil.copytree(out, copy)
    for name, target in moves:
        if name is None:
            (copy / target).unlink()
        else:
            (copy / ".revoke" / name).replace(copy / target)
    return copy


def spread(calls: int, kills: int) -> list[int]:
    """This many numbers of calls, evenly from the first to the last."""
    return [1 + number * (calls - 1) // (kills - 1) for number in range(kills)]


def _run_processes(takedown_list: Path, moments: dict[Path, int]) -> list[int]:
    """Per output the number of calls, or the negative number of the signal that ended the process."""
    request = json.dumps([str(takedown_list), [[str(out), call] for out, call in moments.items()]])
    command = [sys.executable, "-m", "tests.pipeline.takedown.kills"]
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}  # equal calls in every process
    run = subprocess.run(
        command, input=request, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT, env=environment
    )
    return [int(line) for line in run.stdout.splitlines()]


def _run_forked(out: Path, takedown_list: Path, kill_before: int) -> int:
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(send, str(_run_counted(out, takedown_list, kill_before)).encode())
        os._exit(0)
    os.close(send)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with os.fdopen(receive) as pipe:
        return status if status else int(pipe.read())


def _run_counted(out: Path, takedown_list: Path, kill_before: int) -> int:
    """Run a takedown and count the calls that change a file or folder."""
    calls = 0

    def profile(frame: FrameType, event: str, function: Any) -> None:
        nonlocal calls
        if event == "c_call" and _changes_files(function):
            calls += 1
            if calls == kill_before:
                os.kill(os.getpid(), signal.SIGKILL)

    wanted = read_list(takedown_list)
    sys.setprofile(profile)
    revoke(out, wanted, DAY)
    sys.setprofile(None)
    return calls


def _changes_files(function: Any) -> bool:
    """Is this built-in function or method one that changes a file or folder?"""
    if function in FUNCTIONS:
        return True
    return function.__name__ in METHODS and isinstance(function.__self__, io.IOBase)


def main() -> None:
    import fsspec.implementations.local  # noqa: F401
    import pandas  # noqa: F401 - loaded once here, not in every forked process

    takedown_list, moments = json.load(sys.stdin)
    for out, kill_before in moments:
        print(_run_forked(Path(out), Path(takedown_list), kill_before), flush=True)


if __name__ == "__main__":
    main()
