"""The command's words: names with brackets, outputs that are none."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.commands.summary import print_summary
from qvl.pipeline.curate.plan import Plan, StagesDone, print_plan
from qvl.pipeline.finished.trace import Trace, print_trace, trace_row, trace_sample
from qvl.pipeline.shards.manifests import DatasetManifest, ShardEntry

HOSTILE = "o[/b]x [red] :smile: \\[a]"
DATASET = DatasetManifest(
    name="d",
    fingerprint="f",
    samples=1,
    bytes=1,
    sources={"web": 1},
    languages={"en": 1},
    tasks={"caption": 1},
    hash="00",
    shards=(ShardEntry("d-000000", 1, 1, 1, "00", "00"),),
    lineage={"rows": 3, "verdicts": {"web": {"keep": 1, f"download:{HOSTILE}": 2}}},
)


def test_paths_and_reasons_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    out = Path("/data") / ("long" * 40) / HOSTILE
    print_summary(out, DATASET, out / "report.html")
    printed = capsys.readouterr().out
    for path in (out / "shards", out / "ledger", out / "report.html"):
        assert str(path) in printed
    assert "download:o[/b]x" in printed


def test_a_plan_with_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    print_plan(Plan(HOSTILE, {}, StagesDone(scan=False, select=False, pack=False), f"{HOSTILE} changed"))
    assert "o[/b]x [red] :smile:" in " ".join(capsys.readouterr().out.split())


def test_a_trace_with_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    keeper = Trace(HOSTILE, HOSTILE, 0, "keep", [], {"caption": HOSTILE})
    print_trace(replace(keeper, lost_to=keeper))
    assert capsys.readouterr().out.count("o[/b]x") >= 6


@pytest.mark.parametrize("terminal", [True, False])
def test_drops_with_brackets(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    with RunProgress() as progress:
        progress.stage("scan", 1)
        progress.advance(5, {f"download:{HOSTILE}": 1})
    assert "o[/b]x" in capsys.readouterr().err


def test_a_trace_where_no_run_was_says_so(tmp_path: Path) -> None:
    for out in (tmp_path, tmp_path / "none"):
        for ask in (lambda out=out: trace_row(out, "a.tar", 0), lambda out=out: trace_sample(out, "web-0-0000001")):
            with pytest.raises(DataError, match=f"{out.name}: no output"):
                ask()
    (tmp_path / "recipe.json").write_text(json.dumps({}))
    with pytest.raises(DataError, match="no input file of this output has that name"):
        trace_row(tmp_path, "a.tar", 0)
