"""What is removed when a recipe or an input has changed."""

from pathlib import Path

import pytest

from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.discard import discard_results, discard_shards, discard_units

UNIT_FILES = {
    f"{folder}/{unit}" for folder in ("columns", "scores", "embeddings") for unit in ("a.parquet", "b.parquet")
}
SCANNED = {"recipe.json", "manifests/scan/a.json", "manifests/scan/b.json", *UNIT_FILES}
LEDGER = {"ledger/a.parquet"}
RESULTS = {
    *("report.html", "report.json", "shards/dataset.json", "shards/x-000000.tar", "select/judged-000000.npy"),
    *("manifests/scan.json", "manifests/score.json", "manifests/select.json"),
    *("manifests/pack/x-000000.json", "manifests/select/judged-000000.json", "manifests/score/a.json"),
}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    for name in SCANNED | LEDGER | RESULTS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def files(out: Path) -> set[str]:
    return {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}


def test_discard_shards_keeps_the_ledger_and_the_units(out: Path) -> None:
    discard_shards(Layout(out))
    assert files(out) == SCANNED | LEDGER


def test_discard_results_keeps_columns_and_scores(out: Path) -> None:
    discard_results(Layout(out))
    assert files(out) == SCANNED


def test_discard_units_removes_all_files_of_these_units_and_no_others(out: Path) -> None:
    discard_results(Layout(out))
    discard_units(Layout(out), ["b", "never_existed"])
    assert files(out) == {name for name in SCANNED if Path(name).stem != "b"}


def test_discard_results_when_nothing_is_there_does_nothing(tmp_path: Path) -> None:
    discard_results(Layout(tmp_path))
    assert files(tmp_path) == set()
