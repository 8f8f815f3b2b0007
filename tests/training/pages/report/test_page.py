"""The report of a run: a page that is whole, safe and free of machine paths."""

import html
import json
import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from qvl.pipeline.base.errors import DataError
from qvl.training.commands.report import report as report_command
from qvl.training.pages.report.history import read_history
from qvl.training.pages.report.page import render, write_report
from tests.training.made_run import line, write_lines, write_run


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    run = write_run(tmp_path_factory.mktemp("run"), {"pretrain": 900, "multitask": 60, "sft": 12})
    assert write_report(run) == run / "report.html"
    return (run / "report.html").read_text("utf-8")


def shown(page: str) -> str:
    """The page without its scripts."""
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_page_has_every_stage_curve_and_table(page: str) -> None:
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


def test_page_escapes_texts_and_names_no_path_of_this_machine(page: str) -> None:
    text = shown(page)
    assert "made &lt;run&gt;" in text and "<run>" not in text
    assert "row &lt;b&gt;0&lt;/b&gt;" in text and "<b>0</b>" not in text
    assert "/somewhere" not in page and "s3://" not in page
    assert not re.search(r'(src|href)="(?!#|data:)', text)
    assert "default-src &#x27;none&#x27;" in text and page.count("<script>") == 2


def test_page_holds_the_data_of_its_charts(page: str) -> None:
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


def test_page_when_the_run_was_on_a_cpu_has_no_empty_charts(tmp_path: Path) -> None:
    write_run(tmp_path, {"sft": 5})
    write_lines(tmp_path / "sft" / "log.jsonl", [line(step) for step in range(5)])
    for name in ("eval", "quarantine", "spikes"):
        (tmp_path / "sft" / f"{name}.jsonl").unlink()
    text = shown(str(render(read_history(tmp_path))))
    for absent in ("|mfu", "|memory_gb", "score:", "Skipped steps", "Quarantined samples", "Resumed"):
        assert absent not in text
    assert "|loss" in text


def test_report_command_writes_the_same_page_twice_and_refuses_other_folders(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"sft": 9})
    app = typer.Typer()
    app.command()(report_command)
    done = CliRunner().invoke(app, [str(run)])
    assert done.exit_code == 0 and done.output.strip() == str(run / "report.html")
    before = (run / "report.html").read_bytes()
    CliRunner().invoke(app, [str(run)])
    assert (run / "report.html").read_bytes() == before
    assert isinstance(CliRunner().invoke(app, [str(tmp_path)]).exception, DataError)
