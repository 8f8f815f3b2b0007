"""Public files and options through the command, in this process."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from qvl.pipeline.base.errors import RecipeError
from qvl.training.commands.evaluate import app
from tests.training.evaluation.conftest import ROOT, picture

PHOTOS = ROOT / "examples/grounding/images"


def evaluate(*words: str) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["run", *words, "--device", "cpu", "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_command_scores_refcoco_on_real_photographs(tiny: Path, tmp_path: Path) -> None:
    rows = [
        {"image": path.name, "sent": "the left one", "bbox": [10, 20, 110, 120], "height": 375, "width": 500}
        for path in sorted(PHOTOS.glob("*.jpg"))[:3]
    ]
    (tmp_path / "refcoco_val.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = ["--data", str(tmp_path / "refcoco_val.jsonl"), "--images", str(PHOTOS), "--task", "grounding"]
    scores = evaluate(str(tiny), *data, "--output", str(tmp_path / "out"))
    assert scores["asked"]["prompts"] == "released"
    assert scores["sets"]["refcoco_val"]["samples"] == 3
    assert scores["sets"]["refcoco_val"]["metric"] == "box"
    (prompt, *_) = pq.read_table(tmp_path / "out" / "predictions.parquet")["prompt"].to_pylist()
    assert prompt == "<img>0</img><ref>the left one</ref><box>"
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert page.count('<polygon class="truth"') == 3


def test_command_when_an_image_is_damaged_counts_it_as_a_fault(tiny: Path, tmp_path: Path) -> None:
    for name in ("red", "green", "blue"):
        (tmp_path / f"{name}.png").write_bytes(picture(name))
    (tmp_path / "cut.png").write_bytes(picture("red")[:50])
    rows = [
        {"image": f"{name}.png", "question": "Which?", "choices": ["x", "y", "z"], "hint": None, "answer": 1}
        for name in ("red", "green", "blue", "cut")
    ]
    (tmp_path / "science.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "more.jsonl").write_text("\n".join(map(json.dumps, rows[:3])))
    data = ["--data", str(tmp_path / "science.jsonl"), "--task", "vqa", "--shots", "1"]
    shots = ["--shots-data", str(tmp_path / "more.jsonl"), "--output", str(tmp_path / "out")]
    scores = evaluate(str(tiny), *data, *shots)
    assert scores["sets"]["science"]["metric"] == "choice"
    assert scores["sets"]["science"]["faults"] == 1
    table = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pylist()
    assert [row["prediction"] in ("A", "B", "C") for row in table] == [True, True, True, False]
    assert all(len(row["likelihoods"]) == 3 for row in table[:3])
    assert table[0]["prompt"].count("Answer: B<img>") == 1
    assert all(row["images"][0] != row["images"][1] for row in table)


def test_command_flags_change_the_samples(tiny: Path, made_shards: Path, tmp_path: Path) -> None:
    data = ["--data", str(made_shards), "--task", "vqa", "--limit", "3", "--max-new", "4"]
    scores = evaluate(str(tiny), *data, "--metric", "anls", "--conversation", "--output", str(tmp_path / "out"))
    assert scores["sets"]["vqa"]["metric"] == "anls"
    table = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pylist()
    assert len(table) == 3
    assert all(row["prompt"].endswith("Answer:<|im_end|>\n<|im_start|>assistant\n") for row in table)
    with pytest.raises(RecipeError, match="--metric"):
        evaluate(str(tiny), *data, "--metric", "bleu")


def test_command_sides_of_the_split_add_up(tiny: Path, made_shards: Path, tmp_path: Path) -> None:
    found = {}
    for side in ("heldout", "train"):
        data = ["--data", str(made_shards), "--task", "caption", "--max-new", "2", "--share", "0.4", "--split", side]
        evaluate(str(tiny), *data, "--output", str(tmp_path / side))
        found[side] = set(pq.read_table(tmp_path / side / "predictions.parquet")["id"].to_pylist())
    assert len(found["heldout"]) + len(found["train"]) == 8
    assert not found["heldout"] & found["train"]


def test_command_prints_a_summary_by_default(tiny: Path, made_shards: Path, tmp_path: Path) -> None:
    words = ["run", str(tiny), "--data", str(made_shards), "--task", "caption", "--max-new", "2", "--device", "cpu"]
    done = CliRunner().invoke(app, [*words, "--output", str(tmp_path / "out")])
    assert done.exit_code == 0
    assert done.stdout.splitlines()[1].split()[:3] == ["caption", "cider", "8"]
    assert "report.html" in done.stdout
