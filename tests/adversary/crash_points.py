"""Commands in processes of their own that are killed right before a chosen change of the file system.

Changes are counted by Python's audit events, so a test picks its moments without a clock, and the same moments in every run.
Run as a program, this module is a server: it forks a process for each command, so that imports are made only once.
"""

import importlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.shared import ROOT

NEVER = 0
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = frozenset(("os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate"))
PREFIXES = ("fsspec", "numpy", "orjson", "pandas", "PIL", "pyarrow", "pydantic", "qvl", "rich", "scipy", "yaml")


@dataclass(frozen=True, slots=True)
class Ran:
    """How a process ended (negative: by a signal), how many changes it made below the watched folder, what it printed."""

    status: int
    changes: int
    printed: str


class Server:
    """Runs commands, one at a time."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, arguments: list[str], watched: Path, *, kill_before: int = NEVER, move_before: int = NEVER) -> Ran:
        """Run ``qvl ARGUMENTS`` and count the changes below ``watched``, from 1.

        Before the change of a given number, kill it or move ``watched`` away (to its name with ``.moved``).
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = [arguments, str(watched), kill_before, move_before]
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return Ran(**json.loads(self._process.stdout.readline()))


@contextmanager
def server() -> Iterator[Server]:
    """A server that runs until the context ends."""
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.adversary.crash_points"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as process:
        yield Server(process)


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every file below a folder with its bytes, and every folder (None), hidden ones too. Bytes of locks are left out."""
    found: dict[str, bytes | None] = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        found[name] = None if path.is_dir() else b"" if path.name == ".lock" else path.read_bytes()
    return found


def differences(found: dict[str, bytes | None], expected: dict[str, bytes | None]) -> list[str]:
    """The names that only one of two trees has, or whose bytes differ."""
    return sorted(
        name
        for name in found.keys() | expected.keys()
        if name not in found or name not in expected or found[name] != expected[name]
    )


def _counting(watched: str, act: dict[int, Callable[[], None]], count: Callable[[], int]) -> None:
    """Count the changes below a folder from now on, in this process only, and act right before some of them."""
    owner = os.getpid()

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            flags = arguments[2]
            changes = isinstance(flags, int) and bool(flags & WRITING) and _below(watched, arguments[0], None)
        elif event in CHANGES:
            two = event in ("os.link", "os.rename")
            changes = any(_below(watched, path, arguments[-1]) for path in arguments[: 1 + two])
        else:
            return
        if changes and os.getpid() == owner:
            action = act.get(count())
            if action is not None:
                action()

    sys.addaudithook(hook)


def _below(watched: str, path: object, descriptor: object) -> bool:
    if not isinstance(path, str | bytes | os.PathLike):
        return False
    name = Path(os.fsdecode(path))
    if isinstance(descriptor, int) and descriptor >= 0:
        name = Path(f"/proc/self/fd/{descriptor}").readlink() / name
    return name.absolute().is_relative_to(watched)


def _run_forked(arguments: list[str], watched: str, kill_before: int, move_before: int) -> tuple[Ran, list[str]]:
    """Run a command in a process of its own. Returns how it ended, and the modules that it imported."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receive)
        _run_counted(arguments, watched, kill_before, move_before, send)
    os.close(send)
    with os.fdopen(receive) as pipe:
        reply = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status < 0:
        return Ran(status, 0, ""), []
    changes, printed, modules = json.loads(reply)
    return Ran(status, changes, printed), modules


def _run_counted(arguments: list[str], watched: str, kill_before: int, move_before: int, reply: int) -> None:
    from qvl.command import main

    changes, printed, status = 0, io.StringIO(), 0

    def count() -> int:
        nonlocal changes
        changes += 1
        return changes

    def kill() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def move() -> None:
        os.rename(watched, f"{watched}.moved")  # noqa: PTH104

    _counting(watched, {move_before: move, kill_before: kill}, count)
    sys.argv = ["qvl", *arguments]
    with redirect_stdout(printed), redirect_stderr(printed):
        try:
            main()
        except SystemExit as ending:
            status = ending.code if isinstance(ending.code, int) else int(bool(ending.code))
    with os.fdopen(reply, "w") as pipe:
        json.dump([changes, printed.getvalue(), sorted(sys.modules)], pipe)
    os._exit(status)


def _serve() -> None:
    for line in sys.stdin:
        arguments, watched, kill_before, move_before = json.loads(line)
        ran, modules = _run_forked(arguments, watched, kill_before, move_before)
        for name in modules:  # here once, not in every fork
            if name.startswith(PREFIXES) and name not in sys.modules:
                with suppress(ImportError):
                    importlib.import_module(name)
        print(json.dumps({"status": ran.status, "changes": ran.changes, "printed": ran.printed}), flush=True)


if __name__ == "__main__":
    import qvl.command  # noqa: F401

    _serve()
