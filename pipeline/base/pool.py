"""The one seam between the work and Ray: ``Pool.map(function, items)``.

A function gets one item and returns a small result; files are its output and pixels never travel. The serial pool and
the Ray pool therefore give the same bytes. Results come in completion order with the item that they belong to.
"""

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from qvl.pipeline.base.errors import QvlError

Item = TypeVar("Item")
Result = TypeVar("Result")

RETRIES = 3
IN_FLIGHT_PER_CPU = 2
CONTINUE = "run the same command again, it continues where this run was"


class Pool(Protocol):
    """Runs a pure function over items. Errors of the function reach the caller unchanged."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result]]: ...


@dataclass(frozen=True)
class GuardedPool:
    """Another pool, and a check before each of its results: it raises where the run must not go on."""

    pool: Pool
    check: Callable[[], None]

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result]]:
        self.check()
        for pair in self.pool.map(function, items):
            self.check()
            yield pair


class SerialPool:
    """Everything in this process, in order."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result]]:
        for item in items:
            yield item, function(item)


class RayPool:
    """Ray tasks, at most two per CPU in flight, so that the driver's memory does not grow with the items.

    A task whose worker dies runs again, at most three times; every function is pure, so a retry changes nothing.
    """

    def __init__(self, address: str | None = None, cpus: int | None = None) -> None:
        import ray

        if not ray.is_initialized():
            options = {"address": address} if address else {"num_cpus": cpus, "include_dashboard": False}
            ray.init(log_to_driver=False, logging_level="error", **options)
        self.cpus = int(ray.cluster_resources().get("CPU", 1))
        self.gpus = int(ray.cluster_resources().get("GPU", 0))

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result]]:
        import ray

        # max_calls: a worker with a GPU would be ended after one task, and the model loaded for every unit
        task = ray.remote(num_cpus=1, max_retries=RETRIES, max_calls=0)(_attempted(function))
        pending: dict[ray.ObjectRef, Item] = {}
        source = iter(items)
        try:
            while True:
                while len(pending) < self.cpus * IN_FLIGHT_PER_CPU and (item := next(source, None)) is not None:
                    gpus = getattr(item, "gpus", 0) if self.gpus else 0
                    pending[task.options(num_gpus=gpus).remote(item)] = item
                if not pending:
                    return
                done, _ = ray.wait(list(pending), num_returns=1)
                for reference in done:
                    result, failure = ray.get(reference)
                    if failure is not None:
                        raise failure
                    yield pending.pop(reference), result
        except ray.exceptions.RayTaskError as error:
            raise RuntimeError(f"a task failed in its worker:\n{error}") from None
        except ray.exceptions.WorkerCrashedError as error:
            raise QvlError(
                f"a worker died {RETRIES + 1} times on the same work ({_line(error)}); look at its memory, then {CONTINUE}"
            ) from None
        except ray.exceptions.RayError as error:
            raise QvlError(f"Ray stopped working ({_line(error)}); {CONTINUE}") from None

    def close(self) -> None:
        """Stop the local Ray, or leave the cluster."""
        import ray

        ray.shutdown()


def _attempted(function: Callable[[Item], Result]) -> Callable[[Item], tuple[Result | None, Exception | None]]:
    """The function as a task: errors that a user can mend come back as they are, bugs with their worker's traceback."""

    @functools.wraps(function)
    def task(item: Item) -> tuple[Result | None, Exception | None]:
        try:
            return function(item), None
        except (QvlError, OSError) as error:
            return None, error

    return task


def _line(error: Exception) -> str:
    """The first line of Ray's long messages."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
