"""A stage when a loss is NaN and when samples are damaged, in whole runs."""

import shutil
from pathlib import Path

import torch

from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
from qvl.model.weights.auto import load_model, load_processor
from qvl.model.weights.folder import read_config, write_model_files
from qvl.pipeline.markup.turns import Turn
from qvl.training.loop.logs import read_journal
from qvl.training.loop.records import QuarantineLine, SpikeLine, StepLine
from tests.training.conftest import Command
from tests.training.made import of_task, picture, sample, stage, write_dataset, write_recipe


def test_a_step_with_a_nan_loss_is_skipped_and_its_samples_are_named(start: Path, tmp_path: Path, qvl: Command) -> None:
    poisoned = Path(shutil.copytree(start, tmp_path / "poisoned"))
    config = read_config(start)
    config.tie_word_embeddings = config.text_config.tie_word_embeddings = False  # else the row is in every softmax
    torch.manual_seed(0)
    net = QwenVLForConditionalGeneration(config)
    with torch.no_grad():
        net.get_input_embeddings().weight[load_processor(start).tokenizer("~")["input_ids"][0]] = torch.nan
    net.save_pretrained(poisoned)
    write_model_files(poisoned, config)
    turns = (Turn("text", "this one ~ is poison"),)
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
    samples = [sample(f"bad-{n}", "caption", of_task("caption", n).record.turns, [picture(n)[:200]]) for n in range(20)]
    data = {"d": write_dataset(tmp_path / "d", "d", samples)}
    recipe = write_recipe(tmp_path / "r.yaml", start, data, stage(mix=[{"dataset": "d", "weight": 1}]))
    done = qvl("train", "run", str(recipe), "-o", str(tmp_path / "run"), "--loader-workers", "0")
    assert done.returncode == 2
    assert "16 damaged samples of 16 read" in done.stderr and "quarantine.jsonl" in done.stderr
    noted = read_journal(tmp_path / "run" / "multitask" / "quarantine.jsonl", QuarantineLine)
    assert {line.id for line in noted} <= {f"bad-{n}" for n in range(20)} and len(noted) == 16
