"""Commands and the Python API over outputs whose files somebody changed: an answer or one line, never a failure of ours."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

import qvl as api
from tests.adversary.commands import qvl
from tests.adversary.outputs import CONTENTS, files_of, hostile, with_changed_values

ENDINGS = (0, 1, 2)


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
    with_changed_values(files_of(copy)[kind], 20, lambda: run_all(copy, key))


@pytest.mark.parametrize("kind", ["ledger", "index"])
def test_commands_when_a_parquet_file_is_something_else_say_so(kind: str, copy: Path, key: str) -> None:
    path = files_of(copy)[kind][0]
    for content in hostile(pq.read_table(path)).values():
        path.write_bytes(content)
        run_all(copy, key)
