"""Samples: their JSON, and samples on their way to a shard."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson
import pyarrow as pa
from pydantic import JsonValue

from qvl.pipeline.base.json_values import json_values
from qvl.pipeline.commit.records import decode
from qvl.pipeline.markup.regions import Region
from qvl.pipeline.markup.turns import Turns
from qvl.pipeline.sources.base import Bytes

Meta = dict[str, JsonValue]
"""Values that a sample carries along, by name."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a sample comes from: the input file and row, and the input's own name for the row.

    ``sha`` is the hex xxh3-128 of the image's bytes if the sample has one image, and else empty. Samples that were written
    to our description by others may lack everything but ``file`` and ``row``.
    """

    file: str
    row: int
    key: str = ""
    url: str = ""
    sha: str = ""


@dataclass(frozen=True, slots=True)
class SampleRecord:
    """The content of ``<key>.json``, as ARCHITECTURE.md describes it.

    ``meta`` holds values that were carried along from the source.
    """

    id: str
    source: str
    task: str
    language: str
    turns: Turns
    origin: Origin
    regions: tuple[Region, ...] = ()
    meta: Meta = field(default_factory=dict)

    @property
    def text_length(self) -> int:
        """Characters over all turns."""
        return sum([len(turn.text) for turn in self.turns])


def metas(columns: Mapping[str, pa.ChunkedArray], rows: int) -> list[Meta]:
    """``meta`` of each of ``rows`` rows, from columns by name."""
    values = {name: json_values(column) for name, column in columns.items()}
    return [{name: column[row] for name, column in values.items()} for row in range(rows)]


def encode_sample(record: SampleRecord) -> bytes:
    """The JSON of a sample, with its keys in a fixed order and everything but the optional keys of regions."""
    content = {
        "id": record.id,
        "source": record.source,
        "task": record.task,
        "language": record.language,
        "turns": record.turns,
        "regions": [region.stated() for region in record.regions],
        "origin": record.origin,
        **({"meta": record.meta} if record.meta else {}),
    }
    return orjson.dumps(content)


def decode_sample(data: bytes, tar: str, key: str) -> SampleRecord:
    """The sample in the JSON of a shard. ``tar`` and ``key`` name it in errors.

    This costs 11 to 16 microseconds for a caption, a dialogue or a grounded sample, and 0.9 ms for a page with 140 regions:
    less than the same checks in Python, and about three times as much as parsing without checks.

    Raises DataError for bytes that are not JSON, for unknown or missing keys, and for values of another type.
    """
    return decode(SampleRecord, data, f"{tar}: {key}")


@dataclass(frozen=True, slots=True)
class SampleImage:
    """An image file that is copied into a shard unchanged. ``extension`` has no dot; width and height are pixels."""

    extension: str
    data: Bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample to be written: ``record`` becomes ``<key>.json``, images keep their bytes."""

    record: SampleRecord
    images: tuple[SampleImage, ...] = ()

    @property
    def id(self) -> str:
        """The key of the sample in its shard."""
        return self.record.id


@dataclass(frozen=True, slots=True)
class BlankedSample:
    """A sample that was taken down from the unit that it was built in: nothing but its id is left."""

    id: str


def blank_json(key: str, size: int) -> bytes:
    """What replaces the JSON of a sample that was taken down from a unit: only the id, padded with spaces to ``size``."""
    return orjson.dumps({"id": key}).ljust(size)
