"""The app over outputs whose files somebody changed: it names what it cannot show, shows the rest, and never fails."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from qvl.pipeline.base.errors import QvlError
from qvl.pipeline.view.answers import Answers
from qvl.pipeline.view.server import app
from tests.adversary.outputs import CONTENTS, files_of, hostile, with_changed_values

QUESTIONS = (
    "output", "total", "total?table=samples", "counts?by=verdict", "counts?by=source&table=samples", "facets?by=source",
    "histogram?column=width", "histogram?column=width&table=samples", "rows", "rows?table=samples",
    "rows?f=verdict:is:keep&sort=width", "row?key=KEY", "row?key=KEY&table=samples", "clusters", "clusters?table=samples",
    "thresholds", "whatif?w=image_size.minimum_side=1", "searching", "scores",
)  # fmt: skip


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
    with_changed_values(files_of(copy)[kind], 15, lambda: asked(copy, key))


@pytest.mark.parametrize("kind", ["ledger", "index"])
def test_app_when_a_parquet_file_is_something_else_shows_the_rest(kind: str, copy: Path, key: str) -> None:
    path = files_of(copy)[kind][0]
    for content in hostile(pq.read_table(path)).values():
        path.write_bytes(content)
        asked(copy, key)
