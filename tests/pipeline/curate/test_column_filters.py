"""A run whose recipe judges columns of its own: verdicts, what-if, search for thresholds, report, app and trace."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.duplicates.rules import DUPLICATE_REASONS
from qvl.pipeline.filters import OTHER_VERDICTS
from qvl.pipeline.finished.audit import audit
from qvl.pipeline.finished.changes import apply_changes
from qvl.pipeline.finished.solve import Target, solve
from qvl.pipeline.finished.stored_columns import StoredColumns
from qvl.pipeline.finished.trace import trace_row
from qvl.pipeline.finished.whatif import whatif
from qvl.pipeline.finished.write_solved import write_solved
from qvl.pipeline.recipe.recipe import load_recipe
from qvl.pipeline.report.page import write_report
from qvl.pipeline.view.tables.datasets import RelatedDatasets
from qvl.pipeline.view.tables.faults import Faults
from qvl.pipeline.view.tables.tables import tables_of
from qvl.pipeline.view.whatif import filter_thresholds
from tests.pipeline.curate.measuring.test_added_columns import ROWS, curate, ledger_of, table_recipe, write_table

LICENSES = ["cc0", None, "cc-by", "all rights", "cc0", "cc0", "cc-by", "cc0", "all rights"]
SCORES = [4.0, 4.5, 5.0, 5.5, 6.0, None, 7.0, 3.0, 6.5]
EXTRA = {"license": "license", "aesthetic2": "score", "views": "views", "page": "page"}
COLUMNS = {
    "license": pa.array(LICENSES),
    "score": pa.array(SCORES, pa.float32()),
    "views": pa.array(range(ROWS)),
    "page": pa.array([f"http://{'stock' if i % 4 == 3 else 'site'}.org/{i}" for i in range(ROWS)]),
}
FILTERS: dict[str, Any] = {
    "columns": {
        "aesthetic2": {"minimum": 4.5, "missing": "keep"},
        "license": {"allowed": ["cc0", "cc-by"]},
        "page": {"forbidden_pattern": "stock"},
    },
    "text_length": {"minimum": 6},
}
SETTINGS: dict[str, Any] = {"filters": FILTERS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tables with four columns of their own; the second carries only one of them. And a finished run over them."""
    folder = tmp_path_factory.mktemp("filtered")
    write_table(folder / "t.parquet", COLUMNS)
    write_table(folder / "u.parquet", {"score": COLUMNS["score"]}, shift=40)
    curate(folder / "out", *sources(folder), **SETTINGS)
    return folder


def sources(folder: Path) -> list[dict[str, Any]]:
    own = {"columns": {"license": None, "page": {"missing": "keep"}}}
    other = table_recipe(str(folder / "u.parquet"), {"aesthetic2": "score"}, filters=own)
    return [table_recipe(str(folder / "t.parquet"), EXTRA), {**other, "name": "u"}]


def verdicts_of(out: Path, source: str) -> list[str]:
    ledger = ledger_of(out)
    return [
        verdict
        for name, verdict in zip(ledger["source"].to_pylist(), ledger["verdict"].to_pylist(), strict=True)
        if name == source
    ]


def test_verdicts_when_columns_are_judged_are_the_names_of_the_columns_in_their_order(folder: Path) -> None:
    keep, aesthetic = "keep", "aesthetic2"
    expected = [aesthetic, "license", keep, "license", keep, keep, keep, aesthetic, "license"]
    assert verdicts_of(folder / "out", "t") == expected
    assert verdicts_of(folder / "out", "u") == [aesthetic, *[keep] * 6, aesthetic, keep]
    assert audit(folder / "out").discrepancy is None


def test_trace_when_a_row_fails_filters_over_columns_names_all_of_them(folder: Path) -> None:
    assert trace_row(folder / "out", "t.parquet", 3).failed == ["license", "page"]
    assert trace_row(folder / "out", "t.parquet", 7).failed == ["aesthetic2", "page"]


CHANGES = [
    ["aesthetic2.minimum=5.5"],
    ["t.license.allowed=[all rights]"],
    ["license=null", "page=null"],
    ["views.maximum=4", "u.views.missing=keep"],
    ["columns.views.minimum=2.5"],
    ["aesthetic2=null", "text_length.minimum=24"],
]


@pytest.mark.parametrize("changes", CHANGES, ids=" ".join)
def test_what_if_when_columns_are_judged_otherwise_counts_what_a_run_keeps(
    folder: Path, tmp_path: Path, changes: list[str]
) -> None:
    stored = StoredColumns.open(folder / "out")
    changed = apply_changes(stored.recipe, changes)
    counted = whatif(stored, changed).counts()
    again: dict[str, Any] = {
        source["name"]: changed.filters_of(source["name"]).model_dump(exclude_none=True) for source in sources(folder)
    }
    for own in again.values():
        own["columns"] = {name: chosen for name, chosen in own["columns"].items() if chosen is not None}
    rerun = curate(tmp_path / "out", *({**each, "filters": again[each["name"]]} for each in sources(folder)))
    for source in ("t", "u"):
        verdicts = verdicts_of(rerun, source)
        assert counted.after[source] == {reason: verdicts.count(reason) for reason in sorted(set(verdicts))}
    assert counted.before == whatif(stored, stored.recipe).counts().after


def test_solve_when_the_threshold_is_one_over_a_column_finds_it_and_writes_it(folder: Path) -> None:
    stored = StoredColumns.open(folder / "out")
    (solved,) = solve(stored, [Target("t", 2 / ROWS)], "aesthetic2.minimum")
    assert (solved.value, round(solved.kept * ROWS)) == (6.5, 2)
    (other,) = solve(stored, [Target("t", 2 / ROWS)], "views.maximum")
    assert (other.value, round(other.kept * ROWS)) == (4.0, 2)
    with pytest.raises(RecipeError, match="license has type string; only a bound of numbers"):
        solve(stored, [Target("t", 0.5)], "license.minimum")
    recipe = {"name": "r", "sources": sources(folder), **SETTINGS}
    (folder / "r.yaml").write_text(yaml.safe_dump(recipe))
    write_solved(folder / "r.yaml", folder / "solved.yaml", [solved])
    written = load_recipe(folder / "solved.yaml").filters_of("t").columns["aesthetic2"]
    assert written is not None
    assert (written.minimum, written.missing) == (6.5, "keep")


def test_report_when_columns_are_judged_shows_their_charts_and_galleries(folder: Path) -> None:
    with RunProgress() as progress:
        write_report(folder / "out", progress, None)
    report = json.loads(Layout(folder / "out").report.with_suffix(".json").read_text())
    found = {each["word"]: each for each in report["filters"]}
    assert list(found) == ["text_length", "markup", "aesthetic2", "license", "page"]
    assert [chart["kind"] for chart in found["aesthetic2"]["charts"]] == ["numbers"]
    edges = found["aesthetic2"]["charts"][0]["edges"]
    assert 4.5 in edges
    assert sum(found["aesthetic2"]["charts"][0]["every"]["t"]) == ROWS - 1
    values = {each["value"]: each["allowed"] for each in found["license"]["charts"][0]["values"]}
    assert values == {"cc0": True, "cc-by": True, "all rights": False, "not measured": False}
    assert found["license"]["failed"] == {"t": 3}
    assert found["page"]["failed"] == {"t": 2, "u": 0}
    assert found["page"]["gallery"][0]["samples"]
    steps = [step["reason"] for step in report["funnel"]["steps"]]
    assert [reason for reason in steps if reason in FILTERS["columns"]] == ["aesthetic2", "license", "page"]
    assert "all rights" in Layout(folder / "out").report.read_text()


def test_app_when_columns_are_judged_has_their_bounds_and_their_bits(folder: Path) -> None:
    recipe = StoredColumns.open(folder / "out").recipe
    sliders = {each.word: (each.column, each.bounds) for each in filter_thresholds(recipe)}
    assert sliders["aesthetic2"] == ("aesthetic2", ["minimum"])
    assert sliders["license"] == (None, [])
    layout = Layout(folder / "out")
    rows = next(table for table in tables_of(layout, RelatedDatasets({}), Faults()) if table.name == "rows")
    assert rows.column("fails").bits[-3:] == ("aesthetic2", "license", "page")


def test_run_when_a_filter_names_no_column_or_does_not_fit_its_type_says_so(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"columns.licence: there is no such column. Columns of your own: license"):
        curate(tmp_path / "a", *sources(folder), filters={"columns": {"licence": {}}})
    with pytest.raises(RecipeError, match=r"columns.license: minimum and maximum need numbers"):
        curate(tmp_path / "b", *sources(folder), filters={"columns": {"license": {"minimum": 3}}})
    with pytest.raises(RecipeError, match=r"phash_spread: there is no such column"):
        curate(tmp_path / "c", *sources(folder), filters={"columns": {"phash_spread": {"minimum": 3}}})


def test_filters_over_measured_columns_when_images_are_scored_judge_scores_after_them(
    folder: Path, tmp_path: Path
) -> None:
    filters = {
        "columns": {"phash_spread": {"minimum": 1.0}, "license": {"allowed": ["cc0"]}, "url": {"missing": "keep"}}
    }
    out = curate(tmp_path / "out", sources(folder)[0], filters=filters, score={"phash": {}})
    ledger = ledger_of(out)
    states = ledger["score_state"].to_pylist()
    assert [state == "not_scored:license" for state in states] == [name != "cc0" for name in LICENSES]
    assert sorted(set(ledger["verdict"].to_pylist())) == ["keep", "license"]


def test_other_verdicts_hold_every_reason_of_a_duplicate_rule() -> None:
    assert set(DUPLICATE_REASONS) <= OTHER_VERDICTS


def test_recipe_when_more_columns_are_judged_than_there_are_bits_is_refused(folder: Path, tmp_path: Path) -> None:
    many = {f"c{number}": {} for number in range(14)}
    extra = dict.fromkeys(many, "license")
    with pytest.raises(ValueError, match="14 columns are judged, the limit is 13"):
        curate(tmp_path / "out", table_recipe(str(folder / "t.parquet"), extra), filters={"columns": many})
