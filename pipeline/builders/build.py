"""Build a dataset from made samples (OCR pages, grounding): units are made, then packed, with the base's guarantees.

A builder turns a unit (a range of seeds, a document, an annotation file) into verdicts and samples. Each unit commits its
samples, its ledger and its sums once; shards are then packed in the seeded order of ``qvl.pipeline.shards.order``, by
copying samples unchanged. Equal recipes and inputs give equal bytes at any worker count, after any kill.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from qvl.pipeline.base.errors import ContractError, StaleError
from qvl.pipeline.base.pool import GuardedPool, Pool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.commit.commit import (
    attempt,
    clear_attempts,
    committed_manifest,
    create_manifest,
    file_hash,
    output_lock,
    publish,
    read_committed,
    read_manifest,
)
from qvl.pipeline.commit.fingerprint import fingerprint, merkle_root
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.measuring.columns import WORDS, sample_id
from qvl.pipeline.curate.stale import discard
from qvl.pipeline.shards.dataset import commit_shard, committed_shard, finish
from qvl.pipeline.shards.order import ShardPlan, shard_plans, windows
from qvl.pipeline.shards.writer import Sample, ShardWriter
from qvl.pipeline.sources.base import Bytes
from qvl.pipeline.storage.arrow_files import read_parquet
from qvl.pipeline.storage.paths import Place, StorePath, map_concurrently
from qvl.pipeline.storage.storage import Storage
from qvl.pipeline.takedown.journal import finish_takedown

BUILD_VERSION = 1
LEDGER_BATCH = 4_096
WINDOW_UNITS = 256
FETCHED = 64  # samples that a shard asks a store for at once

BASE_LEDGER = [
    ("id", pa.string()),  # of the input row: unit and row
    ("source", WORDS),
    ("verdict", WORDS),  # keep, or the one reason
    ("samples", pa.int32()),  # how many samples the row became
    ("row", pa.int32()),
    ("key", pa.string()),  # what the input calls the row
]


@dataclass(frozen=True)
class BuildUnit:
    """A piece of work. ``source`` is the part of the recipe that it belongs to, ``name`` what it is called there.

    ``id`` names files: letters, digits, dashes, underscores; equal wherever the data lies. ``payload`` is the builder's.
    """

    id: str
    source: str
    name: str
    payload: Any = None


@dataclass
class Made:
    """One input row: ``keep`` with its samples, or a reason without any. ``columns`` are the builder's own."""

    verdict: str
    key: str = ""
    samples: list[Sample] = field(default_factory=list)
    columns: dict[str, Any] = field(default_factory=dict)


class Builder(Protocol):
    """What a dataset is made of; pickled to workers. ``columns`` are the ledger's columns beside the base's."""

    name: str
    columns: list[tuple[str, pa.DataType]]

    def units(self) -> list[BuildUnit]:
        """All units, in a fixed order. Cheap."""

    def parts(self, unit: BuildUnit) -> dict[str, Any]:
        """What the unit's output depends on, by name (recipe parts, input identity, library versions): JSON values."""

    def make(self, unit: BuildUnit) -> Iterator[Made]:
        """Every input row of the unit, in order, each once. Sample ids are unique in the dataset and hold no dots."""


@dataclass(frozen=True)
class MakeTask:
    out: Place
    builder: Builder
    unit: BuildUnit


@dataclass(frozen=True)
class CopyTask:
    out: Place
    plan: ShardPlan
    seed: int
    fingerprint: str


def build(
    builder: Builder, out: Place, pool: Pool, progress: RunProgress, *, shard_rows: int, seed: int, fresh: bool = False
) -> dict[str, Any]:
    """Make what is not made yet and pack it. Returns ``dataset.json``; same errors as ``curate.run``."""
    out = out.resolve()
    with output_lock(out) as check:
        finish_takedown(out)
        pool = GuardedPool(pool, check)
        tasks = [MakeTask(out, builder, unit) for unit in builder.units()]
        _refuse_or_discard(tasks, out, shard_rows, seed, fresh)
        clear_attempts(out)
        layout = Layout(out)
        done = map_concurrently(out, made_unit, tasks)
        todo = [task for task, manifest in zip(tasks, done, strict=True) if manifest is None]
        progress.stage("make", len(tasks), len(tasks) - len(todo))
        for _, manifest in pool.map(make_unit, todo):
            drops = {word: n for word, n in manifest["verdicts"].items() if word != KEEP}
            progress.advance(manifest["rows"], drops)
        made = map_concurrently(out, committed_manifest, [layout.unit_manifest(task.unit.id) for task in tasks])
        return _pack(builder.name, out, made, shard_rows, seed, pool, progress)


def made_unit(task: MakeTask) -> dict[str, Any] | None:
    """The manifest of a unit that is made already, or None."""
    layout, unit = Layout(task.out), task.unit.id
    files = [layout.made(unit), layout.made(unit).with_suffix(".parquet"), layout.ledger(unit)]
    return read_committed(layout.unit_manifest(unit), fingerprint(task.builder.parts(task.unit)), files)


def make_unit(task: MakeTask) -> dict[str, Any]:
    """Make one unit and commit its samples, ledger and sums."""
    layout, unit, parts = Layout(task.out), task.unit, task.builder.parts(task.unit)
    path = layout.unit_manifest(unit.id)
    committed = made_unit(task)
    if committed is not None:
        return committed
    with attempt(task.out) as folder:
        with ShardWriter(folder / "made.tar") as writer:
            verdicts = _write_ledger(folder / "ledger.parquet", task, writer)
        index = folder / "made.parquet"
        digests = {"index_hash": file_hash(index), "ledger_hash": file_hash(folder / "ledger.parquet")}
        publish(folder / "made.tar", layout.made(unit.id), writer.hash)
        publish(index, layout.made(unit.id).with_suffix(".parquet"), digests["index_hash"])
        publish(folder / "ledger.parquet", layout.ledger(unit.id), digests["ledger_hash"])
    sums = {"rows": sum(verdicts.values()), "samples": len(writer.rows), "verdicts": dict(sorted(verdicts.items()))}
    identity = {"unit": unit.id, "source": unit.source, "name": unit.name}
    content = {**identity, **sums, "hash": writer.hash, **digests, "parts": parts, "fingerprint": fingerprint(parts)}
    return create_manifest(path, content)


def _write_ledger(target: Path, task: MakeTask, writer: ShardWriter) -> Counter[str]:
    """Make every row; samples to ``writer``, one ledger row each. Returns rows by verdict."""
    unit, schema = task.unit, ledger_schema(task.builder)
    verdicts: Counter[str] = Counter()
    waiting: list[dict[str, Any]] = []
    with pq.ParquetWriter(target, schema, compression="lz4") as ledger:
        for row, made in enumerate(task.builder.make(unit)):
            if (made.verdict == KEEP) != bool(made.samples):
                raise ContractError(f"{unit.name} row {row}: verdict {made.verdict} with {len(made.samples)} samples")
            for sample in made.samples:
                writer.write(sample)
            verdicts[made.verdict] += 1
            base = (sample_id(unit.id, row), unit.source, made.verdict, len(made.samples), row, made.key)
            waiting.append({**dict(zip([name for name, _ in BASE_LEDGER], base, strict=True)), **made.columns})
            if len(waiting) >= LEDGER_BATCH:
                ledger.write_table(pa.Table.from_pylist(waiting, schema))
                waiting = []
        ledger.write_table(pa.Table.from_pylist(waiting, schema))
    return verdicts


def ledger_schema(builder: Builder) -> pa.Schema:
    """The base's columns, then the builder's."""
    return pa.schema([*BASE_LEDGER, *builder.columns])


def copy_shard(task: CopyTask) -> dict[str, Any]:
    """Pack one shard: samples of made units, unchanged, in the seeded order."""
    committed = committed_shard(task.out, task.plan, task.fingerprint)
    return committed or commit_shard(task.out, task.plan.name, _samples(task), task.fingerprint)


def _samples(task: CopyTask) -> Iterator[Sample]:
    layout = Layout(task.out)
    for window in task.plan.windows:
        owner, rank = window.rows(task.seed, task.plan.first, task.plan.last)
        numbers = sorted(set(owner.tolist()))
        opened = map_concurrently(task.out, _opened, [layout.made(window.units[number]) for number in numbers])
        views = dict(zip(numbers, opened, strict=True))
        wanted = [
            (views[unit][0], views[unit][1][place]) for unit, place in zip(owner.tolist(), rank.tolist(), strict=True)
        ]
        for start in range(0, len(wanted), FETCHED):
            yield from map_concurrently(task.out, _sample, wanted[start : start + FETCHED])


def _opened(path: Place) -> tuple[memoryview | StorePath, list[dict[str, Any]]]:
    """A made tar and its index: mapped where it lies on a disk; on a store the samples are fetched one by one."""
    rows = read_parquet(path.with_suffix(".parquet")).to_pylist()
    if isinstance(path, StorePath):
        return path, rows
    with Storage().mapped(str(path)) as data:
        return data, rows


def _sample(wanted: tuple[memoryview | StorePath, dict[str, Any]]) -> Sample:
    tar, row = wanted
    first, last = row["offset"], row["offset"] + row["size"]
    data = memoryview(tar.read_range(first, last)) if isinstance(tar, StorePath) else tar[first:last]
    images: list[tuple[str, Bytes, int, int]] = []
    spans = zip(row["image_offsets"], row["image_sizes"], row["widths"], row["heights"], row["extensions"], strict=True)
    for offset, size, width, height, extension in spans:
        images.append((extension, data[offset - first : offset - first + size], width, height))
    json = data[row["json_offset"] - first : row["json_offset"] - first + row["json_size"]]
    return Sample(orjson.loads(json), images)


def _pack(
    name: str, out: Place, made: list[dict[str, Any]], shard_rows: int, seed: int, pool: Pool, progress: RunProgress
) -> dict[str, Any]:
    verdicts: dict[str, Counter[str]] = {}
    for unit in made:
        verdicts.setdefault(unit["source"], Counter()).update(unit["verdicts"])
    # of what was made: a takedown blanks samples in a unit, which changes the bytes that lie there
    root = merkle_root(f"{unit['unit']} {unit.get('made_hash', unit['hash'])}" for unit in made)
    order = windows(seed, WINDOW_UNITS, [(unit["unit"], unit["samples"]) for unit in made])
    plans = shard_plans(name, shard_rows, order)
    mark = fingerprint({"version": BUILD_VERSION, "made": root, "name": name, "shard_rows": shard_rows, "seed": seed})
    tasks = [CopyTask(out, plan, seed, plan.fingerprint(mark)) for plan in plans]
    done = map_concurrently(out, lambda task: committed_shard(out, task.plan, task.fingerprint), tasks)
    todo = [task for task, manifest in zip(tasks, done, strict=True) if manifest is None]
    progress.stage("pack", len(tasks), len(tasks) - len(todo))
    for _, manifest in pool.map(copy_shard, todo):
        progress.advance(manifest["samples"])
    lineage = {
        "made": root,
        "pack": {"shard_rows": shard_rows, "seed": seed},
        "rows": sum(unit["rows"] for unit in made),
        "verdicts": {source: dict(sorted(counts.items())) for source, counts in sorted(verdicts.items())},
        "units": [unit["unit"] for unit in made],
    }
    return finish(name, out, plans, sum(unit["samples"] for unit in made), lineage)


def _refuse_or_discard(tasks: list[MakeTask], out: Place, shard_rows: int, seed: int, fresh: bool) -> None:
    """Raise StaleError that names what changed; with ``fresh`` remove exactly that, and the shards."""
    layout = Layout(out)
    reasons, stale = _changes(tasks, layout)
    dataset = read_manifest(layout.dataset)
    if dataset is not None:
        packed = dataset["lineage"]["pack"]
        reasons += [
            f"{k}: {packed[k]} -> {v}" for k, v in (("shard_rows", shard_rows), ("seed", seed)) if packed[k] != v
        ]
        known = {task.unit.id for task in tasks}
        reasons += [f"{unit} is gone" for unit in dataset["lineage"]["units"] if unit not in known]
        new = known - set(dataset["lineage"]["units"])
        reasons += [f"{len(new)} new units"] if new else []
    if not reasons:
        return
    if not fresh:
        raise StaleError(
            f"{out} holds other work: {'; '.join(reasons[:5])}. Choose another --output, or run with --fresh to discard "
            "what this changes (units that did not change are kept)"
        )
    known = {task.unit.id for task in tasks}
    gone = [p.stem for p in (out / "manifests" / "scan").glob("*.json") if p.stem not in known]
    for unit in [*stale, *gone]:
        layout.unit_manifest(unit).unlink(missing_ok=True)
        for path in (layout.made(unit), layout.made(unit).with_suffix(".parquet"), layout.ledger(unit)):
            path.unlink(missing_ok=True)
    discard(layout, [], ledger=False)


def _changes(tasks: Iterable[MakeTask], layout: Layout[Place]) -> tuple[list[str], list[str]]:
    """What changed in units that are made already, in words, and their ids."""
    reasons, stale = [], []
    each = list(tasks)
    manifests = map_concurrently(layout.out, lambda task: read_manifest(layout.unit_manifest(task.unit.id)), each)
    for task, manifest in zip(each, manifests, strict=True):
        if manifest is None:
            continue
        parts = task.builder.parts(task.unit)
        if manifest["fingerprint"] != fingerprint(parts):
            names = [
                name for name in sorted({*parts, *manifest["parts"]}) if manifest["parts"].get(name) != parts.get(name)
            ]
            reasons.append(f"{task.unit.source}/{task.unit.name}: {', '.join(names)} changed")
            stale.append(task.unit.id)
    return reasons, stale
