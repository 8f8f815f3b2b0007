"""What every reader provides: units, and rows in batches with the bytes of their images."""

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Self

import pyarrow as pa
import xxhash

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.sources.carried import Carried, carried_bytes
from qvl.pipeline.storage.reader import Storage

Bytes = bytes | memoryview

ROWS_PER_BATCH = 2_048
TEXT_PER_BATCH = 16 << 20  # bytes of captions and carried values
IMAGES_PER_BATCH = 256 << 20  # bytes of images that are in memory; views of a file are not
MAX_TEXTS = 1_000  # of a list in one row
REFERENCE_COLUMNS = ["row", "locator", "image_bytes"]  # columns of scan, in the order of an ImageReference


@dataclass(frozen=True)
class Unit:
    """One input file: the unit of work, of restart and of commit.

    ``name`` is the path below the fixed folder of the source's pattern, and ``id`` is the source with a hash of that name.
    Both are the same wherever the data is.
    """

    source: str
    name: str
    path: str

    @property
    def id(self) -> str:
        return f"{self.source}-{xxhash.xxh3_64_hexdigest(self.name.encode('utf-8', 'surrogateescape'))[:12]}"


@dataclass(frozen=True, slots=True)
class Text:
    """One of several texts of a row: the recipe's name of its column, and its index in a list; -1 if there is no list."""

    name: str
    index: int
    data: bytes


@dataclass
class Row:
    """One input row as it was read. ``fault`` is the reason why it cannot be used, or None.

    ``locator`` is how the source finds the image again (a byte offset or a row number). ``numbers`` holds values that the
    source provides already measured (``clip``, ``nsfw``, ...), ``carried`` those of ``extra``, in its order. ``texts``
    are the captions of a source that has several, the first of which is also ``caption``.
    """

    key: str
    caption: bytes = b""
    url: str = ""
    image: Bytes | None = None
    locator: int = -1
    fault: str | None = None
    numbers: dict[str, float] = field(default_factory=dict)
    carried: Carried = ()
    texts: tuple[Text, ...] = ()

    @property
    def text_bytes(self) -> int:
        """What the row takes of a batch besides its image."""
        if not self.carried and not self.texts:
            return len(self.caption)
        texts = sum([len(text.data) for text in self.texts]) if self.texts else len(self.caption)
        return texts + (carried_bytes(self.carried) if self.carried else 0)


@dataclass(slots=True)
class Seen:
    """What a reader counts next to its rows: files that are no rows, by reason, and samples without a picture or a text."""

    left_out: Counter[str] = field(default_factory=Counter)
    samples: int = 0
    unpaired: int = 0


@dataclass(frozen=True, slots=True)
class ImageReference:
    """How a source finds the image of a scanned row again. ``size`` is in bytes."""

    row: int
    locator: int
    size: int

    @classmethod
    def from_columns(cls, columns: pa.Table) -> list[Self]:
        """The references of all rows of a table with REFERENCE_COLUMNS, in its order."""
        return list(map(cls, *(columns[name].to_pylist() for name in REFERENCE_COLUMNS)))


class Source(ABC):
    """A named origin of rows."""

    @abstractmethod
    def units(self, storage: Storage) -> list[Unit]:
        """The input files, sorted by name. Cheap. Raises RecipeError if there are none."""

    def side_inputs(self, unit: Unit, storage: Storage) -> list[Any]:
        """Identities of everything else that a unit's columns depend on, as JSON values without paths of folders. Cheap."""
        return []

    def carried(self, unit: Unit, storage: Storage) -> pa.Schema:
        """Names and types of the columns that are carried along, in the order of ``Row.carried``. Cheap."""
        return pa.schema([])

    def caption_names(self) -> tuple[str, ...]:
        """The names of the texts of a row, in the recipe's order; none where a row has one caption."""
        return ()

    @abstractmethod
    def read(self, unit: Unit, storage: Storage, seen: Seen | None = None) -> Iterator[Sequence[Row]]:
        """All rows of a unit in the order of the file, in batches. Images are views that are valid until the next batch.

        What is in the file but is no row is counted in ``seen``.

        If a unit cannot be read to its end, its last row has an empty key and a fault that says why.
        """

    @abstractmethod
    def images(self, unit: Unit, wanted: Sequence[ImageReference], storage: Storage) -> Iterator[tuple[int, Bytes]]:
        """Row numbers with image bytes, in any order. The reader is fastest where ``wanted`` is in the order of the file."""


def images_as_scanned(
    source: Source, unit: Unit, wanted: Sequence[ImageReference], hashes: Mapping[int, bytes], storage: Storage
) -> Iterator[tuple[int, Bytes]]:
    """``source.images``, where every image still has its scanned hash (XXH3-128 by row number).

    Raises DataError where the bytes are others: the file changed since its scan, perhaps with its size and time kept.
    """
    for row, data in source.images(unit, wanted, storage):
        if xxhash.xxh3_128_digest(data) != hashes[row]:
            raise DataError(f"{unit.name} row {row}: the image changed since it was scanned; choose another --output")
        yield row, data


def images_missing(location: str, number: int) -> DataError:
    """The error of a source that lost images since the scan. ``location`` is the unit or shard that they belong to."""
    what = "1 image is" if number == 1 else f"{number:,} images are"
    return DataError(
        f"{location}: {what} no longer in the source; restore what was scanned, or choose another --output"
    )


def batches(rows: Iterator[Row]) -> Iterator[Sequence[Row]]:
    """Group rows into batches that are bounded in rows, in bytes of captions and carried values, and in bytes of images."""
    batch: list[Row] = []
    count = text = images = 0
    for row in rows:
        batch.append(row)
        count, text = count + 1, text + (row.text_bytes if row.carried or row.texts else len(row.caption))
        images += len(row.image) if isinstance(row.image, bytes) else 0
        if is_full(count, text):
            yield batch
            batch, count, text, images = [], 0, 0, 0
        elif images >= IMAGES_PER_BATCH:
            yield batch
            batch, images = [], 0
    if batch:
        yield batch


def is_full(rows: int, text: int) -> bool:
    """Whether a batch of so many rows with so many bytes of text is complete. Images divide a batch into parts."""
    return rows >= ROWS_PER_BATCH or text >= TEXT_PER_BATCH


def unit_fault(why: str) -> Row:
    """The row that represents all rows of a unit that could not be read."""
    return Row(key="", fault=f"unreadable:{why}")


def caption_of(value: Any) -> bytes | None:
    """The bytes of a caption: empty for null, None for a value that is not text. UTF-8 is checked later, for all sources."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if value is None:
        return b""
    return value if isinstance(value, bytes) else None


def texts_of(values: Iterable[tuple[str, Any]]) -> tuple[Text, ...] | None:
    """The texts of a row, from its values by name: text, or lists of texts. Empty and missing ones are no texts.

    None for a row with a value of another type, and for one with more than MAX_TEXTS texts.
    """
    found: list[Text] = []
    for name, value in values:
        elements = enumerate(value) if isinstance(value, list | tuple) else ((-1, value),)
        for index, element in elements:
            data = caption_of(element)
            if data is None or index >= MAX_TEXTS:
                return None
            if data:
                found.append(Text(name, index, data))
    return tuple(found)


def number(value: Any) -> float | None:
    """A table's value as a finite float, or None if it is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | bytes | Decimal):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None
