"""What every reader gives: units, and rows in batches beside their image bytes."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import xxhash

from qvl.pipeline.storage.reader import Storage

Bytes = bytes | memoryview

ROWS_PER_BATCH = 2_048
TEXT_PER_BATCH = 16 << 20


@dataclass(frozen=True)
class Unit:
    """One input file: the unit of work, of restart and of commit.

    ``name`` is the path below the source's fixed folder, ``id`` is the source and a hash of that name: both are the
    same wherever the data lies.
    """

    source: str
    name: str
    path: str

    @property
    def id(self) -> str:
        return f"{self.source}-{xxhash.xxh3_64_hexdigest(self.name.encode('utf-8', 'surrogateescape'))[:12]}"


@dataclass
class Row:
    """One input row as read. ``fault`` is the reason why it cannot be used, or None.

    ``locator`` is where the source finds the image again (byte offset, or row number). ``numbers`` holds measured
    values that the source brings along (``clip``, ``nsfw``, ...).
    """

    key: str
    caption: bytes = b""
    url: str = ""
    image: Bytes | None = None
    locator: int = -1
    fault: str | None = None
    numbers: dict[str, float] = field(default_factory=dict)


class Source(ABC):
    """A named place where rows come from."""

    @abstractmethod
    def units(self, storage: Storage) -> list[Unit]:
        """The input files, sorted by name. Cheap. Raises RecipeError when there are none."""

    def side_inputs(self, unit: Unit, storage: Storage) -> list[Any]:
        """Identities of whatever else a unit's columns depend on (JSON values, no paths of folders). Cheap."""
        return []

    @abstractmethod
    def read(self, unit: Unit, storage: Storage) -> Iterator[Sequence[Row]]:
        """All rows of a unit in file order, in batches; images are views that live until the next batch.

        A unit that cannot be read further ends with one row whose key is empty and whose fault says why.
        """

    @abstractmethod
    def images(self, unit: Unit, wanted: list[tuple[int, int, int]], storage: Storage) -> Iterator[tuple[int, Bytes]]:
        """Image bytes of rows given as (row, locator, bytes), in any order, with their row numbers."""


def batches(rows: Iterator[Row]) -> Iterator[Sequence[Row]]:
    """Group rows so that a batch is bounded in rows and in caption bytes."""
    batch: list[Row] = []
    text = 0
    for row in rows:
        batch.append(row)
        text += len(row.caption)
        if len(batch) >= ROWS_PER_BATCH or text >= TEXT_PER_BATCH:
            yield batch
            batch, text = [], 0
    if batch:
        yield batch


def unit_fault(why: str) -> Row:
    """The row that stands for what a unit could not give."""
    return Row(key="", fault=f"unreadable:{why}")


def caption_of(value: Any) -> bytes | None:
    """A caption's bytes; none for a null, None for what is no text. UTF-8 is checked later, for all sources alike."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if value is None:
        return b""
    return value if isinstance(value, bytes) else None


def number(value: Any) -> float | None:
    """A finite float from what a table holds, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | bytes | Decimal):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if result - result == 0 else None
