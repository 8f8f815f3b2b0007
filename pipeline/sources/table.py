"""Tables: parquet with image bytes or paths, JSONL, TSV and CSV beside an image folder, SBU's and COCO's JSON.

A line that cannot be parsed is a row with a fault; the lines around it are read.
"""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import orjson
import pyarrow as pa
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


class Table(Source, Frozen):
    """Files named by glob patterns. ``images`` is the folder that paths in the table start from."""

    kind: Literal["table"] = "table"
    paths: tuple[str, ...]
    format: Format | None = None
    header: bool = True
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
            path = self._path(record)
            if path is None:
                row.fault = "unreadable:bad_path"
            elif not storage.exists(path):
                row.fault = "unreadable:no_image"
            elif storage.size(path) > self.max_image_bytes:
                row.fault = "unreadable:too_large"
            else:
                row.image = storage.read(path)
        if row.image is not None and len(row.image) > self.max_image_bytes:
            row.image, row.fault = None, "unreadable:too_large"

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
        if "://" in self.image_folder:
            return f"{self.image_folder.rstrip('/')}/{relative}"
        root = Path(self.image_folder).resolve()
        target = (root / relative).resolve()
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
    columns = [
        str(c) for c in table.all_columns().model_dump(exclude_none=True, exclude={"caption_from_record"}).values()
    ]
    with pq.ParquetFile(path) as file:
        present = [name for name in columns if name in file.schema_arrow.names]
        for batch in file.iter_batches(batch_size=PARQUET_ROWS, columns=present, use_threads=False):
            yield from batch.to_pylist()


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
                record = orjson.loads(line)
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
    with path.open("rb") as file:
        lines = (line.rstrip(b"\r\n").split(b"\t") for line in file)
        names: list[Column] | None = (
            [n.decode().removeprefix("\ufeff") for n in next(lines, [])] if table.header else None
        )
        for fields in lines:
            if fields == [b""]:
                continue
            if names is not None and len(fields) != len(names):
                yield "bad_line"
            else:
                yield dict(zip(names or range(len(fields)), fields, strict=True))


def _csv(path: Path, table: Table) -> Iterator[Record | str]:
    csv.field_size_limit(MAX_FIELD)
    with io.TextIOWrapper(path.open("rb"), "utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file)
        names: list[Column] | None = list(next(reader, [])) if table.header else None
        while True:
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error:
                yield "bad_line"
                continue
            if not fields:
                continue
            if names is not None and len(fields) != len(names):
                yield "bad_line"
            else:
                encoded = [field.encode("utf-8", "surrogateescape") for field in fields]
                yield dict(zip(names or range(len(fields)), encoded, strict=True))


def _sbu(path: Path, table: Table) -> Iterator[Record | str]:
    """One JSON object of parallel lists; a list that is too short makes the table damaged."""
    columns = orjson.loads(path.read_bytes())
    lengths = {len(values) for values in columns.values() if isinstance(values, list)}
    if len(lengths) != 1:
        raise pa.ArrowInvalid("lists of different lengths")
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def _coco(path: Path, table: Table) -> Iterator[Record | str]:
    """COCO captions: one row per annotation, with the fields of its image."""
    content = orjson.loads(path.read_bytes())
    images = {image["id"]: image for image in content["images"]}
    for annotation in content["annotations"]:
        image = images.get(annotation["image_id"])
        yield {**image, **annotation} if image is not None else "no_image"


READERS: dict[Format, Callable[[Path, Table], Iterator[Record | str]]] = {
    "parquet": _parquet,
    "jsonl": _jsonl,
    "tsv": _tsv,
    "csv": _csv,
    "sbu": _sbu,
    "coco": _coco,
}
