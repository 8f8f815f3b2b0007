"""What a run does when a loss is no number, when samples are damaged, and what its checkpoints promise."""

import shutil
from pathlib import Path

import pytest
import torch

from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
from qvl.model.weights.auto import load_model, load_processor
from qvl.model.weights.folder import read_config, write_model_files
from qvl.pipeline.base.errors import DataError
from qvl.training.loop.checkpoint import Checkpoints, complete_checkpoints, read_checkpoint, read_tensors
from qvl.training.loop.logs import Journal, read_journal
from qvl.training.loop.records import CheckpointManifest, Progress, QuarantineLine, SpikeLine, StepLine
from tests.training.conftest import Command
from tests.training.made import of_task, picture, sample, stage, write_dataset, write_recipe


def test_a_sample_that_makes_no_number_is_skipped_and_named(start: Path, tmp_path: Path, qvl: Command) -> None:
    poisoned = Path(shutil.copytree(start, tmp_path / "poisoned"))
    config = read_config(start)
    config.tie_word_embeddings = config.text_config.tie_word_embeddings = False  # else the row is in every softmax
    torch.manual_seed(0)
    net = QwenVLForConditionalGeneration(config)
    with torch.no_grad():
        net.get_input_embeddings().weight[load_processor(start).tokenizer("~")["input_ids"][0]] = torch.nan
    net.save_pretrained(poisoned)
    write_model_files(poisoned, config)
    turns = [{"role": "text", "text": "this one ~ is poison"}]
    samples = [of_task("text", number) for number in range(15)] + [sample("poison", "text", turns, [])]
    data = {"text": write_dataset(tmp_path / "d", "d", samples)}
    recipe = write_recipe(tmp_path / "r.yaml", poisoned, data, stage(mix=[{"dataset": "text", "weight": 1}], steps=8))
    done = qvl("train", "run", str(recipe), "-o", str(tmp_path / "run"), "--loader-workers", "0")
    assert done.returncode == 0, done.stderr
    lines = read_journal(tmp_path / "run" / "multitask" / "log.jsonl", StepLine)
    skipped = [line.step for line in lines if line.skipped]
    assert len(skipped) == 4  # 64 samples drawn of 16: four epochs
    assert all(lines[step].loss is None for step in skipped)
    spikes = read_journal(tmp_path / "run" / "multitask" / "spikes.jsonl", SpikeLine)
    assert [line.step for line in spikes] == skipped
    assert all("poison" in line.ids and len(line.ids) == 8 for line in spikes)
    weights = load_model(tmp_path / "run" / "multitask" / "model").state_dict()
    rows = {name: torch.isfinite(tensor).all().item() for name, tensor in weights.items() if "embed" not in name}
    assert all(finite for name, finite in rows.items() if name != "lm_head.weight")


def test_too_many_damaged_samples_stop_the_run(start: Path, tmp_path: Path, qvl: Command) -> None:
    samples = [
        sample(f"bad-{n}", "caption", of_task("caption", n).content["turns"], [picture(n)[:200]]) for n in range(20)
    ]
    data = {"d": write_dataset(tmp_path / "d", "d", samples)}
    recipe = write_recipe(tmp_path / "r.yaml", start, data, stage(mix=[{"dataset": "d", "weight": 1}]))
    done = qvl("train", "run", str(recipe), "-o", str(tmp_path / "run"), "--loader-workers", "0")
    assert done.returncode == 2
    assert "16 damaged samples of 16 read" in done.stderr and "quarantine.jsonl" in done.stderr
    noted = read_journal(tmp_path / "run" / "multitask" / "quarantine.jsonl", QuarantineLine)
    assert {line.id for line in noted} <= {f"bad-{n}" for n in range(20)} and len(noted) == 16


def manifest(step: int) -> CheckpointManifest:
    return CheckpointManifest(step, "recipe", "x", step, Progress.at_start(), 2, [])


def tensors(value: float) -> list[tuple[str, dict[str, torch.Tensor]]]:
    names = ("a.weight", "b.weight", "c.bias")
    return [(name, {kind: torch.full((3,), value) for kind in ("weight", "exp_avg", "exp_avg_sq")}) for name in names]


def test_a_checkpoint_is_complete_with_all_parts_and_old_ones_go(tmp_path: Path) -> None:
    ranks = [Checkpoints(tmp_path, 2, rank, 2) for rank in range(2)]
    for step in (1, 2, 3):
        for rank in ranks:
            rank.save(manifest(step), tensors(step))
        for rank in ranks:
            rank.wait()
    assert [folder.name for folder in complete_checkpoints(tmp_path)] == ["step-00000002", "step-00000003"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000002", "step-00000003"]
    found = dict(read_tensors(complete_checkpoints(tmp_path)[-1]))
    assert set(found) == {"a.weight", "b.weight", "c.bias"}
    assert all(bool((tensor == 3).all()) for kinds in found.values() for tensor in kinds.values())


def test_a_save_that_lacks_a_part_is_no_checkpoint(tmp_path: Path) -> None:
    alone = Checkpoints(tmp_path, 2, 1, 2)  # rank 0 died before it wrote
    alone.save(manifest(5), tensors(5))
    alone.wait()
    assert complete_checkpoints(tmp_path) == [] and alone.latest() is None


def test_a_cut_part_is_named(tmp_path: Path) -> None:
    alone = Checkpoints(tmp_path, 2, 0, 1)
    alone.save(manifest(5), tensors(5))
    alone.wait()
    part = next((tmp_path / "step-00000005").glob("*.safetensors"))
    part.write_bytes(part.read_bytes()[:-10])
    with pytest.raises(DataError, match="missing or truncated"):
        read_checkpoint(tmp_path / "step-00000005")


def test_lines_of_unsaved_steps_are_cut_off_on_resume(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    journal: Journal[SpikeLine] = Journal(path, 0)
    for step in range(6):
        journal.write(SpikeLine(step, None, None, []))
    journal.close()
    with path.open("ab") as file:
        file.write(b'{"step": 6, "los')  # killed in the middle of a line
    again: Journal[SpikeLine] = Journal(path, 4)
    again.write(SpikeLine(4, 0.5, None, []))
    again.close()
    lines = read_journal(path, SpikeLine)
    assert [line.step for line in lines] == [0, 1, 2, 3, 4] and lines[-1].loss == 0.5
