"""img2dataset's side files of a tar: ``NAME.parquet`` with a row per url, and ``NAME_stats.json`` with the number of urls.

Only the columns that are needed are read. A side file that cannot be used is a fault of its own: the samples of the tar are
read without it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from qvl.pipeline.sources.bounded_parquet import ExpandsTooFar, bounded_parquet, cells

Record = dict[Any, Any]

STATUS_COLUMNS = ("key", "status", "caption", "url")
UNREADABLE = (ValueError, ArithmeticError, LookupError, pa.ArrowException)  # of one cell: a far date, a bad time zone
BAD_CELL = ()  # neither text nor a number, and false


@dataclass(slots=True)
class StatusTable:
    """Rows of the table by key, each list to be popped from its end; ``rows`` is None if there is no usable table.

    A key may occur twice; its samples in the tar are those that were downloaded, in order.
    """

    records: dict[str, list[Record]] = field(default_factory=dict)
    rows: int | None = None
    fault: str | None = None


def read_status_table(path: Path, columns: list[str], max_expansion: int) -> StatusTable:
    """The rows with STATUS_COLUMNS and the given columns, as far as the table has them. Never raises for its content."""
    try:
        with bounded_parquet(path, max_expansion) as file:
            names = [name for name in dict.fromkeys((*STATUS_COLUMNS, *columns)) if name in file.schema.names]
            if not {"key", "status"} <= set(names):
                return StatusTable(rows=file.rows)
            rows: list[Record] = []
            for batch in file.batches(names):
                values = [_values(column) for column in batch.columns]
                rows.extend(dict(zip(batch.schema.names, row, strict=True)) for row in zip(*values, strict=True))
            return StatusTable(_by_key(rows), file.rows)
    except ExpandsTooFar:
        return StatusTable(fault="status_table:expands_too_far")
    except (OSError, ValueError, pa.ArrowException):
        return StatusTable(fault="status_table:damaged")


def _by_key(rows: list[Record]) -> dict[str, list[Record]]:
    records: dict[str, list[Record]] = {}
    for record in reversed(rows):
        key = record["key"]
        name = key.decode("utf-8", "surrogateescape") if isinstance(key, bytes) else str(key)
        records.setdefault(name, []).append(record)
    for of_one_key in records.values():
        if len(of_one_key) > 1:
            of_one_key.sort(key=lambda record: record["status"] == "success")
    return dict(reversed(records.items()))


def _values(column: pa.Array) -> list[Any]:
    """The values of a column: text as str, or as bytes where it is not UTF-8; BAD_CELL for a value that Python lacks."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_nested(kind) or pa.types.is_temporal(kind):
        return [_cell(scalar) for scalar in column]
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return [_text(value) for value in cells(column)]
    return cells(column)


def _text(value: bytes | None) -> str | bytes | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return value


def _cell(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except UNREADABLE:
        return BAD_CELL


def stated_count(data: bytes) -> int | None:
    """The number of urls that img2dataset was given, or None if the file does not say."""
    try:
        return int(orjson.loads(data)["count"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
