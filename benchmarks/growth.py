"""Runs a benchmark at several sizes, each in a process of its own so that its peak memory is its own; says how it grows."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

GROWTH_LIMIT = 1.2
"""The largest power of the number of rows that processor time may grow with."""


def run_sizes(script: str, sizes: Sequence[int], arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run ``script --one SIZE`` with more arguments for each size; print its line of JSON, then the growth of ``cpu_s``."""
    results = []
    for rows in sizes:
        command = [sys.executable, script, "--one", str(rows), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **environment})
        results.append(json.loads(done.stdout))
        print(done.stdout.strip(), flush=True)
    first, last = results[0], results[-1]
    if first["rows"] < last["rows"]:
        power = math.log(last["cpu_s"] / first["cpu_s"]) / math.log(last["rows"] / first["rows"])
        print(json.dumps({"growth": f"n^{power:.2f}", "limit": GROWTH_LIMIT, "holds": power <= GROWTH_LIMIT}))
