"""Filters by code: their reasons, their decisions as a column, and what a source or a what-if makes of them."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.finished.audit import audit
from qvl.pipeline.finished.changes import apply_changes
from qvl.pipeline.finished.stored_columns import StoredColumns
from qvl.pipeline.finished.trace import trace_row
from qvl.pipeline.finished.whatif import whatif
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.report.page import write_report
from tests.pipeline.curate.measuring.test_added_columns import ROWS, curate, ledger_of, table_recipe, write_table
from tests.pipeline.plugins.modules import KEYWORDS, loaded, write

EVEN = """
from dataclasses import dataclass

import qvl


@dataclass
class EvenNumber(qvl.Filter):
    base: int = 2
    reads = ["caption"]

    def keep(self, batch):
        numbers = [int(text.split()[-1]) for text in batch["caption"].to_pylist()]
        return [None if number == 4 else number % self.base == 0 for number in numbers]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two sources with numbered captions, a filter and a plug-in for columns."""
    write_table(tmp_path / "t.parquet", {})
    write_table(tmp_path / "u.parquet", {}, shift=20)
    write(tmp_path / "even.py", EVEN)
    write(tmp_path / "key_words.py", KEYWORDS)
    return tmp_path


def sources(folder: Path, **own: Any) -> list[dict[str, Any]]:
    other = {**table_recipe(str(folder / "u.parquet"), {}), "name": "u"}
    return [table_recipe(str(folder / "t.parquet"), {}), {**other, **own}]


def verdicts(out: Path, source: str) -> list[str]:
    rows = ledger_of(out).select(["source", "verdict"]).to_pylist()
    return [row["verdict"] for row in rows if row["source"] == source]


def test_filter_by_code_drops_rows_with_its_name_and_stores_its_decisions(folder: Path) -> None:
    out = curate(folder / "out", *sources(folder), plugins=[str(folder / "even.py"), str(folder / "key_words.py")])
    assert verdicts(out, "t") == ["keep" if row % 2 == 0 and row != 4 else "even_number" for row in range(ROWS)]
    rows = ledger_of(out).select(["source", "even_number"]).to_pylist()
    assert [row["even_number"] for row in rows if row["source"] == "t"] == [
        None if row == 4 else row % 2 == 0 for row in range(ROWS)
    ]
    assert trace_row(out, "t.parquet", 1).failed == ["even_number"]
    assert audit(out).discrepancy is None


def test_filter_by_code_when_a_source_or_a_question_judges_it_otherwise_counts_what_a_run_keeps(folder: Path) -> None:
    plugins = [str(folder / "even.py")]
    out = curate(folder / "out", *sources(folder), plugins=plugins)
    keeps: dict[str, Any] = {"filters": {"columns": {"even_number": None}}}
    off = curate(folder / "off", *sources(folder, **keeps), plugins=plugins)
    assert Counter(verdicts(off, "u")) == {"keep": ROWS}
    assert verdicts(off, "t") == verdicts(out, "t")
    stored = StoredColumns.open(out)
    counts = whatif(stored, apply_changes(stored.recipe, ["u.even_number=null", "t.even_number.missing=keep"])).counts()
    assert counts.after == {"t": {"even_number": 4, "keep": 5}, "u": {"keep": ROWS}}
    missing: dict[str, Any] = {"columns": {"even_number": {"missing": "keep"}}}
    kept = curate(folder / "kept", *sources(folder), plugins=plugins, filters=missing)
    assert Counter(verdicts(kept, "t")) == {"keep": 5, "even_number": 4}


def test_report_when_a_filter_is_code_shows_its_decisions_with_and_without_the_recipe(folder: Path) -> None:
    plugins = [{"module": str(folder / "even.py"), "parameters": {"even_number": {"base": 3}}}]
    out = curate(folder / "out", *sources(folder), plugins=plugins)
    recipe = Recipe.model_validate({"name": "r", "sources": sources(folder), "plugins": plugins})
    for given in (recipe, None):
        with RunProgress() as progress:
            write_report(out, progress, given)
        assert '"word":"even_number"' in Layout(out).report.with_suffix(".json").read_text().replace(": ", ":")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (EVEN.replace("EvenNumber", "Emoji"), "emoji is a filter of its own"),
        (EVEN.replace("EvenNumber", "NearDuplicate"), "near_duplicate is a verdict already"),
        (EVEN.replace("EvenNumber", "Caption"), "the column caption exists already"),
        (EVEN.replace('    reads = ["caption"]\n', ""), "even_number: `reads` must be a list"),
    ],
)
def test_filter_by_code_when_its_name_is_taken_or_it_declares_nothing_is_refused(
    folder: Path, text: str, message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        curate(folder / "out", *sources(folder), plugins=[write(folder / "even.py", text)])


def test_filters_among_plugins_when_listed_are_those_that_decide(folder: Path) -> None:
    plugins = loaded(str(folder / "even.py"), str(folder / "key_words.py"))
    assert plugins.filters == ("even_number",)
    assert plugins.columns[0].schema.names == ["even_number"]
