"""What a run shows where there is no terminal."""

import pytest

from qvl.pipeline.base.progress import LINES_WITHOUT_TERMINAL, RunProgress


def test_without_a_terminal_a_stage_is_ten_lines_with_its_drops(capsys: pytest.CaptureFixture[str]) -> None:
    with RunProgress() as progress:
        progress.stage("scan", 100)
        for _ in range(100):
            progress.advance(rows=7, drops={"emoji": 2, "markup": 1})
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == LINES_WITHOUT_TERMINAL
    assert lines[-1].startswith("scan 100/100 ")
    assert lines[-1].endswith("emoji 200  markup 100")


def test_reused_pieces_count_as_done(capsys: pytest.CaptureFixture[str]) -> None:
    with RunProgress() as progress:
        progress.advance(rows=1)  # before a stage: nothing to show
        progress.stage("pack", 3, done=2)
        progress.advance(rows=1)
    assert capsys.readouterr().err.startswith("pack 3/3")
