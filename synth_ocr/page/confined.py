"""Work on strangers' files in a child process with limits on time and memory; what breaks there is a reason here.

One child serves many tasks and is replaced after a fault or after ``recycle`` tasks, which bounds what it can leak.
"""

import atexit
import multiprocessing
import resource
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection
from typing import Any, Literal

RECYCLE = 200


class Stopped(Exception):
    """The child did not finish. ``str(error)`` is the verdict: unreadable:time, :memory, :crash, or error:<class>."""


@dataclass(frozen=True)
class Limits:
    """``seconds`` of wall clock between two results, ``megabytes`` of address space of the child; 0 for none."""

    seconds: float
    megabytes: int


Message = tuple[Literal["item", "end", "stopped"], Any]


def serve(connection: Connection, function: Callable[[Any], Iterator[Any]], megabytes: int) -> None:
    """The child: a task in, its results out, until the other end closes.

    An error that nobody foresaw ends the child with its traceback; the other end learns its class, a verdict.
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
        except Exception as error:
            connection.send(("stopped", f"error:{type(error).__name__}"))
            raise


class Confined:
    """Runs ``function`` (a generator of results, importable by name) in a child."""

    def __init__(self, function: Callable[[Any], Iterator[Any]], limits: Limits) -> None:
        self.function, self.limits = function, limits
        self._process: Any = None
        self._connection: Connection | None = None
        self._tasks = 0

    def results(self, task: Any) -> Iterator[Any]:
        """All results of one task. Raises Stopped when a limit is reached or the child dies."""
        connection = self._child()
        connection.send(task)
        finished = False
        try:
            while True:
                kind, item = self._receive(connection)
                if kind == "end":
                    finished = True
                    return
                if kind == "stopped":
                    raise Stopped(item)
                yield item
        finally:
            self._tasks += 1
            if not finished or self._tasks >= RECYCLE:
                self.close()

    def _receive(self, connection: Connection) -> Message:
        if not connection.poll(self.limits.seconds):
            raise Stopped("unreadable:time")
        try:
            message: Message = connection.recv()
        except (EOFError, ConnectionResetError):
            raise Stopped("unreadable:crash") from None
        return message

    def _child(self) -> Connection:
        if self._connection is None:
            context = multiprocessing.get_context("spawn")
            self._connection, other = context.Pipe()
            self._process = context.Process(
                target=serve, args=(other, self.function, self.limits.megabytes), daemon=True
            )
            self._process.start()
            other.close()
            self._tasks = 0
        return self._connection

    def close(self) -> None:
        """End the child."""
        if self._connection is not None:
            self._connection.close()
            self._process.kill()
            self._process.join()
            self._connection = self._process = None


@cache
def confined(function: Callable[[Any], Iterator[Any]], limits: Limits) -> Confined:
    """The one child of this process for a kind of work."""
    child = Confined(function, limits)
    atexit.register(child.close)
    return child
