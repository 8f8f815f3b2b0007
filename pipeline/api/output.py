"""A finished output in Python: ``qvl.open``. Everything is read from committed files; nothing is written but caches."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from qvl.pipeline.api.sample import ReadSample, read_samples
from qvl.pipeline.api.tables import open_tables
from qvl.pipeline.api.what_if import WhatIf
from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.finished.audit import AuditResult, audit
from qvl.pipeline.finished.changes import changed_recipe
from qvl.pipeline.finished.stored_columns import StoredColumns
from qvl.pipeline.finished.trace import Trace, trace_row, trace_sample
from qvl.pipeline.html.elements import count, join, percent, table, tag
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.shards.manifests import DatasetManifest
from qvl.pipeline.shards.reader import open_dataset
from qvl.pipeline.storage.paths import AnyPath, parse_path

if TYPE_CHECKING:
    import duckdb

PREVIEWED = 8


def open_output(output: str | Path) -> "Output":
    """Open what ``qvl curate run`` or one of the builders has finished. Raises RecipeError if no dataset is there."""
    return Output(parse_path(output))


class Output:
    """A finished output: its dataset, ledger and samples, and questions to it.

    ``recipe``, ``what_if`` and ``trace`` need a curation; the rest works on the outputs of all builders.
    """

    def __init__(self, folder: AnyPath) -> None:
        self.folder = folder.resolve()
        found = read_manifest(Layout(self.folder).dataset, DatasetManifest)
        if found is None:
            raise RecipeError(f"{folder}: there is no finished run here (no shards/dataset.json)")
        self.dataset = found

    @property
    def report(self) -> AnyPath:
        """The page with the funnel, the mix, histograms and galleries."""
        return Layout(self.folder).report

    @property
    def recipe(self) -> Recipe:
        """The recipe that the output was built from, without paths. Raises RecipeError if it is not a curation."""
        return self._columns().recipe

    def ledger(self, sql: str = "SELECT * FROM ledger") -> "duckdb.DuckDBPyRelation":
        """An SQL query (DuckDB's dialect) as a relation; ``.arrow()``, ``.df()`` and ``.fetchall()`` run it.

        The tables are ``ledger``, with one row for each input row, kept or dropped, and ``samples``, with one row for each
        sample in the shards. Raises duckdb.Error for a query that cannot be parsed or that names an unknown column.
        """
        return open_tables(self.folder, self.dataset).sql(sql)

    def samples(self, where: str = "true") -> Iterator[ReadSample]:
        """The samples of the shards for which an SQL condition holds, in the order in which they are stored.

        The condition names columns of the table ``samples``: key, source, task, language, text_length, widths, heights and
        others; columns of the ledger are reached by ``key IN (SELECT id FROM ledger WHERE ...)``. Images are read when they
        are asked for. Memory is that of one shard's index.
        """
        tables = open_tables(self.folder, self.dataset)
        return read_samples(open_dataset(str(self.folder)), tables, where)

    def what_if(self, changes: Mapping[str, JsonValue]) -> WhatIf:
        """What other thresholds would keep, exactly, from the stored columns; no image is read.

        ``changes`` maps ``FILTER.FIELD``, ``SOURCE.FILTER.FIELD`` or ``dedup.KEY`` to a value, as in
        ``{"clip.minimum": 0.3, "web.emoji": None}``; None switches a filter off. Raises RecipeError for a change that makes
        no sense or that the stored columns cannot answer.
        """
        columns = self._columns()
        return WhatIf(columns, changed_recipe(columns.recipe, changes))

    def trace(self, sample: str) -> Trace:
        """Where a sample came from and where it is, or why its row was dropped. Raises DataError for an unknown id."""
        return trace_sample(self.folder, sample)

    def trace_row(self, file: str, row: int) -> Trace:
        """The same for a row of an input file. Raises DataError if the output has no such file or row."""
        return trace_row(self.folder, file, row)

    def audit(self) -> AuditResult:
        """Count all rows again and read the shards back; ``discrepancy`` is None if everything agrees."""
        return audit(self.folder)

    def _columns(self) -> StoredColumns:
        return StoredColumns.open(self.folder)

    def __repr__(self) -> str:
        return f"<qvl.Output {self.folder}: {self.dataset.samples:,} samples in {len(self.dataset.shards)} shards>"

    def _repr_html_(self) -> str:
        """Rows by verdict and a few samples, for notebooks."""
        totals: dict[str, int] = {}
        for verdicts in self.dataset.verdicts.values():
            for verdict, rows in verdicts.items():
                totals[verdict] = totals.get(verdict, 0) + rows
        order = sorted(totals, key=lambda verdict: (verdict != KEEP, -totals[verdict]))
        counted = [(verdict, count(totals[verdict]), percent(totals[verdict], self.dataset.rows)) for verdict in order]
        pictures = (sample.preview() for sample, _ in zip(self.samples(), range(PREVIEWED), strict=False))
        return tag("div", tag("p", repr(self)), table(("verdict", "rows", "share"), counted), join(pictures))
