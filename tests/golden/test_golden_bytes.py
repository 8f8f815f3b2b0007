"""What is built from the repository's own data has the bytes that it had when `golden.json` was written.

A change that moves code, renames it or makes it faster must leave every value alone. A change that alters an output on
purpose writes the new values into `golden.json` and says why in CHANGELOG.md.
"""

import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from qvl.pipeline.commit.fingerprint import file_hash
from qvl.synth_ocr.build.recipe import load_recipe
from qvl.synth_ocr.scene.source import Scene
from qvl.training.data.datasets import used_datasets
from qvl.training.data.encode import Encoder, Rule
from qvl.training.data.stage_schedule import stage_schedule
from qvl.training.data.steps import STREAM_START
from qvl.training.process_group import ProcessGroup
from qvl.training.recipe import load_train_recipe
from qvl.training.weights.start import processor_of_start
from tests.shared import ROOT, demo_output

GOLDEN: dict[str, Any] = json.loads(Path(__file__).with_name("golden.json").read_text("utf-8"))
PARTS = {"curate": "demo", "text": "demo_text", "ground": "demo_ground"}
STEPS = 40
SCENES = 6


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's parts that need nothing but the repository, built by the real command."""
    return demo_output(tmp_path_factory)


def files_hash(folder: Path) -> str:
    """One hash over the names and bytes of all files below a folder."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return hashlib.sha256("\n".join(f"{name} {file_hash(folder / name)}" for name in names).encode()).hexdigest()


@pytest.mark.parametrize("part", PARTS)
def test_dataset_hash_of_a_demo_part_when_rebuilt_is_unchanged(built: Path, part: str) -> None:
    dataset = json.loads((built / PARTS[part] / "shards" / "dataset.json").read_text("utf-8"))
    assert dataset["hash"] == GOLDEN["dataset"][part]


@pytest.mark.parametrize("part", PARTS)
def test_shards_ledger_and_manifests_of_a_demo_part_when_rebuilt_have_the_same_bytes(built: Path, part: str) -> None:
    out = built / PARTS[part]
    found = {name: files_hash(out / name) for name in ("shards", "ledger", "manifests")}
    assert found == GOLDEN["files"][part]


@pytest.mark.parametrize("source", ["scene_en", "scene_zh"])
def test_ocr_scenes_of_the_demo_when_drawn_again_hold_the_same_text_in_the_same_places(source: str) -> None:
    """Sizes and texts exactly; corners within a pixel, because OpenCV and NumPy round differently on each processor."""
    recipe = load_recipe(ROOT / "examples" / "ocr_demo.yaml")
    (read,) = (each.read for each in recipe.sources if each.name == source)
    assert isinstance(read, Scene)
    if read.missing():
        pytest.skip(f"not installed: {read.missing()[0]} (sh scripts/ocr_packages.sh)")
    (unit,) = read.units(source)
    drawn = list(itertools.islice(read.outcomes(unit, recipe.seed), SCENES))
    pages = [outcome.page for outcome in drawn if outcome.page is not None]
    golden = GOLDEN["scenes"][source]
    assert [[outcome.verdict, outcome.width, outcome.height] for outcome in drawn] == golden["sizes"]
    assert [page.text for page in pages] == golden["texts"]
    corners = np.concatenate([np.concatenate([line.quad for line in page.lines]) for page in pages])
    assert np.abs(corners - np.array(golden["corners"])).max() <= 1.0


@pytest.mark.parametrize("number", range(4))
def test_receipts_of_the_tiny_training_when_planned_again_are_unchanged(
    built: Path, tmp_path: Path, number: int
) -> None:
    content = yaml.safe_load((ROOT / "examples" / "train_tiny.yaml").read_text("utf-8"))
    for stage in content["stages"]:
        stage["mix"] = [part for part in stage["mix"] if part["dataset"] != "ocr"]
    content["datasets"] = {
        name: {"path": str(built / folder)}
        for name, folder in (("pairs", "demo"), ("ground", "demo_ground"), ("text", "demo_text"))
    }
    content["tokenizer"] = str(ROOT / "examples" / "tokenizer.json")
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump(content), "utf-8")
    recipe = load_train_recipe(path)
    stage = recipe.stages[number]
    processor = processor_of_start(recipe, stage)
    encoder = Encoder(processor.tokenizer, Rule.of(stage, processor.image_seq_length))
    alone = ProcessGroup()
    schedule = stage_schedule(recipe, stage, used_datasets(recipe), tmp_path / "lengths", encoder, alone)
    state = STREAM_START
    for _ in range(STEPS):
        state = schedule.plan(state, 0, 1).after
    assert state.receipt == GOLDEN["receipts"][stage.label]
