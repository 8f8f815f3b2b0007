"""The columns of parquet files as the app knows them: what kind of values they hold, and the SQL that reads them.

The files are untrusted: a column may have any name and any type.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.filters import FILTER_NAMES
from qvl.pipeline.shards.writer import INDEX

Kind = Literal["word", "flag", "number", "text", "hash", "words", "numbers", "bits"]

# columns that the app adds; a file may have columns of any name, and a table of DuckDB's row numbers has a fixed one
FILE_COLUMN, ROW_COLUMN, OTHER_ROW_COLUMN = "qvl:file", "file_row_number", "qvl:row"
# of a ledger (whose first column is the id) and of an index: columns that must be there, and those whose type matters
NEEDED = {"id": {"id", "source", "verdict"}, "key": set(INDEX.names)}
CHECKED = {
    "id": {*NEEDED["id"], "failed", "dup_of", "row", "locator", "image_bytes", "image_hash", "width", "height"},
    "key": set(INDEX.names),
}
POSITIONS = {
    "row", "locator", "offset", "size", "json_offset", "json_size", "origin_row", "image_offsets", "image_sizes",
    "orientation", "file_row_number",
}  # fmt: skip
TEXTS = {"id", "key", "url", "caption", "caption_raw", "dup_of"}
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


def literal(value: object) -> str:
    """A text as SQL."""
    return "'" + str(value).replace("'", "''") + "'"


def quoted(name: str) -> str:
    """A name as SQL. Column names are untrusted."""
    return '"' + name.replace('"', '""') + '"'


def columns_of(files: list[Path], expected: pa.Schema | None = None) -> list[Column]:
    """Columns of a table by the types of its first file that has rows.

    Raises DataError where a column that ``expected`` names has another type, or is missing although the app needs it.
    """
    first = next((path for path in files if pq.read_metadata(path).num_rows), files[0])
    with pq.ParquetFile(first) as file:
        schema = file.schema_arrow
        head = next(file.iter_batches(PROBED), None)
    if expected is not None:
        _check_columns(first.name, schema, expected)
    hidden, fields = {FILE_COLUMN, OTHER_ROW_COLUMN}, dict[str, pa.Field]()
    for field in schema:  # of names that differ only in their capitals SQL knows the first
        if field.name not in hidden:
            fields.setdefault(field.name.casefold(), field)
    return [_column(field, head) for field in fields.values()]


def _check_columns(name: str, schema: pa.Schema, expected: pa.Schema) -> None:
    for field in expected:
        found = schema.get_all_field_indices(field.name)
        if not found and field.name in NEEDED[expected.names[0]]:
            raise DataError(f"{name} has no column {field.name}")
        kind = schema.field(found[0]).type if found else field.type
        if field.name in CHECKED[expected.names[0]] and _class(kind) != _class(field.type):
            raise DataError(f"{name}: the column {field.name} is {kind} instead of {field.type}")


def _class(kind: pa.DataType) -> str:
    """What the app does with a type: texts, integers and so on are alike whatever their width."""
    if pa.types.is_list(kind):
        return f"list of {_class(kind.value_type)}"
    if pa.types.is_dictionary(kind):
        return _class(kind.value_type)
    kinds = {"text": pa.types.is_string, "integer": pa.types.is_integer, "binary": _is_binary}
    return next((name for name, matches in kinds.items() if matches(kind)), str(kind))


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _column(field: pa.Field, head: pa.RecordBatch | None) -> Column:
    name, kind, sql = field.name, field.type, quoted(field.name)
    is_dictionary = pa.types.is_dictionary(kind)
    kind = kind.value_type if is_dictionary else kind
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
    if is_dictionary or (name not in TEXTS and _few_words(name, kind, head)):
        return Column(name, "word", sql if pa.types.is_string(kind) else f"{sql}::VARCHAR", charted=True)
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
