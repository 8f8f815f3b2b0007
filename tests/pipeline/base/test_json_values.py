"""Arrow values as JSON, the same with and without pandas."""

import json

import pyarrow as pa
import pytest

from qvl.pipeline.base.json_values import json_values

CASES = [
    (pa.array([1, None], pa.uint64()), [1, None]),
    (pa.array([1.5, float("nan"), float("inf")], pa.float32()), [1.5, None, None]),
    (pa.array([1, None], pa.timestamp("ns")), ["1970-01-01 00:00:00.000000001", None]),
    (pa.array([2**62], pa.timestamp("s")), ["<value out of range: 4611686018427387904>"]),
    (pa.array(["a", None]).dictionary_encode(), ["a", None]),
    (pa.array([b"\x00\xff"], pa.large_binary()), ["00ff"]),
    (pa.array([{"a": [1.5, None]}]), [{"a": [1.5, None]}]),
    (pa.array([[(1, "x")]], pa.map_(pa.int64(), pa.string())), [[[1, "x"]]]),
    (pa.array([["x"]], pa.large_list(pa.large_string())), [["x"]]),
]


@pytest.mark.parametrize(("column", "expected"), CASES, ids=lambda case: str(getattr(case, "type", "")))
def test_json_values_of_a_column_are_values_that_json_can_hold(column: pa.Array, expected: list[object]) -> None:
    assert json_values(column) == expected
    assert json_values(pa.chunked_array([column, column])) == 2 * expected
    assert json.dumps(json_values(column), allow_nan=False)
