"""The columns of scorers: for each scorer and unit a file and a manifest, like those of other plug-ins.

``score_state`` of a row says for each scorer whether it scored the row. A file is also a cache: where other filters let
more rows pass than before, a scorer scores the additional rows alone.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from qvl.pipeline.commit.attempts import publish
from qvl.pipeline.commit.fingerprint import file_hash, fingerprint
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import create_manifest, read_committed
from qvl.pipeline.curate.measuring.columns import CATEGORY, ROW_GROUP
from qvl.pipeline.curate.measuring.manifests import ComputedManifest, Parts
from qvl.pipeline.curate.measuring.score_columns import NOT_SCORED, SCORED
from qvl.pipeline.images.decode import DECODE_VERSION
from qvl.pipeline.images.score_images import BAD
from qvl.pipeline.plugins.operators import ScorerPlugin
from qvl.pipeline.plugins.scoring import UnitScorer
from qvl.pipeline.storage.arrow_files import read_parquet
from qvl.pipeline.storage.paths import AnyPath

SCORER_VERSION = 1
STATE = "score_state"
PARTS = b"qvl.scorer"  # key of the parquet metadata that holds the fingerprint of the parts


@dataclass(frozen=True)
class ScorerTask:
    """One scorer and one unit. ``choosing`` identifies the filters that choose which rows are scored."""

    out: AnyPath
    unit: str
    source: str
    plugin: ScorerPlugin
    scanned: str
    choosing: str

    @property
    def parts(self) -> Parts:
        """What the values depend on, by name."""
        return {"columns": self.scanned, "stage": [SCORER_VERSION, DECODE_VERSION], **self.plugin.identity}

    @property
    def fingerprint(self) -> str:
        """Covers the parts, and the filters that choose which rows are scored."""
        return fingerprint([self.parts, self.choosing])

    @property
    def file(self) -> AnyPath:
        return Layout(self.out).computed(self.plugin.name, self.unit)

    @property
    def manifest(self) -> AnyPath:
        return Layout(self.out).computed_manifest(self.plugin.name, self.unit)

    def committed(self) -> ComputedManifest | None:
        """The manifest of a unit that this scorer has scored already, or None."""
        return read_committed(self.manifest, self.fingerprint, [self.file], ComputedManifest)

    def cached(self, rows: int) -> pa.Table | None:
        """What the same scorer computed of this unit under other filters, or None."""
        if not self.file.is_file():
            return None
        table = read_parquet(self.file)
        same = (table.schema.metadata or {}).get(PARTS) == fingerprint(self.parts).encode() and len(table) == rows
        return table if same else None


@dataclass(frozen=True)
class ScorerRun:
    """A scorer at work on a unit: what it knows already, and the rows that it still scores."""

    task: ScorerTask
    before: pa.Table | None
    states: list[str]
    scorer: UnitScorer

    @classmethod
    def of(cls, task: ScorerTask, reasons: list[str], captions: list[str | None]) -> "ScorerRun":
        """``reasons`` has for each row why it is not scored, an empty string where it is."""
        before, states = task.cached(len(reasons)), list(reasons)
        if before is not None:
            for row, state in enumerate(before[STATE].to_pylist()):
                if not state.startswith(NOT_SCORED):
                    states[row] = state
        rows = frozenset(row for row, state in enumerate(states) if state == "")
        folder = Layout(task.out).scorer_folder(task.plugin.name)
        return cls(task, before, states, UnitScorer(task.plugin, rows, captions, folder))

    def commit(self, faults: dict[int, str], folder: Path) -> ComputedManifest:
        """Write and commit the columns by way of the attempt's ``folder``. ``faults`` are those of decoding."""
        table = self._table(faults)
        task, written = self.task, folder / f"{self.task.plugin.name}.parquet"
        pq.write_table(table, written, compression="lz4", use_dictionary=[STATE], row_group_size=ROW_GROUP)
        digest = file_hash(written)
        publish(written, task.file, digest)
        counts = Counter(state for state in table[STATE].to_pylist() if state.startswith(BAD))
        manifest = ComputedManifest(
            unit=task.unit,
            source=task.source,
            plugin=task.plugin.name,
            rows=len(table),
            faults=dict(sorted(counts.items())),
            hash=digest,
            parts=task.parts,
            fingerprint=task.fingerprint,
        )
        return create_manifest(task.manifest, manifest)

    def _table(self, faults: dict[int, str]) -> pa.Table:
        """The columns of every row of the unit: known before, new, or null; and the state of each row."""
        found, done = self.scorer.computed(), np.array(self.scorer.done, np.int64)
        states = np.array(self.states, object)
        for row in self.scorer.rows:
            states[row] = faults.get(row, "")
        states[done] = [fault or SCORED for fault in found["fault"].to_pylist()]
        missing = [row for row in self.scorer.rows if states[row] == ""]
        if missing:
            raise AssertionError(f"{len(missing)} rows of {self.task.unit} have no state")
        columns = [self._column(number, found, done) for number in range(len(self.task.plugin.schema))]
        encoded = pa.array(states.tolist(), pa.string()).dictionary_encode().cast(CATEGORY)
        schema = pa.schema([*self.task.plugin.schema, pa.field(STATE, CATEGORY)])
        identity = {PARTS: fingerprint(self.task.parts).encode()}
        return pa.Table.from_arrays([*columns, encoded], schema=schema.with_metadata(identity))

    def _column(self, number: int, found: pa.Table, done: np.ndarray) -> pa.Array:
        """A column of all rows, taken from the stored values and the new ones, one after the other."""
        field, rows = self.task.plugin.schema.field(number), len(self.states)
        before = pa.nulls(rows, field.type) if self.before is None else self.before[number].combine_chunks()
        place = np.arange(rows)
        place[done] = rows + np.arange(len(done))
        both = pa.chunked_array([before, *found[number].chunks], field.type).combine_chunks()
        return pc.take(both, pa.array(place))
