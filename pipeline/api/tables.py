"""The tables of a finished output for SQL queries: DuckDB views over the committed parquet files."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

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

    Only committed files are read; other files in the output's folders do not become rows.
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
            connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet([{listed}], union_by_name = true)")
    return connection


def rows_of_shard(connection: "duckdb.DuckDBPyConnection", index: str, where: str) -> list[SampleRow]:
    """The rows of a shard's index for which the SQL condition ``where`` holds, in order."""
    columns = ", ".join(["file_row_number", *SampleRow._fields[1:]])
    source = f"read_parquet({_literal(index)}, file_row_number = true)"
    found = connection.execute(f"SELECT {columns} FROM {source} WHERE ({where}) ORDER BY file_row_number").fetchall()
    return [SampleRow(*row) for row in found]


def _literal(path: AnyPath | str) -> str:
    """A path as an SQL string, in which DuckDB's wildcards mean themselves."""
    escaped = "".join(f"[{c}]" if c in "*?[" else c for c in str(path))
    return "'" + escaped.replace("'", "''") + "'"
