"""Array operations at the edges: nulls, slices, columns from files."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from qvl.pipeline.base.arrays import hash_words, hashes_to_arrow, segment_sums

HASHES = st.lists(st.none() | st.binary(min_size=16, max_size=16), max_size=40)


def words(values: list[bytes | None]) -> list[list[int]]:
    return [[int.from_bytes((v or bytes(16))[i : i + 8], "little") for i in (0, 8)] for v in values]


@given(HASHES, st.integers(0, 5))
def test_hash_words_of_a_slice_are_those_of_the_column(values: list[bytes | None], start: int) -> None:
    column = pa.array(values, pa.binary(16))
    assert hash_words(column).tolist() == words(values)
    assert hash_words(column.slice(start)).tolist() == words(values[start:])
    assert hash_words(pa.chunked_array([column, column])).tolist() == words(values * 2)


@given(HASHES)
def test_hashes_to_arrow_is_null_where_not_valid(values: list[bytes | None]) -> None:
    data = b"".join(value or b"x" * 16 for value in values)
    column = hashes_to_arrow(data, np.array([value is not None for value in values], bool))
    assert column.to_pylist() == values
    assert column.type == pa.binary(16)


def test_nulls_are_zero_in_a_column_that_was_read_from_a_file(tmp_path: Path) -> None:
    values = [b"a" * 16, None, b"b" * 16, None] * 5_000
    data = b"".join(value or b"garbage garbage!" for value in values)
    column = hashes_to_arrow(data, np.array([value is not None for value in values], bool))
    pq.write_table(pa.table({"h": column}), tmp_path / "t.parquet")
    assert hash_words(column).tolist() == words(values)
    assert hash_words(pq.read_table(tmp_path / "t.parquet")["h"]).tolist() == words(values)


@given(st.lists(st.lists(st.integers(-5, 5), min_size=1, max_size=6), max_size=8))
def test_segment_sums_equal_the_sums_of_the_slices(segments: list[list[int]]) -> None:
    flat = np.array([value for segment in segments for value in segment], np.int64)
    starts = np.cumsum([0, *map(len, segments)])[:-1]
    assert segment_sums(flat, starts).tolist() == [sum(segment) for segment in segments]
