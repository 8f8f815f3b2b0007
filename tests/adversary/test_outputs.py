"""Commands and the Python API over outputs whose files somebody changed: an answer or one line, never a failure of ours."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import qvl as api
from tests.adversary.commands import qvl
from tests.adversary.mutations import DROPPED, REPEATED, changed, paths
from tests.adversary.outputs import CONTENTS, VALUES, files_of, hostile
from tests.pipeline.view.conftest import curated  # noqa: F401

ENDINGS = (0, 1, 2)


@pytest.fixture
def copy(curated: tuple[Path, Any], tmp_path: Path) -> Iterator[Path]:  # noqa: F811
    yield Path(shutil.copytree(curated[0], tmp_path / "out"))


@pytest.fixture(scope="module")
def key(curated: tuple[Path, Any]) -> str:  # noqa: F811
    index = next((curated[0] / "shards").glob("*.parquet"))
    return str(pq.read_table(index)["key"][0].as_py())


def commands(out: Path, key: str) -> list[tuple[str, ...]]:
    return [
        ("curate", "audit", str(out)),
        ("curate", "trace", str(out), key),
        ("curate", "whatif", str(out), "image_size.minimum_side=1"),
        ("curate", "solve", str(out), "--source", "first", "--keep", "0.5", "--threshold", "text_length.minimum"),
        ("mix", "stats", str(out)),
    ]


def run_all(out: Path, key: str) -> list[int]:
    """The exit statuses of all commands; fails if one is not documented for bad input."""
    found = []
    for command in commands(out, key):
        ended = qvl(*command)
        assert ended.status in ENDINGS, (command[:2], ended.err[-500:])
        assert "Traceback" not in ended.err
        found.append(ended.status)
    read_by_api(out)
    return found


def read_by_api(out: Path) -> None:
    """Open the output and read everything once; what fails is a QvlError."""
    try:
        output = api.open(str(out))
        output.ledger("SELECT count(*) FROM ledger").fetchall()
        for sample in output.samples():
            sample.image_bytes()
        str(output.what_if({"image_size.minimum_side": 1}))
    except api.QvlError as error:
        assert str(error)


def test_commands_when_the_output_is_whole_succeed(copy: Path, key: str) -> None:
    assert run_all(copy, key) == [0] * 5


@pytest.mark.parametrize("kind", ["dataset", "recipe", "manifests"])
def test_commands_when_a_json_file_is_something_else_say_so(kind: str, copy: Path, key: str) -> None:
    path = files_of(copy)[kind][0]
    for content in CONTENTS:
        path.write_bytes(content)
        run_all(copy, key)


@pytest.mark.parametrize("kind", ["dataset", "recipe", "manifests"])
def test_commands_when_a_value_of_a_json_file_is_another_say_so(kind: str, copy: Path, key: str) -> None:
    originals = [(path, json.loads(path.read_bytes())) for path in files_of(copy)[kind]]

    @settings(
        max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(st.data())
    def check(data: st.DataObject) -> None:
        path, content = data.draw(st.sampled_from(originals))
        at = data.draw(st.sampled_from(paths(content)))
        value = data.draw(st.sampled_from((DROPPED, REPEATED, *VALUES)))
        path.write_text(json.dumps(changed(content, at, value)))
        try:
            run_all(copy, key)
        finally:
            path.write_text(json.dumps(content))

    check()


@pytest.mark.parametrize("kind", ["ledger", "index"])
def test_commands_when_a_parquet_file_is_something_else_say_so(kind: str, copy: Path, key: str) -> None:
    path = files_of(copy)[kind][0]
    for content in hostile(pq.read_table(path)).values():
        path.write_bytes(content)
        run_all(copy, key)
