"""Tables: Parquet with image bytes or paths; JSONL, TSV and CSV with an image folder; the JSON files of SBU and COCO.

A line that cannot be parsed becomes a row with a fault; the other lines are read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from gzip import BadGzipFile
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
import xxhash
from pydantic import Field

from qvl.pipeline.base.addresses import public_address
from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.base.recipe_model import RecipeModel
from qvl.pipeline.sources.base import (
    Bytes,
    ImageReference,
    Row,
    Seen,
    Source,
    Text,
    Unit,
    batches,
    caption_of,
    number,
    texts_of,
    unit_fault,
)
from qvl.pipeline.sources.bounded_parquet import MAX_EXPANSION, ExpandsTooFar
from qvl.pipeline.sources.carried import declared_type
from qvl.pipeline.sources.columns import MEASURES, PRESETS, Column, Columns, Preset
from qvl.pipeline.sources.embedded_images import EmbeddedImage, embedded_image
from qvl.pipeline.sources.image_files import NamedFile, file_in, linked_file_in
from qvl.pipeline.sources.partitions import Partition, partition_of
from qvl.pipeline.sources.paths import find_units
from qvl.pipeline.sources.table_files import CARRIED, DAMAGED, READERS, format_of, parquet_images, parquet_types
from qvl.pipeline.sources.table_records import Expectation, Format, Record, value_of
from qvl.pipeline.storage.reader import Storage

# columns that must exist if the recipe names them; the caption and the image must always exist
CHECKED = ("key", "url", *MEASURES)


class Table(Source, RecipeModel):
    """Files named by glob patterns. Paths in the table are relative to ``image_folder``.

    ``follow_links``: whether links in the image folder may lead out of it, as in the cache of the Hugging Face Hub.
    ``max_expansion``: how many times the size of a Parquet or gzip file its content may take (at least LEAST_BUDGET in all).
    ``header``: whether TSV and CSV begin with a line of names. By default they do, unless columns are given by position.
    ``delimiter``, ``quote``, ``encoding``: of TSV and CSV, the last one also of JSON; by default the file decides.
    """

    kind: Literal["table"] = "table"
    paths: tuple[str, ...] = Field(min_length=1)
    format: Format | None = None
    header: bool | None = None
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    quote: bool | None = None
    encoding: str | None = None
    preset: Preset | None = None
    columns: Columns = Columns()
    image_folder: str | None = None
    follow_links: bool = False
    max_image_bytes: int = 100_000_000
    max_expansion: int = Field(default=MAX_EXPANSION, ge=1)

    def units(self, storage: Storage) -> list[Unit]:
        return find_units(self.paths, storage)

    def side_inputs(self, unit: Unit, storage: Storage) -> list[Any]:
        """The columns that folders give, and a hash over the names and sizes of the images that the table names.

        A changed image makes the unit stale. Images of a remote folder have no part in this, which would be too slow.
        """
        partition = self._partition(unit)
        return [*([{"partition": partition}] if partition else []), *self._named_images(unit, storage)]

    def _named_images(self, unit: Unit, storage: Storage) -> list[Any]:
        if self._image_column() is not None or self.image_folder is None or not storage.is_local(self.image_folder):
            return []
        digest = xxhash.xxh3_128()
        try:
            with storage.local(unit.path) as local:
                for record in self._records(unit, local):
                    if not isinstance(record, str):
                        name = self._embedded(record).path or ""
                        digest.update(_named_size(name, self._file(name).path, storage))
        except (OSError, ExpandsTooFar, *DAMAGED):
            return []
        return [{"images": digest.hexdigest()}]

    def carried(self, unit: Unit, storage: Storage) -> pa.Schema:
        extra = self.all_columns().extra
        if all(column.type is not None for column in extra.values()) or format_of(unit.name, self.format) != "parquet":
            return self.columns.declared()
        with storage.local(unit.path) as local:
            held = parquet_types(local, [column.column for column in extra.values()], self._partition(unit))
        return pa.schema(
            (name, kind if column.type is None else declared_type(column.type))
            for (name, column), kind in zip(extra.items(), held, strict=True)
        )

    def caption_names(self) -> tuple[str, ...]:
        return tuple(self.columns.captions)

    def read(self, unit: Unit, storage: Storage, seen: Seen | None = None) -> Iterator[Sequence[Row]]:
        try:
            with storage.local(unit.path) as local:
                records = enumerate(self._records(unit, local))
                yield from batches(self._row(i, record, storage) for i, record in records)
        except DAMAGED:
            yield [unit_fault("damaged_table")]
        except OSError as error:
            yield [unit_fault("damaged_table" if isinstance(error, BadGzipFile) else f"unit:{type(error).__name__}")]
        except ExpandsTooFar:
            yield [unit_fault("expands_too_far")]

    def images(self, unit: Unit, wanted: Sequence[ImageReference], storage: Storage) -> Iterator[tuple[int, Bytes]]:
        rows = {image.row for image in wanted}
        with storage.local(unit.path) as local:
            for row, image in self._wanted_images(unit, local, rows):
                path = self._file(image.path).path if image.data is None and image.path is not None else None
                if image.data is not None:
                    yield row, image.data
                elif path is not None and storage.exists(path):
                    yield row, storage.read(path)

    def _wanted_images(self, unit: Unit, local: Path, wanted: set[int]) -> Iterator[tuple[int, EmbeddedImage]]:
        column = self._image_column()
        if column is not None and format_of(unit.name, self.format) == "parquet":
            for row, value in parquet_images(local, str(column), wanted, self._expectation(unit)):
                yield row, embedded_image(value)
            return
        for row, record in enumerate(self._records(unit, local)):
            if row in wanted and not isinstance(record, str):
                yield row, self._embedded(record)

    def _records(self, unit: Unit, local: Path) -> Iterator[Record | str]:
        expected = self._expectation(unit)
        records = READERS[format_of(unit.name, self.format)](local, expected)
        if not expected.partition:
            return records
        return (record if isinstance(record, str) else {**expected.partition, **record} for record in records)

    def _partition(self, unit: Unit) -> Partition:
        """The columns that the recipe names and the folders of a file give."""
        return partition_of(
            public_address(unit.path), {name for name in self.all_columns().named() if isinstance(name, str)}
        )

    def all_columns(self) -> Columns:
        return self.columns.over(PRESETS[self.preset]) if self.preset else self.columns

    def _expectation(self, unit: Unit) -> Expectation:
        columns = self.all_columns()
        named = [getattr(self.columns, name) for name in CHECKED if getattr(self.columns, name) is not None]
        return Expectation(
            columns,
            self.header,
            by_path=self.image_folder is not None and columns.path is not None,
            required=(
                *(*named, *self.columns.captions.values()),
                *(carried.column for carried in self.columns.extra.values()),
            ),
            max_image_bytes=self.max_image_bytes,
            max_expansion=self.max_expansion,
            delimiter=self.delimiter,
            quote=self.quote,
            encoding=self.encoding,
            partition=self._partition(unit),
        )

    def _image_column(self) -> Column | None:
        """The column that holds images; None if the table names files of the image folder."""
        columns = self.all_columns()
        return None if self.image_folder is not None and columns.path is not None else columns.image

    def _row(self, position: int, record: Record | str, storage: Storage) -> Row:
        if isinstance(record, str):
            return Row(key=str(position), fault=f"unreadable:{record}")
        columns = self.all_columns()
        texts: tuple[Text, ...] | None = ()
        if columns.captions:
            texts = texts_of((name, value_of(record, column)) for name, column in columns.captions.items())
            caption = None if texts is None else texts[0].data if texts else b""
        else:
            caption = caption_of(value_of(record, columns.caption))
        row = Row(
            key=_text(record, columns.key, str(position)),
            caption=caption or b"",
            url=_text(record, columns.url, ""),
            locator=position,
            texts=texts or (),
        )
        if columns.extra:
            row.carried = record.get(CARRIED) or tuple(value_of(record, each.column) for each in columns.extra.values())
        for name, column in columns.measures():
            value = number(value_of(record, column))
            if value is not None:
                row.numbers[name] = value
        if caption is None:
            row.fault = "unreadable:bad_caption"
        else:
            self._attach(row, record, storage)
        return row

    def _attach(self, row: Row, record: Record, storage: Storage) -> None:
        """Set the image of a row from the table or from the image folder, or its fault."""
        image = self._embedded(record)
        if image.data is not None or image.fault is not None:
            row.image, row.fault = image.data, image.fault
        elif image.path is not None or self._image_column() is None:
            try:
                row.image, row.fault = self._read_image(self._file(image.path or ""), storage)
            except OSError as error:  # such as a name that is too long: this concerns one row, not the unit
                row.fault = f"unreadable:file:{type(error).__name__}"
        else:
            row.fault = "unreadable:no_image"
        if row.image is not None and len(row.image) > self.max_image_bytes:
            row.image, row.fault = None, "unreadable:too_large"

    def _embedded(self, record: Record) -> EmbeddedImage:
        """What the row says of its image: bytes, or the name of a file if there is an image folder."""
        column, columns = self._image_column(), self.all_columns()
        if column is not None:
            image = embedded_image(value_of(record, column))
            return image if self.image_folder is not None else replace(image, path=None)
        value = value_of(record, columns.path)
        if isinstance(value, dict):
            return embedded_image(value)
        return EmbeddedImage(path=_text(record, columns.path, "") or None)

    def _read_image(self, named: NamedFile, storage: Storage) -> tuple[bytes | None, str | None]:
        """The bytes of an image, or the fault of its row."""
        path = named.path
        if path is None:
            return None, f"unreadable:{named.fault}"
        if not storage.exists(path):
            return None, "unreadable:no_image"
        if storage.size(path) > self.max_image_bytes:
            return None, "unreadable:too_large"
        return storage.read(path), None

    def _file(self, name: str) -> NamedFile:
        """The file that the table names, or why it is none of the image folder."""
        columns = self.all_columns()
        if self.image_folder is None or (columns.path is None and columns.image is None):
            raise RecipeError("a table needs `columns: {image: ...}`, or `columns: {path: ...}` with `image_folder:`")
        return (linked_file_in if self.follow_links else file_in)(self.image_folder, name)


def _named_size(name: str, path: str | None, storage: Storage) -> bytes:
    """An image's name in the table and its size, -1 if the image does not exist."""
    size = storage.size(path) if path is not None and storage.exists(path) else -1
    return f"{name}\n{size}\n".encode("utf-8", "surrogatepass")


def _text(record: Record, column: Column | None, default: str) -> str:
    value = value_of(record, column)
    if value is None:
        return default
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
