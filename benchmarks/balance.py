"""Balance: what a cap, a top share and a weighted sample cost over synthetic columns, and how memory grows.

Claim: a step over 10 million rows takes less than 60 CPU seconds on one core. How time grows from 1 million is printed too.

    python benchmarks/balance.py [--rows 1000000 10000000]

Rows have addresses of 100,000 domains whose sizes follow a power law, a source, and a score. As in the stage, units of
100,000 rows offer their candidates, which are then sorted and cut at the limits. Reading columns and writing arrays is not
part of it. The columns of one unit are made at a time, outside the measured time. Each size runs in a process of its own.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa
from growth import run_sizes

from qvl.pipeline.balance.limits import CANDIDATE, beyond_limits, candidates
from qvl.pipeline.recipe.balance import BalanceStep

UNIT_ROWS = 100_000
DOMAINS = 100_000
STEPS = (
    BalanceStep.model_validate({"name": "domains", "cap": {"per": ["domain"], "count": 100}}),
    BalanceStep.model_validate({"name": "addresses", "cap": {"per": ["url"], "count": 1}}),
    BalanceStep.model_validate({"name": "best", "top": {"by": "clip", "share": 0.3, "per": ["license"]}}),
    BalanceStep.model_validate({"name": "drawn", "sample": {"by": "clip", "temperature": 0.1, "share": 0.1}}),
)


def columns_of(unit: int, rows: int) -> pa.Table:
    """The columns of one unit, as random as its number makes them."""
    rng = np.random.default_rng(unit)
    domain = (DOMAINS * rng.random(rows) ** 4).astype(np.int64)
    urls = [f"https://www.site{name}.example/{unit}/{row}.jpg" for row, name in enumerate(domain.tolist())]
    licenses = pa.array(["cc0", "cc-by", "cc-by-sa", None]).take(pa.array(rng.integers(0, 4, rows)))
    clip = pa.array(rng.normal(0.3, 0.05, rows).astype(np.float32))
    return pa.table({"url": urls, "license": licenses.dictionary_encode(), "clip": clip})


def timed(work: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    """What a piece of work returns, and its CPU seconds in this process."""
    start = time.process_time()
    return work(), time.process_time() - start


def one_step(step: BalanceStep, rows: int) -> dict[str, float]:
    """Offer and settle one step over all rows in one partition."""
    offered, spent = [], 0.0
    for unit in range(rows // UNIT_ROWS):
        table, kept = columns_of(unit, UNIT_ROWS), np.arange(UNIT_ROWS)
        found, seconds = timed(
            lambda table=table, unit=unit, kept=kept: candidates(step, table, "web", f"{unit}", kept)
        )
        found["group"] = unit
        offered.append(found)
        spent += seconds
    every = np.concatenate([np.empty(0, CANDIDATE), *offered])
    del offered
    lost, seconds = timed(lambda: beyond_limits(every, step))
    return {"offer_cpu_s": round(spent, 2), "settle_cpu_s": round(seconds, 2), "stay": rows - len(lost)}


def one_size(rows: int, name: str) -> dict[str, float | str]:
    """One step once, and the peak memory of its process above what it starts with."""
    columns_of(0, UNIT_ROWS)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = one_step(next(step for step in STEPS if step.name == name), rows)
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) * 1024 / rows
    cpu = round(found["offer_cpu_s"] + found["settle_cpu_s"], 2)
    return {"step": name, "rows": rows, **found, "cpu_s": cpu, "peak_bytes_per_row": round(peak, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--step", choices=[step.name for step in STEPS], help="only this step")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one_size(options.one, options.step)))
        return
    for step in STEPS if options.step is None else [step for step in STEPS if step.name == options.step]:
        run_sizes(__file__, options.rows, ["--step", step.name], {})


if __name__ == "__main__":
    main()
