"""Stage score: everything that needs pixels. Each image is decoded once, unit by unit; pixels never leave the worker.

Only rows that can still be kept are scored: those without a fault that pass every filter on scanned columns. The file of
scores is also a cache: when a recipe lets more rows pass than before, only the additional rows are scored.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from qvl.pipeline.base.arrays import flags
from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.base.pool import Resources
from qvl.pipeline.commit.attempts import attempt, publish
from qvl.pipeline.commit.fingerprint import file_hash, fingerprint
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import create_manifest, read_committed
from qvl.pipeline.curate.measuring.added_columns import NOTHING_ADDED, AddedColumns
from qvl.pipeline.curate.measuring.columns import CATEGORY, ROW_GROUP
from qvl.pipeline.curate.measuring.image_vectors import publish_vectors
from qvl.pipeline.curate.measuring.manifests import Parts, ScoreManifest
from qvl.pipeline.curate.measuring.measured import read_measured
from qvl.pipeline.curate.measuring.score_columns import NOT_SCORED, ROW_UNREADABLE, SCORED, SCORES
from qvl.pipeline.filters import Filters
from qvl.pipeline.filters.base import Filter
from qvl.pipeline.images.decode import DECODE_VERSION
from qvl.pipeline.images.perceptual_hash import HASH_VERSION
from qvl.pipeline.images.score_images import Measures, Vectors, measure_pixels
from qvl.pipeline.recipe.recipe import Recipe, SourceSpec, reader
from qvl.pipeline.recipe.score import Score
from qvl.pipeline.sources.base import Source, Unit
from qvl.pipeline.storage.arrow_files import read_parquet
from qvl.pipeline.storage.paths import AnyPath

SCORE_VERSION = 1
IDENTITY = b"qvl.score"  # key of the parquet metadata that holds the fingerprint of the parts


@dataclass(frozen=True)
class ScoreTask:
    """Everything that a worker needs to score one unit."""

    out: AnyPath
    unit: Unit
    source: Source
    filters: Filters
    score: Score
    parts: Parts
    added: AddedColumns = NOTHING_ADDED

    @property
    def needs(self) -> Resources:
        """What scoring a unit takes: CLIP uses a GPU where the cluster has any."""
        return Resources(gpus=1 if self.score.clip else 0)

    @property
    def keeps_vectors(self) -> bool:
        return self.score.clip is not None and self.score.clip.embeddings

    @property
    def fingerprint(self) -> str:
        """Covers the parts and the filters that choose which rows are scored."""
        choosing: list[list[object]] = []
        if not self.score.always:
            choosing = [[name, chosen.model_dump()] for _, name, chosen in cheap_filters(self.filters, self.score)]
        return fingerprint([self.parts, fingerprint(choosing)])

    @property
    def files(self) -> list[AnyPath]:
        """The files that the task leaves besides its manifest."""
        layout, unit = Layout(self.out), self.unit.id
        return [layout.scores(unit), *([layout.embeddings(unit)] if self.keeps_vectors else [])]


def score_task(
    recipe: Recipe,
    source: SourceSpec,
    unit: Unit,
    out: AnyPath,
    scanned: str,
    weights: dict[str, str],
    added: AddedColumns = NOTHING_ADDED,
) -> ScoreTask:
    """``scanned`` is the hash of the unit's columns, ``weights`` the identity of each model's weights."""
    if recipe.score is None:
        raise ContractError("a unit is to be scored, but the recipe asks for no scores")
    models = recipe.score.clip.models() if recipe.score.clip else {}
    parts: Parts = {
        "version": [SCORE_VERSION, DECODE_VERSION, HASH_VERSION],
        "columns": scanned,
        "phash": recipe.score.phash is not None,
        "clip": {name: [weights[name], model.precision] for name, model in models.items()},
    }
    filters = recipe.filters_of(source.name).without(recipe.spoken)
    return ScoreTask(out, unit, reader(source), filters, recipe.score, parts, added)


def cheap_filters(filters: Filters, score: Score) -> Iterator[tuple[int, str, Filter]]:
    """Bit, name and settings of the active filters that need nothing from this stage."""
    return (entry for entry in filters.active() if not set(entry[2].judged_columns) & score.measured())


def first_cheap_failure(columns: pa.Table, filters: Filters, score: Score) -> list[str | None]:
    """For each row the first filter on scanned columns that it fails, or None."""
    found: list[str | None] = [None] * len(columns)
    for _, name, chosen in reversed(list(cheap_filters(filters, score))):
        for row in np.flatnonzero(~flags(pc.fill_null(chosen.keep(columns), False))).tolist():
            found[row] = name
    return found


def scored_unit(task: ScoreTask) -> ScoreManifest | None:
    """The manifest of a unit that has been scored already, or None."""
    path = Layout(task.out).score_manifest(task.unit.id)
    return read_committed(path, task.fingerprint, task.files, ScoreManifest)


def score_unit(task: ScoreTask) -> ScoreManifest:
    """Score a unit and commit its columns. Returns the manifest; does nothing if the unit has been scored already."""
    committed = scored_unit(task)
    if committed is not None:
        return committed
    layout = Layout(task.out)
    table, vectors = _scores(task)
    with attempt(task.out) as folder:
        digest = _publish_scores(task, table, folder)
        published = publish_vectors(task.out, task.unit.id, task.score.clip, vectors, folder)
    manifest = ScoreManifest(
        unit=task.unit.id,
        source=task.unit.source,
        name=task.unit.name,
        rows=len(table),
        states=dict(sorted(Counter(table["score_state"].to_pylist()).items())),
        hash=digest,
        parts=task.parts,
        fingerprint=task.fingerprint,
        weights=published.weights,
        embeddings=published.file_hash,
    )
    return create_manifest(layout.score_manifest(task.unit.id), manifest)


def _publish_scores(task: ScoreTask, table: pa.Table, folder: Path) -> str:
    """Write the file of scores. Returns its hash."""
    written = folder / "scores.parquet"
    categories = [field.name for field in SCORES if field.type == CATEGORY]
    pq.write_table(table, written, compression="lz4", use_dictionary=categories, row_group_size=ROW_GROUP)
    digest = file_hash(written)
    publish(written, Layout(task.out).scores(task.unit.id), digest)
    return digest


def _scores(task: ScoreTask) -> tuple[pa.Table, Vectors]:
    """The score columns of every row of the unit (scores known before, new ones, or null), and the image vectors."""
    needed = {"fault", "row", "locator", "image_bytes", "image_hash", "caption", "language"}
    for _, _, chosen in task.filters.active():
        needed |= set(chosen.judged_columns)
    columns = read_measured(task.out, task.unit.id, sorted(needed - task.score.measured()), None, task.added)
    states = _reasons_against(columns, task)
    before = _cached(task, len(columns))
    measures = Measures.empty(len(columns))
    if before is not None:
        known = np.array([not state.startswith(NOT_SCORED) for state in before["score_state"].to_pylist()], bool)
        measures = Measures.of(before)
        for row in np.flatnonzero(known).tolist():
            states[row] = before["score_state"][row].as_py()
    todo = [row for row, state in enumerate(states) if state == ""]
    faults = measure_pixels(task.source, task.unit, columns, todo, task.score, measures)
    for row in todo:
        states[row] = faults.get(row, SCORED)
    state = pa.array(states, pa.string()).dictionary_encode().cast(CATEGORY)
    identity = {IDENTITY: fingerprint(task.parts).encode()}
    return pa.Table.from_arrays([*measures.columns(), state], schema=SCORES.with_metadata(identity)), measures.vectors


def _reasons_against(columns: pa.Table, task: ScoreTask) -> list[str]:
    """For each row the reason not to score it; an empty string where it is to be scored."""
    unreadable = flags(pc.is_valid(columns["fault"])).tolist()
    failures: list[str | None] = [None] * len(columns)
    if not task.score.always:
        failures = first_cheap_failure(columns, task.filters, task.score)
    return [
        ROW_UNREADABLE if bad else f"{NOT_SCORED}{name}" if name else ""
        for bad, name in zip(unreadable, failures, strict=True)
    ]


def _cached(task: ScoreTask, rows: int) -> pa.Table | None:
    """Scores of this unit by the same models under an earlier recipe, or None. Vectors are never reused in part."""
    path = Layout(task.out).scores(task.unit.id)
    if task.keeps_vectors or not path.is_file():
        return None
    table = read_parquet(path)
    same = (table.schema.metadata or {}).get(IDENTITY) == fingerprint(task.parts).encode() and len(table) == rows
    return table if same else None
