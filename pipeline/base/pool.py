"""The one boundary between the work and Ray: ``Pool.map(function, items)``.

A function takes one item and returns a small result; its output is files, and pixels never travel. Therefore the serial
pool and the Ray pool give the same bytes. Results come in the order of completion, each with its item.
"""

import functools
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from qvl.pipeline.base.errors import QvlError, RecipeError

Item = TypeVar("Item")
Result = TypeVar("Result")

RETRIES = 3
QUEUE_FACTOR = 2  # tasks in flight for each task that can run, so that no worker waits for the driver
CONTINUE = "run the same command again, and it continues where this run stopped"


@dataclass(frozen=True, slots=True)
class Resources:
    """What one task needs while it runs, or what a pool has: CPUs, GPUs, and memory in bytes (0: not reserved).

    ``at_once`` limits how many such tasks run at the same time in the whole cluster (0: as many as there is room for).
    """

    cpus: float = 1
    gpus: float = 0
    memory: int = 0
    at_once: int = 0


ONE_CPU = Resources()


def available_threads() -> int:
    """The processors of this worker: the number in OMP_NUM_THREADS, which Ray sets for each task, or all there are."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    return int(told) if told.isdecimal() and int(told) else len(os.sched_getaffinity(0))


class Pool(Protocol):
    """Runs a pure function over items. Exceptions of the function reach the caller unchanged."""

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item], needs: Resources = ONE_CPU
    ) -> Iterator[tuple[Item, Result]]:
        """Items with their results, in any order. ``needs`` is what each task asks for while it runs."""
        ...

    def resources(self) -> Resources:
        """What there is right now. A cluster may grow and shrink while it runs, so ask again instead of keeping this."""
        ...


@dataclass(frozen=True)
class GuardedPool:
    """Another pool with a check before each of its results. The check raises when the run must not continue."""

    pool: Pool
    check: Callable[[], None]

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item], needs: Resources = ONE_CPU
    ) -> Iterator[tuple[Item, Result]]:
        self.check()
        for pair in self.pool.map(function, items, needs):
            self.check()
            yield pair

    def resources(self) -> Resources:
        return self.pool.resources()


class SerialPool:
    """Runs everything in this process, in order."""

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item], needs: Resources = ONE_CPU
    ) -> Iterator[tuple[Item, Result]]:
        for item in items:
            yield item, function(item)

    def resources(self) -> Resources:
        return ONE_CPU


class RayPool:
    """Runs items as Ray tasks. A bounded number is in flight, so that the driver's memory does not grow with the items.

    A task whose worker dies runs again, at most three times; every function is pure, so a retry changes nothing.
    """

    def __init__(self, address: str | None = None, cpus: int | None = None) -> None:
        import ray

        if not ray.is_initialized():
            options = {"address": address} if address else {"num_cpus": cpus, "include_dashboard": False}
            ray.init(log_to_driver=False, logging_level="error", **options)

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item], needs: Resources = ONE_CPU
    ) -> Iterator[tuple[Item, Result]]:
        """Like any pool. Tasks that ask for GPUs run without them if the cluster has none."""
        with _ray_errors():
            yield from self._results(function, items, needs)

    def resources(self) -> Resources:
        import ray

        total = ray.cluster_resources()
        return Resources(total.get("CPU", 1), total.get("GPU", 0), int(total.get("memory", 0)))

    def _results(
        self, function: Callable[[Item], Result], items: Iterable[Item], needs: Resources
    ) -> Iterator[tuple[Item, Result]]:
        import ray

        # max_calls=0: by default a worker with a GPU ends after one task, and would load its model for every unit
        task = ray.remote(max_retries=RETRIES, max_calls=0)(_returning_errors(function))
        pending: dict[ray.ObjectRef, Item] = {}
        source = iter(items)
        while True:
            cluster = self.resources()
            granted = needs if cluster.gpus else replace(needs, gpus=0)
            submit = task.options(**_ray_options(granted)).remote
            for item in itertools.islice(source, max(0, tasks_in_flight(granted, cluster) - len(pending))):
                pending[submit(item)] = item
            if not pending:
                return
            done, _ = ray.wait(list(pending), num_returns=1)
            for reference in done:
                result, error = ray.get(reference)
                if error is not None:
                    raise error
                yield pending.pop(reference), result

    def close(self) -> None:
        """Stop the local Ray, or disconnect from the cluster."""
        import ray

        ray.shutdown()


def tasks_in_flight(needs: Resources, cluster: Resources) -> int:
    """How many tasks to keep submitted: ``QUEUE_FACTOR`` times as many as the cluster can run at once, and at least that.

    Where only so many may run at once, no others wait in the queue.
    """
    pairs = ((cluster.cpus, needs.cpus), (cluster.gpus, needs.gpus), (cluster.memory, needs.memory))
    running = min((total // each for total, each in pairs if each), default=1)
    queued = max(1, int(running)) * QUEUE_FACTOR
    return min(queued, needs.at_once) if needs.at_once else queued


def _ray_options(needs: Resources) -> dict[str, float | None]:
    return {"num_cpus": needs.cpus, "num_gpus": needs.gpus, "memory": needs.memory or None}


@contextmanager
def _ray_errors() -> Iterator[None]:
    """Turn the exceptions of Ray itself into one line that says how to continue."""
    import ray

    try:
        yield
    except ray.exceptions.RayTaskError as error:
        raise RuntimeError(f"a task failed in its worker: {_last_line(error)}") from error
    except ray.exceptions.WorkerCrashedError as error:
        raise QvlError(
            f"a worker died {RETRIES + 1} times on the same task ({_first_line(error)}); check its memory, then {CONTINUE}"
        ) from None
    except ray.exceptions.RayError as error:
        raise QvlError(f"Ray stopped working ({_first_line(error)}); {CONTINUE}") from None


def _returning_errors(function: Callable[[Item], Result]) -> Callable[[Item], tuple[Result | None, Exception | None]]:
    """The function as a task. It returns errors that a user can act on; a bug is raised with its worker's traceback."""

    @functools.wraps(function)
    def task(item: Item) -> tuple[Result | None, Exception | None]:
        try:
            return function(item), None
        except (QvlError, OSError) as error:
            return None, error

    return task


def _last_line(error: Exception) -> str:
    """The last line of a worker's traceback, which is the error itself."""
    return str(error).strip().rpartition("\n")[2]


def _first_line(error: Exception) -> str:
    """The first line of Ray's long messages."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def open_pool(workers: str, address: str | None) -> Pool:
    """The pool that ``workers`` names: serial or ray. Raises RecipeError for any other name."""
    if workers == "serial":
        return SerialPool()
    if workers == "ray":
        return RayPool(address)
    raise RecipeError(f"workers: there is no {workers}; choose serial or ray")
