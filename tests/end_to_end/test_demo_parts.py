"""``qvl demo``: every part from the shipped data to shards, one table at the end, and what is missing in one line."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import qvl.synth_ocr.build.run
from qvl.command import app
from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.finished.audit import audit
from tests.shared import ROOT, demo_output


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The parts that need no system packages, by the real command."""
    folder = demo_output(tmp_path_factory)
    return folder / "demo", (folder / "printed.txt").read_text("utf-8")


def dataset(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "shards" / "dataset.json").read_text("utf-8"))
    return content


def test_each_part_lies_beside_the_curation_and_adds_up(made: tuple[Path, str]) -> None:
    for folder in ("demo", "demo_text", "demo_ground"):
        out = made[0].with_name(folder)
        assert audit(out).discrepancy is None
        assert (out / "report.html").is_file()


def test_every_task_has_enough_samples_to_train_on(made: tuple[Path, str]) -> None:
    tasks: dict[str, int] = {}
    for folder in ("demo", "demo_text", "demo_ground"):
        tasks |= dataset(made[0].with_name(folder))["tasks"]
    assert set(tasks) == {"caption", "text", "chat", "grounded_caption", "referring", "region_caption", "vqa"}
    assert min(tasks.values()) >= 64


def test_the_summary_fits_80_columns_and_names_all_pages(made: tuple[Path, str]) -> None:
    table = made[1][made[1].index("All parts") :].splitlines()
    assert max(len(line) for line in table if line[:1] in "┃│┏┡├└") <= 80
    assert [line.split()[0] for line in table[-3:]] == ["curate", "text", "ground"]
    assert all(line.endswith("report.html") for line in table[-3:])
    assert "grounded_caption 66" in made[1]


def test_the_readme_tells_the_hash_of_the_curation(made: tuple[Path, str]) -> None:
    assert f"hash     {dataset(made[0])['hash']}\n" in (ROOT / "README.md").read_text("utf-8")
    assert f"hash     {dataset(made[0])['hash']}\n" in made[1]


def test_the_readme_shows_what_is_printed(made: tuple[Path, str]) -> None:
    """Rows, kept and samples of each part, and the funnel's lines; OCR depends on the system's fonts."""
    readme = (ROOT / "README.md").read_text("utf-8")
    shown = [line for line in readme.splitlines() if line.startswith("│ ")]
    parts = [line for line in shown if line.split()[1] in ("curate", "text", "ground")]
    assert len(parts) == 3 and len(shown) == 4 + len(parts) + 3
    for line in shown:
        if "│ ocr " not in line:
            columns = 5 if line in parts else 6
            assert "│".join(line.split("│")[:columns]) in made[1]


def test_without_its_packages_ocr_is_left_out_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qvl.synth_ocr.build.run, "MODULES", ("a_module_that_nobody_has",))
    result = CliRunner().invoke(app, ["demo", "--output", str(tmp_path / "d"), "--only", "text", "--only", "ocr"])
    assert result.exit_code == 0, result.output
    notes = [line for line in result.stdout.splitlines() if line.startswith("note: ")]
    assert notes == ["note: ocr: a_module_that_nobody_has: not installed; pip install 'qvl[ocr]'"]
    assert dataset(tmp_path / "d_text")["samples"] > 1_000


def test_an_unknown_part_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["demo", "--output", str(tmp_path), "--only", "train"])
    assert isinstance(result.exception, RecipeError)
    assert str(result.exception) == "--only train: choose from curate, text, ground, ocr"
