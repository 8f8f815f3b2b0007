"""DuckDB over an output's parquet files: in memory, and unable to open files elsewhere or to write any."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.view.tables.columns import FILE_COLUMN, ROW_COLUMN, literal, quoted
from qvl.pipeline.view.tables.faults import UNREADABLE, Faults, reason
from qvl.pipeline.view.tables.tables import Table


class Database:
    """The tables of an output as views. Each thread may use a cursor of its own."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._connection = duckdb.connect()
        self._run("SET python_enable_replacements = false")
        self._run("SET parquet_metadata_cache = true")
        self._run("SET temp_directory = ''")
        self._run(f"SET allowed_directories = [{', '.join(map(literal, folders))}]")
        self._run("SET enable_external_access = false")
        self._run("SET lock_configuration = true")

    def add(self, table: Table, faults: Faults) -> Table | None:
        """Make a view of a table's readable files; the others become faults. None if no file is readable."""
        if not self._readable(table, table.files):
            each = {path: faults.read(path.name, partial(self._count, table, (path,)), False) for path in table.files}
            table = replace(table, files=tuple(path for path, is_readable in each.items() if is_readable))
        if not table.files:
            return None
        self._run(f"CREATE VIEW {quoted(table.name)} AS SELECT * FROM {reading(table, table.files)}")
        return table

    def _readable(self, table: Table, files: Sequence[Path]) -> bool:
        try:
            return self._count(table, files)
        except UNREADABLE:
            return False

    def _count(self, table: Table, files: Sequence[Path]) -> bool:
        """Read the footers and the first values of files that are to be one table. Raises for one that is unreadable."""
        statement = f"SELECT * FROM {reading(table, files)}"
        self._connection.execute(f"SELECT count(*) FROM ({statement})").fetchall()
        self._connection.execute(f"DESCRIBE {statement}").fetchall()
        return True

    def _run(self, statement: str) -> None:
        self._connection.execute(statement)

    def cursor(self) -> Any:
        """A new cursor, for one thread."""
        return self._connection.cursor()


def rows(cursor: Any, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """All rows of a query. Raises DataError if a file is damaged or missing."""
    try:
        found: list[tuple[Any, ...]] = cursor.execute(statement, list(values)).fetchall()
    except duckdb.InterruptException:
        raise
    except (duckdb.Error, OverflowError, ValueError) as error:
        raise DataError(f"the output cannot be read: {reason(error)}") from None
    return found


def reading(table: Table, files: Sequence[Path]) -> str:
    """SQL that reads these files of a table one after the other, with ``FILE_COLUMN`` and the table's ``row_column``."""
    named = f"filename = {literal(FILE_COLUMN)}"
    if table.row_column == ROW_COLUMN:
        return f"read_parquet([{', '.join(map(literal, files))}], {named}, file_row_number = true)"
    # a file's own column has the name of DuckDB's row number, which then cannot be asked for
    each = (
        f"SELECT *, row_number() OVER () - 1 AS {quoted(table.row_column)} FROM read_parquet([{literal(file)}], {named})"
        for file in files
    )
    return f"({' UNION ALL BY NAME '.join(each)})"
