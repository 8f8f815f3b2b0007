"""Make one unit: its samples in a tar with an index, its ledger, and the manifest that commits them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.builders.builder import Builder, BuildUnit, ledger_schema
from qvl.pipeline.commit.attempts import attempt, publish
from qvl.pipeline.commit.fingerprint import file_hash, fingerprint
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import create_manifest, read_committed
from qvl.pipeline.curate.measuring.columns import sample_id
from qvl.pipeline.shards.built_unit import BuiltUnitManifest
from qvl.pipeline.shards.writer import ShardWriter
from qvl.pipeline.storage.paths import AnyPath

LEDGER_BATCH = 4_096  # ledger rows that are held as Python objects


@dataclass(frozen=True, slots=True)
class MakeTask:
    out: AnyPath
    builder: Builder
    unit: BuildUnit


def made_unit(task: MakeTask) -> BuiltUnitManifest | None:
    """The manifest of a unit that is already made from these inputs and whose files exist, or None."""
    layout, unit = Layout(task.out), task.unit.id
    parts = fingerprint(task.builder.parts(task.unit))
    return read_committed(layout.unit_manifest(unit), parts, unit_files(layout, unit), BuiltUnitManifest)


def unit_files(layout: Layout[AnyPath], unit: str) -> tuple[AnyPath, AnyPath, AnyPath]:
    """The tar, the index and the ledger of a unit."""
    return layout.made(unit), layout.made(unit).with_suffix(".parquet"), layout.ledger(unit)


def make_unit(task: MakeTask) -> BuiltUnitManifest:
    """Make one unit, unless it is already made, and commit its samples, ledger and sums."""
    committed = made_unit(task)
    if committed is not None:
        return committed
    layout, unit, parts = Layout(task.out), task.unit, task.builder.parts(task.unit)
    with attempt(task.out) as folder:
        tar, index, ledger = folder / "made.tar", folder / "made.parquet", folder / "ledger.parquet"
        with ShardWriter(tar) as writer:
            verdicts = _write_ledger(ledger, task, writer)
        manifest = BuiltUnitManifest(
            unit=unit.id,
            source=unit.source,
            name=unit.name,
            rows=sum(verdicts.values()),
            samples=len(writer.rows),
            verdicts=dict(sorted(verdicts.items())),
            hash=writer.hash,
            index_hash=file_hash(index),
            ledger_hash=file_hash(ledger),
            parts=parts,
            fingerprint=fingerprint(parts),
        )
        hashes = (manifest.hash, manifest.index_hash, manifest.ledger_hash)
        for written, final, digest in zip((tar, index, ledger), unit_files(layout, unit.id), hashes, strict=True):
            publish(written, final, digest)
    return create_manifest(layout.unit_manifest(unit.id), manifest)


def _write_ledger(target: Path, task: MakeTask, writer: ShardWriter) -> Counter[str]:
    """Make every row: its samples go to ``writer``, and one row to the ledger. Returns the number of rows by verdict."""
    unit, schema = task.unit, ledger_schema(task.builder)
    verdicts: Counter[str] = Counter()
    waiting: list[Mapping[str, object]] = []
    with pq.ParquetWriter(target, schema, compression="lz4") as ledger:
        for number, row in enumerate(task.builder.make(unit)):
            if (row.verdict == KEEP) != bool(row.samples):
                raise ContractError(f"{unit.name} row {number}: verdict {row.verdict} with {len(row.samples)} samples")
            for sample in row.samples:
                writer.write(sample)
            verdicts[row.verdict] += 1
            shared = {
                "id": sample_id(unit.id, number),
                "source": unit.source,
                "verdict": row.verdict,
                "samples": len(row.samples),
                "row": number,
                "key": row.key,
            }
            waiting.append({**shared, **row.columns})
            if len(waiting) >= LEDGER_BATCH:
                ledger.write_table(pa.Table.from_pylist(waiting, schema))
                waiting = []
        ledger.write_table(pa.Table.from_pylist(waiting, schema))
    return verdicts
