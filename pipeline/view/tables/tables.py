"""The tables of an output, each over parquet files and with typed columns.

The ledger (one row per input row) and the shards' indexes (one row per sample) are known by name. Any other parquet file
or folder of parquet files directly below the output is a table too, with columns by their types, so that what later stages
(mixture, evaluation) write there can be viewed without changes here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.curate.selection.ledger import ledger_units, read_select_summary
from qvl.pipeline.filters import FILTER_NAMES
from qvl.pipeline.finished.stored_recipe import stored_filter_names
from qvl.pipeline.shards.manifests import DatasetManifest
from qvl.pipeline.shards.reader import Dataset
from qvl.pipeline.view.tables.datasets import RelatedDatasets

Kind = Literal["word", "flag", "number", "text", "hash", "words", "numbers", "bits"]

OWN_FOLDERS = {"columns", "scores", "ledger", "made", "shards", "select", "manifests", "whatif", "embeddings", "pieces"}
POSITIONS = {
    "row", "locator", "offset", "size", "json_offset", "json_size", "origin_row", "image_offsets", "image_sizes",
    "orientation", "file_row_number",
}  # fmt: skip
TEXTS = {"id", "key", "url", "caption", "caption_raw", "dup_of"}
PREDICTIONS = "predictions.parquet"
ANSWERED = (f"*/{PREDICTIONS}", f"eval/*/{PREDICTIONS}")  # several evaluations in this folder, or those of a journey
WORD_CHARACTERS, WORD_VALUES, PROBED = 60, 60, 20_000


@dataclass(frozen=True)
class Column:
    """A column of a page. ``sql`` is its value; ``charted`` columns have a distribution that is worth drawing.

    ``bits``: the names of a bit field's bits, the lowest first.
    """

    name: str
    kind: Kind
    sql: str
    integer: bool = False
    charted: bool = False
    bits: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """Rows of one kind. ``key`` is the column that identifies a row; ``kept`` is an SQL condition for kept rows."""

    name: str
    title: str
    files: tuple[Path, ...]
    columns: tuple[Column, ...]
    key: str
    kept: str = "true"

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
        return all(map(self.has, ("id", "prompt", "answers", "prediction", "images")))


def literal(value: object) -> str:
    """A text as SQL."""
    return "'" + str(value).replace("'", "''") + "'"


def quoted(name: str) -> str:
    """A name as SQL. Column names are untrusted."""
    return '"' + name.replace('"', '""') + '"'


def tables_of(layout: Layout, related: RelatedDatasets) -> list[Table]:
    """Every table of an output, and the samples of a mixture's datasets. Raises DataError if there is no table."""
    mixture = related.mixture
    tables = _own_tables(layout) if layout.out.is_dir() else []
    if mixture and not any(table.name == "samples" for table in tables):
        tables.append(_mixed(mixture))
    if not tables and related.missing:
        raise DataError(f"{layout.out}: {'; '.join(related.missing[:5])}")
    if not tables:
        raise DataError(f"{layout.out}: no finished output here; `qvl curate run` or a build creates one")
    return tables


def _own_tables(layout: Layout) -> list[Table]:
    dataset = read_manifest(layout.dataset, DatasetManifest)
    tables = []
    ledger = _ledger_files(layout, dataset)
    if ledger:
        tables.append(_ledger(ledger, stored_filter_names(layout.out)))
    if dataset is not None and dataset.shards:
        tables.append(_samples([inside(layout.out, layout.index(shard.shard)) for shard in dataset.shards]))
    answered = [files for pattern in ANSWERED if (files := sorted(layout.out.glob(pattern)))]
    if answered:
        tables.append(_answered([inside(layout.out, path) for path in answered[0]]))
    known = {table.name for table in tables}
    for name, files in _other_files(layout.out):
        tables.append(_other(f"{name}_files" if name in known else name, files))
    return tables


def inside(out: Path, path: Path) -> Path:
    """The path, if it is inside the output. Raises DataError otherwise: names in manifests are untrusted."""
    if not path.resolve().is_relative_to(out):
        raise DataError(f"{path} is outside of the output")
    return path


def _ledger_files(layout: Layout, dataset: DatasetManifest | None) -> list[Path]:
    """Ledgers of all units in the run's order, from its manifests."""
    units: list[str] = []
    if read_select_summary(layout.out) is not None:
        units = list(ledger_units(layout.out))
    elif dataset is not None:
        units = list(dataset.units)
    return [inside(layout.out, layout.ledger(unit)) for unit in units]


def _other_files(out: Path) -> list[tuple[str, list[Path]]]:
    if (out / "dataset.json").is_file():  # a folder of shards: its parquet files are their indexes
        return []
    found = [(path.stem, [path]) for path in sorted(out.glob("*.parquet"))]
    for folder in sorted(path for path in out.iterdir() if path.is_dir() and not path.name.startswith(".")):
        files = sorted(folder.glob("*.parquet")) if folder.name not in OWN_FOLDERS else []
        files = [path for path in files if path.name != PREDICTIONS]
        found += [(folder.name, files)] if files else []
    return [(name, [inside(out, path) for path in files]) for name, files in found]


def _ledger(files: list[Path], filters: tuple[str, ...]) -> Table:
    columns = [replace(column, bits=filters) if column.kind == "bits" else column for column in _columns(files)]
    names = {column.name for column in columns}
    if {"width", "height"} <= names:
        columns.append(Column("shorter_side", "number", "least(width, height)", True, True))
        columns.append(Column("pixels", "number", "width::BIGINT * height", True, True))
        ratio = "greatest(width, height) / nullif(least(width, height), 0)"
        columns.append(Column("aspect_ratio", "number", ratio, False, True))
    return Table("rows", "Input rows", tuple(files), tuple(columns), "id", "verdict = 'keep'")


def _mixed(mixture: Mapping[str, Dataset]) -> Table:
    """The samples of all datasets of a mixture, with the name of their dataset."""
    folders = {name: Path(dataset.folder) for name, dataset in mixture.items()}
    files = [inside(folders[name], Path(shard.index)) for name, each in mixture.items() for shard in each.shards]
    names = " ".join(f"WHEN {literal(folder)} THEN {literal(name)}" for name, folder in folders.items())
    column = Column("dataset", "word", f"CASE parse_dirpath(filename) {names} END", charted=True)
    table = _samples(list(dict.fromkeys(files)))
    return replace(table, columns=(column, *table.columns))


def _answered(files: list[Path]) -> Table:
    """Predictions of several evaluations in neighbouring folders; ``model`` is the folder's name."""
    model = "parse_path(filename)[-2]"
    columns = [Column("model", "word", model, charted=True), *_columns(files)]
    place = Column("place", "text", f"{model} || '#' || file_row_number")
    return Table("predictions", "Predictions", tuple(files), (*columns, place), place.name)


def _samples(files: list[Path]) -> Table:
    plain = [column for column in _columns(files) if column.name not in ("widths", "heights", "extensions")]
    derived = [
        Column("images", "number", "len(widths)", True, True),
        Column("width", "number", "widths[1]", True, True),
        Column("height", "number", "heights[1]", True, True),
        Column("format", "word", "extensions[1]", charted=True),
    ]
    return Table("samples", "Samples", tuple(files), (*plain, *derived), "key")


def _other(name: str, files: list[Path]) -> Table:
    place = Column("place", "text", "parse_filename(filename, true) || '#' || file_row_number")
    columns = (*_columns(files), place)
    kept = "verdict = 'keep'" if any(column.name == "verdict" for column in columns) else "true"
    return Table(name, name.replace("_", " ").capitalize(), tuple(files), columns, place.name, kept)


def _columns(files: list[Path]) -> list[Column]:
    """Columns of a table by the types of its first file that has rows."""
    first = next((path for path in files if pq.read_metadata(path).num_rows), files[0])
    with pq.ParquetFile(first) as file:
        schema = file.schema_arrow
        head = next(file.iter_batches(PROBED), None)
    return [_column(field, head) for field in schema]


def _column(field: pa.Field, head: pa.RecordBatch | None) -> Column:
    name, kind, sql = field.name, field.type, quoted(field.name)
    value = kind.value_type if pa.types.is_list(kind) else kind
    is_nested = pa.types.is_nested(kind) and not (pa.types.is_list(kind) and _is_plain(value))
    is_position = name in POSITIONS
    if name == "failed" and kind == pa.uint32():
        return Column("fails", "bits", sql, bits=FILTER_NAMES, charted=True)
    if is_nested:
        return Column(name, "text", f"{sql}::VARCHAR")
    if pa.types.is_decimal(kind):
        return Column(name, "number", f"{sql}::DOUBLE", charted=True)
    if pa.types.is_list(kind):
        if value == pa.uint64():
            return Column(name, "words", f"list_transform({sql}, lambda x: format('{{:016x}}', x))", charted=False)
        if _is_number(value):
            return Column(name, "numbers", sql, pa.types.is_integer(value), not is_position)
        return Column(name, "words", sql, charted=True)
    if pa.types.is_boolean(kind):
        return Column(name, "flag", sql, charted=True)
    if kind == pa.uint64():
        return Column(name, "hash", f"format('{{:016x}}', {sql})")
    if _is_number(kind):
        return Column(name, "number", sql, pa.types.is_integer(kind), not is_position)
    if pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return Column(name, "hash", f"lower(hex({sql}))")
    if pa.types.is_dictionary(kind) or (name not in TEXTS and _few_words(name, kind, head)):
        return Column(name, "word", sql, charted=True)
    return Column(name, "text", sql if pa.types.is_string(kind) else f"{sql}::VARCHAR")


def _is_plain(kind: pa.DataType) -> bool:
    """Whether a list of such values is shown value by value."""
    return _is_number(kind) or bool(pa.types.is_string(kind) or pa.types.is_dictionary(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _few_words(name: str, kind: pa.DataType, head: pa.RecordBatch | None) -> bool:
    """Whether the first rows of a text column hold few different, short values."""
    if not pa.types.is_string(kind) or head is None:
        return False
    words = head[name].unique().to_pylist()
    return 0 < len(words) <= WORD_VALUES and all(len(word or "") <= WORD_CHARACTERS for word in words)
