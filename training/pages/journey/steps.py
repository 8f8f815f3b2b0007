"""What each step of a journey costs: seconds, processor seconds and peak memory, added up over runs that resume."""

import json
import resource
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.storage.atomic import replace_file

RESET_PEAK = "5"  # written to clear_refs, the kernel counts the peak anew (proc(5))


@dataclass(frozen=True)
class Cost:
    """Of one step. ``seconds``: wall time; ``cpu``: of this process and its ended children; ``peak_mb``: of the largest one.

    A step that is done already adds next to nothing, so several runs of one journey add up to its cost.
    """

    seconds: float = 0.0
    cpu: float = 0.0
    peak_mb: float = 0.0


def read_costs(file: Path) -> dict[str, Cost]:
    """The steps so far, in the order in which they were first done."""
    return {name: Cost(**values) for name, values in (read_manifest(file) or {}).items()}


@contextmanager
def measured(file: Path, name: str) -> Iterator[None]:
    """Measure a step and add it to the file; a step that fails is measured, too."""
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
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, json.dumps({name: asdict(cost) for name, cost in costs.items()}, indent=2).encode())


def forget(file: Path, names: Iterable[str]) -> None:
    """Drop steps whose work is thrown away."""
    kept = {name: asdict(cost) for name, cost in read_costs(file).items() if name not in set(names)}
    replace_file(file, json.dumps(kept, indent=2).encode())


def cpu_seconds() -> float:
    """Processor seconds of this process and of its children that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def reset_peak() -> None:
    """Start counting this process's peak memory anew, where the system can."""
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text(RESET_PEAK)


def peak_mb() -> float:
    """Peak resident memory of this process since ``reset_peak`` in MB; since its start where the system cannot tell."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text("utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def _peak_of_children() -> float:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6
