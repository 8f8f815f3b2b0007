"""Runs whose recipe names scorers: one decode, their columns, their faults, and what a changed scorer scores again."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from qvl.pipeline.base.errors import DataError, QvlError, RecipeError, StaleError
from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.run import run
from qvl.pipeline.finished.audit import audit
from qvl.pipeline.finished.changes import apply_changes
from qvl.pipeline.finished.stored_columns import StoredColumns
from qvl.pipeline.finished.trace import trace_row
from qvl.pipeline.finished.whatif import whatif
from qvl.pipeline.recipe.recipe import Recipe, load_recipe
from qvl.pipeline.report.page import write_report
from tests.pipeline.curate.measuring.test_added_columns import ROWS, ledger_of, table_recipe, write_table
from tests.pipeline.curate.measuring.test_computed import files
from tests.pipeline.plugins.modules import KEYWORDS, write

BRIGHTNESS = """
from dataclasses import dataclass

import numpy as np
import qvl


@dataclass(frozen=True)
class Brightness(qvl.Scorer):
    \"\"\"The mean grey level, and the state of a row; captions in `bad` make it raise.\"\"\"

    bad: tuple = ()
    batch: int = 4
    writes = {"brightness": "float32", "state": "string"}

    def open(self, workspace):
        workspace.folder.mkdir(parents=True, exist_ok=True)
        with (workspace.folder / "opened.txt").open("a") as log:
            log.write("x")
        return 255.0

    def prepare(self, image):
        return image.mean()

    def score(self, model, images, captions):
        for caption in captions:
            if int(caption.split()[-1]) in self.bad:
                raise LookupError(caption)
        return {"brightness": np.round(np.array(images) / model, 4), "state": ["ok"] * len(images)}
"""
SIZE = """
import qvl


class Size(qvl.Scorer):
    writes = {"shown_width": "int32"}

    def score(self, model, images, captions):
        return [image.shape[1] for image in images]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two tables of pictures, and two scorers."""
    for number, name in enumerate("ab"):
        write_table(tmp_path / "d" / f"{name}.parquet", {}, shift=20 * number)
    write(tmp_path / "brightness.py", BRIGHTNESS)
    write(tmp_path / "size.py", SIZE)
    write(tmp_path / "key_words.py", KEYWORDS)
    return tmp_path


def curate(folder: Path, out: str = "out", fresh: bool = False, bad: tuple[int, ...] = (), **more: Any) -> Path:
    brightness = {"module": str(folder / "brightness.py"), "parameters": {"brightness": {"bad": list(bad)}}}
    content = {
        "name": "r",
        "sources": [table_recipe(str(folder / "d" / "*.parquet"), {})],
        "plugins": [brightness, str(folder / "size.py"), str(folder / "key_words.py")],
        "dedup": {"repeated_text": None},
        "tolerance": {"unreadable_rows": 0.2},
        **more,
    }
    with RunProgress() as progress:
        run(Recipe.model_validate(content), folder / out, SerialPool(), progress, fresh)
    return folder / out


def judged(minimum: float, length: int = 0) -> dict[str, Any]:
    return {"columns": {"brightness": {"minimum": minimum}, "length": {"minimum": length}}}


def test_run_when_a_recipe_names_scorers_and_no_score_has_their_columns_and_judges_them(folder: Path) -> None:
    out = curate(folder)
    ledger = ledger_of(out)
    assert ledger.schema.names[-5:] == ["has_word", "length", "brightness", "state", "shown_width"]
    assert set(ledger["shown_width"].to_pylist()) == {64}
    assert set(ledger["state"].to_pylist()) == {"ok"}
    values = sorted(ledger["brightness"].to_pylist())
    kept = ledger_of(curate(folder, "kept", filters=judged(values[5])))
    counts = Counter(kept["verdict"].to_pylist())
    assert counts == {"keep": sum(value >= values[5] for value in values), "brightness": 5}
    assert audit(folder / "kept").discrepancy is None
    shown = trace_row(out, "b.parquet", 3).content()["columns"]
    assert isinstance(shown, dict)
    assert shown["state"] == "ok"


def test_what_if_and_report_when_columns_are_scored_know_them_without_the_scorers(folder: Path) -> None:
    out = curate(folder)
    values = sorted(ledger_of(out)["brightness"].to_pylist())
    for name in ("brightness.py", "size.py", "key_words.py"):
        (folder / name).unlink()
    stored = StoredColumns.open(out)
    counts = whatif(stored, apply_changes(stored.recipe, [f"brightness.minimum={values[7]}"])).counts()
    assert counts.kept_after == sum(value >= values[7] for value in values)
    with RunProgress() as progress:
        write_report(out, progress, None)
    assert "brightness" in Layout(out).report.read_text()


def test_run_when_some_rows_make_a_scorer_fail_gives_them_a_verdict_and_no_other(folder: Path) -> None:
    out = curate(folder, bad=(3, 25))
    ledger = ledger_of(out)
    fault = "unreadable:plugin:brightness:LookupError"
    assert {row["caption"].split()[-1] for row in ledger.to_pylist() if row["verdict"] == fault} == {"3", "25"}
    assert ledger["brightness"].null_count == 2
    assert ledger["shown_width"].null_count == 0
    assert audit(out).discrepancy is None
    with pytest.raises(DataError, match=r"2 of 18 rows are unreadable \(unreadable:plugin:brightness:LookupError 2\)"):
        curate(folder, "strict", bad=(3, 25), tolerance={"unreadable_rows": 0.1})


def test_rows_that_fail_a_filter_on_scanned_columns_keep_that_reason_where_a_scorer_fails(folder: Path) -> None:
    score = {"always": True}
    out = curate(folder, bad=(3, 25), score=score, filters=judged(0, 24))
    counts = Counter(ledger_of(out)["verdict"].to_pylist())
    assert counts == {"length": ROWS, "keep": ROWS - 1, "unreadable:plugin:brightness:LookupError": 1}
    stored = StoredColumns.open(out)
    after = whatif(stored, apply_changes(stored.recipe, ["length=null"])).counts()
    assert after.after == {"t": {"keep": 2 * ROWS - 2, "unreadable:plugin:brightness:LookupError": 2}}


def test_run_when_every_row_makes_a_scorer_fail_is_the_error_of_the_run_with_the_line(folder: Path) -> None:
    with pytest.raises(DataError, match=r"brightness fails on every row: LookupError: .* \(brightness.py:28\)"):
        curate(folder, bad=tuple(range(40)))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("return 255.0", "raise OSError('no weights')", r"brightness: open: OSError: no weights \(brightness.py:20\)"),
        ('"state": ["ok"] * len(images)', "", "`score` returned brightness; `writes` declares brightness, state"),
        ('["ok"] * len(images)', '["ok"]', "1 values of state for a batch of"),
        ('"state": "string"', '"phash": "string"', "the column phash exists already"),
        ("raise LookupError(caption)", "raise qvl.QvlError('the endpoint is gone')", "the endpoint is gone"),
    ],
)
def test_run_when_a_scorer_cannot_run_is_an_error_that_names_it(
    folder: Path, before: str, after: str, message: str
) -> None:
    assert before in BRIGHTNESS
    write(folder / "brightness.py", BRIGHTNESS.replace(before, after))
    with pytest.raises((RecipeError, DataError, QvlError), match=message):
        curate(folder, bad=(3,))


def test_run_when_a_scorer_changes_is_refused_and_fresh_scores_with_it_alone(folder: Path) -> None:
    out = curate(folder, score={"phash": {}})
    kept = [files(out, name) for name in ("columns", "scores", "computed/size", "computed/key_words")]
    write(folder / "brightness.py", BRIGHTNESS.replace('"ok"', '"fine"'))
    with pytest.raises(StaleError, match=r"plugins.brightness.source"):
        curate(folder, score={"phash": {}})
    curate(folder, fresh=True, score={"phash": {}})
    assert [files(out, name) for name in ("columns", "scores", "computed/size", "computed/key_words")] == kept
    assert set(ledger_of(out)["state"].to_pylist()) == {"fine"}
    other = curate(folder, "other", score={"phash": {}})
    for name in ("computed", "ledger", "shards"):
        assert {path: data for path, (_, data) in files(out, name).items()} == {
            path: data for path, (_, data) in files(other, name).items()
        }


def test_run_when_filters_let_more_rows_pass_scores_the_additional_rows_alone(folder: Path) -> None:
    write(folder / "brightness.py", BRIGHTNESS.replace("for caption in captions", "for caption in logged(captions)"))
    log = folder / "log.txt"
    logged = f"""

def logged(captions):
    with open({str(log)!r}, "a") as log:
        log.writelines(caption + chr(10) for caption in captions)
    return captions
"""
    write(folder / "brightness.py", (folder / "brightness.py").read_text() + logged)
    out = curate(folder, filters=judged(0, 24))
    assert len(log.read_text().splitlines()) == ROWS
    curate(folder, fresh=True, filters=judged(0))
    assert len(log.read_text().splitlines()) == 2 * ROWS
    whole = curate(folder, "whole", filters=judged(0))
    assert ledger_of(out).equals(ledger_of(whole))
    assert audit(out).discrepancy is None


def test_run_when_scorers_go_removes_their_columns_and_keeps_what_they_stored_themselves(folder: Path) -> None:
    out = curate(folder)
    curate(folder, fresh=True, plugins=[])
    assert "brightness" not in ledger_of(out).schema.names
    assert not any((out / "computed").glob("*"))
    assert (out / "scorers" / "brightness" / "opened.txt").is_file()


def test_run_when_a_scored_file_is_missing_or_a_manifest_is_finishes_to_the_same_bytes(folder: Path) -> None:
    out = curate(folder, bad=(3,))
    whole = {name: data for name, (_, data) in files(out).items() if not name.startswith("scorers")}
    for name in ("shards/dataset.json", "manifests/select.json"):
        (out / name).unlink()
    next((out / "computed" / "size").glob("*.parquet")).unlink()
    next((out / "manifests" / "computed" / "brightness").glob("*.json")).unlink()
    next((out / "manifests" / "score").glob("*.json")).unlink()
    curate(folder, bad=(3,))
    assert {name: data for name, (_, data) in files(out).items() if not name.startswith("scorers")} == whole


def test_audit_when_a_scored_file_was_changed_says_which(folder: Path) -> None:
    out = curate(folder)
    path = next((out / "computed" / "size").glob("*.parquet"))
    path.write_bytes(path.read_bytes() + b"x")
    assert f"size/{path.name} was changed" in str(audit(out).discrepancy)


FILES = """
from dataclasses import dataclass
from pathlib import Path

import qvl


@dataclass(frozen=True)
class Constant(qvl.Scorer):
    weights: str
    files = ("weights",)

    @property
    def writes(self):
        return {Path(self.weights).stem: "int64"}

    def open(self, workspace):
        return int(Path(self.weights).read_text())

    def score(self, model, images, captions):
        return [model] * len(images)
"""


def test_parameters_that_are_files_count_from_the_recipe_and_their_content_identifies_a_scorer(folder: Path) -> None:
    write(folder / "constant.py", FILES)
    (folder / "seven.txt").write_text("7")
    (folder / "nine.txt").write_text("9")
    lines = [
        "name: r",
        "sources:",
        "- name: t",
        "  read: {kind: table, paths: [d/*.parquet], columns: {caption: caption, image: image}}",
    ]
    lines += ["plugins:"]
    for name in ("seven", "nine"):
        lines.append(f"- {{module: constant.py, name: {name}, parameters: {{{name}: {{weights: {name}.txt}}}}}}")
    (folder / "recipe.yaml").write_text("\n".join(lines))

    def curated() -> pa.Table:
        with RunProgress() as progress:
            run(load_recipe(folder / "recipe.yaml"), folder / "files", SerialPool(), progress)
        return ledger_of(folder / "files")

    ledger = curated()
    assert (set(ledger["seven"].to_pylist()), set(ledger["nine"].to_pylist())) == ({7}, {9})
    (folder / "seven.txt").write_text("8")
    with pytest.raises(StaleError, match=r"plugins.seven.parameters.weights"):
        curated()
    (folder / "seven.txt").unlink()
    with pytest.raises(RecipeError, match=r"seven: weights: .*seven.txt: no such file"):
        curated()
