"""Reading Parquet files and NumPy arrays of an output.

Files on a disk are memory-mapped; from a store only the bytes that are needed are read. Nothing that was read from a store
is kept on this machine, so there is no cache that could grow or become stale.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from qvl.pipeline.base.errors import DataError, first_line
from qvl.pipeline.storage.paths import AnyPath, StorePath
from qvl.pipeline.storage.stores import open_filesystem, request

WHOLE_BYTES = 4 << 20  # a shorter Parquet file is read from a store in one request, a longer one column by column
ARRAY_HEADER = 512  # bytes; more than the header of any array that we write


@contextmanager
def parquet_file(path: AnyPath) -> Iterator[Any]:
    """An open ``pq.ParquetFile``. Raises FileNotFoundError, and DataError if the content is not what it should be."""
    try:
        with _opened(path) as file:
            yield file
    except pa.ArrowException as error:
        raise DataError(f"{path}: cannot be read: {first_line(error)}") from error


@contextmanager
def _opened(path: AnyPath) -> Iterator[Any]:
    if isinstance(path, Path):
        with pq.ParquetFile(path, memory_map=True) as file:
            yield file
        return
    start = path.read_range(0, WHOLE_BYTES)
    if len(start) < WHOLE_BYTES:
        with pq.ParquetFile(pa.BufferReader(start)) as file:
            yield file
        return
    filesystem, inner = open_filesystem(path.url)
    with filesystem.open(inner, "rb", cache_type="none") as source, pq.ParquetFile(source, pre_buffer=True) as file:
        yield file


def read_parquet(path: AnyPath, columns: list[str] | None = None, needed: Sequence[str] = ()) -> pa.Table:
    """A Parquet file of an output, read in this thread. Raises DataError if one of ``needed`` is missing.

    Of ``columns`` those that the file does not have are left out. On small files this takes half the time of
    ``pq.read_table``.
    """

    def read() -> pa.Table:
        with parquet_file(path) as file:
            missing = set(needed) - set(file.schema_arrow.names)
            if missing:
                raise DataError(f"{path}: has no column {min(missing)}")
            return file.read(columns=columns, use_threads=False).combine_chunks()

    return read() if isinstance(path, Path) else request(path.url, lambda *_: read())


def load_array(path: AnyPath) -> np.ndarray:
    """An array of an output; on a disk it is memory-mapped and read-only."""
    if isinstance(path, Path):
        mapped: np.ndarray = np.load(path, mmap_mode="r")
        return mapped
    whole: np.ndarray = np.load(io.BytesIO(path.read_bytes()))
    return whole


def load_slice(path: AnyPath, first: int, last: int) -> np.ndarray:
    """Elements [first, last) of a one-dimensional array of an output; the other bytes are not read."""
    if isinstance(path, Path):
        return load_array(path)[first:last]
    head = io.BytesIO(path.read_range(0, ARRAY_HEADER))
    np.lib.format.read_magic(head)
    _, _, dtype = np.lib.format.read_array_header_1_0(head)
    start, end = (head.tell() + element * dtype.itemsize for element in (first, last))
    return np.frombuffer(path.read_range(start, end) if end > start else b"", dtype)


def read_span(path: AnyPath, start: int, end: int) -> bytes:
    """Bytes [start, end) of a file."""
    if isinstance(path, StorePath):
        return path.read_range(start, end)
    with path.open("rb") as file:
        file.seek(start)
        return file.read(end - start)
