"""Pack: MB per second and core against a plain copy of the same bytes.

Claim: at least half the rate of a plain copy (read and write of whole files, flushed to disk as pack flushes).

    python benchmarks/curate_pack.py [--rows 10000] [--data .data/benchmarks]
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

import photo_tars

from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.commit.manifests import committed_manifest
from qvl.pipeline.curate.curation import Curation
from qvl.pipeline.curate.pack import PackTask, pack_shard
from qvl.pipeline.curate.pack_stage import pack_tasks
from qvl.pipeline.curate.run import run
from qvl.pipeline.curate.selection.manifests import LedgerManifest, SelectSummary
from qvl.pipeline.recipe.recipe import Recipe

CHUNK = 1 << 22


def copy(sources: list[Path], folder: Path) -> tuple[float, float]:
    """Wall and CPU seconds of copying files through user space to new files, one after the other, flushed."""
    for source in sources:
        (folder / source.name).unlink(missing_ok=True)
    wall, cpu = time.perf_counter(), time.process_time()
    for source in sources:
        with source.open("rb") as read, (folder / source.name).open("wb") as write:
            while chunk := read.read(CHUNK):
                write.write(chunk)
            write.flush()
            os.fsync(write.fileno())
    return time.perf_counter() - wall, time.process_time() - cpu


def repack(tasks: list[PackTask]) -> tuple[float, float]:
    """Wall and CPU seconds of making all shards again."""
    out = tasks[0].out
    shutil.rmtree(out / "manifests" / "pack")
    shutil.rmtree(out / "shards")
    wall, cpu = time.perf_counter(), time.process_time()
    for task in tasks:
        pack_shard(task)
    return time.perf_counter() - wall, time.process_time() - cpu


def tasks_of(recipe: Recipe, out: Path) -> list[PackTask]:
    """The shards of a finished run."""
    curation = Curation(recipe, out.resolve())
    selected = committed_manifest(curation.layout.stage_manifest("select"), SelectSummary)
    paths = [curation.layout.group_manifest("ledger", number) for number in range(selected.groups)]
    ledgers = [committed_manifest(path, LedgerManifest) for path in paths]
    return pack_tasks(curation, curation.units(), ledgers, selected.fingerprint)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--data", type=Path, default=Path(".data/benchmarks"))
    options = parser.parse_args()
    tars = photo_tars.make(options.data / f"tars-{options.rows}", options.rows, cache=options.data)
    read = {"kind": "webdataset", "paths": [str(path) for path in tars]}
    recipe = Recipe.model_validate(
        {
            "name": "bench",
            "sources": [{"name": "photos", "read": read}],
            "dedup": {"repeated_text": None},
            "pack": {"shard_rows": 2500},
        }
    )
    folder = Path(tempfile.mkdtemp(prefix="qvl-pack-"))
    try:
        dataset = run(recipe, folder / "out", SerialPool(), RunProgress())
        megabytes = dataset.bytes / 1e6
        (folder / "copy").mkdir()
        tasks = tasks_of(recipe, folder / "out")
        rounds = [(copy(tars, folder / "copy"), repack(tasks)) for _ in range(options.repeats)]
    finally:
        shutil.rmtree(folder)
    size = sum(path.stat().st_size for path in tars) / 1e6
    rows = [
        {
            "copy_mb_per_cpu_s": round(size / plain[1]), "pack_mb_per_cpu_s": round(megabytes / packed[1]),
            "ratio_cpu": round(megabytes / packed[1] / (size / plain[1]), 2),
            "copy_mb_per_s": round(size / plain[0]), "pack_mb_per_s": round(megabytes / packed[0]),
            "ratio_wall": round(megabytes / packed[0] / (size / plain[0]), 2),
        }
        for plain, packed in rounds
    ]  # fmt: skip
    for row in rows:
        print(json.dumps(row))


if __name__ == "__main__":
    main()
