"""The demo with CLIP scores: a small model that never saw the corpus tells true captions from strangers'."""

import json
import shutil
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from qvl.pipeline.filters import FILTER_NAMES
from qvl.pipeline.images.clip import ClipScorer
from qvl.pipeline.recipe.recipe import load_recipe
from tests.end_to_end.conftest import ROOT, dataset_hash, qvl

RECIPE = ROOT / "examples" / "demo_clip.yaml"
CUT = 0.3


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo_clip") / "out"
    result = qvl("curate", "run", str(RECIPE), "--output", str(out))
    assert result.returncode == 0, result.stderr
    return out


def ledger(out: Path, query: str) -> list[Any]:
    return duckdb.sql(query.format(ledger=f"'{out}/ledger/*.parquet'")).fetchall()


@pytest.fixture(scope="module")
def cosines(scored: Path) -> np.ndarray:
    """Every stored image vector with every caption [rows, rows], true pairs on the diagonal."""
    clip = load_recipe(RECIPE).score.clip  # type: ignore[union-attr]
    assert clip is not None
    scorer = ClipScorer.of(clip.english)
    rows = ledger(scored, "select id, caption, clip_english from {ledger} where score_state = 'scored' order by id")
    vectors = {}
    for path in sorted((scored / "embeddings").glob("*.parquet")):
        table = pq.read_table(path)
        for row, vector in zip(table["row"].to_pylist(), table["vector"].to_pylist(), strict=True):
            vectors[f"{path.stem}-{row:07d}"] = vector
    assert sorted(vectors) == [row[0] for row in rows]
    told = scorer.texts([scorer.tokens(caption) for _, caption, _ in rows]).numpy()
    found: np.ndarray = np.array([vectors[row[0]] for row in rows], np.float64) @ told.T
    assert np.abs(np.diag(found) - [row[2] for row in rows]).max() < 2e-3, "the stored scores are those of the vectors"
    return found


def test_a_true_caption_scores_above_a_strangers(cosines: np.ndarray) -> None:
    """The model was trained without the corpus and without what looks like it (examples/small_clip/README.md)."""
    true, other = np.diag(cosines), np.sort(cosines[~np.eye(len(cosines), dtype=bool)])
    auc = np.searchsorted(other, true).mean() / len(other)
    assert len(true) > 400
    assert auc > 0.75
    assert true.mean() > other.mean() + 0.2


def test_the_model_is_said_to_be_held_out(cosines: np.ndarray) -> None:
    report = json.loads((ROOT / "examples" / "small_clip" / "training.json").read_text())
    text = (ROOT / "examples" / "small_clip" / "README.md").read_text()
    assert report["trained_on"] == report["pictures"] - report["left_out_near_the_corpus"]
    for number in (
        f"{report['trained_on']:,}",
        str(report["left_out_near_the_corpus"]),
        f"{report['held_out']['auc']:.3f}",
    ):
        assert number in text


def test_every_row_that_fails_the_threshold_says_clip(scored: Path) -> None:
    bit = 1 << FILTER_NAMES.index("clip")
    low = ledger(scored, f"select distinct verdict, clip < 0.05::float from {{ledger}} where failed = {bit}")
    assert set(low) == {("clip", True)}
    kept = ledger(scored, "select min(clip), count(*) from {ledger} where verdict = 'keep'")[0]
    assert kept[0] >= np.float32(0.05)
    assert kept[1] > 200
    reasons = dict(ledger(scored, "select verdict, count(*) from {ledger} group by 1"))
    assert reasons["clip"] > 20
    assert reasons["semantic_duplicate"] >= 1


def test_whatif_tells_what_a_run_with_another_threshold_keeps(scored: Path, tmp_path: Path) -> None:
    """The run keeps the scores; that a whole new run of a changed recipe agrees is tested in ``finished/test_whatif.py``."""
    asked = qvl("curate", "whatif", str(scored), f"clip.minimum={CUT}", "--json")
    assert asked.returncode == 0, asked.stderr
    said = json.loads(asked.stdout)
    content = yaml.safe_load(RECIPE.read_text())
    content["filters"]["clip"] = {"minimum": CUT}
    recipe = RECIPE.with_name("demo_clip_cut.yaml")
    recipe.write_text(yaml.safe_dump(content))
    shutil.copytree(scored, tmp_path / "out")
    try:
        result = qvl("curate", "run", str(recipe), "--output", str(tmp_path / "out"), "--fresh")
    finally:
        recipe.unlink()
    assert result.returncode == 0, result.stderr
    counts = ledger(tmp_path / "out", "select source, verdict, count(*) from {ledger} group by 1, 2")
    assert {(s, v): n for s, verdicts in said["after"].items() for v, n in verdicts.items()} == {
        (source, verdict): count for source, verdict, count in counts
    }
    assert said["lost"] > 50


def test_solve_finds_the_threshold_of_a_rate(scored: Path) -> None:
    asked = qvl("curate", "solve", str(scored), "--source", "emoji", "--keep", "0.5", "--json")
    assert asked.returncode == 0, asked.stderr
    (solved,) = json.loads(asked.stdout)
    rows = ledger(scored, "select count(*) from {ledger} where source = 'emoji'")[0][0]
    assert abs(solved["kept"] - 0.5) <= 2 / rows
    again = qvl("curate", "whatif", str(scored), f"emoji.clip.minimum={solved['value']}", "--json")
    assert json.loads(again.stdout)["after"]["emoji"]["keep"] == round(solved["kept"] * rows)


def test_the_report_draws_the_scores(scored: Path) -> None:
    report = json.loads((scored / "report.json").read_text())
    (clip,) = (entry for entry in report["filters"] if entry["word"] == "clip")
    (chart,) = clip["charts"]
    assert sum(map(sum, chart["every"].values())) > 400
    assert clip["dropped"]["emoji"] > 10
    words = [rule["word"] for rule in report["duplicates"]]
    assert words == ["duplicate_image", "near_duplicate", "semantic_duplicate", "repeated_text"]


def test_ray_gives_the_bytes_of_the_serial_pool(scored: Path, tmp_path: Path) -> None:
    """One thread of torch in a task of Ray, all cores here: scores and vectors do not depend on it."""
    result = qvl("curate", "run", str(RECIPE), "--output", str(tmp_path / "out"), "--workers", "ray")
    assert result.returncode == 0, result.stderr
    for folder in ("scores", "embeddings", "ledger"):
        here, there = (
            {path.name: path.read_bytes() for path in sorted((out / folder).glob("*.parquet"))}
            for out in (scored, tmp_path / "out")
        )
        assert len(here) > 5 and here == there, folder
    assert dataset_hash(tmp_path / "out") == dataset_hash(scored)
