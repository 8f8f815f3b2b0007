"""The tables of an output, each over parquet files and with typed columns.

The ledger (one row per input row) and the shards' indexes (one row per sample) are known by name. Any other parquet file
or folder of parquet files directly below the output is a table too, with columns by their types, so that what later stages
(mixture, evaluation) write there can be viewed without changes here.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.curate.selection.ledger import LEDGER, ledger_units, read_select_summary
from qvl.pipeline.filters import FILTER_NAMES
from qvl.pipeline.finished.stored_recipe import stored_filter_names
from qvl.pipeline.shards.manifests import DatasetManifest
from qvl.pipeline.shards.reader import Dataset
from qvl.pipeline.shards.writer import INDEX
from qvl.pipeline.view.tables.columns import (
    FILE_COLUMN,
    OTHER_ROW_COLUMN,
    ROW_COLUMN,
    Column,
    columns_of,
    literal,
    quoted,
)
from qvl.pipeline.view.tables.datasets import RelatedDatasets
from qvl.pipeline.view.tables.faults import Faults, inside, inside_all

NamedFiles = tuple[str, list[Path]]
RESERVED = ("rows", "samples")
SIZES = ("widths", "heights", "extensions")
OWN_FOLDERS = {"columns", "scores", "ledger", "made", "shards", "select", "manifests", "whatif", "embeddings", "pieces"}
PREDICTIONS = "predictions.parquet"
ANSWERED = (f"*/{PREDICTIONS}", f"eval/*/{PREDICTIONS}")  # several evaluations in this folder, or those of a journey


@dataclass(frozen=True)
class Table:
    """Rows of one kind. ``key`` is the column that identifies a row; ``kept`` is an SQL condition for kept rows.

    ``row_column`` holds the position of a row in its file.
    """

    name: str
    title: str
    files: tuple[Path, ...]
    columns: tuple[Column, ...]
    key: str
    kept: str = "true"
    row_column: str = ROW_COLUMN

    @property
    def position(self) -> str:
        """SQL that orders rows by file, and by row in a file."""
        return f"{quoted(FILE_COLUMN)}, {quoted(self.row_column)}"

    def column(self, name: str) -> Column:
        """The column of this name. Raises DataError if there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise DataError(f"{self.name} has no column {name}")

    def has(self, name: str) -> bool:
        """Whether there is a column of this name."""
        return any(column.name == name for column in self.columns)

    @property
    def predicted(self) -> bool:
        """Whether these are answers of a model, as evaluation writes them."""
        kinds = {column.name: column.kind for column in self.columns}
        texts, lists = ("id", "prompt", "prediction", "set"), ("answers", "images")
        return all(kinds.get(name) in ("word", "text") for name in texts) and all(
            kinds.get(name) == "words" for name in lists
        )


def tables_of(layout: Layout, related: RelatedDatasets, faults: Faults) -> list[Table]:
    """Every table of an output, and the samples of a mixture's datasets. What cannot be read becomes a fault."""
    tables = _own_tables(layout, faults) if layout.out.is_dir() else []
    if related.mixture and not any(table.name == "samples" for table in tables):
        mixed = faults.read("samples", lambda: _mixed(related.mixture, faults), None)
        tables += [mixed] if mixed else []
    return tables


def _own_tables(layout: Layout, faults: Faults) -> list[Table]:
    out = layout.out
    dataset = faults.read("dataset.json", lambda: _dataset(layout), None)
    filters = faults.read("recipe.json", lambda: _filter_names(layout), FILTER_NAMES)
    units = faults.read("the ledger", lambda: _ledger_units(layout, dataset), list[str]())
    indexes = [layout.index(shard.shard) for shard in dataset.shards] if dataset is not None else []
    answered = next((files for pattern in ANSWERED if (files := sorted(out.glob(pattern)))), [])
    known: list[tuple[str, Sequence[Path], Callable[[list[Path]], Table]]] = [
        ("the ledger", [layout.ledger(unit) for unit in units], lambda files: _ledger(files, filters)),
        ("the shards' indexes", indexes, _samples),
        (PREDICTIONS, answered, _answered),
    ]
    tables = [_made(out, *each, faults) for each in known]
    found = {table.name: table for table in tables if table is not None}
    for name, files in faults.read(out.name, lambda: _other_files(out), list[NamedFiles]()):
        free = _free_name(name, found)
        table = _made(out, name, files, partial(_other, free), faults)
        found |= {free: table} if table is not None else {}
    return list(found.values())


def _made(
    out: Path, what: str, files: Sequence[Path], make: Callable[[list[Path]], Table], faults: Faults
) -> Table | None:
    """A table of those of these files that can be read; None if there is none."""
    readable = [path for path in files if faults.read(path.name, partial(_has_footer, out, path), False)]
    return faults.read(what, lambda: make(readable), None) if readable else None


def _has_footer(out: Path, path: Path) -> bool:
    pq.read_metadata(inside(out, path))
    return True


def _free_name(name: str, taken: Iterable[str]) -> str:
    """The name, or one with an ending if there is a table of this name. SQL does not tell capitals from small letters."""
    used = {each.casefold() for each in (*taken, *RESERVED)}
    endings = ("", "_files", *(f"_{number}" for number in range(2, len(used) + 3)))
    return next(f"{name}{ending}" for ending in endings if f"{name}{ending}".casefold() not in used)


def _dataset(layout: Layout) -> DatasetManifest | None:
    return read_manifest(inside(layout.out, layout.dataset), DatasetManifest)


def _filter_names(layout: Layout) -> tuple[str, ...]:
    inside_all(layout.out, [layout.recipe, layout.stage_manifest("select")])
    return stored_filter_names(layout.out)


def _ledger_units(layout: Layout, dataset: DatasetManifest | None) -> list[str]:
    """All units in the run's order, from its manifests."""
    summary = layout.stage_manifest("select")
    inside_all(layout.out, [summary, *layout.group_manifest("ledger", 0).parent.glob("ledger-*.json")])
    if read_select_summary(layout.out) is not None:
        return list(ledger_units(layout.out))
    return list(dataset.units) if dataset is not None else []


def _other_files(out: Path) -> list[tuple[str, list[Path]]]:
    if (out / "dataset.json").is_file():  # a folder of shards: its parquet files are their indexes
        return []
    found = [(path.stem, [path]) for path in sorted(out.glob("*.parquet"))]
    for folder in sorted(path for path in out.iterdir() if path.is_dir() and not path.name.startswith(".")):
        files = sorted(folder.glob("*.parquet")) if folder.name not in OWN_FOLDERS else []
        files = [path for path in files if path.name != PREDICTIONS]
        found += [(folder.name, files)] if files else []
    return found


def _ledger(files: list[Path], filters: tuple[str, ...]) -> Table:
    columns = [
        replace(column, bits=filters) if column.kind == "bits" else column for column in columns_of(files, LEDGER)
    ]
    names = {column.name for column in columns}
    if {"width", "height"} <= names:
        columns.append(Column("shorter_side", "number", "least(width, height)", True, True))
        columns.append(Column("pixels", "number", "width::BIGINT * height", True, True))
        ratio = "greatest(width, height) / nullif(least(width, height), 0)"
        columns.append(Column("aspect_ratio", "number", ratio, False, True))
    return Table("rows", "Input rows", tuple(files), tuple(columns), "id", "verdict = 'keep'", _row_column(files))


def _mixed(mixture: Mapping[str, Dataset], faults: Faults) -> Table | None:
    """The samples of all datasets of a mixture, with the name of their dataset."""
    folders = {name: Path(dataset.folder) for name, dataset in mixture.items()}
    listed = [(folders[name], Path(shard.index)) for name, each in mixture.items() for shard in each.shards]
    files = [path for folder, path in listed if faults.read(path.name, partial(_has_footer, folder, path), False)]
    names = " ".join(f"WHEN {literal(folder)} THEN {literal(name)}" for name, folder in folders.items())
    column = Column("dataset", "word", f"CASE parse_dirpath({quoted(FILE_COLUMN)}) {names} END", charted=True)
    if not files:
        return None
    table = _samples(list(dict.fromkeys(files)))
    return replace(table, columns=(column, *table.columns))


def _answered(files: list[Path]) -> Table:
    """Predictions of several evaluations in neighbouring folders; ``model`` is the folder's name."""
    model = f"parse_path({quoted(FILE_COLUMN)})[-2]"
    columns = [Column("model", "word", model, charted=True), *columns_of(files)]
    row_column = _row_column(files)
    place = Column(_key_name(columns), "text", f"{model} || '#' || {quoted(row_column)}")
    return Table("predictions", "Predictions", tuple(files), (*columns, place), place.name, row_column=row_column)


def _samples(files: list[Path]) -> Table:
    plain = [column for column in columns_of(files, INDEX) if column.name in INDEX.names and column.name not in SIZES]
    derived = [
        Column("images", "number", "len(widths)", True, True),
        Column("width", "number", "widths[1]", True, True),
        Column("height", "number", "heights[1]", True, True),
        Column("format", "word", "extensions[1]", charted=True),
    ]
    return Table("samples", "Samples", tuple(files), (*plain, *derived), "key", row_column=_row_column(files))


def _other(name: str, files: list[Path]) -> Table:
    columns, row_column = columns_of(files), _row_column(files)
    place = Column(
        _key_name(columns), "text", f"parse_filename({quoted(FILE_COLUMN)}, true) || '#' || {quoted(row_column)}"
    )
    has_verdicts = any(column.name == "verdict" and column.kind in ("word", "text") for column in columns)
    kept, title = "verdict = 'keep'" if has_verdicts else "true", name.replace("_", " ").capitalize()
    return Table(name, title, tuple(files), (*columns, place), place.name, kept, row_column)


def _key_name(columns: Iterable[Column]) -> str:
    """A name for the column that identifies a row, which no other column has."""
    return _free_name("place", [column.name for column in columns])


def _row_column(files: list[Path]) -> str:
    """The name of the column with row numbers; another one than DuckDB's if the first file has a column of that name."""
    taken = any(name.casefold() == ROW_COLUMN for name in pq.read_schema(files[0]).names)
    return OTHER_ROW_COLUMN if taken else ROW_COLUMN
