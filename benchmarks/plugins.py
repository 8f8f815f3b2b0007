"""Columns by plug-ins: what they cost besides their own work, as a share of the scan in the same run.

Claim: a plug-in of Arrow functions costs its own work and at most 5% of the scan of the same rows.

    python benchmarks/plugins.py [--rows 100000] [--rounds 5]

One table of captions with small pictures is scanned; then an operator computes two columns, as `qvl curate run` does it
(reading the columns, batches, parquet, commit), and once more over the same captions in memory: its own work. All times
are CPU seconds of one process, each the least of several rounds.
"""

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.curate.curation import Curation
from qvl.pipeline.curate.measuring.added_columns import added_columns
from qvl.pipeline.curate.measuring.columns import read_columns
from qvl.pipeline.curate.measuring.computed import run_computed
from qvl.pipeline.curate.measuring.scan import scan_unit
from qvl.pipeline.recipe.recipe import Recipe

ROOT = Path(__file__).resolve().parents[1]
PLUGIN = ROOT / "examples" / "plugins" / "caption_shape.py"
PICTURES = ROOT / "examples" / "corpus" / "museum" / "images"


def cpu_seconds(work: Callable[[], object]) -> float:
    """The CPU time of a piece of work in this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def write_table(path: Path, rows: int) -> None:
    """A table of real captions, numbered, with real pictures."""
    lines = (PICTURES.parent / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [text for line in lines if isinstance(text := json.loads(line).get("caption"), str)]
    named = (file for file in PICTURES.iterdir() if "planted" not in file.name)
    files = sorted(named, key=lambda file: file.stat().st_size)[:50]
    pictures = [file.read_bytes() for file in files]
    captions = pa.array([f"{texts[row % len(texts)]} {row}" for row in range(rows)])
    images = pa.array([pictures[row % len(pictures)] for row in range(rows)], pa.large_binary())
    pq.write_table(pa.table({"caption": captions, "image": images}), path)
    return captions


def measure(folder: Path, rows: int, rounds: int) -> dict[str, float]:
    """The least CPU seconds of a scan, of the plug-in's stage, and of the plug-in's own work."""
    write_table(folder / "t.parquet", rows)
    read = {"kind": "table", "paths": [str(folder / "t.parquet")], "columns": {"caption": "caption", "image": "image"}}
    sources = [{"name": "t", "read": read}]
    recipe = Recipe.model_validate({"name": "r", "sources": sources, "plugins": [str(PLUGIN)]})
    times: dict[str, list[float]] = {"scan": [], "stage": [], "own": []}
    for number in range(rounds):
        curation = Curation.open(recipe, folder / f"out{number}")
        (task,), (plugin,) = curation.scan_tasks(), curation.plugins.columns
        times["scan"].append(cpu_seconds(lambda task=task: scan_unit(task)))
        scanned = [scan_unit(task)]
        carried = added_columns(curation.recipe, curation.out, scanned)
        with RunProgress() as progress:
            stage = partial(run_computed, curation.out, curation.plugins, scanned, carried, SerialPool(), progress)
            times["stage"].append(cpu_seconds(stage))
        columns = read_columns(curation.out, task.unit.id, ["caption", "fault"])
        usable = columns.filter(columns["fault"].is_null()).select(["caption"])
        batches = usable.combine_chunks().to_batches(max_chunksize=8_192)
        times["own"].append(cpu_seconds(lambda plugin=plugin, batches=batches: list(map(plugin.open().apply, batches))))
        shutil.rmtree(curation.out)
    return {name: min(seconds) for name, seconds in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="qvl-plugins-") as folder:
        found = measure(Path(folder), options.rows, options.rounds)
    print(json.dumps({name: round(seconds, 4) for name, seconds in found.items()}))
    print(f"own work, share of the scan: {found['own'] / found['scan']:.2%}")
    print(f"besides its own work, share of the scan: {(found['stage'] - found['own']) / found['scan']:.2%}")


if __name__ == "__main__":
    main()
