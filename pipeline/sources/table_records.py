"""What a reader of table files gets and gives: the recipe's expectation of a file, and records."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.sources.bounded_parquet import MAX_EXPANSION
from qvl.pipeline.sources.columns import Column, Columns
from qvl.pipeline.sources.partitions import Partition

Format = Literal["parquet", "jsonl", "json", "tsv", "csv", "sbu", "coco"]
Record = dict[Any, Any]


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the recipe expects of a table.

    ``header``: whether the first line holds names (None: unless columns are positions). ``by_path``: images are files that
    the table names. ``required``: columns that the recipe itself names; those of a preset may be missing.
    ``max_expansion``: how many times its size a Parquet or gzip file may expand to. ``delimiter``, ``quote`` and
    ``encoding`` are None where the file decides. ``partition``: columns that the folders of the file give.
    """

    columns: Columns
    header: bool | None
    by_path: bool
    required: tuple[Column, ...] = ()
    max_image_bytes: int = 100_000_000
    max_expansion: int = MAX_EXPANSION
    delimiter: str | None = None
    quote: bool | None = None
    encoding: str | None = None
    partition: Partition = field(default_factory=dict)

    @property
    def wanted(self) -> list[Column]:
        """The columns that a file must have."""
        columns = self.columns
        named = [columns.caption, columns.path if self.by_path else columns.image, *self.required]
        return [name for name in named if name is not None]


# a record, or the fault of a line or row that cannot be parsed
Reader = Callable[[Path, Expectation], Iterator[Record | str]]


def has_column(present: Sequence[Column], name: Column) -> bool:
    """Whether a column exists, or, for ``a.b``, the column ``a`` that may have a field ``b``."""
    return name in present or (isinstance(name, str) and name.partition(".")[0] in present)


def require_columns(path: Path, expected: Expectation, present: Sequence[Column], hint: str = "") -> None:
    """Raise RecipeError if a column that the recipe names is missing: a typing error would leave it empty in every row.

    Of the columns of a preset only the caption and the image are required.
    """
    present = [*present, *expected.partition]
    missing = [str(name) for name in expected.wanted if not has_column(present, name)]
    if missing:
        raise RecipeError(f"{path.name}: no column {', '.join(missing)}; it has {', '.join(map(str, present))}{hint}")


def value_of(record: Record, column: Column | None) -> Any:
    """The value of a column; ``a.b`` is the field ``b`` of the object ``a`` unless a column has that whole name."""
    if column is None:
        return None
    if column in record or not isinstance(column, str):
        return record.get(column)
    value: Any = record
    for name in column.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
