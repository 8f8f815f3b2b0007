"""Stage score: everything that needs pixels. Each image is decoded once, unit by unit; pixels never leave the worker.

Only rows that can still be kept are scored: those without a fault that pass every filter on scanned columns. The file of
scores is also a cache: when a recipe lets more rows pass than before, only the additional rows are scored.
"""

import math
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
from qvl.pipeline.curate.measuring.manifests import ComputedManifest, Parts, ScoreManifest
from qvl.pipeline.curate.measuring.measured import read_measured
from qvl.pipeline.curate.measuring.score_columns import NOT_SCORED, ROW_UNREADABLE, SCORED, SCORES
from qvl.pipeline.curate.measuring.scorers import ScorerRun, ScorerTask
from qvl.pipeline.filters import Filters
from qvl.pipeline.filters.base import Filter
from qvl.pipeline.images.decode import DECODE_VERSION
from qvl.pipeline.images.perceptual_hash import HASH_VERSION
from qvl.pipeline.images.score_images import Measures, measure_pixels
from qvl.pipeline.plugins.operators import ScorerPlugin
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.recipe.score import Score
from qvl.pipeline.recipe.source import SourceSpec, reader
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
    scorers: tuple[ScorerTask, ...] = ()

    @property
    def needs(self) -> Resources:
        """What scoring a unit takes: CLIP uses a GPU where the cluster has any; scorers say what they need."""
        asked = [task.plugin.open().resources for task in self.scorers]
        gpus = max(1.0 if self.score.clip else 0.0, sum(each.gpus for each in asked))
        return Resources(
            max([1.0, *(each.cpus for each in asked)]),
            math.ceil(gpus) if gpus > 1 else gpus,
            sum(each.memory for each in asked),
        )

    @property
    def keeps_vectors(self) -> bool:
        return self.score.clip is not None and self.score.clip.embeddings

    @property
    def fingerprint(self) -> str:
        """Covers the parts and the filters that choose which rows are scored."""
        return fingerprint([self.parts, choosing(self.filters, self.score)])

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
    scorers: tuple[ScorerPlugin, ...] = (),
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
    chosen = choosing(filters, recipe.score) if scorers else ""
    of_scorers = tuple(ScorerTask(out, unit.id, source.name, plugin, scanned, chosen) for plugin in scorers)
    return ScoreTask(out, unit, reader(source), filters, recipe.score, parts, added, of_scorers)


def choosing(filters: Filters, score: Score) -> str:
    """Identifies the filters that choose which rows are scored."""
    chosen: list[list[object]] = []
    if not score.always:
        chosen = [[name, each.model_dump()] for _, name, each in cheap_filters(filters, score)]
    return fingerprint(chosen)


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


@dataclass(frozen=True, slots=True)
class ScoredUnit:
    """The manifests of a unit: its scores, and what each scorer computed."""

    scores: ScoreManifest
    scorers: tuple[ComputedManifest, ...] = ()


def scored_unit(task: ScoreTask) -> ScoredUnit | None:
    """The manifests of a unit that has been scored already, or None."""
    scores, scorers = _committed_scores(task), [each.committed() for each in task.scorers]
    found = tuple(manifest for manifest in scorers if manifest is not None)
    return None if scores is None or len(found) < len(scorers) else ScoredUnit(scores, found)


def _committed_scores(task: ScoreTask) -> ScoreManifest | None:
    path = Layout(task.out).score_manifest(task.unit.id)
    return read_committed(path, task.fingerprint, task.files, ScoreManifest)


def score_unit(task: ScoreTask) -> ScoredUnit:
    """Score a unit in one pass over its images and commit what is not there yet. Returns the manifests."""
    committed = scored_unit(task)
    if committed is not None:
        return committed
    scores, known = _committed_scores(task), {each.plugin.name: each.committed() for each in task.scorers}
    columns = read_measured(task.out, task.unit.id, _needed(task), None, task.added)
    reasons = _reasons_against(columns, task)
    captions = columns["caption"].to_pylist()
    runs = [ScorerRun.of(each, reasons, captions) for each in task.scorers if known[each.plugin.name] is None]
    filling = None if scores is not None else _Filling.of(task, reasons)
    faults = _measure(task, columns, filling, runs)
    with attempt(task.out) as folder:
        for run in runs:
            known[run.task.plugin.name] = run.commit(faults, folder)
        if filling is not None:
            scores = _commit_scores(task, filling, faults, folder)
    found = tuple(manifest for manifest in known.values() if manifest is not None)
    if scores is None or len(found) < len(task.scorers):
        raise ContractError(f"{task.unit.name} was scored, but not all of its manifests exist")
    return ScoredUnit(scores, found)


@dataclass(frozen=True, slots=True)
class _Filling:
    """The scores of a unit while they are filled: known ones are in ``measures``, those of ``todo`` are missing."""

    measures: Measures
    states: list[str]
    todo: list[int]

    @classmethod
    def of(cls, task: ScoreTask, reasons: list[str]) -> "_Filling":
        """``reasons`` has for each row why it is not scored, an empty string where it is."""
        states, measures = list(reasons), Measures.empty(len(reasons))
        before = _cached(task, len(reasons))
        if before is not None:
            measures = Measures.of(before)
            for row, state in enumerate(before["score_state"].to_pylist()):
                if not state.startswith(NOT_SCORED):
                    states[row] = state
        return cls(measures, states, [row for row, state in enumerate(states) if state == ""])

    def table(self, task: ScoreTask, faults: dict[int, str]) -> pa.Table:
        """The score columns of every row of the unit: known before, new, or null."""
        states = list(self.states)
        for row in self.todo:
            states[row] = faults.get(row, SCORED)
        state = pa.array(states, pa.string()).dictionary_encode().cast(CATEGORY)
        identity = {IDENTITY: fingerprint(task.parts).encode()}
        return pa.Table.from_arrays([*self.measures.columns(), state], schema=SCORES.with_metadata(identity))


def _measure(task: ScoreTask, columns: pa.Table, filling: _Filling | None, runs: list[ScorerRun]) -> dict[int, str]:
    """Decode what is to be scored, once. Returns the faults of decoding, by row."""
    measures = filling.measures if filling is not None else Measures.empty(len(columns))
    todo = filling.todo if filling is not None else []
    scorers = [run.scorer for run in runs]
    return measure_pixels(task.source, task.unit, columns, todo, task.score, measures, scorers)


def _commit_scores(task: ScoreTask, filling: _Filling, faults: dict[int, str], folder: Path) -> ScoreManifest:
    table = filling.table(task, faults)
    digest = _publish_scores(task, table, folder)
    published = publish_vectors(task.out, task.unit.id, task.score.clip, filling.measures.vectors, folder)
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
    return create_manifest(Layout(task.out).score_manifest(task.unit.id), manifest)


def _publish_scores(task: ScoreTask, table: pa.Table, folder: Path) -> str:
    """Write the file of scores. Returns its hash."""
    written = folder / "scores.parquet"
    categories = [field.name for field in SCORES if field.type == CATEGORY]
    pq.write_table(table, written, compression="lz4", use_dictionary=categories, row_group_size=ROW_GROUP)
    digest = file_hash(written)
    publish(written, Layout(task.out).scores(task.unit.id), digest)
    return digest


def _needed(task: ScoreTask) -> list[str]:
    """The columns that scoring reads: to find the images, to choose rows, and captions."""
    needed = {"fault", "row", "locator", "image_bytes", "image_hash", "caption", "language"}
    for _, _, chosen in task.filters.active():
        needed |= set(chosen.judged_columns)
    return sorted(needed - task.score.measured())


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
