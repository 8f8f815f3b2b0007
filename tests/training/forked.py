"""Runs ``qvl`` commands in processes of their own that share their imports.

A fresh Python needs 6 to 10 CPU seconds to import PyTorch, Transformers and DeepSpeed. Here a server imports them once and
forks for every command. Each command still has a process, a process group, output and an exit code of its own, so that a
test may kill it. That a fresh Python starts the same commands is tested in ``tests/end_to_end`` and under torchrun.
"""

import multiprocessing
import os
import runpy
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["tests.training.preloaded"])


class ForkedCommand:
    """A running ``qvl`` command, with the methods of ``subprocess.Popen`` that tests use.

    ``script`` is a Python file that runs instead of ``qvl``.
    """

    def __init__(self, *arguments: str, script: Path | None = None) -> None:
        self._arguments = arguments
        out, out_writer = SERVER.Pipe(duplex=False)
        error, error_writer = SERVER.Pipe(duplex=False)
        self._process = SERVER.Process(target=_command, args=(arguments, script, out_writer, error_writer))
        self._process.start()
        out_writer.close()
        error_writer.close()
        readers = ThreadPoolExecutor(2)
        self._out: Future[str] = readers.submit(_read, out)
        self._error: Future[str] = readers.submit(_read, error)
        readers.shutdown(wait=False)

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        """The exit code, None while it runs; negative after a signal."""
        return self._process.exitcode

    def communicate(self) -> tuple[str, str]:
        """Wait until it and everything that it started has ended. Returns stdout and stderr."""
        self._process.join()
        return self._out.result(), self._error.result()

    def finish(self) -> "subprocess.CompletedProcess[str]":
        """Wait for the end. Returns the exit code and the output."""
        out, error = self.communicate()
        assert self.returncode is not None
        return subprocess.CompletedProcess(self._arguments, self.returncode, out, error)


def _read(pipe: Connection) -> str:
    with os.fdopen(os.dup(pipe.fileno()), encoding="utf-8") as file:
        pipe.close()
        return file.read()


def _command(arguments: tuple[str, ...], script: Path | None, out: Connection, error: Connection) -> None:
    from qvl.command import main

    os.setsid()
    multiprocessing.set_start_method(None, force=True)  # loader workers are forked, as in a fresh Python
    for number, pipe in ((1, out), (2, error)):
        os.dup2(pipe.fileno(), number)
        pipe.close()
    sys.argv = ["qvl" if script is None else str(script), *arguments]
    if script is None:
        main()
    else:
        sys.path.insert(0, str(script.parent))  # as Python does for a script
        runpy.run_path(str(script), run_name="__main__")


def run_ranks(function: Callable[..., None], *arguments: object, world: int = 2) -> None:
    """Call a function of a module in processes that have the environment of torchrun. All of them must succeed."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    names = {"WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [
        SERVER.Process(target=_rank, args=(function, arguments, {**names, "RANK": str(rank), "LOCAL_RANK": str(rank)}))
        for rank in range(world)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * world


def _rank(function: Callable[..., None], arguments: tuple[object, ...], environment: dict[str, str]) -> None:
    os.environ.update(environment)
    function(*arguments)


def compile_operator() -> None:
    """Compile the operator that DeepSpeed loads on a CPU, unless it is compiled."""
    process = SERVER.Process(target=_load_operator)
    process.start()
    process.join()
    assert process.exitcode == 0


def _load_operator() -> None:
    from deepspeed.comm.torch import build_shm_op

    from qvl.training.loop.operators import clear_dead_locks, operators_folder

    clear_dead_locks(operators_folder())
    build_shm_op()
