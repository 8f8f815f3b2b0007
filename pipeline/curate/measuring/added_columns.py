"""The columns that a run has besides those of scan and score: their names in the ledger, their types, their files.

A carried column keeps its name, unless the ledger or a page already has a column of that name: then ``extra_`` is put in
front of it. Names are compared without regard to case, as DuckDB does.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from qvl.pipeline.balance.limits import candidates, columns_read
from qvl.pipeline.base.errors import DataError, RecipeError
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.measuring.columns import CATEGORY, COLUMNS
from qvl.pipeline.curate.measuring.manifests import ScanManifest
from qvl.pipeline.curate.measuring.score_columns import SCORES
from qvl.pipeline.curate.measuring.texts import CAPTION_FROM
from qvl.pipeline.plugins.operators import Plugins
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.sources.base import Row
from qvl.pipeline.sources.carried import carried_column
from qvl.pipeline.storage.arrow_files import parquet_file
from qvl.pipeline.storage.paths import AnyPath

OF_THE_LEDGER = ("id", "source", "verdict", "failed", "dup_of")
OF_PAGES = ("fails", "shorter_side", "pixels", "aspect_ratio", "filename", "file_row_number")
NOT_JUDGED = frozenset(("row", "locator", "fault", "score_state"))
TAKEN = frozenset(name.casefold() for name in (*OF_THE_LEDGER, *COLUMNS.names, *SCORES.names, *OF_PAGES))


NONE_CHOSEN = pa.schema([])


@dataclass(frozen=True, slots=True)
class ComputedColumns:
    """The columns of one plug-in, which has files of its own. ``state`` names the column of its faults.

    That of a scorer is ``score_state``: its faults count only for rows that no filter on scanned columns drops.
    """

    plugin: str
    schema: pa.Schema
    state: Literal["fault", "score_state"] = "fault"

    def file(self, out: AnyPath, unit: str) -> AnyPath:
        return Layout(out).computed(self.plugin, unit)


@dataclass(frozen=True, slots=True)
class SpokenColumns:
    """The columns of one speaker, which has files of its own."""

    speaker: str
    schema: pa.Schema

    def file(self, out: AnyPath, unit: str) -> AnyPath:
        return Layout(out).spoken(self.speaker, unit)


@dataclass(frozen=True, slots=True)
class AddedColumns:
    """The added columns of a run. ``carried`` are in the files of scan; a unit whose source has no such column has nulls.

    ``identity`` is the hash of what plug-ins computed and speakers said, None without any. ``chosen`` names the chosen text
    of each row where some source has several.
    """

    carried: pa.Schema
    computed: tuple[ComputedColumns, ...] = ()
    identity: str | None = None
    chosen: pa.Schema = NONE_CHOSEN
    spoken: tuple[SpokenColumns, ...] = ()

    @property
    def in_files(self) -> tuple[ComputedColumns | SpokenColumns, ...]:
        """Those that have files of their own, in the order of the ledger."""
        return (*self.computed, *self.spoken)

    @property
    def schema(self) -> pa.Schema:
        """All added columns, in the order of the ledger."""
        return pa.schema([*self.carried, *(field for each in self.in_files for field in each.schema), *self.chosen])


NOTHING_ADDED = AddedColumns(pa.schema([]))


def ledger_name(name: str) -> str:
    """The name of a carried column in the ledger."""
    return f"extra_{name}" if name.casefold() in TAKEN else name


def check_names(recipe: Recipe) -> None:
    """Raise RecipeError if two different carried columns would have one name in the ledger."""
    seen: dict[str, str] = {CAPTION_FROM: CAPTION_FROM} if recipe.has_captions() else {}
    for name in (name for source in recipe.sources for name in source.read.columns.extra):
        other = seen.setdefault(ledger_name(name).casefold(), name)
        if other != name:
            raise RecipeError(f"columns.extra: {other} and {name} are one column in the ledger; rename one of them")
    for name in recipe.computed:
        if name.casefold() in TAKEN or name.casefold() in seen:
            raise RecipeError(f"plugins: the column {name} exists already; a plug-in must write one of another name")
    for name in recipe.spoken:
        if name.casefold() in {*TAKEN, *seen, *(each.casefold() for each in recipe.computed)}:
            raise RecipeError(f"speakers: the column {name} exists already; give the speaker another name")


def check_reads(recipe: Recipe, plugins: Plugins) -> None:
    """Raise RecipeError for a plug-in that reads a column which is neither measured by scan nor carried along."""
    known = {*COLUMNS.names, *carried_names(recipe)} - NOT_JUDGED
    for plugin in plugins.columns:
        unknown = [name for name in plugin.reads if name not in known]
        if unknown:
            raise RecipeError(
                f"plugins: {plugin.name} reads {unknown[0]}, which is not a column of scan and is not carried along; "
                f"there are {', '.join(sorted(known))}"
            )


def check_prompts(recipe: Recipe) -> None:
    """Raise RecipeError for a prompt that names a column which is not there when its speaker is asked."""
    known = set(known_columns(recipe)) - set(recipe.spoken)
    for speaker in recipe.speakers:
        unknown = [name for name in speaker.reads if name not in known]
        if unknown:
            raise RecipeError(
                f"speakers.{speaker.name}: the prompt names {unknown[0]}, which is not a column; there are "
                f"{', '.join(sorted(known))}"
            )
        known |= set(speaker.columns)


def added_names(recipe: Recipe) -> list[str]:
    """The names in the ledger of all columns that the recipe adds."""
    return [
        *carried_names(recipe),
        *recipe.computed,
        *recipe.spoken,
        *([CAPTION_FROM] if recipe.has_captions() else []),
    ]


def carried_names(recipe: Recipe) -> list[str]:
    """The names in the ledger of all columns that the sources carry along."""
    return list(dict.fromkeys(ledger_name(name) for source in recipe.sources for name in source.read.columns.extra))


def known_columns(recipe: Recipe) -> frozenset[str]:
    """Every column that a filter may judge: what scan and score measure under this recipe, and what the recipe adds."""
    scored = recipe.score.measured() if recipe.score is not None else frozenset()
    return frozenset((*COLUMNS.names, *scored, *added_names(recipe))) - NOT_JUDGED


def check_filtered_columns(recipe: Recipe) -> None:
    """Raise RecipeError for a filter over a column that does not exist."""
    known = known_columns(recipe)
    unknown = [name for name in recipe.filtered_columns if name not in known]
    if unknown:
        added = ", ".join(added_names(recipe)) or "none; carry some along with `columns: {extra: {NAME: COLUMN}}`"
        raise RecipeError(f"filters.columns.{unknown[0]}: there is no such column. Columns of your own: {added}")


def check_balance(recipe: Recipe) -> None:
    """Raise RecipeError for a step of balance that names a column which does not exist."""
    known = known_columns(recipe)
    for step in recipe.balance:
        unknown = [name for name in columns_read(step, known) if name not in known]
        if unknown:
            raise RecipeError(
                f"balance.{step.name}: there is no column {unknown[0]}; there are {', '.join(sorted(known))}, and domain "
                "and source for `per`"
            )


def check_filters(recipe: Recipe, added: AddedColumns) -> None:
    """Raise RecipeError for a filter or a step of balance that does not fit the type of its column."""
    schema = pa.schema([*COLUMNS, *SCORES, *added.schema])
    for source in recipe.sources:
        for chosen in recipe.filters_of(source.name).columns.values():
            if chosen is not None:
                chosen.keep(pa.schema([schema.field(chosen.column)]).empty_table())
    for step in recipe.balance:
        names = columns_read(step, known_columns(recipe))
        table = pa.schema([schema.field(name) for name in names] or [schema.field("row")]).empty_table()
        candidates(step, table, "", "", np.empty(0, np.int64))


def with_carried(batch: pa.RecordBatch, rows: Sequence[Row], carried: pa.Schema) -> pa.RecordBatch:
    """A batch of scan with the carried values of its rows behind its columns."""
    if not len(carried):
        return batch
    added = [
        carried_column([row.carried[number] if row.carried else None for row in rows], kind)
        for number, kind in enumerate(carried.types)
    ]
    fields = [*batch.schema, *(pa.field(ledger_name(field.name), field.type) for field in carried)]
    return pa.RecordBatch.from_arrays([*batch.columns, *added], schema=pa.schema(fields))


def check_types(units: Iterable[ScanManifest]) -> dict[str, ScanManifest]:
    """A unit that holds the type of each carried column, by the column's name. A column of nulls has every type.

    Raises DataError where two units have different types.
    """
    known: dict[str, ScanManifest] = {}
    for unit in units:
        for name, kind in (unit.carried or {}).items():
            other = known.setdefault(name, unit)
            before = (other.carried or {})[name]
            if before == str(pa.null()):
                known[name] = unit
            elif kind not in (before, str(pa.null())):
                raise DataError(
                    f"the carried column {name} has type {before} in {other.source}/{other.name} and {kind} in "
                    f"{unit.source}/{unit.name}; give it one type: `extra: {{{name}: {{column: ..., type: string}}}}`"
                )
    return known


def added_columns(recipe: Recipe, out: AnyPath, scanned: list[ScanManifest]) -> AddedColumns:
    """The added columns of a run whose units are scanned. Raises DataError where their types differ."""
    known = check_types(scanned)
    carried = pa.schema((name, _type(out, known.get(name), name)) for name in carried_names(recipe))
    chosen = pa.schema([(CAPTION_FROM, CATEGORY)]) if recipe.has_captions() else NONE_CHOSEN
    return AddedColumns(carried, chosen=chosen)


def _type(out: AnyPath, unit: ScanManifest | None, name: str) -> pa.DataType:
    """The type of a column in the file of a unit; text for a column that holds nothing anywhere."""
    if unit is None:
        return pa.string()
    with parquet_file(Layout(out).columns(unit.unit)) as file:
        kind = file.schema_arrow.field(name).type
    return pa.string() if pa.types.is_null(kind) else kind


def with_nulls(table: pa.Table, field: pa.Field) -> pa.Table:
    """A unit's table whose column ``field`` has the type of the run: with nulls where its source has no such column."""
    at = table.schema.get_field_index(field.name)
    if at < 0:
        return table.append_column(field, pa.nulls(len(table), field.type))
    is_null = pa.types.is_null(table.schema.field(at).type)
    return table.set_column(at, field, pa.nulls(len(table), field.type)) if is_null else table
