"""The slices of a JSON array together contain exactly its elements."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qvl.grounding_builder.sources import json_slices
from qvl.grounding_builder.sources.json_slices import slices
from qvl.pipeline.base.errors import DataError

TEXT = st.sampled_from(["", 'a"b', "\\", '\\\\"', "[x,{", "},", "é,]", "plain"])
VALUES = st.recursive(
    st.none() | st.integers(-5, 5) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)


def whole(data: bytes, key: str | None = None, per_slice: int = 2) -> list[Any]:
    view = memoryview(data)
    return [element for part in slices(view, per_slice, key) for element in part.parse(view)]


@settings(max_examples=60)
@given(st.lists(VALUES, max_size=6), VALUES, st.sampled_from([7, 64, 1 << 20]), st.sampled_from([None, 1]))
def test_slices_contain_every_element_once(elements: list[Any], other: Any, chunk: int, indent: int | None) -> None:
    before, json_slices.CHUNK = json_slices.CHUNK, chunk
    try:
        assert whole(json.dumps(elements, indent=indent).encode()) == elements
        nested = {"info": other, "annotations": elements, "last": other}
        assert whole(json.dumps(nested, indent=indent).encode(), "annotations") == elements
    finally:
        json_slices.CHUNK = before


def test_slices_of_an_object_have_counts_and_digests() -> None:
    data = memoryview(b'{"a": 1, "b": [2], "c": {"d": 3}}')
    first, second = slices(data, 2)
    assert first.parse(data) == {"a": 1, "b": [2]} and second.parse(data) == {"c": {"d": 3}}
    assert (first.first, first.count, second.first, second.count) == (0, 2, 2, 1)
    changed = slices(memoryview(b'{"a": 1, "b": [2], "c": {"d": 4}}'), 2)
    assert changed[0].digest == first.digest and changed[1].digest != second.digest
    assert slices(memoryview(b"[]"), 2) == []


def test_slices_raise_when_the_array_is_truncated_or_missing() -> None:
    for text, problem in ((b"[1, 2, [3", "not closed"), (b"hello", "missing"), (b"", "missing")):
        with pytest.raises(DataError, match=problem):
            slices(memoryview(text), 2)
    with pytest.raises(DataError, match="'data' is missing"):
        slices(memoryview(b'{"nodata": [1]}'), 2, "data")
    with pytest.raises(DataError, match="not JSON"):
        whole(b"[1, nonsense]")
