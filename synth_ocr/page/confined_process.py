"""Work on untrusted files in a child process with limits on time and memory. A failure there becomes a reason here.

One child serves many tasks. It is replaced after a fault and after RECYCLE tasks, which bounds how much it can leak.
"""

import atexit
import multiprocessing
import resource
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Generic, Literal, TypeVar

from qvl.pipeline.base.terminal import warn

RECYCLE = 200  # tasks of one child

Task = TypeVar("Task")
Result = TypeVar("Result")


class ProcessStopped(Exception):
    """The child did not finish. ``str(error)`` is the verdict: unreadable:time, :memory, :crash, or error:<class>."""


@dataclass(frozen=True)
class Limits:
    """``seconds`` of wall clock between two results; ``megabytes`` of address space of the child, 0 for no limit."""

    seconds: float
    megabytes: int


Message = tuple[Literal["item", "end", "stopped"], Any]


def serve(connection: Connection, function: Callable[[Any], Iterator[Any]], megabytes: int) -> None:
    """The child's loop: receive a task, send its results, until the parent closes the connection.

    An unforeseen error ends the child and prints its traceback; the parent receives the error's class, which is the verdict.
    """
    if megabytes:
        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        try:
            for item in function(task):
                connection.send(("item", item))
            connection.send(("end", None))
        except MemoryError:
            connection.send(("stopped", "unreadable:memory"))
            return
        except Exception as error:  # noqa: BLE001 - the parent gets its class
            for line in "".join(traceback.format_exception(error)).splitlines():
                warn(line)
            connection.send(("stopped", f"error:{type(error).__name__}"))  # then the parent ends this process
            return


class ConfinedProcess(Generic[Task, Result]):
    """Runs ``function``, a generator of results that can be imported by name, in a child process."""

    def __init__(self, function: Callable[[Task], Iterator[Result]], limits: Limits) -> None:
        self.function, self.limits = function, limits
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._tasks = 0

    def results(self, task: Task) -> Iterator[Result]:
        """All results of one task. Raises ProcessStopped when a limit is reached or the child dies."""
        connection = self._start()
        connection.send(task)
        finished = False
        try:
            while True:
                kind, item = self._receive(connection)
                if kind == "end":
                    finished = True
                    return
                if kind == "stopped":
                    raise ProcessStopped(item)
                yield item
        finally:
            self._tasks += 1
            if not finished or self._tasks >= RECYCLE:
                self.close()

    def _receive(self, connection: Connection) -> Message:
        if not connection.poll(self.limits.seconds):
            raise ProcessStopped("unreadable:time")
        try:
            message: Message = connection.recv()
        except (EOFError, ConnectionResetError):
            raise ProcessStopped("unreadable:crash") from None
        return message

    def _start(self) -> Connection:
        """The connection to the running child; starts one if none runs."""
        if self._connection is None:
            context = multiprocessing.get_context("spawn")
            connection, child_end = context.Pipe()
            process = context.Process(target=serve, args=(child_end, self.function, self.limits.megabytes), daemon=True)
            process.start()
            child_end.close()
            self._connection, self._process, self._tasks = connection, process, 0
        return self._connection

    def close(self) -> None:
        """End the child."""
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._connection = self._process = None


@cache
def confined_process(function: Callable[[Task], Iterator[Result]], limits: Limits) -> ConfinedProcess[Task, Result]:
    """This process's only child for a kind of work."""
    child = ConfinedProcess(function, limits)
    atexit.register(child.close)
    return child
