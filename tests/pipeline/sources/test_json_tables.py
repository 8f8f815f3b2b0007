"""JSON lines, JSON lists and single objects under any ending."""

import contextlib
import gzip
import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.sources.columns import Columns
from qvl.pipeline.sources.json_tables import parse_json, parse_writable, read_coco, read_json, read_json_lines
from qvl.pipeline.sources.table_records import Expectation

EXPECTED = Expectation(Columns(caption="text", path="file"), None, True)
RECORDS = [{"file": f"{i}.jpg", "text": f"caption {i}"} for i in range(4)]


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("read", [read_json, read_json_lines])
@pytest.mark.parametrize("packed", [False, True])
def test_a_json_list_is_read_whatever_its_file_is_called(
    tmp_path: Path, read: Any, indent: int | None, packed: bool
) -> None:
    data = json.dumps(RECORDS, indent=indent).encode()
    (tmp_path / "t").write_bytes(gzip.compress(data) if packed else data)
    assert list(read(tmp_path / "t", EXPECTED)) == RECORDS


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json_lines_named_json_are_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "t.json").write_text("\n".join(map(json.dumps, RECORDS)), encoding)
    assert list(read_json(tmp_path / "t.json", EXPECTED)) == RECORDS


def test_lines_after_a_first_line_that_is_a_list_are_read(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("[1, 2]\n" + json.dumps(RECORDS[0]))
    assert list(read_json_lines(tmp_path / "t", EXPECTED)) == ["bad_json", RECORDS[0]]


def test_one_object_over_several_lines_is_refused_with_its_format(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"images": [], "annotations": []}, indent=1))
    with pytest.raises(RecipeError, match="format: coco"):
        list(read_json(path, EXPECTED))
    path.write_text(json.dumps({"captions": [], "urls": []}, indent=1))
    with pytest.raises(RecipeError, match="format: sbu"):
        list(read_json(path, EXPECTED))


def test_a_list_where_coco_is_expected_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(json.dumps(RECORDS))
    with pytest.raises(RecipeError, match="a JSON list; set `format: json`"):
        list(read_coco(tmp_path / "t.json", EXPECTED))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@given(JSON)
def test_parse_json_of_any_value_is_what_was_written(value: object) -> None:
    assert parse_json(json.dumps(value).encode()) == value


@given(st.binary(max_size=40) | st.text(st.sampled_from('[]{}",:1NaIfinity-\\ud8'), max_size=20).map(str.encode))
def test_parse_json_of_any_bytes_gives_a_value_or_value_error(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        parse_json(data)


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"a":' * 50_000])
def test_parse_json_when_nested_too_deeply_raises_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"too deeply|not|Expecting|recursion"):
        parse_json(data)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b'{"a": "\\ud800", "b": ["x", "\\ud800"], "c": NaN}', {"a": None, "b": ["x", None], "c": None}),
        (b'{"\\ud800": 1, "b": 2, "c": NaN}', {"b": 2, "c": None}),
    ],
)
def test_parse_writable_gives_a_value_that_can_be_written_again(data: bytes, value: object) -> None:
    assert orjson.loads(orjson.dumps(parse_writable(data))) == value


@pytest.mark.parametrize("data", [b"{", b"[" * 100_000, b'{"a": NaN' + b', "b": [' * 900 + b"]" * 900 + b"}", b"\xff"])
def test_parse_writable_when_it_is_no_json_raises(data: bytes) -> None:
    with pytest.raises(ValueError):
        parse_writable(data)
