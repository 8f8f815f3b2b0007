"""A whole experiment of seconds: killed and gone on with, nothing done twice, a page and figures that add up."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.training.conftest import Command
from tests.training.forked import ForkedCommand
from tests.training.made import stage, write_recipe

from .made_pairs import write_pairs

PART = {"dataset": "pairs", "weight": 1}


@pytest.fixture
def recipe(tmp_path: Path, start: Path) -> Path:
    """Two arms of two seeds over a stage that they share and one that they do not."""
    shards = write_pairs(tmp_path / "pairs", 40)
    small = {"batch": {"size": 4, "unit": "samples", "micro": 4}, "mix": [PART]}
    stages = [stage(name="first", steps=2, **small), stage(name="second", steps=3, **small)]
    write_recipe(tmp_path / "train.yaml", start, {"pairs": shards}, *stages, holdout={"share": 0.4, "seed": 1})
    content: dict[str, Any] = {
        "name": "made", "question": "Which <language>?", "training": "train.yaml", "seeds": [0, 1],
        "arms": {
            "small": {"x": 56, "set": {"stages.second.mix.pairs.languages": ["en"]}},
            "large": {"x": 84, "set": {"stages.second.resolution": 84}},
        },
        "ask": [
            {"name": f"{task}-{language}", "dataset": "pairs", "task": task, "languages": [language], "limit": 6,
             "longest": 4}
            for task in ("vqa", "referring") for language in ("en", "zh")
        ],
        "figures": [
            {"title": "over arms"}, {"title": "over cost", "x": "cost", "measure": "loss"},
            {"title": "over size", "x": "area", "lines": "arm", "measure": "iou"},
        ],
    }  # fmt: skip
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def trained(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (out / "trained").glob("*/run/*/model/*.safetensors")}


def test_experiment_when_killed_and_resumed_repeats_no_training_and_its_figures_add_up(
    tmp_path: Path, recipe: Path, qvl: Command
) -> None:
    out = tmp_path / "out"
    process = ForkedCommand("train", "experiment", str(recipe), "--output", str(out))
    while len(trained(out)) < 2:  # in the middle of the first or second arm
        assert process.poll() is None, process.communicate()
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()  # until all that it started is gone, too
    before = trained(out)
    done = qvl("train", "experiment", str(recipe), "--output", str(out), "--json")
    assert done.returncode == 0, done.stderr
    after = trained(out)
    assert before and before.items() <= after.items()
    assert len(after) == 6  # the first stage once for each seed, the second for each arm and seed
    found = json.loads(done.stdout)
    assert found == json.loads((out / "results.json").read_bytes())
    assert found["complete"] and found["seeds"] == {"small": [0, 1], "large": [0, 1]}
    check(found)
    page = (out / "index.html").read_text("utf-8")
    assert "Which &lt;language&gt;?" in page and str(tmp_path) not in page and "Not all runs are done" not in page

    again = qvl("train", "experiment", str(recipe), "--output", str(out), "--only", "small", "--seeds", "1")
    assert again.returncode == 0 and "run 1 of" not in again.stderr and trained(out) == after
    assert "vqa-en" in again.stdout and "loss per token" in again.stdout


def check(found: dict[str, Any]) -> None:
    """Every ask has what belongs to its task, and the curves hold the same numbers as the table."""
    named, pointed = found["asks"]["vqa-zh"], found["asks"]["referring-zh"]
    assert {"score", "loss", "wrong_language", "agreement"} < set(named["measures"]) and "iou" not in named["measures"]
    assert {"score", "loss", "iou", "agreement"} < set(pointed["measures"])
    assert "wrong_language" not in pointed["measures"]
    for value in named["measures"]["loss"].values():
        assert value["questions"] == 6 and len(value["seeds"]) == 2 and value["error"] > 0
    assert set(named["measures"]["loss_difference"]) == {"large"}
    lines = {line["name"]: line for line in found["figures"][0]["lines"]}
    assert lines["vqa-zh"]["x"] == [56, 84]
    assert lines["vqa-zh"]["y"] == [named["measures"]["score"][arm]["mean"] for arm in ("small", "large")]
    (cheap, dear) = found["figures"][1]["lines"][0]["x"]
    assert cheap < dear
    assert [line["name"] for line in found["figures"][2]["lines"]] == ["small", "large"]
    assert sum(found["figures"][2]["lines"][0]["questions"]) == 12
