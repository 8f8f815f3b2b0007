"""Cost against size: 1, 4 and 16 times the rows, serial and on two Ray workers.

Claim: no stage grows faster than linear, and the driver's memory does not grow with the rows.

    python benchmarks/curate_growth.py [--data .data/benchmarks]

Each size runs in a process of its own: all stages of `qvl curate run`, on tars of real-size photographs (the larger sizes
read the same tars again under other names; duplicate rules are off so that every row is packed).
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import photo_tars

from qvl.pipeline.base.pool import Pool, RayPool, SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.curate.run import run
from qvl.pipeline.recipe.recipe import Recipe

ROWS = 2_500
SIZES = (1, 4, 16)


class StageTimes(RunProgress):
    """Notes when each stage begins."""

    def __init__(self) -> None:
        super().__init__()
        self.starts: dict[str, float] = {}

    def stage(self, name: str, total: int, done: int = 0) -> None:
        self.starts[name] = time.perf_counter()
        super().stage(name, total, done)


def measure(tars: list[Path], size: int, workers: str) -> dict[str, float]:
    """Seconds by stage and the driver's peak memory."""
    folder = Path(tempfile.mkdtemp(prefix="qvl-growth-"))
    try:
        for number in range(size):
            (folder / f"{number:05d}.tar").symlink_to(tars[number % len(tars)].resolve())
        recipe = Recipe.model_validate(
            {
                "name": "bench",
                "sources": [{"name": "photos", "read": {"kind": "webdataset", "paths": [str(folder / "*.tar")]}}],
                "filters": {"image_size": {}, "aspect_ratio": {}, "text_length": {}, "language": {}},
                "dedup": {"image": False, "pair": False, "repeated_text": None},
                "pack": {"shard_rows": ROWS, "window_units": 4},
            }
        )
        pool: Pool = RayPool(cpus=2) if workers == "ray" else SerialPool()
        times = StageTimes()
        dataset = run(recipe, folder / "out", pool, times)
        end = time.perf_counter()
    finally:
        shutil.rmtree(folder)
    begins = [*times.starts.values(), end]
    stages = {f"{name}_s": round(begins[i + 1] - begins[i], 2) for i, name in enumerate(times.starts)}
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"rows": size * ROWS, "kept": dataset.samples, **stages, "driver_mb": round(memory / 1024)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(".data/benchmarks"))
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--worker", nargs=2, metavar=("SIZE", "WORKERS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    tars = photo_tars.make(options.data / "tars-10000", 10_000, cache=options.data)
    if options.worker:
        size, workers = options.worker
        print(json.dumps({"workers": workers, **measure(tars, int(size), workers)}))
        return
    for workers in ("serial", "ray"):
        for size in options.sizes:
            command = [sys.executable, __file__, "--data", str(options.data), "--worker", str(size), workers]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
            print(done.stdout.splitlines()[-1], flush=True)


if __name__ == "__main__":
    main()
