"""Tables: Parquet with image bytes or paths; JSONL, TSV and CSV with an image folder; the JSON files of SBU and COCO.

A line that cannot be parsed becomes a row with a fault; the other lines are read.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import orjson
import pyarrow as pa
import xxhash
from pydantic import Field

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.base.recipe_model import RecipeModel
from qvl.pipeline.sources.base import Bytes, ImageReference, Row, Source, Unit, batches, caption_of, number, unit_fault
from qvl.pipeline.sources.bounded_parquet import MAX_EXPANSION, TOO_LARGE, ExpandsTooFar
from qvl.pipeline.sources.carried import declared_type
from qvl.pipeline.sources.columns import MEASURES, PRESETS, Column, Columns, Preset
from qvl.pipeline.sources.paths import find_units
from qvl.pipeline.sources.table_files import (
    CARRIED,
    READERS,
    Expectation,
    Format,
    Record,
    parquet_images,
    parquet_types,
)
from qvl.pipeline.storage.reader import Storage

ENDINGS: dict[str, Format] = {
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".tsv": "tsv",
    ".csv": "csv",
}


# columns that must exist if the recipe names them; the caption and the image must always exist
CHECKED = ("key", "url", *MEASURES)


class Table(Source, RecipeModel):
    """Files named by glob patterns. Paths in the table are relative to ``image_folder``.

    ``max_expansion``: how many times the size of a Parquet file its rows may take (at least LEAST_BUDGET in all).
    ``header``: whether TSV and CSV begin with a line of names. By default they do, unless columns are given by position.
    """

    kind: Literal["table"] = "table"
    paths: tuple[str, ...] = Field(min_length=1)
    format: Format | None = None
    header: bool | None = None
    preset: Preset | None = None
    columns: Columns = Columns()
    image_folder: str | None = None
    max_image_bytes: int = 100_000_000
    max_expansion: int = Field(default=MAX_EXPANSION, ge=1)

    def units(self, storage: Storage) -> list[Unit]:
        return find_units(self.paths, storage)

    def side_inputs(self, unit: Unit, storage: Storage) -> list[Any]:
        """One hash over the names and sizes of the images that the table names: a changed image makes the unit stale.

        Not for a remote folder, where this would be too slow.
        """
        if self._image_column() is not None or self.image_folder is None or not storage.is_local(self.image_folder):
            return []
        digest = xxhash.xxh3_128()
        try:
            with storage.local(unit.path) as local:
                for record in READERS[self._format(unit)](local, self._expectation()):
                    if not isinstance(record, str):
                        digest.update(_named_size(record, self.all_columns().path, self._path(record), storage))
        except (OSError, ExpandsTooFar, pa.ArrowInvalid, orjson.JSONDecodeError):
            return []
        return [{"images": digest.hexdigest()}]

    def carried(self, unit: Unit, storage: Storage) -> pa.Schema:
        extra = self.all_columns().extra
        if all(column.type is not None for column in extra.values()) or self._format(unit) != "parquet":
            return self.columns.declared()
        with storage.local(unit.path) as local:
            held = parquet_types(local, [column.column for column in extra.values()])
        return pa.schema(
            (name, kind if column.type is None else declared_type(column.type))
            for (name, column), kind in zip(extra.items(), held, strict=True)
        )

    def read(self, unit: Unit, storage: Storage) -> Iterator[Sequence[Row]]:
        reader = READERS[self._format(unit)]
        try:
            with storage.local(unit.path) as local:
                yield from batches(
                    self._row(i, record, storage) for i, record in enumerate(reader(local, self._expectation()))
                )
        except OSError as error:
            yield [unit_fault(f"unit:{type(error).__name__}")]
        except ExpandsTooFar:
            yield [unit_fault("expands_too_far")]
        except (pa.ArrowInvalid, orjson.JSONDecodeError):
            yield [unit_fault("damaged_table")]

    def images(self, unit: Unit, wanted: Sequence[ImageReference], storage: Storage) -> Iterator[tuple[int, Bytes]]:
        rows = {image.row for image in wanted}
        if self._image_column() is None:
            for row, path in self._paths(unit, rows, storage):
                if storage.exists(path):
                    yield row, storage.read(path)
            return
        with storage.local(unit.path) as local:
            yield from parquet_images(local, str(self._image_column()), rows, self.max_expansion)

    def all_columns(self) -> Columns:
        return self.columns.over(PRESETS[self.preset]) if self.preset else self.columns

    def _expectation(self) -> Expectation:
        named = [getattr(self.columns, name) for name in CHECKED if getattr(self.columns, name) is not None]
        required = (*named, *(carried.column for carried in self.columns.extra.values()))
        by_path, limits = self.image_folder is not None, (self.max_image_bytes, self.max_expansion)
        return Expectation(self.all_columns(), self.header, by_path, required, *limits)

    def _image_column(self) -> Column | None:
        columns = self.all_columns()
        return None if self.image_folder is not None and columns.path is not None else columns.image

    def _format(self, unit: Unit) -> Format:
        found = self.format or ENDINGS.get(PurePosixPath(unit.name).suffix.lower())
        if found is None:
            raise RecipeError(f"{unit.name}: its format cannot be told from its ending; set `format:`")
        return found

    def _row(self, position: int, record: Record | str, storage: Storage) -> Row:
        if isinstance(record, str):
            return Row(key=str(position), fault=f"unreadable:{record}")
        columns = self.all_columns()
        caption = caption_of(record.get(columns.caption) if columns.caption is not None else None)
        row = Row(
            key=_text(record, columns.key, str(position)),
            caption=caption or b"",
            url=_text(record, columns.url, ""),
            locator=position,
            carried=record.get(CARRIED) or tuple(record.get(each.column) for each in columns.extra.values()),
        )
        for name, column in columns.measures():
            value = number(record.get(column))
            if value is not None:
                row.numbers[name] = value
        if caption is None:
            row.fault = "unreadable:bad_caption"
        else:
            self._attach(row, record, storage)
        return row

    def _attach(self, row: Row, record: Record, storage: Storage) -> None:
        """Set the image of a row from the table or from the image folder, or its fault."""
        column = self._image_column()
        if column is not None:
            value = record.get(column)
            data = value.get("bytes") if isinstance(value, dict) else value
            if data is TOO_LARGE:
                row.fault = "unreadable:too_large"
                return
            row.image, row.fault = (data, None) if isinstance(data, bytes) else (None, "unreadable:no_image")
        else:
            try:
                row.image, row.fault = self._read_image(self._path(record), storage)
            except OSError as error:  # such as a name that is too long: this concerns one row, not the unit
                row.fault = f"unreadable:file:{type(error).__name__}"
        if row.image is not None and len(row.image) > self.max_image_bytes:
            row.image, row.fault = None, "unreadable:too_large"

    def _read_image(self, path: str | None, storage: Storage) -> tuple[bytes | None, str | None]:
        """The bytes of an image, or the fault of its row."""
        if path is None:
            return None, "unreadable:bad_path"
        if not storage.exists(path):
            return None, "unreadable:no_image"
        if storage.size(path) > self.max_image_bytes:
            return None, "unreadable:too_large"
        return storage.read(path), None

    def _path(self, record: Record) -> str | None:
        """Path of the image inside the image folder; None if the table has none or if it leads out of that folder."""
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
        except RuntimeError:  # a cycle of symbolic links
            return None
        return str(target) if target.is_relative_to(root) else None

    def _paths(self, unit: Unit, wanted: set[int], storage: Storage) -> Iterator[tuple[int, str]]:
        with storage.local(unit.path) as local:
            for position, record in enumerate(READERS[self._format(unit)](local, self._expectation())):
                path = self._path(record) if position in wanted and not isinstance(record, str) else None
                if path is not None:
                    yield position, path


def _named_size(record: Record, column: Column | None, path: str | None, storage: Storage) -> bytes:
    """An image's name in the table and its size, -1 if the image does not exist."""
    size = storage.size(path) if path is not None and storage.exists(path) else -1
    return f"{_text(record, column, '')}\n{size}\n".encode("utf-8", "surrogatepass")


def _text(record: Record, column: Column | None, default: str) -> str:
    value = record.get(column) if column is not None else None
    if value is None:
        return default
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
