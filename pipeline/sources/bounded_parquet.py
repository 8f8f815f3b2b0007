"""Parquet files of untrusted origin, read within bounds: a file of a few kilobytes can hold gigabytes of values.

Values that occur many times are stored once in a dictionary, and compressed pages of equal bytes take almost no space. What
a file claims is checked before anything of it is expanded; then rows are read in batches of bounded size, and their sizes
are added up. pyarrow's reader knows the number of rows of a batch, but no limit of its bytes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

BATCH_ROWS = 256
BATCH_BYTES = 256 << 20
ROW_BYTES = 256  # what a row costs besides its values
MAX_EXPANSION = 100  # times the size of the file
LEAST_BUDGET = 256 << 20  # bytes that any file may expand to
DICTIONARY_PAGE = 2
TOO_LARGE = object()  # replaces a value over its limit


class ExpandsTooFar(Exception):
    """The rows of a file take more memory than its size allows for."""


@contextmanager
def bounded_parquet(path: Path, max_expansion: int) -> Iterator["BoundedParquet"]:
    """Open a file. Raises pa.ArrowInvalid if it is corrupted, ExpandsTooFar if it claims too many rows."""
    budget = max(LEAST_BUDGET, max_expansion * path.stat().st_size)
    with path.open("rb") as raw, pq.ParquetFile(path) as file:
        if file.metadata.num_rows * ROW_BYTES > budget:
            raise ExpandsTooFar
        yield BoundedParquet(path, file, raw, budget)


@dataclass(slots=True)
class BoundedParquet:
    """An open file; ``budget`` is the number of bytes that its rows may still take."""

    path: Path
    file: Any
    raw: BinaryIO
    budget: int
    schema: pa.Schema = field(init=False)
    rows: int = field(init=False)
    groups: int = field(init=False)

    def __post_init__(self) -> None:
        self.schema = self.file.schema_arrow
        self.rows, self.groups = self.file.metadata.num_rows, self.file.num_row_groups

    def group_rows(self, group: int) -> int:
        return int(self.file.metadata.row_group(group).num_rows)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """All rows in batches of bounded size. Raises ExpandsTooFar as soon as they take more than the budget."""
        for group in range(self.groups):
            for batch in self.group_batches(group, columns):
                self.budget -= len(batch) * ROW_BYTES + sum(_size(column) for column in batch.columns)
                if self.budget < 0:
                    raise ExpandsTooFar
                yield batch

    def group_batches(self, group: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The rows of one row group. Columns that are mostly a large dictionary come as dictionaries."""
        shared, rows = [], BATCH_ROWS
        for chunk in self._chunks(group, columns):
            size, dictionary = chunk.total_uncompressed_size, self._dictionary_bytes(chunk)
            if size > self.budget:
                raise ExpandsTooFar
            if dictionary * BATCH_ROWS > BATCH_BYTES and 2 * dictionary >= size:
                shared.append(chunk.path_in_schema)
            else:
                rows = min(rows, BATCH_BYTES // max(1, dictionary, size // max(1, chunk.num_values)))
        if not shared:
            yield from self.file.iter_batches(max(1, rows), [group], columns, use_threads=False)
            return
        with pq.ParquetFile(self.path, metadata=self.file.metadata, read_dictionary=shared) as file:
            yield from file.iter_batches(max(1, rows), [group], columns, use_threads=False)

    def _chunks(self, group: int, columns: Sequence[str]) -> Iterator[Any]:
        found = self.file.metadata.row_group(group)
        for number in range(found.num_columns):
            chunk = found.column(number)
            if chunk.path_in_schema in columns or chunk.path_in_schema.partition(".")[0] in columns:
                yield chunk

    def _dictionary_bytes(self, chunk: Any) -> int:
        """Expanded size of a column chunk's dictionary, as its page header says; 0 if it has none.

        The footer has only the size of the whole chunk. A page header is a Thrift struct in the compact protocol, which
        begins with the kind of the page and its expanded size.
        """
        offsets = (chunk.dictionary_page_offset, chunk.data_page_offset)
        self.raw.seek(min((offset for offset in offsets if offset is not None and offset > 0), default=0))
        header = self.raw.read(16)
        if len(header) < 16 or header[0] != 0x15 or header[1] != 2 * DICTIONARY_PAGE or header[2] != 0x15:
            return 0
        value = 0
        for shift, byte in enumerate(header[3:8]):
            value |= (byte & 0x7F) << 7 * shift
            if byte < 0x80:
                break
        return value >> 1


def undecoded(column: pa.Array) -> pa.Array:
    """Text columns as bytes, because they may not be valid UTF-8; of a Hugging Face image struct only its bytes."""
    if pa.types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0:
        return undecoded(pc.struct_field(column, "bytes"))
    if pa.types.is_dictionary(column.type):
        return pa.DictionaryArray.from_arrays(column.indices, undecoded(column.dictionary))
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return column.cast(pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary())
    return column


def cells(column: pa.Array, most: int | None = None) -> list[Any]:
    """The values of a column; TOO_LARGE for those of more than ``most`` bytes. Values of a dictionary are shared."""
    column = undecoded(column)
    if pa.types.is_dictionary(column.type):
        positions = column.indices.to_pylist()
        values = {at: _cell(column.dictionary[at], most) for at in set(positions) if at is not None}
        return [values.get(at) for at in positions]
    if most is None or not _has_lengths(column.type) or (pc.max(pc.binary_length(column)).as_py() or 0) <= most:
        return column.to_pylist()
    return [_cell(scalar, most) for scalar in column]


def _cell(scalar: pa.Scalar, most: int | None) -> Any:
    if most is not None and _has_lengths(scalar.type) and scalar.is_valid and scalar.as_buffer().size > most:
        return TOO_LARGE
    return scalar.as_py()


def _size(column: pa.Array) -> int:
    """Bytes of a column's values; those of a dictionary count as often as they occur."""
    column = undecoded(column)
    if pa.types.is_dictionary(column.type) and _has_lengths(column.type.value_type):
        return pc.sum(pc.binary_length(column.dictionary).take(column.indices).cast(pa.int64())).as_py() or 0
    return int(pc.sum(pc.binary_length(column)).as_py() or 0) if _has_lengths(column.type) else int(column.nbytes)


def _has_lengths(kind: pa.DataType) -> bool:
    return any(fits(kind) for fits in (pa.types.is_binary, pa.types.is_large_binary))
