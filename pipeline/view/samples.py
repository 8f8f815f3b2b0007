"""Samples in shards: found by key or by their input row, and read at their offsets."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.images.thumbnail import NoThumbnail
from qvl.pipeline.markup.markers import image_numbers, image_slot
from qvl.pipeline.markup.parsing import tag_pairs
from qvl.pipeline.storage.reader import Storage
from qvl.pipeline.view.tables.columns import FILE_COLUMN, quoted
from qvl.pipeline.view.tables.database import rows
from qvl.pipeline.view.tables.faults import inside
from qvl.pipeline.view.tables.queries import Record

FIELDS = (
    "key", "source", "task", "language", "image_offsets", "image_sizes", "json_offset", "json_size", "widths",
    "heights", "origin_file", "origin_row", "\"offset\"", "size",
)  # fmt: skip
MAX_JSON = 64 << 20
OF_ROW = 32
PREVIEW, OUTLINES, LOOKED_AT = 300, 80, 4_000


@dataclass(frozen=True)
class StoredSample:
    """A sample in a shard: the shard's index, and the sample's fields in it."""

    index: Path
    fields: Record

    @property
    def tar(self) -> Path:
        """The shard."""
        return self.index.with_suffix(".tar")

    @property
    def key(self) -> str:
        """The id of the sample."""
        return str(self.fields["key"])

    @property
    def images(self) -> int:
        """The number of its images."""
        return len(self.fields["image_sizes"])


def by_key(cursor: Any, key: str) -> StoredSample:
    """The sample with this key. Raises DataError if no shard has it."""
    found = _stored(cursor, "key = ?", (key,))
    if not found:
        raise DataError(f"no shard holds the sample {key[:120]}")
    return found[0]


def of_row(cursor: Any, source: str, file: str, row: int) -> list[StoredSample]:
    """The samples that were built from an input row, at most ``OF_ROW``."""
    return _stored(cursor, "origin_row = ? AND origin_file = ? AND source = ?", (row, file, source))


def _stored(cursor: Any, condition: str, values: tuple[Any, ...], most: int = OF_ROW) -> list[StoredSample]:
    names = [name.strip('"') for name in FIELDS]
    found = rows(
        cursor,
        f"SELECT {quoted(FILE_COLUMN)}, {', '.join(FIELDS)} FROM samples WHERE {condition} ORDER BY key LIMIT {most}",
        values,
    )
    return [StoredSample(Path(row[0]), dict(zip(names, row[1:], strict=True))) for row in found]


def previews(cursor: Any, keys: list[str]) -> dict[str, Record]:
    """For cards, by key: the text of each sample, and the outlines of the regions of its first image."""
    if not keys:
        return {}
    found = _stored(cursor, f"key IN ({', '.join('?' for _ in keys)})", tuple(keys), len(keys))
    return {stored.key: _preview(content(stored)) for stored in found}


def previews_of_rows(cursor: Any, origins: list[tuple[str, str, int]]) -> dict[tuple[str, str, int], Record]:
    """``previews`` of the first sample of each input row, by source, file and row."""
    if not origins:
        return {}
    wanted = ", ".join("(?, ?, ?)" for _ in origins)
    values = tuple(value for origin in origins for value in origin)
    found = _stored(cursor, f"(source, origin_file, origin_row) IN ({wanted})", values, OF_ROW * len(origins))
    first = {
        tuple(stored.fields[name] for name in ("source", "origin_file", "origin_row")): stored for stored in found[::-1]
    }
    return {origin: _preview(content(stored)) for origin, stored in first.items()}


def _preview(found: Record) -> Record:
    texts = [
        plain_words(str(turn.get("text", ""))[:LOOKED_AT]) for turn in found.get("turns", ()) if isinstance(turn, dict)
    ]
    regions = [region for region in found.get("regions", ()) if isinstance(region, dict) and not region.get("image")]
    if any(region.get("level") for region in regions):
        regions = [region for region in regions if region.get("level") == "line"]
    shapes = [shape for shape in map(outline, regions[:OUTLINES]) if shape is not None]
    return {"_text": " → ".join(text for text in texts if text)[:PREVIEW], "_shapes": shapes}


def plain_words(text: str) -> str:
    """A training text without its markers and coordinates."""
    pieces, at = [], 0
    for mark in tag_pairs(text):
        pieces += [text[at : mark.start], f" {mark.inside} " if mark.kind == "ref" else ""]
        at = max(at, mark.end)
    plain = "".join([*pieces, text[at:]])
    for number in image_numbers(plain):
        plain = plain.replace(image_slot(number), "")
    return " ".join(plain.split())


def outline(region: Record) -> list[float] | None:
    """Four corners as eight numbers; None for a region without any."""
    numbers: list[Any] = list(region.get("quad") or region.get("box") or ())
    if len(numbers) not in (4, 8) or not all(isinstance(each, int | float) for each in numbers):
        return None
    if len(numbers) == 4:
        x1, y1, x2, y2 = numbers
        numbers = [x1, y1, x2, y1, x2, y2, x1, y2]
    return [round(float(each), 4) for each in numbers]


def content(stored: StoredSample) -> Record:
    """The sample's JSON. Raises DataError if the shard does not match its index."""
    size = stored.fields["json_size"]
    if size > MAX_JSON:
        raise DataError(f"{stored.key}: its JSON has {size:,} bytes")
    try:
        found = orjson.loads(_read(stored, stored.fields["json_offset"], size))
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise DataError(f"{stored.key}: the shard is damaged; run `qvl curate audit`")
    return found


def image(stored: StoredSample, number: int) -> bytes:
    """The bytes of one of its images. Raises NoThumbnail if it has none."""
    if not stored.images:
        raise NoThumbnail("text without images")
    if not 0 <= number < stored.images:
        raise DataError(f"{stored.key} has {stored.images} images")
    return _read(stored, stored.fields["image_offsets"][number], stored.fields["image_sizes"][number])


def _read(stored: StoredSample, offset: int, size: int) -> bytes:
    path = inside(stored.index.parent, stored.tar)
    if not path.is_file():
        raise DataError(f"{path.name} is missing; only its index is there")
    return Storage().read_range(str(path), offset, offset + size)
