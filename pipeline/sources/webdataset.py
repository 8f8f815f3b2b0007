"""WebDataset tars, by img2dataset or others: members in any order, keys with dots, any extensions.

If there are ``NAME.parquet`` (one row per url, with failed downloads) and ``NAME_stats.json`` next to a tar, they are read
too, so that every url that img2dataset was given has a verdict.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field

from qvl.pipeline.base.addresses import with_ending
from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.base.recipe_model import RecipeModel
from qvl.pipeline.commit.fingerprint import file_identity
from qvl.pipeline.sources.base import (
    Bytes,
    ImageReference,
    Row,
    Seen,
    Source,
    Unit,
    batches,
    caption_of,
    number,
    texts_of,
    unit_fault,
)
from qvl.pipeline.sources.bounded_parquet import MAX_EXPANSION
from qvl.pipeline.sources.carried import Carried
from qvl.pipeline.sources.columns import PRESETS, Column, Columns, Preset
from qvl.pipeline.sources.json_tables import parse_json
from qvl.pipeline.sources.paths import find_units
from qvl.pipeline.sources.status_table import BAD_CELL, Record, StatusTable, read_status_table, stated_count
from qvl.pipeline.sources.tar_index import Member, TarIndex, index_tar
from qvl.pipeline.sources.tar_members import Grouped, Members, TarSample, group
from qvl.pipeline.storage.reader import Storage

COMPRESSED_NAMES = (".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst", ".tzst")
MAX_TEXT_BYTES = 64 << 20
MAX_STATS_BYTES = 16 << 20
MAX_UNACCOUNTED_ROWS = 1_000_000


class WebDataset(Source, RecipeModel):
    """Tars named by glob patterns, relative to the recipe's folder, or fsspec URLs.

    ``members``: which endings of member names are pictures, captions and records, and where the key of a name ends.
    ``max_expansion``: how many times the size of a status table its rows may take.
    ``max_unaccounted_rows``: how many rows of one tar may be known only from its statistics.
    """

    kind: Literal["webdataset"] = "webdataset"
    paths: tuple[str, ...] = Field(min_length=1)
    preset: Preset = "img2dataset"
    columns: Columns = Columns()
    members: Members | None = None
    max_image_bytes: int = 100_000_000
    max_expansion: int = Field(default=MAX_EXPANSION, ge=1)
    max_unaccounted_rows: int = Field(default=MAX_UNACCOUNTED_ROWS, ge=0)

    def units(self, storage: Storage) -> list[Unit]:
        units = find_units(self.paths, storage)
        for unit in units:
            if unit.name.lower().endswith(COMPRESSED_NAMES):
                raise RecipeError(
                    f"{unit.path}: tars that are compressed with gzip or the like are not read; unpack it to .tar"
                )
        return units

    def side_inputs(self, unit: Unit, storage: Storage) -> list[Any]:
        paths = (_sibling(unit, ".parquet"), _sibling(unit, "_stats.json"))
        return [file_identity(storage, path) for path in paths if storage.has_side_file(unit.path, path)]

    def carried(self, unit: Unit, storage: Storage) -> pa.Schema:
        return self.columns.declared()

    def caption_names(self) -> tuple[str, ...]:
        return tuple(self.columns.captions)

    def read(self, unit: Unit, storage: Storage, seen: Seen | None = None) -> Iterator[Sequence[Row]]:
        try:
            with storage.mapped(unit.path) as data:
                yield from batches(self._rows(data, unit, storage, Seen() if seen is None else seen))
        except OSError as error:
            yield [unit_fault(f"unit:{type(error).__name__}")]

    def images(self, unit: Unit, wanted: Sequence[ImageReference], storage: Storage) -> Iterator[tuple[int, Bytes]]:
        if not storage.is_local(unit.path) and 2 * sum(image.size for image in wanted) < storage.size(unit.path):
            spans = [(image.locator, image.locator + image.size) for image in wanted]
            yield from zip([image.row for image in wanted], storage.read_ranges(unit.path, spans), strict=True)
            return
        with storage.mapped(unit.path) as data:
            for image in wanted:
                yield image.row, data[image.locator : image.locator + image.size]

    def _rows(self, data: memoryview, unit: Unit, storage: Storage, seen: Seen) -> Iterator[Row]:
        index = index_tar(data)
        found = group(index.members, self.members)
        _note(seen, index, found)
        columns = self.columns.over(PRESETS[self.preset])
        table = self._status_table(unit, columns, storage)
        statuses = table.records
        measures = columns.measures()
        for sample in found.samples:
            remaining = statuses.get(sample.key)
            status = remaining.pop() if remaining else None
            row = Row(sample.key, locator=sample.image.offset if sample.image else -1, fault=self._fault(sample))
            if row.fault is None:
                _fill(row, data, sample, status or {}, columns, measures)
            yield row
        if index.fault:
            yield unit_fault(index.fault)
        elif not found.samples and found.left_out:
            yield unit_fault("no_samples")
        for key, remaining in statuses.items():
            for status in reversed(remaining):
                yield _row_without_sample(key, status, index.fault, columns)
        if table.fault:
            yield unit_fault(table.fault)
        yield from self._unaccounted(unit, table, storage)

    def _status_table(self, unit: Unit, columns: Columns, storage: Storage) -> StatusTable:
        path = _sibling(unit, ".parquet")
        if not storage.has_side_file(unit.path, path):
            return StatusTable()
        with storage.local(path) as local:
            return read_status_table(local, [str(column) for column in columns.named()], self.max_expansion)

    def _unaccounted(self, unit: Unit, table: StatusTable, storage: Storage) -> Iterator[Row]:
        """A row for each that img2dataset was given but that none of its outputs mentions; a fault for an absurd number."""
        stats, table_path = _sibling(unit, "_stats.json"), _sibling(unit, ".parquet")
        if not all(storage.has_side_file(unit.path, path) for path in (stats, table_path)):
            return
        count = stated_count(storage.read(stats)) if storage.size(stats) <= MAX_STATS_BYTES else None
        if count is None:
            yield unit_fault("statistics:damaged")
        elif table.rows is not None and count - table.rows > self.max_unaccounted_rows:
            yield unit_fault("statistics:count_too_large")
        elif table.rows is not None:
            for _ in range(count - table.rows):
                yield Row(key="", fault="download:unaccounted")

    def _fault(self, sample: TarSample) -> str | None:
        if not sample.regular:
            return "unreadable:sparse_member" if sample.sparse else "unreadable:not_a_file"
        if sample.image is None:
            return "unreadable:no_image"
        if sample.image.size > self.max_image_bytes:
            return "unreadable:too_large"
        text, meta = sample.text, sample.meta
        if (text is not None and text.size > MAX_TEXT_BYTES) or (meta is not None and meta.size > MAX_TEXT_BYTES):
            return "unreadable:text_too_large"
        return None


def _note(seen: Seen, index: TarIndex, found: Grouped) -> None:
    """Count the members that are in no sample, and the samples that have only a picture or only a text."""
    seen.left_out.update(index.left_out + found.left_out)
    seen.samples += len(found.samples)
    alone = [each for each in found.samples if each.image is None or (each.text is None and each.meta is None)]
    seen.unpaired += sum((each.image is None) != (each.text is None and each.meta is None) for each in alone)


def _fill(
    row: Row, data: memoryview, sample: TarSample, status: Record, columns: Columns, measures: list[tuple[str, Column]]
) -> None:
    """Set the image, caption, url and scores of a row. The text file is the caption unless the columns say otherwise."""
    image, text = sample.image, sample.text
    record = _record(data, sample.meta, status)
    if record is None:
        row.fault = "unreadable:bad_json"
        return
    row.url = _url(record.get(columns.url) or record.get("url"))
    if columns.extra:
        row.carried = _carried(record, columns)
    if columns.captions:
        texts = texts_of((name, record.get(column)) for name, column in columns.captions.items())
        if texts is None:
            row.fault = "unreadable:bad_caption"
            return
        row.texts, row.caption = texts, texts[0].data if texts else b""
    elif columns.caption_from_record and record.get(columns.caption) is None:
        row.fault = "unreadable:no_caption_column"
    elif text is not None and not columns.caption_from_record:
        row.caption = bytes(data[text.offset : text.offset + text.size])
    else:
        caption = caption_of(record.get(columns.caption))
        if caption is None:
            row.fault = "unreadable:bad_caption"
            return
        row.caption = caption
    if image is not None:
        row.image = data[image.offset : image.offset + image.size]
    for name, column in measures:
        value = number(record.get(column))
        if value is not None:
            row.numbers[name] = value


def _record(data: memoryview, meta: Member | None, status: Record) -> Record | None:
    """The sample's JSON, completed by its row of img2dataset's table; None if the JSON is not an object."""
    if meta is None:
        return status
    try:
        record = parse_json(data[meta.offset : meta.offset + meta.size])
    except ValueError:
        return None
    if not isinstance(record, dict):
        return None
    return {**status, **record} if status else record


def _sibling(unit: Unit, ending: str) -> str:
    return with_ending(unit.path, ".tar", ending)


def _carried(record: Record, columns: Columns) -> Carried:
    values = (record.get(carried.column) for carried in columns.extra.values())
    return tuple(None if value is BAD_CELL else value for value in values)


def _row_without_sample(key: str, status: Record, tar_fault: str | None, columns: Columns) -> Row:
    """A row of the status table without a sample: a failed download, or a success that is missing in the tar."""
    outcome = str(status.get("status"))
    if outcome == "success":
        reason = "unreadable:after_the_cut" if tar_fault is not None else "unreadable:missing_in_tar"
    else:
        reason = f"download:{outcome}"
    caption = caption_of(status.get("caption")) or b""
    return Row(key, caption, _url(status.get("url")), fault=reason, carried=_carried(status, columns))


def _url(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
