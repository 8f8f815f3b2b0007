"""Stage pack, one shard: kept rows in the order of ``qvl.pipeline.shards.order``. Image bytes are copied unchanged."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.measuring.added_columns import ledger_name
from qvl.pipeline.markup.turns import caption_turns
from qvl.pipeline.shards.dataset import commit_shard, committed_shard
from qvl.pipeline.shards.manifests import ShardManifest
from qvl.pipeline.shards.order import ShardPlan
from qvl.pipeline.shards.sample import Meta, Origin, Sample, SampleImage, SampleRecord, metas
from qvl.pipeline.shards.writer import EXTENSIONS
from qvl.pipeline.sources.base import (
    REFERENCE_COLUMNS,
    Bytes,
    ImageReference,
    Source,
    Unit,
    images_as_scanned,
    images_missing,
)
from qvl.pipeline.storage.arrow_files import read_parquet
from qvl.pipeline.storage.paths import AnyPath, map_concurrently
from qvl.pipeline.storage.reader import Storage


@dataclass(frozen=True, slots=True)
class KeptRow:
    """The columns of the ledger that a kept row's sample is made of. ``image_hash`` is the XXH3-128 of the image's bytes."""

    id: str
    source: str
    row: int
    key: str
    url: str
    caption: str
    language: str
    width: int
    height: int
    format: str
    image_hash: bytes

    @classmethod
    def from_columns(cls, columns: pa.Table) -> list[Self]:
        """All rows of a table with these columns, in its order."""
        return list(map(cls, *(columns[name].to_pylist() for name in SAMPLE_COLUMNS)))


SAMPLE_COLUMNS = [field.name for field in fields(KeptRow)]
NEEDED = list(dict.fromkeys(["verdict", *SAMPLE_COLUMNS, *REFERENCE_COLUMNS]))


@dataclass(frozen=True)
class PackTask:
    """Everything that a worker needs to make one shard: its plan, the units in it, the readers of their sources.

    ``carried`` names the columns that each source carries into ``meta``, in order.
    """

    out: AnyPath
    plan: ShardPlan
    units: dict[str, Unit]
    sources: dict[str, Source]
    carried: dict[str, tuple[str, ...]]
    seed: int
    fingerprint: str


def pack_shard(task: PackTask) -> ShardManifest:
    """Write and commit one shard and its index. Raises DataError where an input changed since it was scanned."""
    committed = committed_shard(task.out, task.plan, task.fingerprint)
    if committed is not None:
        return committed
    rows, units = _rows(task)
    metas = _metas(task, rows, units)
    images = _fetch(task, rows, units)
    kept = zip(KeptRow.from_columns(rows), units, images, metas, strict=True)
    return commit_shard(task.out, task.plan.name, (_sample(*entry) for entry in kept), task.fingerprint)


def _rows(task: PackTask) -> tuple[pa.Table, list[Unit]]:
    """The ledger rows of the shard in its order, and the unit of each."""
    tables, units = [], []
    for window in task.plan.windows:
        kept = map_concurrently(task.out, lambda unit: _kept(task, unit), window.units)
        starts = np.concatenate(([0], np.cumsum(window.kept)))
        owner, rank = window.rows(task.seed, task.plan.first, task.plan.last)
        tables.append(pa.concat_tables(kept).take(pa.array(starts[owner] + rank)))
        units += [task.units[window.units[i]] for i in owner]
    return pa.concat_tables(tables), units


def _kept(task: PackTask, unit: str) -> pa.Table:
    carried = sorted({ledger_name(name) for names in task.carried.values() for name in names})
    table = read_parquet(Layout(task.out).ledger(unit), list(dict.fromkeys([*NEEDED, *carried])))
    return table.filter(pc.equal(table["verdict"].cast(pa.string()), KEEP))


def _fetch(task: PackTask, rows: pa.Table, units: list[Unit]) -> list[Bytes]:
    """The images in the shard's order. Each unit is opened once and read in file order.

    Raises DataError where an image is missing or its bytes no longer have the hash that was scanned.
    """
    wanted: dict[Unit, list[ImageReference]] = {}
    positions: dict[tuple[Unit, int], int] = {}
    for position, (unit, image) in enumerate(zip(units, ImageReference.from_columns(rows), strict=True)):
        wanted.setdefault(unit, []).append(image)
        positions[unit, image.row] = position
    hashes = rows["image_hash"].to_pylist()
    images: list[Bytes | None] = [None] * len(rows)
    for unit, references in wanted.items():
        references.sort(key=lambda image: image.locator)
        scanned = {image.row: hashes[positions[unit, image.row]] for image in references}
        for row, data in images_as_scanned(task.sources[unit.source], unit, references, scanned, Storage()):
            images[positions[unit, row]] = data
    found = [image for image in images if image is not None]
    if len(found) < len(rows):
        raise images_missing(task.plan.name, len(rows) - len(found))
    return found


def _metas(task: PackTask, rows: pa.Table, units: list[Unit]) -> list[Meta]:
    """``meta`` of each row: what its source carries, by the names of the recipe."""
    names = sorted({name for carried in task.carried.values() for name in carried})
    found = metas({name: rows[ledger_name(name)] for name in names}, len(rows))
    return [{name: meta[name] for name in task.carried[unit.source]} for meta, unit in zip(found, units, strict=True)]


def _sample(row: KeptRow, unit: Unit, image: Bytes, meta: Meta) -> Sample:
    sample = SampleRecord(
        id=row.id,
        source=row.source,
        task="caption",
        language=row.language,
        turns=caption_turns(row.caption, row.language),
        origin=Origin(unit.name, row.row, row.key, row.url, row.image_hash.hex()),
        meta=meta,
    )
    extension = EXTENSIONS.get(row.format, row.format)
    return Sample(sample, (SampleImage(extension, image, row.width, row.height),))
