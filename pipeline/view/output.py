"""An opened output: its manifests, tables and units, and where its pictures may be read from."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.curate.curation import Curation
from qvl.pipeline.curate.measuring.manifests import ScanManifest
from qvl.pipeline.curate.selection.ledger import read_select_summary
from qvl.pipeline.duplicates.rules import duplicate_rules
from qvl.pipeline.filters import FILTER_NAMES
from qvl.pipeline.finished.stored_recipe import stored_recipe
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.shards.built_unit import BuiltUnitManifest
from qvl.pipeline.shards.manifests import DatasetManifest
from qvl.pipeline.shards.revoked import RevokedSample, read_revoked
from qvl.pipeline.sources.base import Bytes, Unit
from qvl.pipeline.view.tables.columns import Kind
from qvl.pipeline.view.tables.conditions import combined
from qvl.pipeline.view.tables.database import Database
from qvl.pipeline.view.tables.datasets import RelatedDatasets, related_datasets
from qvl.pipeline.view.tables.faults import Faults, inside
from qvl.pipeline.view.tables.queries import Query, Span
from qvl.pipeline.view.tables.tables import Table, tables_of

UNIT = re.compile(r"[A-Za-z0-9_-]{1,200}")
Content = TypeVar("Content")


EVALUATION_FILES = ("predictions.parquet", "scores.json")  # written last


@dataclass(frozen=True)
class UserInputs:
    """What the user names in addition to the output.

    Pictures of dropped rows need the ``recipe`` of a curation, or ``pictures``, which reads those of a build's input rows by
    unit and row. ``data``: folders of datasets or of images.
    """

    recipe: Recipe | None = None
    pictures: Callable[[str, int], Bytes | None] | None = None
    data: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class ColumnContent:
    """A column as the pages know it."""

    name: str
    kind: Kind
    integer: bool
    charted: bool


@dataclass(frozen=True, slots=True)
class TableContent:
    """A table as the pages know it. ``predicted``: its rows are answers of a model."""

    name: str
    title: str
    key: str
    predicted: bool
    columns: list[ColumnContent]
    rows: int


@dataclass(frozen=True, slots=True)
class OutputContent:
    """What the pages know of an output.

    ``absent``: a line for each dataset that was not found; ``faults``: one for each file that cannot be shown.
    ``pictures``: whether dropped rows have pictures; ``order``: all reasons in the order in which they judge; ``rules``:
    those of duplicate rules.
    """

    name: str
    absent: list[str]
    faults: list[str]
    hash: str | None
    samples: int | None
    bytes: int | None
    shards: int
    curated: bool
    pictures: bool
    order: list[str]
    rules: list[str]
    tables: list[TableContent]


@dataclass(frozen=True)
class Output:
    """A finished output."""

    layout: Layout
    inputs: UserInputs = field(default_factory=UserInputs)
    spans: dict[tuple[str, str], Span] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)

    @classmethod
    def open(cls, out: Path, inputs: UserInputs | None = None) -> "Output":
        """Open an output and its database. Raises DataError if the folder holds no output."""
        output = cls(Layout(out.resolve()), inputs or UserInputs())
        if not output.tables:
            why = "; ".join([*output.faults.lines, *output.related.missing][:5])
            raise DataError(f"{out}: {why or 'no finished output here; `qvl curate run` or a build creates one'}")
        return output

    @cached_property
    def dataset(self) -> DatasetManifest | None:
        """``dataset.json``, or None before pack."""
        return self._read(self.layout.dataset, lambda path: read_manifest(path, DatasetManifest), None)

    @cached_property
    def stored(self) -> Recipe | None:
        """The recipe that the output saved, without folders; None for a build."""
        out, summary = self.layout.out, self.layout.stage_manifest("select")
        if self._read(summary, lambda _: read_select_summary(out), None) is None:
            return None
        return self._read(self.layout.recipe, lambda _: stored_recipe(out)[0], None)

    @cached_property
    def revoked(self) -> dict[str, RevokedSample]:
        """Records of samples that were taken down, by id."""
        return self._read(self.layout.revoked, read_revoked, {})

    def _read(self, path: Path, read: Callable[[Path], Content], otherwise: Content) -> Content:
        """What ``read`` makes of a file of the output; if it cannot be read, ``otherwise``, and a fault."""
        if not self.layout.out.is_dir():
            return otherwise
        return self.faults.read(path.name, lambda: read(inside(self.layout.out, path)), otherwise)

    @cached_property
    def related(self) -> RelatedDatasets:
        """Datasets that the output refers to."""
        return related_datasets(self.layout.out, self.inputs.data, self.faults)

    @cached_property
    def tables(self) -> dict[str, Table]:
        """Every table that can be read, by name."""
        found = tables_of(self.layout, self.related, self.faults)
        added = [self.faults.read(table.name, partial(self.database.add, table, self.faults), None) for table in found]
        return {table.name: table for table in added if table is not None}

    @cached_property
    def database(self) -> Database:
        """DuckDB, to which ``tables`` adds them."""
        folders = [Path(dataset.folder) for dataset in self.related.mixture.values()]
        return Database([self.layout.out, *folders])

    @cached_property
    def units(self) -> dict[str, Unit]:
        """The sources' files by unit id; empty without a recipe."""
        if self.inputs.recipe is None:
            return {}
        return {unit.id: unit for unit in Curation(self.inputs.recipe, self.layout.out).units()}

    def table(self, name: str) -> Table:
        """The table of this name. Raises DataError if there is none."""
        if name not in self.tables:
            raise DataError(f"this output has no table {name[:80]}; its tables are {', '.join(self.tables)}")
        return self.tables[name]

    def query(self, cursor: Any, table: str, conditions: list[str]) -> Query:
        """A table under filters from the address."""
        chosen = self.table(table)
        return Query(cursor, chosen, combined(chosen, conditions), self.spans)

    def display_path(self, path: Path) -> str:
        """A path as it is shown: relative to the output if it is inside."""
        return str(path.relative_to(self.layout.out) if path.is_relative_to(self.layout.out) else path)

    def unit(self, name: str) -> ScanManifest | BuiltUnitManifest:
        """The manifest of a unit. Raises DataError for an unknown name: names come from the address."""
        kind: type[ScanManifest | BuiltUnitManifest] = BuiltUnitManifest if self.stored is None else ScanManifest
        path = self.layout.unit_manifest(name)
        manifest = read_manifest(inside(self.layout.out, path), kind) if UNIT.fullmatch(name) else None
        if manifest is None:
            raise DataError(f"the output has no input file {name[:80]}")
        return manifest

    def written(self) -> tuple[int, ...]:
        """Times, in nanoseconds, of the files that runs write last; 0 for a missing file. A change means a new run."""
        paths = [self.layout.dataset, self.layout.stage_manifest("select"), self.layout.revoked]
        paths += [self.layout.out / name for name in EVALUATION_FILES]
        paths += [Path(dataset.folder) / "dataset.json" for dataset in self.related.mixture.values()]
        return tuple(map(_modified, paths))

    def content(self, cursor: Any) -> OutputContent:
        """What the pages need before all other questions."""
        rules = [rule.reason for rule in duplicate_rules(self.stored)] if self.stored is not None else []
        balance = [step.reason for step in self.stored.balance] if self.stored is not None else []
        dataset, stored_name = self.dataset, self.stored.name if self.stored else self.layout.out.stem
        return OutputContent(
            name=dataset.name if dataset is not None else stored_name,
            absent=list(self.related.missing),
            faults=list(self.faults.lines),
            hash=None if dataset is None else dataset.hash,
            samples=None if dataset is None else dataset.samples,
            bytes=None if dataset is None else dataset.bytes,
            shards=0 if dataset is None else len(dataset.shards),
            curated=self.stored is not None,
            pictures=(self.inputs.pictures if self.stored is None else self.inputs.recipe) is not None,
            order=[*(FILTER_NAMES if self.stored is None else self.stored.filter_names), *rules, *balance],
            rules=rules,
            tables=[self._table(cursor, table) for table in self.tables.values()],
        )

    def _table(self, cursor: Any, table: Table) -> TableContent:
        columns = [ColumnContent(each.name, each.kind, each.integer, each.charted) for each in table.columns]
        count = partial(self.query(cursor, table.name, []).run, "SELECT count(*) FROM {table} WHERE {where}")
        number = self.faults.read(table.name, count, [(0,)])[0][0]
        return TableContent(table.name, table.title, table.key, table.predicted, columns, number)


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
