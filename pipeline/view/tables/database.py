"""DuckDB over an output's parquet files: in memory, and unable to open files elsewhere or to write any."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import duckdb

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.view.tables.tables import Table, literal, quoted


class Database:
    """The tables of an output as views. Each thread may use a cursor of its own."""

    def __init__(self, folders: Iterable[Path], tables: Iterable[Table]) -> None:
        self._connection = duckdb.connect()
        self._run("SET parquet_metadata_cache = true")
        self._run("SET temp_directory = ''")
        self._run(f"SET allowed_directories = [{', '.join(map(literal, folders))}]")
        self._run("SET enable_external_access = false")
        self._run("SET lock_configuration = true")
        for table in tables:
            self._run(f"CREATE VIEW {quoted(table.name)} AS SELECT * FROM {reading(table.files)}")

    def _run(self, statement: str) -> None:
        self._connection.execute(statement)

    def cursor(self) -> Any:
        """A new cursor, for one thread."""
        return self._connection.cursor()


def rows(cursor: Any, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """All rows of a query. Raises DataError if a file is damaged or missing."""
    try:
        found: list[tuple[Any, ...]] = cursor.execute(statement, list(values)).fetchall()
    except (duckdb.IOException, duckdb.InvalidInputException) as error:
        raise DataError(f"the output cannot be read: {str(error).splitlines()[0]}") from None
    return found


def reading(files: Iterable[Path]) -> str:
    """SQL that reads these parquet files one after the other."""
    return f"read_parquet([{', '.join(map(literal, files))}], filename = true, file_row_number = true)"
