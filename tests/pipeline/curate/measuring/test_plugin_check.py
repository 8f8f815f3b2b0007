"""Contract tests that users run on their plug-ins: each kind of mistake is found and named."""

from pathlib import Path

import pyarrow as pa
import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.curate.measuring.columns import COLUMNS
from qvl.pipeline.curate.measuring.plugin_check import SAMPLE_ROWS, CheckedPlugin, check_column, sample_rows
from tests.pipeline.plugins.modules import HOST, KEYWORDS, loaded, write

ROWS = sample_rows()
NUMBER = """
import qvl

calls = []


class Number(qvl.Column):
    reads = ["caption"]
    writes = {"number": "int64"}

    def apply(self, batch):
        calls.append(len(batch))
        return BODY
"""


def checked(tmp_path: Path, text: str, rows: pa.Table = ROWS) -> CheckedPlugin:
    (plugin,) = loaded(write(tmp_path / "a.py", text)).columns
    return check_column(plugin, rows)


def problems(found: CheckedPlugin) -> list[str]:
    return [finding.what for finding in found.findings if finding.problem is not None]


def test_sample_rows_are_rows_of_scan_in_several_languages_without_faults() -> None:
    assert ROWS.schema.names == COLUMNS.names
    assert len(ROWS) == SAMPLE_ROWS
    assert ROWS["fault"].null_count == SAMPLE_ROWS
    assert {"en", "zh"} <= set(ROWS["language"].to_pylist())


def test_check_column_when_an_operator_is_pure_passes_with_its_speed_and_identity(tmp_path: Path) -> None:
    found = checked(tmp_path, KEYWORDS)
    assert (found.passed, problems(found), found.notes) == (True, [], ())
    assert found.rows_per_second > 0
    assert found.columns == {"has_word": "bool", "length": "int32"}
    assert found.fingerprint == loaded(str(tmp_path / "a.py")).columns[0].fingerprint


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("list(range(len(batch)))", ["shuffled", "other batches"]),
        ("[len(batch)] * len(batch)", ["other batches"]),
        ("[len(calls)] * len(batch)", ["again", "shuffled", "other batches"]),
        ("['many'] * len(batch)", ["types"]),
        ("[1]", ["types"]),
    ],
)
def test_check_column_when_an_operator_breaks_the_contract_names_the_test(
    tmp_path: Path, body: str, what: list[str]
) -> None:
    found = checked(tmp_path, NUMBER.replace("BODY", body))
    assert not found.passed
    assert len(problems(found)) == len(what)
    assert all(word in problem for word, problem in zip(what, problems(found), strict=True))


def test_check_column_when_some_rows_fail_shows_one_of_them_as_a_note(tmp_path: Path) -> None:
    found = checked(tmp_path, HOST)
    assert found.passed
    assert "240 of 600 rows make it fail, such as {'url': ''}: unreadable:plugin:host:IndexError" in found.notes[0]


def test_check_column_when_a_carried_column_has_no_value_says_what_becomes_of_the_row(tmp_path: Path) -> None:
    text = HOST.replace('"url"', '"address"')
    found = checked(tmp_path, text, pa.table({"address": ["http://a/b"] * 9}))
    assert found.passed
    assert found.notes == (
        "a missing value of address makes it fail: such rows become unreadable:plugin:host:AttributeError",
    )
    with pytest.raises(RecipeError, match="host reads address, which the rows lack"):
        checked(tmp_path, text)
