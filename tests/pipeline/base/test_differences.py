"""Differences of JSON values, as messages show them."""

from hypothesis import given
from hypothesis import strategies as st

from qvl.pipeline.base.differences import SHOWN_CHARACTERS, json_differences

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def test_json_differences_name_the_leaves_that_differ() -> None:
    before = {"pack": {"seed": 0, "shard_rows": 7}, "name": "a"}
    after = {"pack": {"seed": 0, "shard_rows": 30}, "name": "a"}
    assert json_differences(before, after) == ["pack.shard_rows: 7 -> 30"]


def test_json_differences_when_a_key_is_missing_on_one_side_shows_null() -> None:
    assert json_differences({"a": 1}, {"b": {"c": 2}}) == ["a: 1 -> null", 'b: null -> {"c":2}']


def test_json_differences_of_lists_of_one_length_name_the_item() -> None:
    assert json_differences({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}) == ["a.1.b: 2 -> 3"]
    assert json_differences({"a": [1]}, {"a": [1, 2]}) == ["a: [1] -> [1,2]"]


def test_json_differences_when_a_value_is_long_cuts_it() -> None:
    (line,) = json_differences({"a": "x" * 100}, {"a": 0})
    assert line.startswith('a: "xxx') and "..." in line
    assert len(line.split(" -> ")[0]) == len("a: ") + SHOWN_CHARACTERS


@given(JSON)
def test_json_differences_of_equal_values_are_none(value: object) -> None:
    assert json_differences(value, value) == []  # type: ignore[arg-type]
