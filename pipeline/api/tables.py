"""The tables of a finished output for SQL queries: DuckDB views over the committed parquet files."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from qvl.pipeline.base.errors import DataError, first_line
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.selection.ledger import ledger_units, read_select_summary
from qvl.pipeline.shards.manifests import DatasetManifest
from qvl.pipeline.storage.paths import AnyPath
from qvl.pipeline.storage.stores import open_filesystem

if TYPE_CHECKING:
    import duckdb


class SampleRow(NamedTuple):
    """Where a sample is: its row in the index of its shard, and byte offsets and sizes in the tar."""

    row: int
    key: str
    json_offset: int
    json_size: int
    image_offsets: list[int]
    image_sizes: list[int]


def open_tables(folder: AnyPath, dataset: DatasetManifest) -> "duckdb.DuckDBPyConnection":
    """A connection in memory with the views ``ledger`` (where the output has one) and ``samples``.

    Only committed files are read; other files in the output's folders do not become rows. Raises DataError for a file that
    is not what it should be.
    """
    import duckdb  # imports pandas where that is installed, which costs every command 0.2 seconds

    connection, layout = duckdb.connect(), Layout(folder)
    if not isinstance(folder, Path):
        connection.register_filesystem(open_filesystem(str(folder))[0])
    units = list(ledger_units(folder)) if read_select_summary(folder) is not None else dataset.units
    views = {
        "ledger": [layout.ledger(unit) for unit in units],
        "samples": [layout.index(shard.shard) for shard in dataset.shards],
    }
    for name, files in views.items():
        if files:
            listed = ", ".join(map(_literal, files))
            try:
                connection.execute(
                    f"CREATE VIEW {name} AS SELECT * FROM read_parquet([{listed}], union_by_name = true)"
                )
            except (duckdb.IOException, duckdb.InvalidInputException) as error:
                raise DataError(f"{folder}: the {name} cannot be read: {first_line(error)}") from None
    return connection


def rows_of_shard(connection: "duckdb.DuckDBPyConnection", index: str, where: str) -> list[SampleRow]:
    """The rows of a shard's index for which the SQL condition ``where`` holds, in order."""
    columns = ", ".join(["file_row_number", *SampleRow._fields[1:]])
    source = f"read_parquet({_literal(index)}, file_row_number = true)"
    present = {name for name, *_ in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}
    missing = sorted({*SampleRow._fields[1:]} - present)
    if missing:
        raise DataError(f"{index}: has no column {missing[0]}")
    found = connection.execute(f"SELECT {columns} FROM {source} WHERE ({where}) ORDER BY file_row_number").fetchall()
    rows = [SampleRow(*row) for row in found]
    if not all(_is_possible(row) for row in rows):
        raise DataError(f"{index}: an entry has no offsets and sizes of files in a tar")
    return rows


def _is_possible(row: SampleRow) -> bool:
    spans = (row.json_offset, row.json_size, *(row.image_offsets or ()), *(row.image_sizes or ()))
    same = (
        row.image_offsets is not None and row.image_sizes is not None and len(row.image_offsets) == len(row.image_sizes)
    )
    return same and all(isinstance(number, int) and number >= 0 for number in spans)


def _literal(path: AnyPath | str) -> str:
    """A path as an SQL string, in which DuckDB's wildcards mean themselves."""
    escaped = "".join(f"[{c}]" if c in "*?[" else c for c in str(path))
    return "'" + escaped.replace("'", "''") + "'"
