"""Stage scan: one pass over a unit's bytes writes its columns and its manifest."""

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.captions.language import LanguageModel
from qvl.pipeline.commit.attempts import attempt, publish
from qvl.pipeline.commit.fingerprint import file_hash, file_identity, fingerprint
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import create_manifest, read_committed
from qvl.pipeline.curate.measuring.added_columns import ledger_name, with_carried
from qvl.pipeline.curate.measuring.columns import CATEGORY, COLUMNS, ROW_GROUP
from qvl.pipeline.curate.measuring.manifests import Parts, ScanManifest
from qvl.pipeline.curate.measuring.measure import measure
from qvl.pipeline.curate.measuring.texts import TEXTS
from qvl.pipeline.recipe.cleaning import Clean
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.recipe.source import SourceSpec, reader, reading
from qvl.pipeline.sources.base import Seen, Source, Unit, is_full
from qvl.pipeline.storage.paths import AnyPath
from qvl.pipeline.storage.reader import Storage

SCAN_VERSION = 3


@dataclass(frozen=True, slots=True)
class ScanTask:
    """Everything that a worker needs to scan one unit. ``input_bytes`` is the size of the unit's file."""

    out: AnyPath
    unit: Unit
    source: Source
    clean: Clean
    language_model: str
    parts: Parts
    input_bytes: int


@dataclass(frozen=True, slots=True)
class ScannedRows:
    """What was counted while a unit was read."""

    rows: int
    image_bytes: int
    faults: dict[str, int]
    carried: dict[str, str] | None
    seen: Seen


@lru_cache(maxsize=2)
def language_model(path: str) -> LanguageModel:
    """The language model, loaded once per process."""
    return LanguageModel(path)


def scan_task(recipe: Recipe, source: SourceSpec, unit: Unit, out: AnyPath, storage: Storage) -> ScanTask:
    """The task of one unit. Its parts are what the columns depend on, by name, so that a difference can be named."""
    identity = file_identity(storage, unit.path)
    parts: Parts = {
        "version": SCAN_VERSION,
        "reading": reading(source),
        "clean": recipe.clean.model_dump(),
        "language": language_model(recipe.language_model).fingerprint,
        "input": identity,
        "beside": reader(source).side_inputs(unit, storage),
    }
    size = cast(int, identity["bytes"])
    return ScanTask(out, unit, reader(source), recipe.clean, recipe.language_model, parts, size)


def scanned_unit(task: ScanTask) -> ScanManifest | None:
    """The manifest of a unit that has been scanned already, or None."""
    layout, unit = Layout(task.out), task.unit.id
    files = [layout.columns(unit), *([layout.texts(unit)] if task.source.caption_names() else [])]
    return read_committed(layout.unit_manifest(unit), fingerprint(task.parts), files, ScanManifest)


def scan_unit(task: ScanTask) -> ScanManifest:
    """Scan a unit and commit its columns. Returns the manifest; does nothing if the unit has been scanned already."""
    committed = scanned_unit(task)
    if committed is not None:
        return committed
    layout = Layout(task.out)
    with attempt(task.out) as folder:
        written, texts = folder / "columns.parquet", folder / "texts.parquet"
        counted = _write(task, written, texts)
        _refuse_changed(task)
        digest, of_texts = file_hash(written), None
        publish(written, layout.columns(task.unit.id), digest)
        if task.source.caption_names():
            of_texts = file_hash(texts)
            publish(texts, layout.texts(task.unit.id), of_texts)
    manifest = ScanManifest(
        unit=task.unit.id,
        source=task.unit.source,
        name=task.unit.name,
        rows=counted.rows,
        image_bytes=counted.image_bytes,
        faults=counted.faults,
        hash=digest,
        parts=task.parts,
        fingerprint=fingerprint(task.parts),
        carried=counted.carried,
        left_out=dict(sorted(counted.seen.left_out.items())) or None,
        unpaired=counted.seen.unpaired if 2 * counted.seen.unpaired > counted.seen.samples else 0,
        texts=of_texts,
    )
    return create_manifest(layout.unit_manifest(task.unit.id), manifest)


def _refuse_changed(task: ScanTask) -> None:
    """Raise DataError if the file is not the one that was planned: its columns would be committed under another identity."""
    if file_identity(Storage(), task.unit.path) != task.parts["input"]:
        raise DataError(
            f"{task.unit.source}/{task.unit.name}: the file changed while it was scanned; run the same command again"
            " when nothing writes to it"
        )


def _joined(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    """The parts of a batch as one, so that the file does not depend on where images divided it."""
    return parts[0] if len(parts) == 1 else pa.Table.from_batches(parts).combine_chunks().to_batches()[0]


def _writer(target: Path, schema: pa.Schema) -> pq.ParquetWriter:
    categories = [field.name for field in schema if field.type == CATEGORY]
    return pq.ParquetWriter(target, schema, compression="lz4", use_dictionary=categories)


def _write_parts(*parts: "_Parts | None") -> int:
    """Write what has been collected. Returns 0, the bytes of text that are left."""
    for each in parts:
        if each is not None:
            each.write()
    return 0


class _Parts:
    """Batches on their way to a parquet file, which are joined before they are written."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._parts: list[pa.RecordBatch] = []

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def add(self, batch: pa.RecordBatch) -> None:
        self._parts.append(batch)

    def write(self) -> None:
        if self._parts:
            self._writer.write_batch(_joined(self._parts), row_group_size=ROW_GROUP)
            self._parts = []


def _write(task: ScanTask, target: Path, texts_target: Path) -> ScannedRows:
    """Write the columns of a unit to a parquet file, and those of its texts to another if its rows have several."""
    rows, image_bytes = 0, 0
    faults: Counter[str] = Counter()
    seen = Seen()
    model = language_model(task.language_model)
    names = task.source.caption_names()
    text = 0
    carried = task.source.carried(task.unit, Storage())
    added = {ledger_name(field.name): field.type for field in carried}
    schema = pa.schema([*COLUMNS, *added.items()])
    with ExitStack() as stack:
        parts = _Parts(stack.enter_context(_writer(target, schema)))
        texts = _Parts(stack.enter_context(_writer(texts_target, TEXTS))) if names else None
        for batch_rows in task.source.read(task.unit, Storage(), seen):
            measured = measure(batch_rows, rows, task.clean, model, names)
            batch = with_carried(measured.rows, batch_rows, carried)
            rows += len(batch)
            image_bytes += pc.sum(batch["image_bytes"]).as_py() or 0
            faults.update(fault for fault in batch["fault"].to_pylist() if fault is not None)
            parts.add(batch)
            if texts is not None and measured.texts is not None:
                texts.add(measured.texts)
            text += sum(row.text_bytes if row.carried or row.texts else len(row.caption) for row in batch_rows)
            if is_full(len(parts), text):
                text = _write_parts(parts, texts)
        _write_parts(parts, texts)
    types = {name: str(kind) for name, kind in added.items()} or None
    return ScannedRows(rows, image_bytes, dict(sorted(faults.items())), types, seen)
