"""Samples of datasets without images, and of several kinds of turns."""

from pathlib import Path

import qvl
from tests.end_to_end.conftest import ROOT
from tests.end_to_end.conftest import qvl as run_command


def test_samples_of_a_text_dataset_have_no_image_and_show_their_answers(tmp_path: Path) -> None:
    result = run_command("text", "build", str(ROOT / "examples" / "text_demo.yaml"), "--output", str(tmp_path / "text"))
    assert result.returncode == 0, result.stderr
    run = qvl.open(tmp_path / "text")
    chat = next(run.samples("task = 'chat' AND len(widths) = 0"))
    assert chat.images == 0
    assert chat.answer
    assert chat.preview().startswith("<figure>")
    assert run.ledger("SELECT count(*) FROM ledger").fetchall() == [(run.dataset.rows,)]
