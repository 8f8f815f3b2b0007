"""What each step of a journey costs in time, processor time and peak memory, added up over runs that resume."""

import json
import resource
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.storage.atomic import replace_file

RESET_PEAK = "5"  # the value that makes clear_refs reset the peak, see proc(5)


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one step. ``seconds``: wall time; ``cpu``: processor seconds of this process and its ended children.

    ``peak_mb``: peak memory of the largest of these processes. A step that is already done adds next to nothing, so the
    costs of several runs of one journey can be added up.
    """

    seconds: float = 0.0
    cpu: float = 0.0
    peak_mb: float = 0.0


def read_costs(file: Path) -> dict[str, Cost]:
    """The costs by step, in the order in which the steps were first done; empty without a file.

    Raises DataError for a file that holds anything else.
    """
    if not file.exists():
        return {}
    try:
        return TypeAdapter(dict[str, Cost]).validate_json(file.read_bytes())
    except ValidationError as error:
        raise DataError(f"{file} does not contain the costs of steps ({error.errors()[0]['msg']})") from None


def _write_costs(file: Path, costs: dict[str, Cost]) -> None:
    replace_file(file, json.dumps({name: asdict(cost) for name, cost in costs.items()}, indent=2).encode())


@contextmanager
def measured(file: Path, name: str) -> Iterator[None]:
    """Measure a step and add its cost to the file, even if the step fails."""
    reset_peak()
    started, cpu, children = time.perf_counter(), cpu_seconds(), _peak_of_children()
    try:
        yield
    finally:
        costs, later = read_costs(file), _peak_of_children()
        before = costs.get(name, Cost())
        peak = max(peak_mb(), later if later > children else 0.0, before.peak_mb)
        seconds = before.seconds + time.perf_counter() - started
        costs[name] = Cost(round(seconds, 2), round(before.cpu + cpu_seconds() - cpu, 2), round(peak, 1))
        _write_costs(file, costs)


def forget(file: Path, names: Iterable[str]) -> None:
    """Drop the costs of steps whose results are discarded."""
    dropped = set(names)
    _write_costs(file, {name: cost for name, cost in read_costs(file).items() if name not in dropped})


def cpu_seconds() -> float:
    """Processor seconds of this process and of its ended children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def reset_peak() -> None:
    """Reset this process's peak memory, if the system can."""
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text(RESET_PEAK)


def peak_mb() -> float:
    """Peak resident memory of this process in MB since ``reset_peak``, or since its start if the system cannot reset it."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text("utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def _peak_of_children() -> float:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6
