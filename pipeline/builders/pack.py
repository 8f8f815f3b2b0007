"""Pack built units into shards: samples are copied unchanged, in the seeded order of ``qvl.pipeline.shards.order``."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import JsonValue

from qvl.pipeline.base.pool import Pool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.commit.fingerprint import fingerprint, merkle_root
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.shards.built_unit import BuiltUnitManifest
from qvl.pipeline.shards.dataset import commit_shard, committed_shard, finish
from qvl.pipeline.shards.manifests import DatasetManifest, ShardManifest
from qvl.pipeline.shards.order import ShardPlan, Window, shard_plans, windows
from qvl.pipeline.shards.sample import BlankedSample, Sample, SampleImage, blank_json, decode_sample
from qvl.pipeline.shards.writer import IndexRow
from qvl.pipeline.storage.arrow_files import read_parquet
from qvl.pipeline.storage.paths import AnyPath, StorePath, map_concurrently
from qvl.pipeline.storage.reader import Storage

BUILD_VERSION = 1
WINDOW_UNITS = 256
FETCHED = 64  # samples requested from a store at once


@dataclass(frozen=True, slots=True)
class PackSettings:
    """What of a recipe decides how samples are packed."""

    shard_rows: int
    seed: int


@dataclass(frozen=True, slots=True)
class CopyTask:
    out: AnyPath
    plan: ShardPlan
    seed: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class _OpenUnit:
    """A built tar, mapped into memory or left on its store, and its index rows."""

    name: str
    tar: memoryview | StorePath
    rows: list[IndexRow]

    def sample(self, rank: int) -> Sample | BlankedSample:
        """One sample. On a store this is one range request."""
        row = self.rows[rank]
        first, last = row["offset"], row["offset"] + row["size"]
        data = memoryview(self.tar.read_range(first, last)) if isinstance(self.tar, StorePath) else self.tar[first:last]
        images: list[SampleImage] = []
        columns = row["image_offsets"], row["image_sizes"], row["widths"], row["heights"], row["extensions"]
        for offset, size, width, height, extension in zip(*columns, strict=True):
            images.append(SampleImage(extension, data[offset - first : offset - first + size], width, height))
        json = bytes(data[row["json_offset"] - first : row["json_offset"] - first + row["json_size"]])
        if json == blank_json(row["key"], len(json)):
            return BlankedSample(row["key"])
        return Sample(decode_sample(json, self.name, row["key"]), tuple(images))


def copy_shard(task: CopyTask) -> ShardManifest:
    """Pack one shard, unless it is already packed, and return its manifest."""
    committed = committed_shard(task.out, task.plan, task.fingerprint)
    return committed or commit_shard(task.out, task.plan.name, _samples(task), task.fingerprint)


def _samples(task: CopyTask) -> Iterator[Sample | BlankedSample]:
    """The samples of a shard in order."""
    for window in task.plan.windows:
        owners, ranks = window.rows(task.seed, task.plan.first, task.plan.last)
        units = _open_units(task.out, window, sorted(set(owners.tolist())))
        wanted = [(units[owner], rank) for owner, rank in zip(owners.tolist(), ranks.tolist(), strict=True)]
        for start in range(0, len(wanted), FETCHED):
            yield from map_concurrently(task.out, _read_sample, wanted[start : start + FETCHED])


def _read_sample(wanted: tuple[_OpenUnit, int]) -> Sample | BlankedSample:
    unit, rank = wanted
    return unit.sample(rank)


def _open_units(out: AnyPath, window: Window, numbers: list[int]) -> dict[int, _OpenUnit]:
    """The units of a window with these numbers, by number."""
    layout = Layout(out)
    opened = map_concurrently(out, _open_unit, [layout.made(window.units[number]) for number in numbers])
    return dict(zip(numbers, opened, strict=True))


def _open_unit(tar: AnyPath) -> _OpenUnit:
    rows = read_parquet(tar.with_suffix(".parquet")).to_pylist()
    if isinstance(tar, StorePath):
        return _OpenUnit(str(tar), tar, rows)
    with Storage().mapped(str(tar)) as data:
        return _OpenUnit(str(tar), data, rows)


def pack(
    name: str, out: AnyPath, units: list[BuiltUnitManifest], settings: PackSettings, pool: Pool, progress: RunProgress
) -> DatasetManifest:
    """Pack all samples of the units into the shards of the dataset ``name``. Returns ``dataset.json``."""
    # The hash of each tar as it was built: a takedown blanks samples in it, which must not change the shards.
    root = merkle_root(f"{unit.unit} {unit.built_hash}" for unit in units)
    shard_rows, seed = settings.shard_rows, settings.seed
    order = windows(seed, WINDOW_UNITS, [(unit.unit, unit.samples) for unit in units])
    plans = shard_plans(name, shard_rows, order)
    build = fingerprint({"version": BUILD_VERSION, "made": root, "name": name, "shard_rows": shard_rows, "seed": seed})
    tasks = [CopyTask(out, plan, seed, plan.fingerprint(build)) for plan in plans]
    done = map_concurrently(out, lambda task: committed_shard(out, task.plan, task.fingerprint), tasks)
    todo = [task for task, manifest in zip(tasks, done, strict=True) if manifest is None]
    progress.stage("pack", len(tasks), len(tasks) - len(todo))
    for _, manifest in pool.map(copy_shard, todo):
        progress.advance(manifest.samples)
    return finish(name, out, plans, sum(unit.samples for unit in units), _lineage(units, root, settings))


def _lineage(units: list[BuiltUnitManifest], root: str, settings: PackSettings) -> dict[str, JsonValue]:
    """Where the dataset comes from, for ``dataset.json``."""
    verdicts: dict[str, Counter[str]] = {}
    for unit in units:
        verdicts.setdefault(unit.source, Counter()).update(unit.verdicts)
    return {
        "made": root,
        "pack": {"shard_rows": settings.shard_rows, "seed": settings.seed},
        "rows": sum(unit.rows for unit in units),
        "verdicts": {source: dict(sorted(counts.items())) for source, counts in sorted(verdicts.items())},
        "units": [unit.unit for unit in units],
    }
