"""Whole runs in processes of their own: stages and their contracts, kills, other world sizes, dead ranks, stop signals."""

import itertools
import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from qvl.model.weights.auto import load_model
from qvl.model.weights.freeze import part_of, tensor_hashes
from qvl.training.loop.checkpoint import complete_checkpoints, read_checkpoint
from qvl.training.loop.logs import read_journal
from qvl.training.loop.records import ScoreLine, StepLine
from tests.training.conftest import Command
from tests.training.forked import ForkedCommand
from tests.training.made import stage, write_recipe

LONG = {"steps": 14, "packing": "causal", "batch": {"size": 12, "unit": "samples", "micro": 1}}


def log(run: Path, name: str = "multitask") -> list[StepLine]:
    return read_journal(run / name / "log.jsonl", StepLine)


def wait_for_steps(run: Path, steps: int, process: ForkedCommand) -> None:
    """Wait until that many steps are logged. It is an error if the run ends before."""
    while len(log(run)) < steps:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, start: Path, datasets: dict[str, Path], qvl: Command) -> Path:
    """A run of one process from start to end, with its recipe next to it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    recipe = write_recipe(folder / "recipe.yaml", start, datasets, stage(**LONG))
    done = qvl("train", "run", str(recipe), "-o", str(folder / "run"), "--loader-workers", "0")
    assert done.returncode == 0, done.stderr
    return folder


def test_run_when_undisturbed_logs_every_step_and_its_loss_falls(undisturbed: Path) -> None:
    lines = log(undisturbed / "run")
    assert [line.step for line in lines] == list(range(14))
    assert lines[-1].loss < lines[0].loss - 0.3
    for line in lines:
        by_source, by_class = line.loss_by_source, line.loss_by_class
        assert sum(count for _, count in by_source.values()) == line.learnt
        assert sum(count for _, count in by_class.values()) == line.learnt
        total = sum(value for value, _ in by_source.values())
        assert abs(total / line.learnt - line.loss) < 1e-6
    assert (undisturbed / "run" / "multitask" / "tensorboard").is_dir()


def assert_same_run(run: Path, undisturbed: Path, worlds: set[int]) -> None:
    expected, found = log(undisturbed / "run"), log(run)
    assert {line.world for line in found} == worlds
    assert [line.receipt for line in found] == [line.receipt for line in expected]
    assert [line.samples for line in found] == [line.samples for line in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert abs(ours.loss - theirs.loss) < 1e-3


def test_run_when_a_rank_dies_ends_with_its_reason_and_resumes_at_another_world_size(
    undisturbed: Path, tmp_path: Path, qvl: Command
) -> None:
    run, recipe = tmp_path / "run", undisturbed / "recipe.yaml"
    process = ForkedCommand("train", "run", str(recipe), "-o", str(run), "--processes", "2", "--loader-workers", "0")
    wait_for_steps(run, 5, process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ranks = [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(ranks[-1], signal.SIGKILL)
    _, error = process.communicate()
    assert process.returncode == 2
    assert "rank 1 ended the run (killed by signal 9)" in error
    done = qvl("train", "run", str(recipe), "-o", str(run), "--processes", "1", "--loader-workers", "1")
    assert done.returncode == 0, done.stderr
    assert_same_run(run, undisturbed, {1, 2})


@pytest.mark.long
def test_run_when_killed_and_resumed_at_several_world_sizes_is_the_same_run(
    undisturbed: Path, tmp_path: Path, qvl: Command
) -> None:
    run, recipe = tmp_path / "run", undisturbed / "recipe.yaml"
    for processes, steps in ((1, 5), (2, 9)):
        process = ForkedCommand("train", "run", str(recipe), "-o", str(run), "--processes", str(processes))
        wait_for_steps(run, steps, process)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    done = qvl("train", "run", str(recipe), "-o", str(run), "--processes", "1", "--loader-workers", "1")
    assert done.returncode == 0, done.stderr
    assert_same_run(run, undisturbed, {1, 2})


def test_run_when_signalled_saves_a_checkpoint_and_the_same_command_finishes(
    undisturbed: Path, tmp_path: Path, qvl: Command
) -> None:
    run, recipe = tmp_path / "run", undisturbed / "recipe.yaml"
    process = ForkedCommand("train", "run", str(recipe), "-o", str(run), "--loader-workers", "1")
    wait_for_steps(run, 3, process)
    os.killpg(process.pid, signal.SIGTERM)
    _, error = process.communicate()
    assert process.returncode == 143, error
    assert "run the same command again to continue" in error
    saved = read_checkpoint(complete_checkpoints(run / "multitask" / "checkpoints")[-1])
    assert saved.step == len(log(run)) == saved.progress.state.step
    assert qvl("train", "run", str(recipe), "-o", str(run), "--loader-workers", "0").returncode == 0
    assert [line.loss for line in log(run)] == [line.loss for line in log(undisturbed / "run")]


def test_stages_when_chained_train_their_parts_and_move_nothing_that_they_freeze(
    start: Path, datasets: dict[str, Path], tmp_path: Path, qvl: Command
) -> None:
    chat = {"dataset": "chat", "weight": 1}
    captions = [{"dataset": "mixed", "tasks": ["caption"], "weight": 1}]
    recipe = write_recipe(
        tmp_path / "r.yaml", start, datasets,
        stage(stage="language", mix=captions, steps=2),
        stage(stage="pretrain", mix=captions, resolution=28, steps=3),
        stage(packing="causal", steps=3, engine={"zero": 2, "precision": "bfloat16"}, save={"every": 2, "export": True},
              evaluate={"dataset": "mixed", "every": 2, "tasks": ["vqa", "grounding"], "limit": 3}),
        stage(stage="sft", mix=[chat, {"dataset": "text", "weight": 1}], packing="isolated", steps=3,
              engine={"zero": 3, "precision": "float32"}),
    )  # fmt: skip
    run = tmp_path / "run"
    done = qvl("train", "run", str(recipe), "-o", str(run), "--loader-workers", "0", "--json")
    assert done.returncode == 0, done.stderr
    names = ("language", "pretrain", "multitask", "sft")
    assert set(json.loads(done.stdout.splitlines()[-1])["models"]) == set(names)
    assert all(line.images == 0 for line in log(run, "language"))
    hashes = [tensor_hashes(load_model(path)) for path in (start, *(run / name / "model" for name in names))]
    moved = [
        {part_of(n) for n in after if after[n] != before[n] and not n.endswith("pos_embed")}
        for before, after in itertools.pairwise(hashes)
    ]
    assert moved == [{"language"}, {"vision", "adapter"}, {"vision", "adapter", "language"}, {"adapter", "language"}]
    scores = read_journal(run / "multitask" / "eval.jsonl", ScoreLine)
    assert {(line.step, line.task) for line in scores} == {(1, "vqa"), (1, "referring")}
    assert all(0 <= line.scores["score"] <= 100 for line in scores)
    verified = qvl("train", "verify", str(run), "--world-size", "3", "--json")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert [entry["steps"] for entry in json.loads(verified.stdout)] == [2, 3, 3, 3]
    export = run / "multitask" / "exports" / "step-00000002"
    assert tensor_hashes(load_model(export)).keys() == hashes[0].keys()
    assert load_model(run / "pretrain" / "model").config.vision_config.image_size == 28
    again = qvl("train", "run", str(recipe), "-o", str(run), "--loader-workers", "0")
    assert again.returncode == 0 and len(log(run, "sft")) == 3
    shutil.rmtree(run / "sft" / "model")
    noted = json.loads((run / "sft" / "start.json").read_text())
    noted["tensors"]["model.vision_tower.conv1.weight"] = "another"
    (run / "sft" / "start.json").write_text(json.dumps(noted))
    broken = qvl("train", "run", str(recipe), "-o", str(run), "--loader-workers", "0")
    assert (
        broken.returncode == 2 and "changed tensors that it freezes: model.vision_tower.conv1.weight" in broken.stderr
    )
    assert not (run / "sft" / "model").exists()


def test_run_when_the_folder_belongs_to_another_recipe_is_refused_with_the_difference(
    undisturbed: Path, qvl: Command, tmp_path: Path
) -> None:
    text = (undisturbed / "recipe.yaml").read_text()
    changed = tmp_path / "changed.yaml"
    changed.write_text(text.replace("peak: 0.002", "peak: 0.001"))
    refused = qvl("train", "run", str(changed), "-o", str(undisturbed / "run"))
    assert refused.returncode == 2
    assert "stages.0.optimizer.peak: 0.002 -> 0.001" in refused.stderr


def test_run_when_a_shard_is_missing_names_it_before_the_first_step(
    undisturbed: Path, datasets: dict[str, Path], tmp_path: Path, start: Path, qvl: Command
) -> None:
    copied = Path(shutil.copytree(datasets["mixed"], tmp_path / "mixed"))
    (copied / "mixed-000003.tar").unlink()
    recipe = write_recipe(tmp_path / "r.yaml", start, {**datasets, "mixed": copied}, stage())
    refused = qvl("train", "run", str(recipe), "-o", str(tmp_path / "run"))
    assert refused.returncode == 2
    assert "mixed-000003.tar: missing" in refused.stderr
    assert not (tmp_path / "run" / "multitask").exists()


def test_run_when_a_dataset_changed_since_it_began_is_refused(
    undisturbed: Path, datasets: dict[str, Path], tmp_path: Path, start: Path, qvl: Command
) -> None:
    run = Path(shutil.copytree(undisturbed / "run", tmp_path / "run"))
    changed = Path(shutil.copytree(datasets["mixed"], tmp_path / "mixed"))
    described = changed / "dataset.json"
    described.write_text(described.read_text().replace(json.loads(described.read_text())["hash"], "0" * 32))
    recipe = write_recipe(tmp_path / "r.yaml", start, {**datasets, "mixed": changed}, stage(**LONG))
    refused = qvl("train", "run", str(recipe), "-o", str(run))
    assert refused.returncode == 2
    assert "the samples of mixed have changed since the run began" in refused.stderr


def test_a_changed_shard_is_found_by_its_receipt(undisturbed: Path, qvl: Command, tmp_path: Path) -> None:
    run = Path(shutil.copytree(undisturbed / "run", tmp_path / "run"))
    journal = run / "multitask" / "log.jsonl"
    journal.write_text(journal.read_text().replace(log(run)[7].receipt, "0" * 32))
    verified = qvl("train", "verify", str(run), "--world-size", "2")
    assert verified.returncode == 1
    assert "step 7: the log has another receipt for these samples" in verified.stdout


@pytest.mark.long
def test_run_on_ray_train_sees_the_same_samples(undisturbed: Path, tmp_path: Path, qvl: Command) -> None:
    run, recipe = tmp_path / "run", undisturbed / "recipe.yaml"
    done = qvl(
        "train", "run", str(recipe), "-o", str(run), "--workers", "ray", "--processes", "2", "--loader-workers", "0"
    )
    assert done.returncode == 0, done.stderr
    assert [line.receipt for line in log(run)] == [line.receipt for line in log(undisturbed / "run")]
