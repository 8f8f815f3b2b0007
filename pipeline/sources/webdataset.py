"""WebDataset tars as img2dataset writes them, and any other: members in any order, keys with dots, foreign extensions.

Beside a tar, ``NAME.parquet`` (one row per url, failed downloads included) and ``NAME_stats.json`` are read where they
exist, so that every url that img2dataset was given has a verdict.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import RecipeError
from pipeline.frozen import Frozen
from pipeline.sources.base import Bytes, Row, Source, Unit, batches, number, unit_fault
from pipeline.sources.columns import MEASURES, PRESETS, Columns, Preset
from pipeline.sources.paths import find_units
from pipeline.storage import Storage
from pipeline.tar_index import Member, index_tar

IMAGE_EXTENSIONS = frozenset(
    ["jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif", "heic", "jxl", "img", "image"]
)
TEXT_EXTENSIONS = frozenset(("txt", "caption", "text"))
KNOWN_EXTENSIONS = IMAGE_EXTENSIONS | TEXT_EXTENSIONS | {"json", "cls", "npy", "pt", "pth", "pyd"}
MAX_TEXT_BYTES = 64 << 20


@dataclass
class _Sample:
    key: str
    parts: dict[str, Member] = field(default_factory=dict)


class WebDataset(Source, Frozen):
    """Tars named by glob patterns, relative to the recipe's folder, or fsspec URLs."""

    kind: Literal["webdataset"] = "webdataset"
    paths: tuple[str, ...]
    preset: Preset = "img2dataset"
    columns: Columns = Columns()
    max_image_bytes: int = 100_000_000

    def units(self, storage: Storage) -> list[Unit]:
        return find_units(self.paths, storage)

    def read(self, unit: Unit, storage: Storage) -> Iterator[Sequence[Row]]:
        try:
            with storage.mapped(unit.path) as data:
                yield from batches(self._rows(data, unit, storage))
        except OSError as error:
            yield [unit_fault(f"unit:{type(error).__name__}")]

    def images(self, unit: Unit, wanted: list[tuple[int, int, int]], storage: Storage) -> Iterator[tuple[int, Bytes]]:
        with storage.mapped(unit.path) as data:
            for row, offset, size in wanted:
                yield row, data[offset : offset + size]

    def _rows(self, data: memoryview, unit: Unit, storage: Storage) -> Iterator[Row]:
        index = index_tar(data)
        statuses = _statuses(unit, storage)
        for sample in group(index.members):
            status = statuses.pop(sample.key, None)
            yield self._row(data, sample, status or {})
        if index.fault:
            yield unit_fault(index.fault)
        for key, status in statuses.items():
            yield _not_downloaded(key, status, cut=index.fault is not None)
        for _ in range(_unaccounted(unit, storage)):
            yield Row(key="", fault="download:unaccounted")

    def _row(self, data: memoryview, sample: _Sample, status: dict[str, Any]) -> Row:
        image = _first(sample, IMAGE_EXTENSIONS)
        text, meta = _first(sample, TEXT_EXTENSIONS), sample.parts.get("json")
        row = Row(key=sample.key, locator=image.offset if image else -1)
        if any(not member.regular for member in sample.parts.values()):
            row.fault = "unreadable:not_a_file"
        elif image is None:
            row.fault = "unreadable:no_image"
        elif image.size > self.max_image_bytes:
            row.fault = "unreadable:too_large"
        elif any(m.size > MAX_TEXT_BYTES for m in (text, meta) if m):
            row.fault = "unreadable:text_too_large"
        if row.fault:
            return row
        record = _record(data, meta, status)
        if record is None:
            row.fault = "unreadable:bad_json"
            return row
        columns = self.columns.over(PRESETS[self.preset])
        row.url = str(record.get(str(columns.url)) or record.get("url") or "")
        caption = record.get(str(columns.caption))
        row.caption = bytes(data[text.offset : text.offset + text.size]) if text else str(caption or "").encode()
        if image is not None:
            row.image = data[image.offset : image.offset + image.size]
        for name in MEASURES:
            column = getattr(columns, name)
            value = number(record.get(column)) if column is not None else None
            if value is not None:
                row.numbers[name] = value
        return row


def group(members: list[Member]) -> Iterator[_Sample]:
    """Members to samples by key; a key that brings an extension twice starts a new sample."""
    open_samples: dict[str, _Sample] = {}
    samples: list[_Sample] = []
    for member in members:
        key, extension = split_name(member.name)
        sample = open_samples.get(key)
        if sample is None or extension in sample.parts:
            sample = open_samples[key] = _Sample(key)
            samples.append(sample)
        sample.parts[extension] = member
    return iter(samples)


def split_name(name: str) -> tuple[str, str]:
    """Key and lower-case extension. Only a known extension is cut off, so keys may hold dots."""
    stem, dot, extension = name.rpartition(".")
    extension = extension.lower()
    if dot and extension in KNOWN_EXTENSIONS:
        return stem, extension
    folder, slash, base = name.rpartition("/")
    stem, _, extension = base.partition(".")
    return folder + slash + stem, extension.lower()


def _first(sample: _Sample, extensions: frozenset[str]) -> Member | None:
    return next((member for extension, member in sample.parts.items() if extension in extensions), None)


def _record(data: memoryview, meta: Member | None, status: dict[str, Any]) -> dict[str, Any] | None:
    """The sample's JSON over img2dataset's table row; None where the JSON is no object."""
    if meta is None:
        return status
    try:
        record = orjson.loads(data[meta.offset : meta.offset + meta.size])
    except orjson.JSONDecodeError:
        return None
    return {**status, **record} if isinstance(record, dict) else None


def _beside(unit: Unit, ending: str) -> str:
    return unit.path.removesuffix(".tar") + ending


def _statuses(unit: Unit, storage: Storage) -> dict[str, dict[str, Any]]:
    """img2dataset's table by key; empty where there is none."""
    path = _beside(unit, ".parquet")
    if not storage.exists(path):
        return {}
    try:
        with storage.local(path) as local:
            table = pq.read_table(local)
    except pa.ArrowInvalid as error:
        raise RecipeError(
            f"{path}: not readable as the status table of {unit.name} ({error}); remove or mend it"
        ) from None
    if "key" not in table.column_names or "status" not in table.column_names:
        return {}
    return {str(record["key"]): record for record in table.to_pylist()}


def _not_downloaded(key: str, status: dict[str, Any], cut: bool) -> Row:
    """A row of the status table without a sample: a failed download, or a success that the tar does not hold."""
    word = str(status.get("status"))
    if word == "success":
        reason = "unreadable:after_the_cut" if cut else "unreadable:missing_in_tar"
    else:
        reason = f"download:{word}"
    caption = status.get("caption")
    return Row(key=key, caption=str(caption or "").encode(), url=str(status.get("url") or ""), fault=reason)


def _unaccounted(unit: Unit, storage: Storage) -> int:
    """Rows that img2dataset was given and that none of its outputs mentions."""
    stats, table = _beside(unit, "_stats.json"), _beside(unit, ".parquet")
    if not storage.exists(stats) or not storage.exists(table):
        return 0
    count = orjson.loads(storage.read(stats)).get("count", 0)
    with storage.local(table) as local:
        return max(0, int(count) - pq.read_metadata(local).num_rows)
