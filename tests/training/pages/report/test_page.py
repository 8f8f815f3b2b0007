"""The report of a run: curves from log lines, resumes, and a page that is whole, safe and free of machine paths."""

import html
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import typer
from typer.testing import CliRunner

from qvl.pipeline.base.errors import DataError
from qvl.training.commands.report import report as report_command
from qvl.training.pages.report.curves import POINTS, curves, scores, smooth
from qvl.training.pages.report.history import StageHistory, read_history
from qvl.training.pages.report.page import render, write_report
from tests.training.made_run import step_line, write_lines, write_run


def line(step: int, **changes: Any) -> dict[str, Any]:
    plain = {
        "step": step, "stage": "sft", "loss": 2.0, "lr": 1e-4, "grad_norm": 1.0, "skipped": False, "samples": 10,
        "positions": 100, "tokens": 80, "learnt": 20, "images": 3, "seconds": 2.0, "data_wait": 0.5, "mfu": None,
        "memory_gb": None,
        "loss_by_source": {"a": [40.0, 20], "b": [0.0, 0]}, "loss_by_class": {"text": [40.0, 20], "ocr": [0.0, 0]},
    }  # fmt: skip
    return plain | changes


def history(*lines: dict[str, Any]) -> StageHistory:
    return StageHistory("sft", 100, list(lines), [], [], [], [])


def test_rates_are_sums_over_sums() -> None:
    found = curves(history(line(0), line(1, seconds=8.0, data_wait=1.0, tokens=20)))
    assert found["step"] == [0, 1]
    assert found["samples_per_second"] == [5.0, 1.25]
    assert found["tokens_per_second"] == [40.0, 2.5]
    assert found["useful"] == [0.8, 0.2]
    assert found["data_wait"] == [0.25, 0.125]
    assert found["mfu"] == [None, None]
    many = [line(step, seconds=1.0 if step % 2 else 3.0) for step in range(2 * POINTS)]
    assert set(curves(history(*many))["samples_per_second"]) == {5.0}  # 20 samples in 4 s, not the mean of 10 and 3.3


def test_a_long_run_becomes_as_many_points_as_a_curve_shows_and_loses_no_peak() -> None:
    lines = [line(step, loss=9.0 if step == 777 else 2.0) for step in range(5 * POINTS + 3)]
    found = curves(history(*lines))
    assert len(found["step"]) <= POINTS and found["step"][-1] == 5 * POINTS + 2
    assert max(found["loss_high"]) == 9.0 and min(found["loss_low"]) == 2.0
    assert {len(found[name]) for name in ("loss", "loss_smooth", "lr", "useful")} == {len(found["step"])}


def test_skipped_steps_leave_a_gap_and_weigh_nothing() -> None:
    found = curves(history(line(0), line(1, loss=None, grad_norm=None, skipped=True), line(2, loss=4.0)))
    assert found["loss"] == [2.0, None, 4.0] and found["skipped"] == [1]
    assert found["grad_norm"] == [1.0, None, 1.0]
    assert all(2.0 <= value <= 4.0 for value in found["loss_smooth"])
    broken = curves(history(line(0), line(1, loss_by_source={"a": [float("nan"), 20]})))
    assert broken["by_source"] == {"a": [2.0, 2.0]}


def test_loss_by_source_weighs_tokens_and_leaves_out_what_never_came() -> None:
    lines = [
        line(step, loss_by_source={"a": [10.0, 10] if step % 2 else [30.0, 10], "b": [0, 0]}) for step in range(400)
    ]
    found = curves(history(*lines))["by_source"]
    assert list(found) == ["a"] and found["a"][200] == pytest.approx(2.0, abs=0.2)
    assert curves(history(*lines))["by_class"] == {"text": [2.0] * 400}


def test_smoothing_keeps_a_constant_and_has_no_lag() -> None:
    assert smooth(np.full(500, 3.0), np.ones(500)) == pytest.approx(np.full(500, 3.0))
    slope = np.arange(1000.0)
    assert smooth(slope, np.ones(1000))[500] == pytest.approx(500.0, abs=0.01)
    assert np.isnan(smooth(np.full(3, np.nan), np.zeros(3))).all()


def test_scores_by_task_and_metric() -> None:
    logged = [
        {"step": 9, "task": "vqa", "scores": {"vqa_score": 30.0, "samples": 64, "note": "x"}},
        {"step": 4, "task": "vqa", "scores": {"vqa_score": 10.0, "samples": 64}},
    ]
    stage = StageHistory("sft", 10, [line(0)], logged, [], [], [])
    assert scores(stage) == {"vqa · vqa_score": {"step": [4, 9], "value": [10.0, 30.0]}}


def one_stage(run: Path, lines: list[dict[str, Any]]) -> StageHistory:
    write_run(run, {"sft": 4})
    write_lines(run / "sft" / "log.jsonl", lines)
    (stage,) = read_history(run).stages
    return stage


def test_steps_done_again_count_once_and_show_as_a_resume(tmp_path: Path) -> None:
    first = [line(step, loss=1.0) for step in range(6)]
    again = [line(step, loss=2.0) for step in range(4, 8)]
    stage = one_stage(tmp_path, [*first, *again])
    assert [each["step"] for each in stage.steps] == list(range(8))
    assert [each["loss"] for each in stage.steps] == [1.0] * 4 + [2.0] * 4
    assert [(each.step, each.world) for each in stage.resumes] == [(4, None)]


def test_another_attempt_or_another_number_of_processes_is_a_resume(tmp_path: Path) -> None:
    lines = [line(step, attempt="a" if step < 3 else "b", world=8 if step < 5 else 4) for step in range(7)]
    assert [(each.step, each.world) for each in one_stage(tmp_path, lines).resumes] == [(3, 8), (5, 4)]


def test_a_line_cut_by_a_kill_is_left_out(tmp_path: Path) -> None:
    write_run(tmp_path, {"sft": 12})
    log = tmp_path / "sft" / "log.jsonl"
    log.write_bytes(log.read_bytes()[:-20])
    assert [each["step"] for each in read_history(tmp_path).stages[0].steps] == list(range(11))


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no run\.json"):
        read_history(tmp_path)
    write_run(tmp_path, {"sft": 3})
    (tmp_path / "sft" / "log.jsonl").unlink()
    with pytest.raises(DataError, match="no step was logged"):
        read_history(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        read_history(tmp_path)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    run = write_run(tmp_path_factory.mktemp("run"), {"pretrain": 900, "multitask": 60, "sft": 12})
    assert write_report(run) == run / "report.html"
    return (run / "report.html").read_text("utf-8")


def shown(page: str) -> str:
    """The page without its scripts."""
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_the_page_has_every_stage_curve_and_table(page: str) -> None:
    text = shown(page)
    for stage in ("pretrain", "multitask", "sft"):
        assert f'<section id="stage-{stage}">' in text
        for name in (
            "loss",
            "by_source",
            "by_class",
            "lr",
            "grad_norm",
            "samples_per_second",
            "useful",
            "mfu",
            "data_wait",
        ):
            assert f'data-chart="{stage}|{name}"' in text
        assert f'data-chart="{stage}|score:caption · cider"' in text
    assert "Resumed before step 600 (4 processes)" in text
    assert "coyo-000011" in text and "coyo-000012" not in text and "28 more in spikes.jsonl" in text
    assert text.count("Quarantined samples") == 3 and "PixelError: truncated" in text


def test_the_page_is_safe_and_whole(page: str) -> None:
    text = shown(page)
    assert "made &lt;run&gt;" in text and "<run>" not in text
    assert "row &lt;b&gt;0&lt;/b&gt;" in text and "<b>0</b>" not in text
    assert "/somewhere" not in page and "s3://" not in page
    assert not re.search(r'(src|href)="(?!#|data:)', text)
    assert "default-src &#x27;none&#x27;" in text and page.count("<script>") == 2


def test_the_page_holds_what_its_curves_need(page: str) -> None:
    found = re.findall(r'data-chart="([^"]*)" data-content="([^"]*)"', page)
    charts = {name: json.loads(html.unescape(content)) for name, content in found}
    assert list(dict.fromkeys(name.partition("|")[0] for name in charts)) == ["pretrain", "multitask", "sft"]
    loss = charts["pretrain|loss"]
    assert loss["dotted"] == [600] and loss["band"]["skipped"] == [450]
    assert len(loss["steps"]) == 450 and charts["sft|loss"]["steps"] == list(range(12))
    smooth = charts["multitask|loss"]["band"]["smooth"]
    assert smooth[-1] < smooth[0] / 2
    names = [line["name"] for line in charts["multitask|by_source"]["lines"]]
    assert names == ["caption", "vqa", "ocr", "referring", "text"]


def test_a_run_on_a_processor_has_no_empty_charts(tmp_path: Path) -> None:
    write_run(tmp_path, {"sft": 5})
    write_lines(tmp_path / "sft" / "log.jsonl", [line(step) for step in range(5)])
    for name in ("eval", "quarantine", "spikes"):
        (tmp_path / "sft" / f"{name}.jsonl").unlink()
    text = shown(str(render(read_history(tmp_path))))
    for absent in ("|mfu", "|memory_gb", "score:", "Skipped steps", "Quarantined samples", "Resumed"):
        assert absent not in text
    assert "|loss" in text


def test_the_command(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"sft": 9})
    app = typer.Typer()
    app.command()(report_command)
    done = CliRunner().invoke(app, [str(run)])
    assert done.exit_code == 0 and done.output.strip() == str(run / "report.html")
    before = (run / "report.html").read_bytes()
    CliRunner().invoke(app, [str(run)])
    assert (run / "report.html").read_bytes() == before
    assert isinstance(CliRunner().invoke(app, [str(tmp_path)]).exception, DataError)


def test_made_lines_are_those_of_a_run() -> None:
    import random

    made = step_line("sft", 0, 10, random.Random(0))
    assert set(line(0)) - set(made) == set() and orjson.loads(orjson.dumps(made)) == made
