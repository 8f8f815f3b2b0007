"""Table files as records in the order of the file: one reader for each format, and Parquet's.

A line that cannot be parsed gives its fault (a string) instead of a record. A file that cannot be read to its end raises one
of DAMAGED, OSError or ExpandsTooFar.
"""

import zlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.sources.bounded_parquet import MAX_EXPANSION, ExpandsTooFar, bounded_parquet, cells
from qvl.pipeline.sources.carried import arrow_cells, carried_type
from qvl.pipeline.sources.columns import Column
from qvl.pipeline.sources.delimited import read_delimited
from qvl.pipeline.sources.json_tables import read_coco, read_json, read_json_lines, read_sbu
from qvl.pipeline.sources.partitions import Partition
from qvl.pipeline.sources.table_records import Expectation, Format, Reader, Record, require_columns

DAMAGED = (pa.ArrowInvalid, EOFError, zlib.error, UnicodeDecodeError)
CARRIED = object()  # key of a record: the values that are carried along as they are in the file
BASE64_GROWTH = 1.4  # base64 is a third longer than its data, and lines are broken
ENDINGS: dict[str, Format] = {
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".tsv": "tsv",
    ".csv": "csv",
}
ONE_IMAGE = (
    "name a column with one image a row; documents with several are read by `qvl text build` (`kind: interleaved`)"
)
HOLDS_BYTES = (
    *(pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary),
    *(pa.types.is_string, pa.types.is_large_string, pa.types.is_null),
)
NESTED = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list, pa.types.is_struct, pa.types.is_map)


def format_of(name: str, named: Format | None) -> Format:
    """The format that the recipe names, or that of a file's ending. Raises RecipeError for an unknown ending."""
    path = PurePosixPath(name.lower())
    found = named or ENDINGS.get(PurePosixPath(path.stem).suffix if path.suffix == ".gz" else path.suffix)
    if found is None:
        raise RecipeError(f"{name}: its format cannot be told from its ending; set `format:`")
    return found


def read_parquet_table(path: Path, expected: Expectation) -> Iterator[Record | str]:
    """A record for each row, with the columns that the recipe names; a cell with a Hugging Face image is a mapping."""
    with bounded_parquet(path, expected.max_expansion) as file:
        require_columns(path, expected, file.schema.names)
        _require_types(path, expected, file.schema)
        present = [*file.schema.names, *expected.partition]
        used = [name for name in map(str, expected.columns.used()) if _column_of(name, present) in present]
        extra = [str(carried.column) for carried in expected.columns.extra.values()]
        held = dict.fromkeys(_column_of(name, present) for name in (*used, *extra))
        for stored in file.batches(
            [name for name in held if name not in expected.partition or name in file.schema.names]
        ):
            batch = _with_partition(stored, expected.partition)
            values = [_values(batch, name, expected) for name in used]
            rows = (dict(zip(used, row, strict=True)) for row in zip(*values, strict=True))
            yield from _with_carried(rows, [_nested(batch, name) for name in extra]) if extra else rows


def _with_partition(batch: pa.RecordBatch, partition: Partition) -> pa.RecordBatch:
    for name, value in partition.items():
        if name not in batch.schema.names:
            batch = batch.append_column(name, pa.repeat(pa.scalar(value, pa.string()), len(batch)))
    return batch


def _with_carried(rows: Iterator[Record], columns: list[pa.Array]) -> Iterator[Record]:
    for row, carried in zip(rows, zip(*map(arrow_cells, columns), strict=True), strict=True):
        yield {**row, CARRIED: carried}


def parquet_types(path: Path, columns: Sequence[Column], partition: Partition) -> list[pa.DataType]:
    """The types with which columns of a Parquet file are carried; null for a file that cannot be read."""
    try:
        with bounded_parquet(path, MAX_EXPANSION) as file:
            empty = file.schema.empty_table().to_batches() or [pa.RecordBatch.from_pylist([], schema=file.schema)]
    except (OSError, ExpandsTooFar, pa.ArrowInvalid):
        return [pa.null()] * len(columns)
    batch = _with_partition(empty[0], partition)
    return [carried_type(_nested(batch, str(name)).type) for name in columns]


def _column_of(name: str, present: Sequence[str]) -> str:
    """The column of the file that holds a named one: ``a`` for ``a.b``, unless a column has that whole name."""
    return name if name in present else name.partition(".")[0]


def _values(batch: pa.RecordBatch, name: str, expected: Expectation) -> list[Any]:
    column = batch.column(_column_of(name, batch.schema.names))
    if _is_hugging_face_image(column.type) and name in (expected.columns.image, expected.columns.path):
        return image_cells(column, expected.max_image_bytes)
    return cells(_nested(batch, name), _most(expected.max_image_bytes) if name == expected.columns.image else None)


def _nested(batch: pa.RecordBatch, name: str) -> pa.Array:
    """A column, or, for ``a.b``, the field ``b`` of the struct ``a``; nulls where there is no such column or field."""
    names = batch.schema.names
    parts = [name] if name in names else name.split(".")
    if parts[0] not in names:
        return pa.nulls(len(batch))
    column = batch.column(parts[0])
    for part in parts[1:]:
        if not pa.types.is_struct(column.type) or column.type.get_field_index(part) < 0:
            return pa.nulls(len(batch))
        column = pc.struct_field(column, part)
    return column


def image_cells(column: pa.Array, max_image_bytes: int) -> list[Any]:
    """The values of an image column: bytes, text, or mappings with the keys ``bytes`` and ``path``."""
    if not _is_hugging_face_image(column.type):
        return cells(column, _most(max_image_bytes))
    data = cells(pc.struct_field(column, "bytes"), _most(max_image_bytes))
    paths = cells(pc.struct_field(column, "path")) if column.type.get_field_index("path") >= 0 else [None] * len(column)
    return [{"bytes": each, "path": path} for each, path in zip(data, paths, strict=True)]


def _is_hugging_face_image(kind: pa.DataType) -> bool:
    return bool(pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0)


def _most(max_image_bytes: int) -> int:
    return int(BASE64_GROWTH * max_image_bytes)


def _require_types(path: Path, expected: Expectation, schema: pa.Schema) -> None:
    """Raise RecipeError if the image column cannot hold images, or if the caption is a list or an object."""
    columns = expected.columns
    image = None if expected.by_path and columns.path is not None else columns.image
    if image in schema.names:
        kind = schema.field(image).type
        kind = kind.field("bytes").type if _is_hugging_face_image(kind) else kind
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        hint = ONE_IMAGE if _is_nested(kind) else "set `columns: {image: ...}`"
        if not any(fits(kind) for fits in HOLDS_BYTES):
            raise RecipeError(f"{path.name}: column {image} has type {kind}, which cannot hold image bytes; {hint}")
    for name in columns.captions.values():
        kind = schema.field(name).type if name in schema.names else pa.string()
        while pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
            kind = kind.value_type
        if _is_nested(kind):
            kind = schema.field(name).type
            raise RecipeError(
                f"{path.name}: column {name} has type {kind}, which holds neither text nor a list of texts"
            )
    if columns.caption in schema.names and _is_nested(schema.field(columns.caption).type):
        kind = schema.field(columns.caption).type
        fields = [f"{columns.caption}.{kind.field(i).name}" for i in range(kind.num_fields)]
        hint = f"name one of its fields: {', '.join(fields)}" if pa.types.is_struct(kind) else "name a column of text"
        raise RecipeError(f"{path.name}: column {columns.caption} has type {kind}, which cannot be a caption; {hint}")


def _is_nested(kind: pa.DataType) -> bool:
    return any(fits(kind) for fits in NESTED)


def parquet_images(path: Path, column: str, wanted: set[int], limits: Expectation) -> Iterator[tuple[int, Any]]:
    """Row numbers with the values of an image column. Only the row groups that hold a wanted row are read."""
    with bounded_parquet(path, limits.max_expansion) as file:
        start = 0
        for group in range(file.groups):
            rows = file.group_rows(group)
            if any(start <= row < start + rows for row in wanted):
                at = start
                for batch in file.group_batches(group, [column]):
                    mine = [i for i in range(len(batch)) if at + i in wanted]
                    values = image_cells(batch.column(0).take(pa.array(mine, pa.int64())), limits.max_image_bytes)
                    yield from zip((at + i for i in mine), values, strict=True)
                    at += len(batch)
            start += rows


READERS: dict[Format, Reader] = {
    "parquet": read_parquet_table,
    "jsonl": read_json_lines,
    "json": read_json,
    "tsv": partial(read_delimited, kind="tsv"),
    "csv": partial(read_delimited, kind="csv"),
    "sbu": read_sbu,
    "coco": read_coco,
}
