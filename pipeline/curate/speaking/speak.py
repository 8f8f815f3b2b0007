"""Stage speak for one unit: which rows are asked about, their answers as columns, and the commit of both.

A speaker is asked about the rows that pass every filter but those over its own columns and over the columns of later
speakers: a judge comes first, and only what it lets pass is described anew.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from qvl.pipeline.base.arrays import flags
from qvl.pipeline.commit.attempts import attempt, publish
from qvl.pipeline.commit.fingerprint import file_hash, fingerprint
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import create_manifest, read_committed
from qvl.pipeline.curate.measuring.added_columns import AddedColumns
from qvl.pipeline.curate.measuring.chosen import TextChoice
from qvl.pipeline.curate.measuring.columns import ROW_GROUP
from qvl.pipeline.curate.measuring.manifests import Parts
from qvl.pipeline.curate.measuring.measured import read_measured
from qvl.pipeline.curate.speaking.manifests import SpokenManifest
from qvl.pipeline.curate.speaking.spoken_columns import distinct_counts, spoken_table
from qvl.pipeline.filters import Filters
from qvl.pipeline.images.score_images import BAD
from qvl.pipeline.recipe.score import Score
from qvl.pipeline.recipe.speakers import NOT_ASKED, Speaker
from qvl.pipeline.sources.base import (
    REFERENCE_COLUMNS,
    Bytes,
    ImageReference,
    Source,
    Unit,
    images_as_scanned,
    images_missing,
)
from qvl.pipeline.speakers.ask import Asking, Replies, without_images
from qvl.pipeline.speakers.prompt import Question, questions
from qvl.pipeline.speakers.store import opened
from qvl.pipeline.storage.paths import AnyPath
from qvl.pipeline.storage.reader import Storage

SPEAK_VERSION = 1
UNREADABLE = f"{NOT_ASKED}unreadable"


@dataclass(frozen=True)
class SpeakTask:
    """Everything that a worker needs to ask one speaker about one unit.

    ``filters`` are those that choose the rows, ``added`` has the columns of earlier speakers. At most ``threads`` questions
    are in flight. ``secret`` is the key of the service; it is never written anywhere.
    """

    out: AnyPath
    unit: Unit
    source: Source
    speaker: Speaker
    filters: Filters
    score: Score | None
    added: AddedColumns
    parts: Parts
    store: AnyPath
    choice: TextChoice | None = None
    threads: int = 1
    secret: str | None = field(default=None, repr=False)

    @property
    def fingerprint(self) -> str:
        """Covers the parts and the filters that choose which rows are asked about."""
        choosing = [[name, chosen.model_dump(mode="json")] for _, name, chosen in self.filters.active()]
        texts = [self.choice.identity()] if self.choice is not None else []
        return fingerprint([SPEAK_VERSION, self.parts, choosing, *texts])

    @property
    def file(self) -> AnyPath:
        return Layout(self.out).spoken(self.speaker.name, self.unit.id)

    @property
    def manifest(self) -> AnyPath:
        return Layout(self.out).spoken_manifest(self.speaker.name, self.unit.id)


def spoken_unit(task: SpeakTask) -> SpokenManifest | None:
    """The manifest of a unit about which the speaker has been asked already, or None."""
    return read_committed(task.manifest, task.fingerprint, [task.file], SpokenManifest)


def speak_unit(task: SpeakTask) -> SpokenManifest:
    """Ask about a unit and commit the columns. Does nothing if that is done already.

    Raises ServiceError when the service is down; every answer that came until then is in the store.
    """
    committed = spoken_unit(task)
    if committed is not None:
        return committed
    table = _answers(task)
    with attempt(task.out) as folder:
        written = folder / "spoken.parquet"
        pq.write_table(table, written, compression="lz4", row_group_size=ROW_GROUP)
        digest = file_hash(written)
        publish(written, task.file, digest)
    answers, prompt_tokens, completion_tokens = distinct_counts(table)
    manifest = SpokenManifest(
        unit=task.unit.id,
        source=task.unit.source,
        name=task.unit.name,
        speaker=task.speaker.name,
        rows=len(table),
        states=_counts(table[task.speaker.state_column]),
        faults=_counts(table["fault"].drop_null()),
        answers=answers,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        hash=digest,
        parts=task.parts,
        fingerprint=task.fingerprint,
    )
    return create_manifest(task.manifest, manifest)


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    return dict(sorted(Counter(column.to_pylist()).items()))


def _answers(task: SpeakTask) -> pa.Table:
    needed = {"fault", "image_hash", *REFERENCE_COLUMNS, *task.speaker.reads}
    needed |= {"score_state"} if task.score is not None else set()
    for _, _, chosen in task.filters.active():
        needed |= set(chosen.judged_columns)
    columns = read_measured(task.out, task.unit.id, sorted(needed), task.score, task.added, task.choice)
    reasons = reasons_against(columns, task.filters)
    todo = [row for row, reason in enumerate(reasons) if reason == ""]
    asked = dict(zip(todo, questions(task.speaker, columns.take(pa.array(todo, pa.int64()))), strict=True))
    return spoken_table(task.speaker, reasons, asked, _replies(task, columns, asked))


def reasons_against(columns: pa.Table, filters: Filters) -> list[str]:
    """For each row the state that says why it is not asked about; an empty string where it is."""
    found = [""] * len(columns)
    for _, name, chosen in reversed(list(filters.active())):
        for row in np.flatnonzero(~flags(pc.fill_null(chosen.keep(columns), False))).tolist():
            found[row] = f"{NOT_ASKED}{name}"
    unusable = flags(pc.is_valid(columns["fault"]))
    if "score_state" in columns.column_names:
        unusable |= flags(pc.starts_with(columns["score_state"].cast(pa.string()), BAD))
    for row in np.flatnonzero(unusable).tolist():
        found[row] = UNREADABLE
    return found


def _replies(task: SpeakTask, columns: pa.Table, asked: dict[int, Question]) -> Replies:
    """The replies to all questions of a unit: those in the store, and new ones for the others."""
    with opened(task.store) as store:
        asking = Asking(task.speaker, task.secret, store, task.threads)
        known = asking.known(list(asked.values()))
        first = {question.key: row for row, question in reversed(asked.items()) if question.key not in known}
        todo = sorted(first.values())
        if not todo:
            return Replies(known)
        images = without_images(todo) if task.speaker.image is None else _images(task, columns, todo)
        found = asking.ask_all({row: asked[row] for row in todo}, images)
    return Replies({**known, **found.by_key}, found.faults)


def _images(task: SpeakTask, columns: pa.Table, rows: list[int]) -> Iterator[tuple[int, Bytes]]:
    """The images of these rows. Raises DataError if one no longer exists or changed since its scan."""
    chosen = columns.select([*REFERENCE_COLUMNS, "image_hash"]).take(pa.array(rows))
    hashes = dict(zip(chosen["row"].to_pylist(), chosen["image_hash"].to_pylist(), strict=True))
    wanted = sorted(ImageReference.from_columns(chosen), key=lambda image: image.locator)
    read = 0
    for pair in images_as_scanned(task.source, task.unit, wanted, hashes, Storage()):
        read += 1
        yield pair
    if read != len(rows):
        raise images_missing(task.unit.name, len(rows) - read)
