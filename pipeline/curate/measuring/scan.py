"""Stage scan: one pass over a unit's bytes to its columns and its manifest."""

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from qvl.pipeline.captions.language import LanguageModel
from qvl.pipeline.commit.attempts import attempt, publish
from qvl.pipeline.commit.fingerprint import file_hash, file_identity, fingerprint
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import create_manifest, read_committed
from qvl.pipeline.curate.measuring.columns import COLUMNS, WORD_COLUMNS
from qvl.pipeline.curate.measuring.measure import measure
from qvl.pipeline.recipe.cleaning import Clean
from qvl.pipeline.recipe.recipe import Recipe, SourceSpec, reader, reading
from qvl.pipeline.sources.base import Source, Unit
from qvl.pipeline.storage.arrow_files import read_parquet
from qvl.pipeline.storage.paths import Place
from qvl.pipeline.storage.reader import Storage

SCAN_VERSION = 1
ROW_GROUP = 65_536


@dataclass(frozen=True)
class ScanTask:
    """All that a worker needs to scan one unit."""

    out: Place
    unit: Unit
    source: Source
    clean: Clean
    language_model: str
    parts: dict[str, Any]


@lru_cache(maxsize=2)
def language_model(path: str) -> LanguageModel:
    """The model of this process: loaded once."""
    return LanguageModel(path)


def unit_parts(recipe: Recipe, source: SourceSpec, unit: Unit, storage: Storage) -> dict[str, Any]:
    """What a unit's columns depend on, by name, so that a difference can be named."""
    return {
        "version": SCAN_VERSION,
        "reading": reading(source),
        "clean": recipe.clean.model_dump(),
        "language": language_model(recipe.language_model).fingerprint,
        "input": file_identity(storage, unit.path),
        "beside": reader(source).side_inputs(unit, storage),
    }


def scan_task(recipe: Recipe, source: SourceSpec, unit: Unit, out: Place, storage: Storage) -> ScanTask:
    parts = unit_parts(recipe, source, unit, storage)
    return ScanTask(out, unit, reader(source), recipe.clean, recipe.language_model, parts)


def scanned_unit(task: ScanTask) -> dict[str, Any] | None:
    """The manifest of a unit that is scanned already, or None."""
    layout, unit = Layout(task.out), task.unit.id
    return read_committed(layout.unit_manifest(unit), fingerprint(task.parts), [layout.columns(unit)])


def scan_unit(task: ScanTask) -> dict[str, Any]:
    """Scan a unit and commit its columns. Returns the manifest; does nothing where it exists already."""
    layout = Layout(task.out)
    path = layout.unit_manifest(task.unit.id)
    committed = scanned_unit(task)
    if committed is not None:
        return committed
    with attempt(task.out) as folder:
        written = folder / "columns.parquet"
        sums = _write(task, written)
        digest = file_hash(written)
        publish(written, layout.columns(task.unit.id), digest)
    unit = {"unit": task.unit.id, "source": task.unit.source, "name": task.unit.name}
    return create_manifest(
        path, {**unit, **sums, "hash": digest, "parts": task.parts, "fingerprint": fingerprint(task.parts)}
    )


def _write(task: ScanTask, target: Path) -> dict[str, Any]:
    """Columns to a parquet file; sums of what was seen."""
    rows, image_bytes = 0, 0
    faults: Counter[str] = Counter()
    model = language_model(task.language_model)
    with pq.ParquetWriter(target, COLUMNS, compression="lz4", use_dictionary=WORD_COLUMNS) as writer:
        for batch_rows in task.source.read(task.unit, Storage()):
            batch = measure(batch_rows, rows, task.clean, model)
            rows += len(batch)
            image_bytes += pc.sum(batch["image_bytes"]).as_py() or 0
            faults.update(word for word in batch["fault"].to_pylist() if word is not None)
            writer.write_batch(batch, row_group_size=ROW_GROUP)
    return {"rows": rows, "image_bytes": image_bytes, "faults": dict(sorted(faults.items()))}


def read_columns(out: Place, unit: str, columns: list[str] | None = None) -> pa.Table:
    """Columns (all, or these) of a scanned unit, one chunk each, in row order."""
    return read_parquet(Layout(out).columns(unit), columns)
