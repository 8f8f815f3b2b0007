"""The history of a run: repeated steps, resumes, truncated lines, and folders that are not runs."""

from pathlib import Path

import pytest

from qvl.pipeline.base.errors import DataError
from qvl.training.loop.records import StepLine
from qvl.training.pages.report.history import StageHistory, read_history
from tests.training.made_run import line, write_lines, write_run


def one_stage(run: Path, lines: list[StepLine]) -> StageHistory:
    write_run(run, {"sft": 4})
    write_lines(run / "sft" / "log.jsonl", lines)
    (stage,) = read_history(run).stages
    return stage


def test_history_when_steps_are_repeated_counts_them_once_and_shows_a_resume(tmp_path: Path) -> None:
    first = [line(step, loss=1.0) for step in range(6)]
    again = [line(step, loss=2.0) for step in range(4, 8)]
    stage = one_stage(tmp_path, [*first, *again])
    assert [each.step for each in stage.steps] == list(range(8))
    assert [each.loss for each in stage.steps] == [1.0] * 4 + [2.0] * 4
    assert [(each.step, each.world) for each in stage.resumes] == [(4, 1)]


def test_history_when_the_attempt_or_the_number_of_processes_changes_shows_a_resume(tmp_path: Path) -> None:
    lines = [line(step, attempt="a" if step < 3 else "b", world=8 if step < 5 else 4) for step in range(7)]
    assert [(each.step, each.world) for each in one_stage(tmp_path, lines).resumes] == [(3, 8), (5, 4)]


def test_history_when_a_kill_truncated_the_last_line_leaves_it_out(tmp_path: Path) -> None:
    write_run(tmp_path, {"sft": 12})
    log = tmp_path / "sft" / "log.jsonl"
    log.write_bytes(log.read_bytes()[:-20])
    assert [each.step for each in read_history(tmp_path).stages[0].steps] == list(range(11))


def test_read_history_when_the_folder_is_not_a_run_says_why(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no run\.json"):
        read_history(tmp_path)
    write_run(tmp_path, {"sft": 3})
    (tmp_path / "sft" / "log.jsonl").unlink()
    with pytest.raises(DataError, match="no step has been logged"):
        read_history(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(DataError, match=r"run\.json: Invalid JSON.*; delete it and run the same command again"):
        read_history(tmp_path)


def test_read_history_when_a_line_lacks_a_key_names_the_file_and_the_key(tmp_path: Path) -> None:
    write_run(tmp_path, {"sft": 3})
    log = tmp_path / "sft" / "log.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"lr":', b'"rate":'))
    with pytest.raises(DataError, match=r"log\.jsonl: the key lr is missing"):
        read_history(tmp_path)
