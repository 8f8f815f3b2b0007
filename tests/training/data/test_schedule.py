"""The samples of a stage are the same at any world size and number of workers, and follow from the state alone."""

from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.markup.turns import Turn
from qvl.pipeline.shards.reader import open_dataset
from qvl.pipeline.shards.sample_bytes import ShardBytes
from qvl.training.data.encode import Encoder, Rule
from qvl.training.data.lengths import LengthsFolder, LengthsTask, measure_lengths, read_lengths, rule_fingerprint
from qvl.training.data.loader import Assembler, StepLoader
from qvl.training.data.parts import mix_parts
from qvl.training.data.schedule import Schedule
from qvl.training.data.steps import STREAM_START, Step
from qvl.training.recipe import StageSpec
from tests.training.made import of_task, sample, stage, write_dataset

MODES: dict[str, dict[str, Any]] = {
    "unpacked": {},
    "packed samples": {"packing": "causal", "batch": {"size": 24, "unit": "samples", "micro": 1}},
    "packed sequences": {
        "packing": "isolated", "pack_window": 40, "batch": {"size": 5, "unit": "sequences", "micro": 2},
    },
}  # fmt: skip


def make(
    settings: dict[str, Any], datasets: dict[str, Path], folder: Path, tokenizer: PreTrainedTokenizerFast
) -> tuple[Schedule, Encoder]:
    spec = StageSpec.model_validate(stage(**settings))
    opened = {name: open_dataset(str(path)) for name, path in datasets.items()}
    encoder = Encoder(tokenizer, Rule(spec.length, 16))
    lengths = LengthsFolder(folder, rule_fingerprint(tokenizer, encoder.rule))
    for part in mix_parts(spec, opened):
        for shard in part.dataset.shards:
            measure_lengths(LengthsTask(shard, lengths.path_of(shard), tokenizer, encoder.rule))
    return Schedule(spec, mix_parts(spec, opened), 11, lengths), encoder


def keys(steps: list[Step]) -> list[str]:
    """The samples that the ranks of one step compute together."""
    return sorted(ref.key for step in steps for micro in step.micro_batches for seq in micro.sequences for ref in seq)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("world", [1, 2, 3, 5, 7])
def test_every_world_size_sees_the_same_samples(
    mode: str, world: int, datasets: dict[str, Path], tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    schedule, _ = make(MODES[mode], datasets, tmp_path, tokenizer)
    alone, state = [], STREAM_START
    for _ in range(9):
        alone.append(schedule.plan(state, 0, 1))
        state = alone[-1].after
    state = STREAM_START
    for expected in alone:
        steps = [schedule.plan(state, rank, world) for rank in range(world)]
        assert {step.after for step in steps} == {expected.after}
        assert len({len(step.micro_batches) for step in steps}) == 1
        assert keys(steps) == sorted(expected.ids) == keys([expected])
        state = expected.after
    assert len(alone[-1].after.receipt) == 32


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # four on a machine of two cores
@pytest.mark.parametrize("mode", MODES)
def test_any_number_of_workers_yields_the_same_batches(
    mode: str, datasets: dict[str, Path], tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    seen = []
    for workers in (0, 1, 4):
        schedule, encoder = make(MODES[mode], datasets, tmp_path, tokenizer)
        assembler = Assembler(encoder, 56, mode == "packed sequences", ShardBytes())
        loader = iter(StepLoader(schedule, assembler, STREAM_START, 1, 3, workers))
        loaded = [next(loader) for _ in range(5)]
        ids = [batch.ids.tolist() for step in loaded for batch in step.batches]
        pixels = [int(b.pixels.sum()) if b.pixels is not None else 0 for step in loaded for b in step.batches]
        seen.append((ids, pixels, [step.step.after for step in loaded]))
        assert not any(batch.damaged for step in loaded for batch in step.batches)
    assert seen[0] == seen[1] == seen[2]


def test_a_stream_continues_from_any_state(
    datasets: dict[str, Path], tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    for settings in MODES.values():
        schedule, _ = make(settings, datasets, tmp_path, tokenizer)
        stream = schedule.steps(STREAM_START, 0, 1)
        steps = [next(stream) for _ in range(12)]
        for at in (3, 7, 8):
            fresh, _ = make(settings, datasets, tmp_path, tokenizer)
            later = fresh.steps(steps[at].after, 0, 1)
            assert [next(later).ids for _ in range(3)] == [step.ids for step in steps[at + 1 : at + 4]]


def test_windows_of_packed_sequences_use_every_sample_once(
    datasets: dict[str, Path], tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    settings = {**MODES["packed sequences"], "mix": [{"dataset": "mixed", "weight": 1}], "pack_window": 96}
    schedule, _ = make(settings, datasets, tmp_path, tokenizer)
    seen: list[str] = []
    state = STREAM_START
    while state.window == 0:
        step = schedule.plan(state, 0, 1)
        seen += step.ids
        state = step.after
    window, rest = seen[:96], seen[96:]
    assert sorted(window) == sorted({*window}) and len(window) == 96
    assert not rest or set(rest) <= set(window)


def test_only_selected_tasks_are_drawn(
    datasets: dict[str, Path], tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    mix = [{"dataset": "mixed", "tasks": ["vqa"], "weight": 1}, {"dataset": "mixed", "tasks": ["ocr"], "weight": 1}]
    for settings in MODES.values():
        schedule, _ = make({**settings, "mix": mix}, datasets, tmp_path, tokenizer)
        step = schedule.plan(STREAM_START, 0, 1)
        assert {key.split("-")[0] for key in step.ids} == {"vqa", "ocr"}


def test_unusable_samples_are_left_out_with_their_reason(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    turns = Turn("user", "<img>7</img>a"), Turn("assistant", " b")
    broken = sample("broken", "caption", turns, [b"x"])
    samples = [of_task("text", number) for number in range(9)] + [broken]
    folder = {"mixed": write_dataset(tmp_path / "d", "d", samples)}
    settings = {**MODES["packed samples"], "mix": [{"dataset": "mixed", "weight": 1}]}
    settings["batch"] = {"size": 10, "unit": "samples", "micro": 1}
    schedule, encoder = make(settings, folder, tmp_path / "l", tokenizer)
    step = schedule.plan(STREAM_START, 0, 1)
    assert len(step.ids) == 9
    assert [(lost.key, lost.reason) for lost in step.left_out] == [("broken", "image_missing")]
    shard = open_dataset(str(folder["mixed"])).shards[0]
    lengths = read_lengths(LengthsFolder(tmp_path / "l", rule_fingerprint(tokenizer, encoder.rule)).path_of(shard))
    assert lengths.tokens.tolist()[9] == 0 and all(lengths.tokens[:9] > 0)


def test_a_dataset_without_a_usable_sample_is_an_error(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    useless = [sample(f"u-{n}", "vqa", (Turn("user", "asked"),), []) for n in range(4)]
    folder = {"mixed": write_dataset(tmp_path / "d", "d", useless)}
    settings = {**MODES["packed sequences"], "mix": [{"dataset": "mixed", "weight": 1}]}
    schedule, _ = make(settings, folder, tmp_path / "l", tokenizer)
    with pytest.raises(DataError, match="no sample of mixed"):
        schedule.plan(STREAM_START, 0, 1)
