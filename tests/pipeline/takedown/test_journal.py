"""The journal: its moves are applied completely, from any point on, or what was staged is removed."""

import shutil
from pathlib import Path

import pytest

from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.takedown.journal import Move, finish_takedown, write_journal

MOVES = [Move("a.new", "shards/a.tar"), Move("b.new", "b.json"), Move(None, "report.html")]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An output with old files, and a stage with the new ones but without a journal."""
    out = tmp_path / "out"
    for name in ("shards/a.tar", "b.json", "report.html", "kept.json"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(f"old {name}")
    stage = Layout(out).takedown.parent
    stage.mkdir()
    for name in ("a.new", "b.new"):
        (stage / name).write_text(f"new {name}")
    return out


def contents(out: Path) -> dict[str, str]:
    return {str(path.relative_to(out)): path.read_text() for path in out.rglob("*") if path.is_file()}


DONE = {"shards/a.tar": "new a.new", "b.json": "new b.new", "kept.json": "old kept.json"}


def test_finish_takedown_when_there_is_no_journal_removes_what_was_staged(out: Path) -> None:
    finish_takedown(out)
    names = ("shards/a.tar", "b.json", "report.html", "kept.json")
    assert contents(out) == {name: f"old {name}" for name in names}
    assert not Layout(out).takedown.parent.exists()


def test_finish_takedown_when_any_number_of_moves_is_done_applies_the_rest(out: Path, tmp_path: Path) -> None:
    write_journal(Layout(out).takedown, MOVES)
    for done in range(len(MOVES) + 1):
        stopped = Path(shutil.copytree(out, tmp_path / f"stopped-{done}"))
        for move in MOVES[:done]:
            if move.staged is None:
                (stopped / move.target).unlink()
            else:
                (Layout(stopped).takedown.parent / move.staged).replace(stopped / move.target)
        finish_takedown(stopped)
        assert contents(stopped) == DONE
        assert not Layout(stopped).takedown.parent.exists()


def test_finish_takedown_when_called_again_changes_nothing(out: Path) -> None:
    write_journal(Layout(out).takedown, MOVES)
    finish_takedown(out)
    finish_takedown(out)
    assert contents(out) == DONE
