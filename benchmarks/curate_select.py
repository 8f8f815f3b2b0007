"""Select: filters and exact duplicates over scanned columns, in rows per second and core.

Claim: at least 2 million rows/s/core for the decisions (filters, duplicate rules), memory flat in the number of units.

    python benchmarks/curate_select.py [--rows 10000000] [--units 100 1000]

Columns as scan writes them are made first (not timed): sizes, hashes with 20% duplicates, captions, languages. Then the
stage runs as `qvl curate run` runs it, in this process. The limit that it is compared with is reading the decision
columns alone. Writing the full ledger (every column of every row) is timed by itself.
"""

import argparse
import json
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import create_manifest
from qvl.pipeline.curate.measuring.columns import CATEGORY, CATEGORY_COLUMNS, COLUMNS, read_columns
from qvl.pipeline.curate.measuring.manifests import ScanManifest
from qvl.pipeline.curate.selection.groups import make_groups, write_groups
from qvl.pipeline.curate.selection.judge import judge
from qvl.pipeline.curate.selection.key_steps import emit, resolve
from qvl.pipeline.curate.selection.task import SelectTask
from qvl.pipeline.curate.selection.write_ledger import write_ledger
from qvl.pipeline.filters import Filters
from qvl.pipeline.recipe.recipe import Recipe

RECIPE = Recipe.model_validate(
    {
        "name": "bench",
        "sources": [{"name": "made", "read": {"kind": "webdataset", "paths": ["none/*.tar"]}}],
        "filters": {word: {} for word in Filters.model_fields if word not in ("clip", "nsfw", "watermark")},
        "dedup": {"image": True, "repeated_text": 10},
    }
)


def make_unit(rng: np.random.Generator, rows: int, total: int) -> pa.Table:
    """Columns of one unit; hashes are drawn so that a fifth of all rows have an equal one somewhere."""
    ids = rng.integers(0, int(total * 2.2), (2, rows))
    hashes = [np.stack([i.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15), i.astype(np.uint64)], 1) for i in ids]
    sides = rng.integers(100, 2000, (2, rows)).astype(np.int32)
    words = rng.integers(1, 40, rows).astype(np.int32)

    def word(values: list[str]) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(rng.integers(0, len(values), rows), pa.int16()), values)

    def ints(low: int, high: int, kind: Any = None) -> pa.Array:
        return pa.array(rng.integers(low, high, rows)).cast(kind or pa.int32())

    captions = pa.array([f"a photograph of object {i} on a wooden table near the sea" for i in ids[0]])
    given: dict[str, Any] = {
        "row": np.arange(rows, dtype=np.int32), "key": captions, "url": captions, "caption_raw": captions,
        "caption": captions, "locator": ints(0, 1 << 30, pa.int64()), "image_bytes": ints(2000, 90_000),
        "width": sides[0], "height": sides[1], "format": word(["jpeg", "png", "webp", "gif"]),
        "mode": word(["RGB", "L", "CMYK"]), "orientation": ints(1, 2, pa.int8()),
        "animated": pa.array(np.zeros(rows, bool)), "characters": words * 5, "words": words,
        "emoji": (rng.random(rows) < 0.02).astype(np.int32), "markers": np.zeros(rows, np.int32),
        "special_tags": np.zeros(rows, np.int32), "latin": rng.random(rows).astype(np.float32),
        "han": rng.random(rows).astype(np.float32), "other": (rng.random(rows) < 0.05).astype(np.float32),
        "language": word(["en", "zh", "fr"]), "language_probability": rng.random(rows).astype(np.float32),
    }  # fmt: skip
    for name, values in zip(("image_hash", "text_hash"), hashes, strict=True):
        given[name] = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), rows, [None, pa.py_buffer(values.tobytes())])
    columns = [_column(given.get(field.name), field.type, rows) for field in COLUMNS]
    return pa.Table.from_arrays(columns, schema=COLUMNS)


def _column(values: Any, kind: pa.DataType, rows: int) -> pa.Array:
    if values is None:
        return (
            pa.nulls(rows, pa.string()).dictionary_encode().cast(CATEGORY) if kind == CATEGORY else pa.nulls(rows, kind)
        )
    return values if isinstance(values, pa.Array) else pa.array(values, kind)


def make_scanned(out: Path, rows: int, units: int) -> list[ScanManifest]:
    """Columns and manifests of ``units`` units with ``rows`` rows in all."""
    layout, rng, manifests = Layout(out), np.random.default_rng(0), []
    (out / "columns").mkdir(parents=True)
    for number in range(units):
        unit = f"made-{number:012d}"
        table = make_unit(rng, rows // units, rows)
        pq.write_table(table, layout.columns(unit), compression="lz4", use_dictionary=CATEGORY_COLUMNS)
        manifest = ScanManifest(unit, "made", unit, len(table), 0, {}, unit, {}, unit)
        manifests.append(create_manifest(layout.unit_manifest(unit), manifest))
    return manifests


def timed(function: Callable[[SelectTask], Any], tasks: Iterable[SelectTask]) -> float:
    """CPU seconds of this process, all its threads."""
    start = time.process_time()
    for task in tasks:
        function(task)
    return time.process_time() - start


def run(rows: int, units: int) -> dict[str, float]:
    """Rates of one size: decisions, ledger, and the limit (reading the decision columns)."""
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    out = Path(tempfile.mkdtemp(prefix="qvl-select-"))
    try:
        groups = make_groups(make_scanned(out, rows, units))
        write_groups(out, groups)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        first = SelectTask(out, RECIPE, f"{rows}-{units}", 0)
        tasks = [SelectTask(out, RECIPE, first.fingerprint, group.number) for group in groups]
        seconds = {"judge": timed(judge, tasks)}
        for rule, chosen in enumerate(first.rules):
            ruled = [SelectTask(out, RECIPE, first.fingerprint, task.number, rule) for task in tasks]
            parts = [SelectTask(out, RECIPE, first.fingerprint, part, rule) for part in range(first.partitions)]
            seconds[chosen.reason] = timed(emit, ruled) + timed(resolve, parts)
        decide = sum(seconds.values())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        ledger = timed(write_ledger, tasks)
        limit = timed(read_decision_columns, tasks)
    finally:
        shutil.rmtree(out)
    return {
        "rows": rows, "units": units, **{f"{name}_s": round(value, 2) for name, value in seconds.items()},
        "decide_rows_per_s": round(rows / decide), "ledger_rows_per_s": round(rows / ledger),
        "read_columns_rows_per_s": round(rows / limit), "share_of_limit": round(limit / decide, 3),
        "memory_grown_mb": round((peak - before) / 1024),
    }  # fmt: skip


def read_decision_columns(task: SelectTask) -> None:
    """What no selection can do without: the columns that the filters and the duplicate rules look at."""
    filters = task.recipe.filters_of("made")
    names = {name for _, _, chosen in filters.active() for name in chosen.reads}
    for unit in task.group.units:
        read_columns(task.out, unit, sorted({*names, "fault", "image_hash", "text_hash"}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--units", type=int, nargs="+", default=[100, 1000])
    arguments = parser.parse_args()
    for units in arguments.units:
        print(json.dumps(run(arguments.rows, units)), flush=True)


if __name__ == "__main__":
    main()
