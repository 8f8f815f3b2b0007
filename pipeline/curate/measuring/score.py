"""Stage score: what needs pixels. One decode per image, unit by unit; pixels never leave the worker.

Columns lie beside scan's, in a file per unit. Only rows are scored that can still be kept: scan lost them not, and no filter
on scanned columns drops them. ``score_state`` says for every row whether it was scored, and if not, why.
The file is also a cache: where a recipe lets more rows pass than before, only these are scored anew.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from qvl.pipeline.curate.measuring.columns import WORDS
from qvl.pipeline.curate.measuring.scan import ROW_GROUP, read_columns
from qvl.pipeline.filters import Filters
from qvl.pipeline.images.decode import DECODE_VERSION
from qvl.pipeline.images.perceptual_hash import HASH_VERSION
from qvl.pipeline.images.score_images import BAD, Measures, Vectors, measure_pixels
from qvl.pipeline.recipe.recipe import Recipe, SourceSpec, reader
from qvl.pipeline.recipe.score import Score
from qvl.pipeline.sources.base import Source, Unit
from qvl.pipeline.storage.arrow_files import read_parquet
from qvl.pipeline.storage.paths import Place

SCORE_VERSION = 1
SCORES = pa.schema(
    [
        ("phash", pa.uint64()),  # perceptual hash
        ("phash_tint", pa.uint64()),  # mean colours of the quarters
        ("phash_spread", pa.float32()),  # contrast that it saw, in grey levels: near 0 the hash says nothing
        ("clip_english", pa.float32()),
        ("clip_chinese", pa.float32()),
        ("score_state", WORDS),  # scored, unreadable:<why>, or not_scored:<why>
    ]
)
# image vectors of unit length, by row and model; models differ in width
VECTORS = pa.schema([("row", pa.int32()), ("model", WORDS), ("vector", pa.list_(pa.float16()))])
SCORED, OFF, LOST = "scored", "not_scored:off", "not_scored:unreadable"
IDENTITY = b"qvl.score"


@dataclass(frozen=True)
class ScoreTask:
    """All that a worker needs to score one unit."""

    out: Place
    unit: Unit
    source: Source
    filters: Filters
    score: Score
    parts: dict[str, Any]

    @property
    def needs(self) -> Resources:
        """What scoring a unit takes: CLIP uses a GPU where the cluster has any."""
        return Resources(gpus=1 if self.score.clip else 0)

    @property
    def wanted(self) -> str:
        """Identity of the rows that are asked for."""
        cheap = (
            [] if self.score.always else [[w, f.model_dump()] for _, w, f in cheap_filters(self.filters, self.score)]
        )
        return fingerprint(cheap)

    @property
    def fingerprint(self) -> str:
        return fingerprint([self.parts, self.wanted])

    @property
    def files(self) -> list[Place]:
        """What the task leaves beside its manifest."""
        layout, unit = Layout(self.out), self.unit.id
        keeps_vectors = self.score.clip is not None and self.score.clip.embeddings
        return [layout.scores(unit), *([layout.embeddings(unit)] if keeps_vectors else [])]


def score_task(
    recipe: Recipe, source: SourceSpec, unit: Unit, out: Place, scanned: str, weights: dict[str, str]
) -> ScoreTask:
    """``scanned`` is the hash of the unit's columns, ``weights`` the identity of each model."""
    if recipe.score is None:
        raise ContractError("a unit is to be scored, but the recipe asks for no scores")
    clip = recipe.score.clip
    parts = {
        "version": [SCORE_VERSION, DECODE_VERSION, HASH_VERSION],
        "columns": scanned,
        "phash": recipe.score.phash is not None,
        "clip": {name: [weights[name], m.precision] for name, m in (clip.models() if clip else {}).items()},
    }
    return ScoreTask(out, unit, reader(source), recipe.filters_of(source.name), recipe.score, parts)


def cheap_filters(filters: Filters, score: Score) -> Iterator[tuple[int, str, Any]]:
    """The active filters that need nothing from this stage."""
    return (entry for entry in filters.active() if not set(entry[2].reads) & score.measured())


def first_cheap_failure(columns: pa.Table, filters: Filters, score: Score) -> list[str | None]:
    """Per row the first filter on scanned columns that it fails, or None."""
    found: list[str | None] = [None] * len(columns)
    for _, word, chosen in reversed(list(cheap_filters(filters, score))):
        for row in np.flatnonzero(~flags(pc.fill_null(chosen.keep(columns), False))).tolist():
            found[row] = word
    return found


def score_unit(task: ScoreTask) -> dict[str, Any]:
    """Score a unit and commit its columns. Returns the manifest; does nothing where it exists already."""
    layout = Layout(task.out)
    path = layout.score_manifest(task.unit.id)
    committed = read_committed(path, task.fingerprint, task.files)
    if committed is not None:
        return committed
    table, vectors = _scores(task)
    with attempt(task.out) as folder:
        written = folder / "scores.parquet"
        words = [field.name for field in SCORES if field.type == WORDS]
        pq.write_table(table, written, compression="lz4", use_dictionary=words, row_group_size=ROW_GROUP)
        digest = file_hash(written)
        publish(written, layout.scores(task.unit.id), digest)
        stored = store_vectors(task, vectors, folder)
    states = Counter(table["score_state"].to_pylist())
    sums = {"rows": len(table), "states": dict(sorted(states.items())), "hash": digest, **stored}
    unit = {"unit": task.unit.id, "source": task.unit.source, "name": task.unit.name}
    return create_manifest(path, {**unit, **sums, "parts": task.parts, "fingerprint": task.fingerprint})


def _scores(task: ScoreTask) -> tuple[pa.Table, Vectors]:
    """Every row of the unit: known scores, new ones, and why the rest has none."""
    needed = {"fault", "row", "locator", "image_bytes", "caption", "language"}
    for _, _, chosen in task.filters.active():
        needed |= set(chosen.reads)
    columns = read_columns(task.out, task.unit.id, sorted(needed))
    states = _reasons(columns, task)
    before = _cached(task, len(columns))
    measures = Measures.empty(len(columns))
    if before is not None:
        known = np.array([not state.startswith("not_scored:") for state in before["score_state"].to_pylist()], bool)
        measures = Measures.of(before)
        for row in np.flatnonzero(known).tolist():
            states[row] = before["score_state"][row].as_py()
    todo = [row for row, state in enumerate(states) if state == ""]
    found = measure_pixels(task.source, task.unit, columns, todo, task.score, measures)
    for row in todo:
        states[row] = found.get(row, SCORED)
    state = pa.array(states, pa.string()).dictionary_encode().cast(WORDS)
    identity = {IDENTITY: fingerprint(task.parts).encode()}
    return pa.Table.from_arrays([*measures.columns(), state], schema=SCORES.with_metadata(identity)), measures.vectors


def store_vectors(task: ScoreTask, vectors: Vectors, folder: Path) -> dict[str, Any]:
    """Hashes of the weights, and of the image vectors' file where the recipe keeps them: row, model, vector (fp16)."""
    clip = task.score.clip
    if clip is None:
        return {}
    from qvl.pipeline.images.clip import scorer

    weights = {name: scorer(spec, clip.compile)[1] for name, spec in clip.models().items()}
    if not clip.embeddings:
        return {"weights": weights}
    tables = [VECTORS.empty_table()]
    for name, pieces in sorted(vectors.items()):
        rows = np.concatenate([np.array(rows, np.int32) for rows, _ in pieces])
        order = np.argsort(rows, kind="stable")
        values = np.concatenate([piece for _, piece in pieces])[order]
        ends = np.arange(len(rows) + 1, dtype=np.int32) * values.shape[1]
        vector = pa.ListArray.from_arrays(pa.array(ends), pa.array(values.ravel()))
        model = pa.array([name] * len(rows)).dictionary_encode().cast(WORDS)
        tables.append(pa.Table.from_arrays([pa.array(rows[order]), model, vector], schema=VECTORS))
    written = folder / "embeddings.parquet"
    pq.write_table(pa.concat_tables(tables), written, use_dictionary=["model"])
    digest = file_hash(written)
    publish(written, Layout(task.out).embeddings(task.unit.id), digest)
    return {"weights": weights, "embeddings": digest}


def _reasons(columns: pa.Table, task: ScoreTask) -> list[str]:
    """Why a row is not to be scored; empty where it is."""
    lost = flags(pc.is_valid(columns["fault"])).tolist()
    if task.score.always:
        failures: list[str | None] = [None] * len(columns)
    else:
        failures = first_cheap_failure(columns, task.filters, task.score)
    return [LOST if gone else f"not_scored:{word}" if word else "" for gone, word in zip(lost, failures, strict=True)]


def _cached(task: ScoreTask, rows: int) -> pa.Table | None:
    """What an earlier recipe had scored of the same unit with the same models."""
    path = Layout(task.out).scores(task.unit.id)
    keeps_vectors = task.score.clip is not None and task.score.clip.embeddings
    if keeps_vectors or not path.is_file():  # vectors are made all at once
        return None
    table = read_parquet(path)
    same = (table.schema.metadata or {}).get(IDENTITY) == fingerprint(task.parts).encode() and len(table) == rows
    return table if same else None


def pixel_faults(manifest: dict[str, Any]) -> dict[str, int]:
    """Rows by the reason why they could not be decoded."""
    return {word: count for word, count in manifest["states"].items() if word.startswith(BAD)}


def read_measured(out: Place, unit: str, names: list[str], score: Score | None) -> pa.Table:
    """Columns of scan and of score side by side; what was not measured is null, and ``score_state`` says so."""
    scanned = {name for name in names if name not in SCORES.names}
    clip = score is not None and score.clip is not None and "clip" in names
    table = read_columns(out, unit, sorted(scanned | ({"language"} if clip else set())) or ["row"])
    wanted = {name for name in names if name in SCORES.names} | ({"clip_english", "clip_chinese"} if clip else set())
    if not wanted:
        return table.select(names)
    scores = unscored(len(table)) if score is None else read_parquet(Layout(out).scores(unit), sorted(wanted))
    for name in sorted(wanted):
        table = table.append_column(SCORES.field(name), scores[name])
    if clip:
        table = table.set_column(table.column_names.index("clip"), "clip", _by_language(table))
    return table.select(names)


def _by_language(table: pa.Table) -> pa.ChunkedArray:
    """The score that counts for a row: that of its language's model."""
    return pc.coalesce(table["clip_chinese"], table["clip_english"])


def unscored(rows: int) -> pa.Table:
    """The columns of a run without this stage."""
    state = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int16)), pa.array([OFF]))
    return pa.Table.from_arrays([*(pa.nulls(rows, f.type) for f in list(SCORES)[:-1]), state], schema=SCORES)
