"""Journals: what is appended is read back, and lines of steps that were not saved are dropped."""

from pathlib import Path

import pytest

from qvl.pipeline.base.errors import DataError
from qvl.training.loop.logs import Journal, read_journal
from qvl.training.loop.records import QuarantineLine, SpikeLine


def test_lines_of_unsaved_steps_are_dropped_on_resume(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    journal: Journal[SpikeLine] = Journal(path, 0)
    for step in range(6):
        journal.write(SpikeLine(step, None, None, []))
    journal.close()
    with path.open("ab") as file:
        file.write(b'{"step": 6, "los')  # killed in the middle of a line
    again: Journal[SpikeLine] = Journal(path, 4)
    again.write(SpikeLine(4, 0.5, None, []))
    again.close()
    lines = read_journal(path, SpikeLine)
    assert [line.step for line in lines] == [0, 1, 2, 3, 4] and lines[-1].loss == 0.5


def test_lines_are_written_with_the_keys_and_the_order_of_version_0_1(tmp_path: Path) -> None:
    path = tmp_path / "quarantine.jsonl"
    journal: Journal[QuarantineLine] = Journal(path, 0)
    journal.write(QuarantineLine(3, "key", "a.tar", "too_long"))
    journal.close()
    assert path.read_bytes() == b'{"step":3,"id":"key","shard":"a.tar","reason":"too_long"}\n'


def test_a_line_with_an_unknown_key_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "spikes.jsonl"
    path.write_bytes(b'{"step":3,"loss":null,"mean":2.0,"ids":["a"],"more":1}\n')
    with pytest.raises(DataError, match=r"spikes\.jsonl: unknown key more"):
        read_journal(path, SpikeLine)
    assert read_journal(tmp_path / "nowhere.jsonl", SpikeLine) == []
