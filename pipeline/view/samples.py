"""Samples in shards: found by key or by the input row that they come from, read at their offsets."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from pipeline.errors import DataError
from pipeline.layout import Layout
from pipeline.storage import Storage
from pipeline.view.database import rows
from pipeline.view.tables import inside

FIELDS = (
    "key", "source", "task", "language", "image_offsets", "image_sizes", "json_offset", "json_size", "widths",
    "heights", "origin_file", "origin_row", "\"offset\"", "size",
)  # fmt: skip
MAX_JSON = 64 << 20
OF_ROW = 32


@dataclass(frozen=True)
class Place:
    """Where a sample lies: ``shard`` by name, the index's fields beside it."""

    shard: str
    fields: dict[str, Any]

    @property
    def key(self) -> str:
        return str(self.fields["key"])

    @property
    def images(self) -> int:
        return len(self.fields["image_sizes"])


def by_key(cursor: Any, key: str) -> Place:
    """Raises DataError for a key that no shard has."""
    found = _places(cursor, "key = ?", (key,))
    if not found:
        raise DataError(f"{key[:120]}: no shard holds such a sample")
    return found[0]


def of_row(cursor: Any, source: str, file: str, row: int) -> list[Place]:
    """The samples that an input row became, at most ``OF_ROW`` of them."""
    return _places(cursor, "origin_row = ? AND origin_file = ? AND source = ?", (row, file, source))


def _places(cursor: Any, condition: str, values: tuple[Any, ...]) -> list[Place]:
    names = [name.strip('"') for name in FIELDS]
    found = rows(
        cursor,
        f"SELECT parse_filename(filename, true), {', '.join(FIELDS)} FROM samples WHERE {condition} "
        f"ORDER BY key LIMIT {OF_ROW}",
        values,
    )
    return [Place(row[0], dict(zip(names, row[1:], strict=True))) for row in found]


def content(layout: Layout, place: Place) -> dict[str, Any]:
    """The sample's JSON. Raises DataError where the shard does not hold what its index says."""
    size = place.fields["json_size"]
    if size > MAX_JSON:
        raise DataError(f"{place.key}: its JSON has {size:,} bytes")
    try:
        found = orjson.loads(_read(layout, place, place.fields["json_offset"], size))
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise DataError(f"{place.key}: the shard is damaged; run `qvl curate audit`")
    return found


def image(layout: Layout, place: Place, number: int) -> bytes:
    """The bytes of one of its images."""
    if not 0 <= number < place.images:
        raise DataError(f"{place.key} has {place.images} images")
    return _read(layout, place, place.fields["image_offsets"][number], place.fields["image_sizes"][number])


def _read(layout: Layout, place: Place, offset: int, size: int) -> bytes:
    path: Path = inside(layout.out, layout.shard(place.shard))
    if not path.is_file():
        raise DataError(f"{place.shard}.tar is not there; only its index is")
    return Storage().read_range(str(path), offset, offset + size)
