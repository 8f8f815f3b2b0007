"""The app over outputs whose files somebody changed: it names what it cannot show, shows the rest, and never fails."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from qvl.pipeline.base.errors import QvlError
from qvl.pipeline.view.answers import Answers
from qvl.pipeline.view.server import app
from tests.adversary.mutations import DROPPED, REPEATED, changed, paths
from tests.pipeline.view.conftest import curated  # noqa: F401

QUESTIONS = (
    "output", "total", "total?table=samples", "counts?by=verdict", "counts?by=source&table=samples", "facets?by=source",
    "histogram?column=width", "histogram?column=width&table=samples", "rows", "rows?table=samples",
    "rows?f=verdict:is:keep&sort=width", "row?key=KEY", "row?key=KEY&table=samples", "clusters", "clusters?table=samples",
    "thresholds", "whatif?w=image_size.minimum_side=1", "searching", "scores",
)  # fmt: skip
VALUES: tuple[Any, ...] = (None, -1, 2**63, 1e308, "", "../../x", "a" * 2_000, [], [[]], {}, {"a": 1}, [None])
CONTENTS = (
    b"",
    b"{",
    b"[]",
    b"3",
    b'"x"',
    b"null",
    b"{}",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"rows": ' + b"9" * 5_000 + b"}",
)


def asked(out: Path, key: str) -> dict[str, tuple[int, bytes]]:
    """Status and body of every question; an output that holds nothing is refused in one line."""
    try:
        answers = Answers(out)
    except QvlError as error:
        assert "\n" not in str(error)
        return {}
    found = {}
    with TestClient(app(answers, None), "http://127.0.0.1", raise_server_exceptions=False) as client:
        for question in QUESTIONS:
            response = client.get(f"/api/{question.replace('KEY', key)}")
            assert response.status_code in (200, 400), (question, response.status_code, response.text[:300])
            found[question] = response.status_code, response.content
        picture = client.get(f"/picture?key={key}")
        assert picture.status_code in (200, 204), picture.text[:300]
    return found


@pytest.fixture
def copy(curated: tuple[Path, Any], tmp_path: Path) -> Iterator[Path]:  # noqa: F811
    yield Path(shutil.copytree(curated[0], tmp_path / "out"))


@pytest.fixture(scope="module")
def key(curated: tuple[Path, Any]) -> str:  # noqa: F811
    index = next((curated[0] / "shards").glob("*.parquet"))
    return str(pq.read_table(index)["key"][0].as_py())


def test_questions_when_the_output_is_whole_are_answered(copy: Path, key: str) -> None:
    found = asked(copy, key)
    refused = {question: json.loads(body)["error"] for question, (status, body) in found.items() if status != 200}
    assert refused == {
        "clusters?table=samples": "samples does not hold duplicates",
        "scores": "rows does not hold predictions",
    }
    assert json.loads(found["output"][1])["faults"] == []


def write_empty(path: Path) -> None:
    path.write_bytes(b"")


def write_with(**columns: list[Any]) -> Callable[[Path], None]:
    return lambda path: pq.write_table(pa.table(columns), path)


@pytest.mark.parametrize(
    ("write", "named"),
    [
        (write_empty, True),
        (write_with(filename=["a", "b"]), False),
        (write_with(file_row_number=[5, 6], x=[1.5, 2.5]), False),
        (write_with(FILE_ROW_NUMBER=["q"], Filename=[1]), False),
        (write_with(**{"qvl:file": ["a"], "place": [1], 'a"b\n': [2]}), True),
        (Path.mkdir, True),
        (os.mkfifo, True),
        (lambda path: path.symlink_to("/etc/passwd"), True),
    ],
    ids=["empty", "filename", "row number", "capitals", "our names", "folder", "pipe", "link"],
)
def test_app_when_a_stray_parquet_is_in_the_output_shows_the_rest(
    write: Callable[[Path], None], named: bool, copy: Path, key: str
) -> None:
    write(copy / "mine.parquet")
    found = asked(copy, key)
    assert found["rows"][0] == found["rows?table=samples"][0] == found["row?key=KEY"][0] == 200
    faults = json.loads(found["output"][1])["faults"]
    assert [line.startswith("mine.parquet cannot be shown: ") for line in faults] == [True] * named


def files_of(out: Path) -> dict[str, list[Path]]:
    """The JSON and Parquet files of an output, by kind of content."""
    manifests = out / "manifests"
    return {
        "dataset": [out / "shards" / "dataset.json"],
        "recipe": [out / "recipe.json"],
        "manifests": sorted(path for path in manifests.rglob("*.json")),
        "ledger": sorted((out / "ledger").glob("*.parquet")),
        "index": sorted((out / "shards").glob("*.parquet")),
    }


@pytest.mark.parametrize("kind", ["dataset", "recipe", "manifests"])
def test_app_when_a_json_file_is_something_else_shows_the_rest(kind: str, copy: Path, key: str) -> None:
    for path in files_of(copy)[kind][:2]:
        before = path.read_bytes()
        for content in CONTENTS:
            path.write_bytes(content)
            asked(copy, key)
        path.write_bytes(before)
    assert all(status == 200 for status, _ in [asked(copy, key)["rows"]])


@pytest.mark.parametrize("kind", ["dataset", "recipe", "manifests"])
def test_app_when_a_value_of_a_json_file_is_another_shows_the_rest(kind: str, copy: Path, key: str) -> None:
    originals = [(path, json.loads(path.read_bytes())) for path in files_of(copy)[kind]]

    @settings(
        max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(st.data())
    def check(data: st.DataObject) -> None:
        path, content = data.draw(st.sampled_from(originals))
        at = data.draw(st.sampled_from(paths(content)))
        value = data.draw(st.sampled_from((DROPPED, REPEATED, *VALUES)))
        path.write_text(json.dumps(changed(content, at, value)))
        try:
            asked(copy, key)
        finally:
            path.write_text(json.dumps(content))

    check()


def hostile(table: pa.Table) -> dict[str, bytes]:
    """Parquet files in place of a table: cut, empty, of other columns, with impossible numbers."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    whole = sink.getvalue().to_pybytes()
    numbers = [field.name for field in table.schema if pa.types.is_integer(field.type)]
    made = {
        "other": pa.table({"x": [1]}),
        "no rows": table.slice(0, 0),
        "texts": pa.table(
            {name: [str(value)[:50] for value in table[name].to_pylist()] for name in table.column_names}
        ),
        "nulls": pa.table({f.name: pa.nulls(len(table), f.type) for f in table.schema}),
    }
    for value in (-1, 2**31 - 1):
        columns = {
            name: pa.array([value] * len(table)).cast(table[name].type, safe=False) if name in numbers else table[name]
            for name in table.column_names
        }
        made[f"numbers {value}"] = pa.table(columns)
    if "image_sizes" in table.column_names:
        kind = table["image_sizes"].type
        for name, value in (("negative", -5), ("huge", 2**40)):
            wrong = pa.array([[value]] * len(table)).cast(kind)
            made[name] = table.set_column(table.column_names.index("image_sizes"), "image_sizes", wrong)
    found = {"empty": b"", "cut": whole[: len(whole) // 2], "not parquet": b"PAR1" + bytes(100) + b"PAR1"}
    for name, content in made.items():
        sink = pa.BufferOutputStream()
        pq.write_table(content, sink)
        found[name] = sink.getvalue().to_pybytes()
    return found


@pytest.mark.parametrize("kind", ["ledger", "index"])
def test_app_when_a_parquet_file_is_something_else_shows_the_rest(kind: str, copy: Path, key: str) -> None:
    path = files_of(copy)[kind][0]
    for content in hostile(pq.read_table(path)).values():
        path.write_bytes(content)
        asked(copy, key)
