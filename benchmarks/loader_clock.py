"""Samples per second and per CPU second of a loader, workers included. Standard library alone: every peer runs it."""

import json
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(process: int) -> float:
    """CPU time of a process and all its living descendants, from /proc."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        children = [
            int(child)
            for thread in Path(f"/proc/{process}/task").iterdir()
            for child in (thread / "children").read_text().split()
        ]
    except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS + sum(cpu_seconds(child) for child in children)


def measure(name: str, sizes: Iterable[int], warm: int, count: int) -> None:
    """Take batches (given as their numbers of samples), ``warm`` samples unmeasured, then ``count``; print JSON."""
    taken, start, before = 0, 0.0, 0.0
    running = False
    for size in sizes:
        taken += size
        if not running and taken >= warm:
            taken, start, before, running = 0, time.perf_counter(), cpu_seconds(os.getpid()), True
        elif running and taken >= count:
            break
    else:
        sys.exit(f"{name}: the loader ended after {taken} samples")
    wall, cpu = time.perf_counter() - start, cpu_seconds(os.getpid()) - before
    print(json.dumps({"loader": name, "per_s": taken / wall, "per_cpu_s": taken / cpu, "samples": taken}), flush=True)
