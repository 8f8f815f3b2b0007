"""How long a stage takes to know its first samples, by index alone: a made dataset of a billion samples.

    python benchmarks/loader_order.py [--shards 100000] [--rows 10000] [--batch 30720]

`dataset.json` names all shards; index tables are made for the few that the first steps touch, with real keys and offsets;
no tar exists. Times are of a fresh process after its imports; `peak` is its whole resident memory, `imports` what it had
before. Aim: first step in under 2 s, under 1 GB. Prints JSON.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).parents[1]))

from qvl.pipeline.shards.reader import Dataset, open_dataset
from qvl.pipeline.shards.writer import INDEX
from qvl.training.data.parts import MixPart, mix_parts
from qvl.training.data.schedule import Schedule
from qvl.training.data.steps import STREAM_START
from qvl.training.recipe import StageSpec

SAMPLE_BYTES = 45_000
STEPS = 4
SEED = 7
LATER = 20_000
"""A step far into the stage: a resumed run starts there."""


def stage(batch: int) -> StageSpec:
    """Stage 1 of the paper, as far as the order goes."""
    return StageSpec.model_validate(
        {
            "stage": "pretrain",
            "steps": 50_000,
            "resolution": 224,
            "length": 512,
            "mix": [{"dataset": "pairs", "weight": 1}],
            "batch": {"size": batch, "micro": 16},
            "optimizer": {"peak": 2e-4, "minimum": 1e-6, "warmup": 500},
        }
    )


def write_description(folder: Path, shards: int, rows: int) -> None:
    """A `dataset.json` of many shards, with the fields that pack writes."""
    entry = {"samples": rows, "bytes": rows * SAMPLE_BYTES, "image_bytes": rows * SAMPLE_BYTES}
    listed = [
        {"shard": f"pairs-{n:06d}", **entry, "hash": f"{n:032x}", "index_hash": f"{n:032x}"} for n in range(shards)
    ]
    samples = shards * rows
    content = {
        "name": "pairs",
        "fingerprint": "0" * 32,
        "samples": samples,
        "bytes": samples * SAMPLE_BYTES,
        "sources": {"pairs": samples},
        "languages": {"en": samples},
        "tasks": {"caption": samples},
        "hash": "0" * 32,
        "shards": listed,
        "lineage": {"rows": samples},
    }
    (folder / "dataset.json").write_text(json.dumps(content))


def write_index(path: str, number: int, rows: int) -> None:
    """The index of one shard: a caption and an image per sample."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    at: npt.NDArray[np.int64] = np.arange(rows)
    start = at * SAMPLE_BYTES
    lists = {"image_offsets": start + 512, "image_sizes": at % 1000 + 40_000, "widths": at % 9 + 400}
    lists["heights"] = lists["widths"]
    values: dict[str, Any] = {
        "key": [f"{number:06d}{row:08d}" for row in range(rows)],
        "offset": start,
        "size": np.full(rows, SAMPLE_BYTES),
        "json_offset": start + 42_000,
        "json_size": at % 300 + 200,
        "text_length": at % 120 + 30,
        "origin_row": at,
        "source": ["pairs"] * rows,
        "task": ["caption"] * rows,
        "language": ["en"] * rows,
        "extensions": [["jpg"]] * rows,
        "origin_file": ["pairs"] * rows,
        **{name: column[:, None].tolist() for name, column in lists.items()},
    }
    pq.write_table(pa.table([pa.array(values[f.name], f.type) for f in INDEX], INDEX), path, compression="zstd")


def prepare(folder: Path, shards: int, rows: int, batch: int) -> None:
    """Description and the index tables of the steps that will be planned."""
    write_description(folder, shards, rows)
    dataset = open_dataset(str(folder))
    mixture = Schedule(stage(batch), parts(dataset, batch), SEED).lookup.mixture
    for first in (0, LATER):
        for number in np.unique(mixture.draws(first * batch, (first + STEPS) * batch).shard).tolist():
            write_index(dataset.shards[number].index, number, rows)


def parts(dataset: Dataset, batch: int) -> list[MixPart]:
    """The one part of the mix."""
    return mix_parts(stage(batch), {"pairs": dataset})


def measure(folder: Path, batch: int) -> dict[str, Any]:
    """Times and memory of this process: from nothing to the first step, the steps behind it, and a resumed start."""
    imports = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    clock, cpu = time.perf_counter(), time.process_time()
    dataset = open_dataset(str(folder))
    opened = time.perf_counter()
    schedule = Schedule(stage(batch), parts(dataset, batch), SEED)
    made = time.perf_counter()
    first = schedule.plan(STREAM_START, 0, 64)
    planned, used = time.perf_counter(), time.process_time() - cpu
    following = first.after
    for _ in range(STEPS - 1):
        following = schedule.plan(following, 0, 64).after
    behind = time.perf_counter()
    resumed = Schedule(stage(batch), parts(dataset, batch), SEED).plan(replace(STREAM_START, step=LATER), 0, 64)
    end = time.perf_counter()
    return {
        "samples": dataset.samples,
        "shards": len(dataset.shards),
        "batch": batch,
        "open_s": round(opened - clock, 3),
        "schedule_s": round(made - opened, 3),
        "first_step_s": round(planned - made, 3),
        "start_s": round(planned - clock, 3),
        "start_cpu_s": round(used, 3),
        "next_step_s": round((behind - planned) / (STEPS - 1), 3),
        "resumed_at_step": resumed.number,
        "resumed_s": round(end - behind, 3),
        "imports_mb": round(imports / 1024),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=30_720)
    parser.add_argument("--measure", type=Path, help="(internal) the folder of a made dataset")
    options = parser.parse_args()
    if options.measure is not None:
        print(json.dumps(measure(options.measure, options.batch)))
        return
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name), options.shards, options.rows, options.batch)
        command = [sys.executable, __file__, "--measure", name, "--batch", str(options.batch)]
        sys.stdout.write(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main()
