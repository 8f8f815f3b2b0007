"""The installed wheel in a folder whose own files bear our former names: nothing of theirs is imported instead of ours."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.end_to_end.conftest import ROOT
from tests.end_to_end.test_wheel import venv, wheel  # noqa: F401  fixtures
from tests.pipeline.samples import jpeg, write_img2dataset
from tests.shared import HANG

FOREIGN = 'raise ImportError("this file belongs to the user")\n'
RECIPE = """name: users_own
sources:
  - {name: web, read: {kind: webdataset, paths: ["qvl_data/*.tar"]}}
filters: {text_length: {}}
"""
TRAINING = {
    "name": "one_step",
    "start": "nano",
    "tokenizer": str(ROOT / "examples" / "tokenizer.json"),
    "seed": 0,
    "datasets": {"pairs": {"path": "out"}},
    "stages": [
        {
            "stage": "pretrain",
            "steps": 1,
            "resolution": 112,
            "length": 256,
            "mix": [{"dataset": "pairs", "weight": 1}],
            "batch": {"size": 2, "unit": "samples", "micro": 2},
            "optimizer": {"peak": 1.0e-3, "minimum": 1.0e-4, "warmup": 1},
            "engine": {"zero": 1, "precision": "float32"},
        }
    ],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's project: a module and packages with common names, data, and two recipes."""
    home = tmp_path_factory.mktemp("project")
    for name in ("pipeline.py", "model/__init__.py", "training/__init__.py", "tests/__init__.py", "synth_ocr.py"):
        path = home / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(FOREIGN)
    rows = [
        {"key": f"0000{n}", "caption": f"the old stone bridge number {n}", "url": "http://x", "image": jpeg(n)}
        for n in range(4)
    ]
    write_img2dataset(home / "qvl_data", "00000", rows)
    (home / "recipe.yaml").write_text(RECIPE)
    (home / "train.yaml").write_text(yaml.safe_dump(TRAINING))
    return home


def called(folder: Path, *words: str) -> str:
    """A program in the user's folder, with that folder on Python's path."""
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"} | {"PYTHONPATH": "."}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=HANG)
    assert done.returncode == 0, (words, done.stdout[-3_000:], done.stderr[-3_000:])
    return done.stdout


def dataset_hash(out: Path) -> str:
    return str(json.loads((out / "shards" / "dataset.json").read_text("utf-8"))["hash"])


def test_curation_in_a_folder_with_our_names_when_run_serially_and_on_ray_is_the_same(
    venv: Path,  # noqa: F811
    folder: Path,
) -> None:
    called(folder, str(venv / "bin" / "qvl"), "curate", "run", "recipe.yaml", "--output", "out")
    called(
        folder, str(venv / "bin" / "python"), "-m", "qvl", "curate", "run", "recipe.yaml", "-o", "out_ray",
        "--workers", "ray",
    )  # fmt: skip
    assert dataset_hash(folder / "out_ray") == dataset_hash(folder / "out")


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.long)])
def test_training_step_in_a_folder_with_our_names_ends_in_a_model(venv: Path, folder: Path, processes: int) -> None:  # noqa: F811
    """One process alone; two processes started by the command, with loader workers that spawn."""
    if not (folder / "out").exists():
        called(folder, str(venv / "bin" / "qvl"), "curate", "run", "recipe.yaml", "--output", "out")
    output = f"run_{processes}"
    called(
        folder, str(venv / "bin" / "qvl"), "train", "run", "train.yaml", "--output", output,
        "--processes", str(processes), "--loader-workers", "1",
    )  # fmt: skip
    assert (folder / output / "pretrain" / "model" / "config.json").is_file()


def test_torchrun_in_a_folder_with_our_names_starts_the_command(venv: Path, folder: Path) -> None:  # noqa: F811
    if not (folder / "out").exists():
        called(folder, str(venv / "bin" / "qvl"), "curate", "run", "recipe.yaml", "--output", "out")
    called(
        folder, str(venv / "bin" / "python"), "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        "-m", "qvl", "train", "run", "train.yaml", "--output", "run_torchrun", "--loader-workers", "0",
    )  # fmt: skip
    assert (folder / "run_torchrun" / "pretrain" / "model" / "config.json").is_file()
