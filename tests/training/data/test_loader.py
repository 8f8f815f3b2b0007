"""Damaged samples and shards: a tombstone keeps their position, they have no loss, and their id is reported."""

import shutil
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast

from qvl.model.network.config import IGNORE
from qvl.model.weights.auto import load_model
from qvl.pipeline.markup.turns import Turn
from qvl.pipeline.shards.reader import absent_files, open_dataset
from qvl.pipeline.shards.sample_bytes import ShardBytes
from qvl.training.data.encode import Encoder, Rule
from qvl.training.data.loader import Assembler, Batch, StepLoader
from qvl.training.data.schedule import Schedule
from qvl.training.data.steps import STREAM_START, MicroBatch
from qvl.training.weights.training_model import TrainingModel
from tests.training.data.test_schedule import MODES, make
from tests.training.made import of_task, picture, sample, write_dataset


def batches(
    mode: str, datasets: dict[str, Path], folder: Path, tokenizer: PreTrainedTokenizerFast, steps: int = 3
) -> list[Batch]:
    schedule, encoder = make(MODES[mode], datasets, folder, tokenizer)
    assembler = Assembler(encoder, 56, MODES[mode].get("packing") == "isolated", ShardBytes())
    loader = iter(StepLoader(schedule, assembler, STREAM_START, 0, 1))
    return [batch for _ in range(steps) for batch in next(loader).batches]


def test_a_damaged_image_is_replaced_by_a_tombstone(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    samples = [of_task("caption", number) for number in range(12)]
    bad = sample("bad", "caption", of_task("caption", 3).record.turns, [picture(3)[:300]])
    whole = {"mixed": write_dataset(tmp_path / "a", "d", samples), "text": write_dataset(tmp_path / "t", "t", samples)}
    samples[3] = bad
    torn = {"mixed": write_dataset(tmp_path / "b", "d", samples), "text": whole["text"]}
    for mode in MODES:
        good = batches(mode, whole, tmp_path / "l", tokenizer)
        hurt = batches(mode, torn, tmp_path / "l", tokenizer)
        assert {lost.key for batch in hurt for lost in batch.damaged} == {"bad"}
        assert not any(batch.damaged for batch in good)
        assert [len(batch.ids) for batch in good] == [len(batch.ids) for batch in hurt]
        if mode != "unpacked":
            assert [batch.ids.shape for batch in good] == [batch.ids.shape for batch in hurt]
        lost = sum(batch.supervised for batch in good) - sum(batch.supervised for batch in hurt)
        assert lost > 0


def test_a_truncated_shard_damages_only_its_own_samples(
    datasets: dict[str, Path], tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    copied = {name: Path(shutil.copytree(path, tmp_path / name)) for name, path in datasets.items()}
    tar = sorted(copied["mixed"].glob("*.tar"))[0]
    make(MODES["packed samples"], copied, tmp_path / "l", tokenizer)  # lengths are measured while it is whole
    with tar.open("r+b") as file:
        file.truncate(tar.stat().st_size // 2)
    assert absent_files(open_dataset(str(copied["mixed"]))) == [
        f"{tar}: {tar.stat().st_size} bytes, dataset.json says {open_dataset(str(copied['mixed'])).shards[0].bytes}"
    ]
    hurt = batches("packed samples", copied, tmp_path / "l", tokenizer)
    shards = {lost.shard for batch in hurt for lost in batch.damaged}
    assert shards == {str(tar)}
    assert all(lost.reason for batch in hurt for lost in batch.damaged)


def test_a_sample_that_a_stage_cannot_use_is_not_counted_as_damaged(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    turns = Turn("user", "<img>0</img>" + "much " * 400), Turn("assistant", " a")
    data = write_dataset(tmp_path / "d", "d", [sample("long", "vqa", turns, [picture(0)]), of_task("text", 1)])
    schedule, encoder = make(MODES["unpacked"], {"mixed": data, "text": data}, tmp_path / "l", tokenizer)
    schedule = Schedule(schedule.stage, schedule.parts, schedule.seed)  # without lengths, the loader has to find out
    loader = iter(StepLoader(schedule, Assembler(encoder, 56, False, ShardBytes()), STREAM_START, 0, 1))
    batch = next(loader).batches
    assert {lost.key for part in batch for lost in part.unusable} == {"long"}
    assert not any(part.damaged for part in batch)


def test_losses_of_an_isolated_pack_equal_those_of_its_samples_alone(
    start: Path, datasets: dict[str, Path], tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    schedule, encoder = make(MODES["packed sequences"], datasets, tmp_path, tokenizer)
    assembler = Assembler(encoder, 56, True, ShardBytes())
    model = TrainingModel(load_model(start)).eval()
    step = schedule.plan(STREAM_START, 0, 1)
    sequences = [sequence for micro in step.micro_batches for sequence in micro.sequences]
    assert max(len(sequence) for sequence in sequences) > 2
    with torch.no_grad():
        packed = assembler[MicroBatch(0, tuple(sequences))]
        together, losses = model(packed.ids, packed.labels, packed.positions, packed.pixels)
        alone = []
        for sequence in sequences:
            for ref in sequence:
                single = assembler[MicroBatch(0, ((ref,),))]
                alone.append(model(single.ids, single.labels, None, single.pixels)[1])
    assert torch.allclose(losses, torch.cat(alone), atol=1e-5)
    assert abs(together.item() - sum(part.sum().item() for part in alone)) < 1e-3


def test_samples_in_a_causal_pack_attend_to_the_samples_before_them(
    start: Path, datasets: dict[str, Path], tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    schedule, encoder = make(MODES["packed samples"], datasets, tmp_path, tokenizer)
    model = TrainingModel(load_model(start)).eval()
    micro = next(m for m in schedule.plan(STREAM_START, 0, 1).micro_batches if len(m.sequences[0]) > 1)
    causal, isolated = (Assembler(encoder, 56, flag, ShardBytes())[micro] for flag in (False, True))
    assert causal.positions is None and torch.equal(causal.labels, isolated.labels)
    with torch.no_grad():
        seen = model(causal.ids, causal.labels, causal.positions, causal.pixels)[1]
        apart = model(isolated.ids, isolated.labels, isolated.positions, isolated.pixels)[1]
    first = int((isolated.labels[0, 1 : len(encoder.encode(of_task("text", 0).record).ids)] != IGNORE).sum())
    assert torch.allclose(seen[:first], apart[:first], atol=1e-5)
    assert not torch.allclose(seen, apart, atol=1e-3)


def test_an_empty_micro_batch_has_zero_gradients(start: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    encoder = Encoder(tokenizer, Rule(256, 16))
    batch = Assembler(encoder, 56, False, ShardBytes())[MicroBatch(0, ())]
    assert (batch.samples, batch.tokens, batch.supervised, batch.pixels) == (0, 0, 0, None)
    model = TrainingModel(load_model(start)).train()
    loss, losses = model(batch.ids, batch.labels, batch.positions, batch.pixels)
    loss.backward()
    assert loss.item() == 0 and len(losses) == 0
    assert all(p.grad is not None and not p.grad.any() for p in model.parameters() if p.requires_grad)
