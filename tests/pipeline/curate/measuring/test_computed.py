"""Runs whose recipe names plug-ins: their columns, their faults, and what a changed plug-in computes again."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from qvl.pipeline.base.errors import DataError, RecipeError, StaleError
from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.plan import make_plan
from qvl.pipeline.curate.run import run
from qvl.pipeline.finished.audit import audit
from qvl.pipeline.finished.changes import apply_changes
from qvl.pipeline.finished.stored_columns import StoredColumns
from qvl.pipeline.finished.trace import trace_row
from qvl.pipeline.finished.whatif import whatif
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.report.page import write_report
from tests.pipeline.curate.measuring.test_added_columns import ROWS, ledger_of, table_recipe, write_table
from tests.pipeline.plugins.modules import HOST, KEYWORDS, write

URLS = [f"http://site{i % 2}/{i}" if i != 4 else "no address" for i in range(ROWS)]
LENGTH = {"columns": {"length": {"minimum": 24}, "has_word": {"allowed": [True]}}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two tables with addresses, one of which is none, and two plug-ins."""
    for number, name in enumerate("ab"):
        write_table(tmp_path / "d" / f"{name}.parquet", {"address": pa.array(URLS)}, shift=20 * number)
    write(tmp_path / "key_words.py", KEYWORDS)
    write(tmp_path / "host.py", HOST.replace('"url"', '"address"'))
    return tmp_path


def curate(folder: Path, out: str = "out", fresh: bool = False, **more: Any) -> Path:
    content = {
        "name": "r",
        "sources": [table_recipe(str(folder / "d" / "*.parquet"), {"address": "address"})],
        "plugins": [str(folder / "key_words.py"), str(folder / "host.py")],
        "dedup": {"repeated_text": None},
        "filters": LENGTH,
        "tolerance": {"unreadable_rows": 0.2},
        **more,
    }
    with RunProgress() as progress:
        run(Recipe.model_validate(content), folder / out, SerialPool(), progress, fresh)
    return folder / out


def files(out: Path, *parts: str) -> dict[str, tuple[int, bytes]]:
    """The time and the bytes of each file below a folder of the output."""
    found = sorted(path for path in out.joinpath(*parts).rglob("*") if path.is_file())
    return {str(path.relative_to(out)): (path.stat().st_mtime_ns, path.read_bytes()) for path in found}


def test_run_when_a_recipe_names_plugins_has_their_columns_in_the_ledger_and_judges_them(folder: Path) -> None:
    out = curate(folder)
    ledger = ledger_of(out)
    assert ledger.schema.names[-4:] == ["address", "has_word", "length", "host"]
    assert ledger["host"].to_pylist() == [None if url == "no address" else url.split("/")[2] for url in URLS] * 2
    assert ledger["length"].to_pylist() == [len(caption) for caption in ledger["caption"].to_pylist()]
    counts = Counter(ledger["verdict"].to_pylist())
    assert counts == {"keep": ROWS - 1, "length": ROWS - 1, "unreadable:plugin:host:IndexError": 2}
    assert audit(out).discrepancy is None
    shown = trace_row(out, "b.parquet", 3).content()["columns"]
    assert isinstance(shown, dict)
    assert (shown["host"], shown["has_word"]) == ("site1", True)


def test_what_if_and_report_when_columns_are_computed_know_them_without_the_plugins(folder: Path) -> None:
    out = curate(folder)
    for name in ("key_words.py", "host.py"):
        (folder / name).unlink()
    stored = StoredColumns.open(out)
    counts = whatif(stored, apply_changes(stored.recipe, ["length.minimum=20", "host.allowed=[site0]"])).counts()
    assert counts.kept_after == sum(url.startswith("http://site0") for url in URLS) * 2
    with RunProgress() as progress:
        write_report(out, progress, None)
    assert "has_word" in Layout(out).report.read_text()


def test_run_when_a_plugin_changes_is_refused_and_fresh_computes_its_columns_alone(folder: Path) -> None:
    out = curate(folder)
    scanned, host, words = files(out, "columns"), files(out, "computed", "host"), files(out, "computed", "key_words")
    write(folder / "key_words.py", KEYWORDS.replace('pc.utf8_length(batch["caption"])', "[7] * len(batch)"))
    with pytest.raises(StaleError, match=r"plugins.key_words.source"):
        curate(folder)
    curate(folder, fresh=True)
    assert files(out, "columns") == scanned
    assert files(out, "computed", "host") == host
    assert set(files(out, "computed", "key_words")) == set(words)
    assert set(ledger_of(out)["length"].to_pylist()) == {7}
    other = curate(folder, "other")
    same = {name: data for name, (_, data) in files(out, "shards").items()}
    assert same == {name: data for name, (_, data) in files(other, "shards").items()}
    assert ledger_of(out).equals(ledger_of(other))


def test_run_when_plugins_are_added_later_keeps_the_scan_and_when_they_go_removes_their_columns(folder: Path) -> None:
    out = curate(folder, plugins=[], filters={})
    scanned, before = files(out, "columns"), files(out, "ledger")
    assert not (out / "computed").exists()
    curate(folder, fresh=True)
    assert files(out, "columns") == scanned
    curate(folder, fresh=True, plugins=[], filters={})
    assert files(out, "columns") == scanned
    assert {name: data for name, (_, data) in files(out, "ledger").items()} == {
        name: data for name, (_, data) in before.items()
    }
    assert not any((out / "computed").glob("*"))


def test_run_when_parameters_change_computes_again_and_when_paths_change_does_not(folder: Path) -> None:
    out = curate(folder)
    moved = folder / "elsewhere"
    moved.mkdir()
    for name in ("key_words.py", "host.py"):
        (folder / name).rename(moved / name)
    computed = files(out, "computed")
    modules = [str(moved / "key_words.py"), str(moved / "host.py")]
    curate(folder, plugins=modules)
    assert files(out, "computed") == computed
    with pytest.raises(StaleError, match=r"plugins.key_words.parameters"):
        words = {"module": modules[0], "parameters": {"key_words": {"words": ["cat"]}}}
        curate(folder, plugins=[words, modules[1]])


def test_run_when_a_computed_file_is_missing_or_an_attempt_was_cut_short_finishes_to_the_same_bytes(
    folder: Path,
) -> None:
    out = curate(folder)
    whole = {name: data for name, (_, data) in files(out).items()}
    for name in ("shards/dataset.json", "manifests/select.json"):
        (out / name).unlink()
    for path in [*(out / "computed" / "host").glob("*.parquet")][:1]:
        path.unlink()
    for path in [*(out / "manifests" / "computed" / "key_words").glob("*.json")][:1]:
        path.unlink()
    curate(folder)
    assert {name: data for name, (_, data) in files(out).items()} == whole


def test_audit_when_a_computed_file_was_changed_says_which(folder: Path) -> None:
    out = curate(folder)
    path = next((out / "computed" / "host").glob("*.parquet"))
    path.write_bytes(path.read_bytes() + b"x")
    assert f"host/{path.name} was changed" in str(audit(out).discrepancy)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HOST, r"host fails on every row: IndexError: list index out of range \(host.py:10\)"),
        (HOST.replace('"url"', '"clip_english"'), "host reads clip_english, which is not a column of scan"),
        (HOST.replace('{"host"', '{"Caption"'), "the column Caption exists already"),
        (HOST.replace('{"host"', '{"address"'), "the column address exists already"),
        (HOST.replace('batch["url"]', "1 / 0").replace(".to_pylist()", ""), "every row: ZeroDivisionError"),
    ],
)
def test_run_when_a_plugin_cannot_run_is_an_error_that_names_it(folder: Path, text: str, message: str) -> None:
    write(folder / "host.py", text)
    with pytest.raises((RecipeError, DataError), match=message):
        curate(folder)


def test_run_when_too_many_rows_make_a_plugin_fail_stops_by_the_tolerance(folder: Path) -> None:
    with pytest.raises(DataError, match=r"2 of 18 rows are unreadable \(unreadable:plugin:host:IndexError 2\)"):
        curate(folder, tolerance={"unreadable_rows": 0.1})


def test_plan_when_a_plugin_changed_says_why_a_run_would_be_refused(folder: Path) -> None:
    out = curate(folder)
    write(folder / "host.py", HOST.replace('"url"', '"address"') + "\n")
    content = {
        "name": "r",
        "sources": [table_recipe(str(folder / "d" / "*.parquet"), {"address": "address"})],
        "plugins": [str(folder / "key_words.py"), str(folder / "host.py")],
        "dedup": {"repeated_text": None},
        "filters": LENGTH,
    }
    assert "plugins.host.source" in str(make_plan(Recipe.model_validate(content), out).stale)


def test_filters_on_computed_columns_when_images_are_scored_choose_the_rows_to_score(folder: Path) -> None:
    ledger = ledger_of(curate(folder, score={"phash": {}}))
    states = Counter(ledger["score_state"].to_pylist())
    assert states == {"scored": ROWS - 1, "not_scored:length": ROWS - 1, "not_scored:unreadable": 2}
