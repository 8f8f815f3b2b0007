"""Estimates of a stage's stream against what the loader delivers."""

from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from qvl.model.weights.info import parts
from qvl.pipeline.base.errors import DataError
from qvl.pipeline.markup.markers import image_slot
from qvl.pipeline.markup.turns import Turn
from qvl.pipeline.shards.reader import open_dataset
from qvl.pipeline.shards.sample_bytes import ShardBytes
from qvl.training.data.encode import Encoder, Rule
from qvl.training.data.lengths import LengthsFolder, LengthsTask, measure_lengths, rule_fingerprint
from qvl.training.data.loader import Assembler
from qvl.training.data.parts import mix_parts
from qvl.training.data.schedule import Schedule
from qvl.training.data.steps import STREAM_START
from qvl.training.plan.plan import make_plan
from qvl.training.plan.records import Terms
from qvl.training.recipe import load_train_recipe
from tests.training.made import of_task, sample, stage, write_dataset, write_recipe

MODES: dict[str, dict[str, Any]] = {
    "unpacked": {"batch": {"size": 8, "unit": "samples", "micro": 4}},
    "packed samples": {"packing": "causal", "batch": {"size": 24, "unit": "samples", "micro": 2}},
    "packed sequences": {"packing": "causal", "pack_window": 48, "batch": {"size": 5, "unit": "sequences", "micro": 1}},
}


def delivered(name: Path, datasets: dict[str, Path], folder: Path, steps: int) -> dict[str, float]:
    """What the real schedule and loader deliver in the first steps."""
    recipe = load_train_recipe(name)
    (spec,) = recipe.stages
    from qvl.model.weights.auto import load_processor

    tokenizer: PreTrainedTokenizerFast = load_processor(Path(recipe.start)).tokenizer
    encoder = Encoder(tokenizer, Rule(spec.length, 16, spec.chatml, spec.loss))
    measured = LengthsFolder(folder, rule_fingerprint(tokenizer, encoder.rule))
    found = mix_parts(spec, {n: open_dataset(str(p)) for n, p in datasets.items()})
    for part in found:
        for shard in part.dataset.shards:
            measure_lengths(LengthsTask(shard, measured.path_of(shard), tokenizer, encoder.rule))
    lengths = None if spec.packing == "none" else measured
    schedule, state = Schedule(spec, found, recipe.seed, lengths), STREAM_START
    assembler = Assembler(encoder, spec.resolution, False, ShardBytes())
    sums = dict.fromkeys(("samples", "tokens", "positions", "images", "sequences", "supervised"), 0.0)
    for _ in range(steps):
        step = schedule.plan(state, 0, 1)
        state = step.after
        for micro in step.micro_batches:
            batch = assembler[micro]
            sums["samples"] += batch.samples
            sums["tokens"] += batch.tokens
            sums["positions"] += batch.ids.numel()
            sums["images"] += 0 if batch.pixels is None else len(batch.pixels)
            sums["sequences"] += len(micro.sequences)
            sums["supervised"] += int((batch.labels != -100).sum())
    return sums


@pytest.mark.parametrize("mode", MODES)
def test_stream_means_equal_what_the_loader_delivers(
    mode: str, start: Path, datasets: dict[str, Path], tmp_path: Path
) -> None:
    path = write_recipe(tmp_path / "r.yaml", start, datasets, stage(**MODES[mode]))
    used = {name: datasets[name] for name in ("mixed", "text")}
    steps = 48  # about as many samples as the plan draws
    real = delivered(path, used, tmp_path / "lengths", steps)
    (made,) = make_plan(load_train_recipe(path), Terms(), samples=round(real["samples"])).stages
    means = made.stream
    near = 0.02 if mode == "packed sequences" else 1e-9  # windows and steps end elsewhere
    assert means.tokens == pytest.approx(real["tokens"] / real["samples"], rel=near)
    assert means.useful == pytest.approx(real["tokens"] / real["positions"], rel=near)
    assert means.samples_per_sequence == pytest.approx(real["samples"] / real["sequences"], rel=near)
    assert means.load.images == pytest.approx(real["images"] / real["samples"], rel=near)
    assert means.load.labels == pytest.approx(real["supervised"] / real["samples"], rel=near)
    assert means.unusable == 0 and made.drawn == round(real["samples"])


def test_plan_when_a_part_selects_tasks_counts_its_epochs(
    start: Path, datasets: dict[str, Path], tmp_path: Path
) -> None:
    mix = [{"dataset": "mixed", "tasks": ["ocr"], "weight": 1}, {"dataset": "text", "weight": 3}]
    path = write_recipe(tmp_path / "r.yaml", start, datasets, stage(mix=mix, steps=30))
    (made,) = make_plan(load_train_recipe(path), Terms(), samples=64).stages
    ocr, text = made.mix
    assert (ocr.part, ocr.samples, text.samples) == ("mixed-ocr", 24, 40)
    assert ocr.epochs == pytest.approx(30 * 8 / 4 / 24) and text.epochs == pytest.approx(30 * 8 * 3 / 4 / 40)
    assert ocr.images == 1 and text.images == 0 and text.tokens < ocr.tokens
    model = make_plan(load_train_recipe(path), Terms(), samples=8).model
    assert {part.name: part.parameters for part in parts_of(start)}[
        "total"
    ] == model.vision + model.adapter + model.language


def parts_of(folder: Path) -> list[Any]:
    from qvl.model.weights.folder import read_config

    return parts(read_config(folder))


def test_held_out_samples_take_no_time(start: Path, datasets: dict[str, Path], tmp_path: Path) -> None:
    whole = write_recipe(tmp_path / "whole.yaml", start, datasets, stage())
    part = write_recipe(tmp_path / "part.yaml", start, datasets, stage(), holdout={"share": 0.25})
    (all_of_it,), (rest,) = (make_plan(load_train_recipe(path), Terms(), samples=64).stages for path in (whole, part))
    assert rest.samples == 0.75 * all_of_it.samples and rest.held_out == 0.25
    assert [each.epochs for each in rest.mix] == [each.epochs for each in all_of_it.mix]
    assert rest.stream.useful >= all_of_it.stream.useful  # sorted by tokens, not by characters


def test_samples_that_cannot_be_trained_on_are_counted(start: Path, tmp_path: Path) -> None:
    turns = Turn("user", image_slot(5)), Turn("assistant", "which?")
    bad = [sample(f"bad-{n}", "caption", turns, []) for n in range(8)]
    folder = write_dataset(tmp_path / "d", "d", [*(of_task("caption", number) for number in range(24)), *bad])
    path = write_recipe(tmp_path / "r.yaml", start, {"d": folder}, stage(mix=[{"dataset": "d", "weight": 1}]))
    (made,) = make_plan(load_train_recipe(path), Terms(), samples=64).stages
    assert made.stream.unusable == 0.25
    only = write_dataset(tmp_path / "only", "only", bad)
    path = write_recipe(tmp_path / "r.yaml", start, {"d": only}, stage(mix=[{"dataset": "d", "weight": 1}]))
    with pytest.raises(DataError, match="none of the first 64 samples"):
        make_plan(load_train_recipe(path), Terms(), samples=64)


def test_without_a_tokenizer_lengths_are_estimated(datasets: dict[str, Path], tmp_path: Path) -> None:
    path = write_recipe(tmp_path / "r.yaml", Path("tiny"), datasets, stage(resolution=224, length=512))
    made = make_plan(load_train_recipe(path), Terms(), samples=32)
    assert made.data == "estimated"
    assert 180 < made.stages[0].stream.tokens < 280  # three of four samples with 258 positions of an image


def test_stage_language_plans_no_images(start: Path, datasets: dict[str, Path], tmp_path: Path) -> None:
    mix = [{"dataset": "mixed", "tasks": ["caption"], "weight": 1}]
    path = write_recipe(tmp_path / "r.yaml", start, datasets, stage(mix=mix), stage(stage="language", mix=mix))
    recipe = load_train_recipe(path)
    for plan in (make_plan(recipe, Terms(), samples=16), make_plan(recipe, Terms(), text=40)):
        whole, words = plan.stages
        assert words.stream.tokens < whole.stream.tokens - 16
        costs = words.tflop_per_sample
        assert costs.vision == costs.adapter == 0 < whole.tflop_per_sample.vision
