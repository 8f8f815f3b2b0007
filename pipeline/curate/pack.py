"""Stage pack, one shard: kept rows in the order of ``qvl.pipeline.shards.order``. Image bytes are copied unchanged."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.markup.turns import caption_turns
from qvl.pipeline.shards.dataset import commit_shard, committed_shard
from qvl.pipeline.shards.manifests import ShardManifest
from qvl.pipeline.shards.order import ShardPlan
from qvl.pipeline.shards.sample import Origin, Sample, SampleImage, SampleRecord
from qvl.pipeline.shards.writer import EXTENSIONS
from qvl.pipeline.sources.base import Bytes, Source, Unit
from qvl.pipeline.storage.arrow_files import read_parquet
from qvl.pipeline.storage.paths import AnyPath, map_concurrently
from qvl.pipeline.storage.reader import Storage

NEEDED = [
    "id", "verdict", "row", "key", "url", "caption", "locator", "image_bytes", "width", "height", "format", "image_hash",
    "language", "source",
]  # fmt: skip


@dataclass(frozen=True)
class PackTask:
    """Everything that a worker needs to make one shard: its plan, the units in it, the readers of their sources."""

    out: AnyPath
    plan: ShardPlan
    units: dict[str, Unit]
    sources: dict[str, Source]
    seed: int
    fingerprint: str


def pack_shard(task: PackTask) -> ShardManifest:
    """Write and commit one shard and its index. Raises DataError where an input changed since it was scanned."""
    committed = committed_shard(task.out, task.plan, task.fingerprint)
    if committed is not None:
        return committed
    rows, units = _rows(task)
    images = _fetch(task, rows, units)
    records = zip(rows.to_pylist(), units, images, strict=True)
    return commit_shard(task.out, task.plan.name, (_sample(*record) for record in records), task.fingerprint)


def _rows(task: PackTask) -> tuple[pa.Table, list[Unit]]:
    """The ledger rows of the shard in its order, and the unit of each."""
    tables, units = [], []
    for window in task.plan.windows:
        kept = map_concurrently(task.out, lambda unit: _kept(task.out, unit), window.units)
        starts = np.concatenate(([0], np.cumsum(window.kept)))
        owner, rank = window.rows(task.seed, task.plan.first, task.plan.last)
        tables.append(pa.concat_tables(kept).take(pa.array(starts[owner] + rank)))
        units += [task.units[window.units[i]] for i in owner]
    return pa.concat_tables(tables), units


def _kept(out: AnyPath, unit: str) -> pa.Table:
    table = read_parquet(Layout(out).ledger(unit), NEEDED)
    return table.filter(pc.equal(table["verdict"].cast(pa.string()), KEEP))


def _fetch(task: PackTask, rows: pa.Table, units: list[Unit]) -> list[Bytes]:
    """The images in the shard's order. Each unit is opened once and read in file order.

    Raises DataError where an image is missing or its bytes no longer have the hash that was scanned.
    """
    wanted: dict[Unit, list[tuple[int, int, int]]] = {}
    positions: dict[tuple[Unit, int], int] = {}
    columns = (rows[name].to_pylist() for name in ("row", "locator", "image_bytes"))
    for position, (unit, row, locator, size) in enumerate(zip(units, *columns, strict=True)):
        wanted.setdefault(unit, []).append((row, locator, size))
        positions[unit, row] = position
    hashes = rows["image_hash"].to_pylist()
    images: list[Bytes | None] = [None] * len(rows)
    for unit, references in wanted.items():
        references.sort(key=lambda reference: reference[1])
        for row, data in task.sources[unit.source].images(unit, references, Storage()):
            position = positions[unit, row]
            if xxhash.xxh3_128_digest(data) != hashes[position]:
                raise DataError(
                    f"{unit.name} row {row}: the image changed since it was scanned; choose another --output"
                )
            images[position] = data
    found = [image for image in images if image is not None]
    if len(found) < len(rows):
        gone = f"{len(rows) - len(found)} images are gone since they were scanned"
        raise DataError(f"{task.plan.name}: {gone}; restore them or choose another --output")
    return found


def _sample(record: dict[str, Any], unit: Unit, image: Bytes) -> Sample:
    sample = SampleRecord(
        id=record["id"],
        source=record["source"],
        task="caption",
        language=record["language"],
        turns=caption_turns(record["caption"], record["language"]),
        origin=Origin(unit.name, record["row"], record["key"], record["url"], record["image_hash"].hex()),
    )
    extension = EXTENSIONS.get(record["format"], record["format"])
    return Sample(sample, (SampleImage(extension, image, record["width"], record["height"]),))
