"""Tables: parquet with image bytes or paths, JSONL, TSV and CSV beside an image folder, SBU's and COCO's JSON.

A line that cannot be parsed is a row with a fault; the lines around it are read.
"""

import csv
import io
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import RecipeError
from pipeline.frozen import Frozen
from pipeline.sources.base import Bytes, Row, Source, Unit, batches, number, unit_fault
from pipeline.sources.columns import MEASURES, PRESETS, Column, Columns, Preset
from pipeline.sources.paths import find_units
from pipeline.storage import Storage

Format = Literal["parquet", "jsonl", "tsv", "csv", "sbu", "coco"]
Record = dict[Any, Any]

ENDINGS: dict[str, Format] = {
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".tsv": "tsv",
    ".csv": "csv",
}
PARQUET_ROWS = 256
MAX_FIELD = 16 << 20
BOM = b"\xef\xbb\xbf"


class Table(Source, Frozen):
    """Files named by glob patterns. ``image_folder`` is where paths in the table start from.

    ``header``: TSV and CSV begin with a line of names; by default they do unless the columns are given by position.
    """

    kind: Literal["table"] = "table"
    paths: tuple[str, ...]
    format: Format | None = None
    header: bool | None = None
    preset: Preset | None = None
    columns: Columns = Columns()
    image_folder: str | None = None
    max_image_bytes: int = 100_000_000

    def units(self, storage: Storage) -> list[Unit]:
        return find_units(self.paths, storage)

    def read(self, unit: Unit, storage: Storage) -> Iterator[Sequence[Row]]:
        reader = READERS[self._format(unit)]
        try:
            with storage.local(unit.path) as local:
                yield from batches(self._row(i, record, storage) for i, record in enumerate(reader(local, self)))
        except OSError as error:
            yield [unit_fault(f"unit:{type(error).__name__}")]
        except (pa.ArrowInvalid, orjson.JSONDecodeError):
            yield [unit_fault("damaged_table")]

    def images(self, unit: Unit, wanted: list[tuple[int, int, int]], storage: Storage) -> Iterator[tuple[int, Bytes]]:
        if self._image_column() is None:
            for row, path in self._paths(unit, {row for row, _, _ in wanted}, storage):
                if storage.exists(path):
                    yield row, storage.read(path)
            return
        with storage.local(unit.path) as local:
            yield from _parquet_images(local, str(self._image_column()), {row for row, _, _ in wanted})

    def all_columns(self) -> Columns:
        return self.columns.over(PRESETS[self.preset]) if self.preset else self.columns

    def _image_column(self) -> Column | None:
        columns = self.all_columns()
        return None if self.image_folder is not None and columns.path is not None else columns.image

    def _format(self, unit: Unit) -> Format:
        found = self.format or ENDINGS.get(PurePosixPath(unit.name).suffix.lower())
        if found is None:
            raise RecipeError(f"{unit.name}: cannot tell its format from its ending; set `format:`")
        return found

    def _row(self, position: int, record: Record | str, storage: Storage) -> Row:
        if isinstance(record, str):
            return Row(key=str(position), fault=f"unreadable:{record}")
        columns = self.all_columns()
        row = Row(
            key=_text(record, columns.key, str(position)),
            caption=_encoded(record, columns.caption),
            url=_text(record, columns.url, ""),
            locator=position,
        )
        for name in MEASURES:
            column = getattr(columns, name)
            value = number(record.get(column)) if column is not None else None
            if value is not None:
                row.numbers[name] = value
        self._attach(row, record, storage)
        return row

    def _attach(self, row: Row, record: Record, storage: Storage) -> None:
        """Image bytes from the table itself or from the folder, or a fault."""
        column = self._image_column()
        if column is not None:
            value = record.get(column)
            row.image = value.get("bytes") if isinstance(value, dict) else value
            row.fault = None if isinstance(row.image, bytes) else "unreadable:no_image"
        else:
            try:
                row.image, row.fault = self._read_image(self._path(record), storage)
            except OSError as error:  # a name too long, no permission: this row's fault, not its unit's
                row.fault = f"unreadable:file:{type(error).__name__}"
        if row.image is not None and len(row.image) > self.max_image_bytes:
            row.image, row.fault = None, "unreadable:too_large"

    def _read_image(self, path: str | None, storage: Storage) -> tuple[bytes | None, str | None]:
        """Bytes, or the fault."""
        if path is None:
            return None, "unreadable:bad_path"
        if not storage.exists(path):
            return None, "unreadable:no_image"
        if storage.size(path) > self.max_image_bytes:
            return None, "unreadable:too_large"
        return storage.read(path), None

    def _path(self, record: Record) -> str | None:
        """Path of the image, confined to the image folder; None where it is missing or leads outside."""
        columns = self.all_columns()
        if columns.path is None or self.image_folder is None:
            raise RecipeError("a table needs `columns: {image: ...}`, or `columns: {path: ...}` with `image_folder:`")
        relative = _text(record, columns.path, "")
        if not relative or "\0" in relative or "\\" in relative:
            return None
        parts = PurePosixPath(relative).parts
        if PurePosixPath(relative).is_absolute() or ".." in parts or "://" in relative:
            return None
        folder = self.image_folder.removeprefix("file://")
        if "://" in folder:
            return f"{folder.rstrip('/')}/{relative}"
        root = Path(folder).resolve()
        try:
            target = (root / relative).resolve()
        except RuntimeError:  # a loop of symbolic links
            return None
        return str(target) if target.is_relative_to(root) else None

    def _paths(self, unit: Unit, wanted: set[int], storage: Storage) -> Iterator[tuple[int, str]]:
        with storage.local(unit.path) as local:
            for position, record in enumerate(READERS[self._format(unit)](local, self)):
                path = self._path(record) if position in wanted and not isinstance(record, str) else None
                if path is not None:
                    yield position, path


def _text(record: Record, column: Column | None, default: str) -> str:
    value = record.get(column) if column is not None else None
    if value is None:
        return default
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _encoded(record: Record, column: Column | None) -> bytes:
    """The caption as bytes: UTF-8 is checked later, for all sources alike."""
    value = record.get(column) if column is not None else None
    if isinstance(value, bytes):
        return value
    return b"" if value is None else str(value).encode("utf-8", "surrogatepass")


def _parquet(path: Path, table: Table) -> Iterator[Record | str]:
    with pq.ParquetFile(path) as file:
        _require_columns(path, table, file.schema_arrow.names)
        present = [name for name in table.all_columns().named() if name in file.schema_arrow.names]
        for batch in file.iter_batches(batch_size=PARQUET_ROWS, columns=present, use_threads=False):
            values = [_undecoded(column).to_pylist() for column in batch.columns]
            for row in zip(*values, strict=True):
                yield dict(zip(batch.schema.names, row, strict=True))


def _undecoded(column: pa.Array) -> pa.Array:
    """Text as bytes, because nobody has checked that it is UTF-8; of a Hugging Face image only its bytes."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0:
        return pc.struct_field(column, "bytes")
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return column.cast(pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary())
    return column


def _require_columns(path: Path, table: Table, present: Sequence[Column]) -> None:
    """Raise RecipeError where a column that no row can do without is not there: a typing error would empty every row."""
    columns = table.all_columns()
    wanted = [columns.caption, columns.path if table.image_folder is not None else columns.image]
    missing = [str(name) for name in wanted if name is not None and name not in present]
    if missing:
        raise RecipeError(f"{path.name}: no column {', '.join(missing)}; it has {', '.join(map(str, present))}")


def _parquet_images(path: Path, column: str, wanted: set[int]) -> Iterator[tuple[int, Bytes]]:
    """Only the row groups that hold a wanted row are read."""
    with pq.ParquetFile(path) as file:
        start = 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if any(start <= row < start + rows for row in wanted):
                at = start
                for batch in file.iter_batches(PARQUET_ROWS, [group], [column], use_threads=False):
                    for i in range(len(batch)):
                        if at + i in wanted:
                            value = batch.column(0)[i].as_py()
                            yield at + i, value["bytes"] if isinstance(value, dict) else value
                    at += len(batch)
            start += rows


def _jsonl(path: Path, table: Table) -> Iterator[Record | str]:
    with path.open("rb") as file:
        for line in file:
            if not line.strip():
                continue
            try:
                record = orjson.loads(line.removeprefix(BOM))
            except orjson.JSONDecodeError:
                yield "invalid_utf8" if not _is_utf8(line) else "bad_json"
                continue
            yield record if isinstance(record, dict) else "bad_json"


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _tsv(path: Path, table: Table) -> Iterator[Record | str]:
    """Quotes mean nothing: a caption may begin with one."""
    with path.open("rb") as file:
        lines = (line.removeprefix(BOM).rstrip(b"\r\n").split(b"\t") for line in file)
        yield from _records(path, (fields for fields in lines if fields != [b""]), table)


def _csv(path: Path, table: Table) -> Iterator[Record | str]:
    """Fields may be quoted and hold line breaks."""
    csv.field_size_limit(MAX_FIELD)
    with io.TextIOWrapper(path.open("rb"), "utf-8-sig", errors="surrogateescape", newline="") as file:
        yield from _records(path, _csv_lines(file), table)


def _csv_lines(file: io.TextIOWrapper) -> Iterator[list[bytes] | None]:
    reader = csv.reader(file)
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield None
            continue
        if fields:
            yield [field.encode("utf-8", "surrogateescape") for field in fields]


def _records(path: Path, lines: Iterator[list[bytes] | None], table: Table) -> Iterator[Record | str]:
    """Lines under their names or positions; one with another number of fields than the first is a fault."""
    by_position = any(isinstance(column, int) for column in table.all_columns().named())
    first = next(lines, None)
    if first is None:
        return
    names: list[Column] = list(range(len(first)))
    has_header = not by_position if table.header is None else table.header
    if has_header and not by_position:
        names = [name.decode("utf-8", "replace") for name in first]
    _require_columns(path, table, names)
    for fields in lines if has_header else itertools.chain([first], lines):
        if fields is None or len(fields) != len(names):
            yield "bad_line"
        else:
            yield dict(zip(names, fields, strict=True))


def _sbu(path: Path, table: Table) -> Iterator[Record | str]:
    """One JSON object of parallel lists; a list that is too short makes the table damaged."""
    content = orjson.loads(path.read_bytes())
    lists = content.items() if isinstance(content, dict) else ()
    columns = {name: values for name, values in lists if isinstance(values, list)}
    if len({len(values) for values in columns.values()}) != 1:
        raise pa.ArrowInvalid("lists of different lengths")
    _require_columns(path, table, list(columns))
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def _coco(path: Path, table: Table) -> Iterator[Record | str]:
    """COCO captions: one row per annotation, with the fields of its image."""
    content = orjson.loads(path.read_bytes())
    try:
        images = {image["id"]: image for image in content["images"]}
        pairs = [(images.get(annotation["image_id"]), annotation) for annotation in content["annotations"]]
    except (KeyError, TypeError):
        raise pa.ArrowInvalid("no images and annotations of COCO") from None
    for image, annotation in pairs:
        yield {**image, **annotation} if image is not None else "no_image"


READERS: dict[Format, Callable[[Path, Table], Iterator[Record | str]]] = {
    "parquet": _parquet,
    "jsonl": _jsonl,
    "tsv": _tsv,
    "csv": _csv,
    "sbu": _sbu,
    "coco": _coco,
}
