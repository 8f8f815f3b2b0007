"""Operations against the reference table, and against torch's own counter."""

from pathlib import Path

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from qvl.model.network.presets import PRESETS, preset
from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
from qvl.model.weights.freeze import TRAINED as FREEZE_TRAINED
from qvl.model.weights.freeze import freeze_for_stage
from qvl.model.weights.info import parts
from qvl.training.plan.cost import (
    TRAINED,
    Load,
    adapter_forward,
    forward,
    shape_of,
    trained_parameters,
    training_flops,
    vision_forward,
)
from qvl.training.recipe import Engine, Lora, StageSpec, load_train_recipe
from qvl.training.weights.lora import add_lora

RECIPES = Path("training/recipes")
FULL = shape_of(preset("qwen-vl"))
PEAK = 990e12
TERA = 1e12


def stage(number: int) -> StageSpec:
    return load_train_recipe(sorted(RECIPES.glob("stage*.yaml"))[number - 1]).stages[0]


def load(images: float, tokens: int, labels: float) -> Load:
    return Load(images, tokens, tokens**2, labels)


@pytest.mark.parametrize("name", PRESETS)
def test_parameters_are_those_of_the_model(name: str) -> None:
    counted = {part.name: part.parameters for part in parts(preset(name))}
    shape = shape_of(preset(name))
    assert shape.vision == counted["vision"]
    assert shape.adapter == counted["adapter"] + counted["ln_post + proj"]
    assert shape.language == counted["language"]
    assert shape.parameters == counted["total"]


def test_operations_of_vision_and_adapter_match_the_reference() -> None:
    assert vision_forward(FULL, 256) == pytest.approx(0.964 * TERA, rel=0.002)
    assert vision_forward(FULL, 1024) == pytest.approx(4.106 * TERA, rel=0.002)
    assert adapter_forward(FULL, 256) == pytest.approx(0.048 * TERA, rel=0.02)
    assert adapter_forward(FULL, 1024) == pytest.approx(0.113 * TERA, rel=0.005)


@pytest.mark.parametrize(
    ("tokens", "labels", "expected"),
    [(300, 300, 4.28), (512, 512, 7.34), (2048, 2048, 30.17), (512, 0.15 * 512, 6.79), (2048, 0.15 * 2048, 28.01)],
)
def test_operations_of_the_language_model_match_the_reference(tokens: int, labels: float, expected: float) -> None:
    once = forward(FULL, load(0, tokens, labels), 224)
    assert once.language + once.head == pytest.approx(expected * TERA, rel=0.003)


@pytest.mark.parametrize(
    ("number", "images", "tokens", "labels", "recompute", "expected"),
    [
        (1, 1, 512, 512, False, 17.7),
        (1, 1, 512, 512, True, 26.0),
        (1, 1, 326, 68, False, 11.7),
        (2, 1, 2048, 2048, False, 103),
        (2, 3, 2048, 2048, False, 128),
        (2, 5, 2048, 2048, False, 154),
        (2, 7, 2048, 2048, False, 179),
        (2, 1, 380, 57, False, 27.8),
        (3, 1, 2048, 2048, False, 95),
        (3, 3, 2048, 2048, False, 104),
    ],
)
def test_operations_of_a_training_sample_match_the_reference(
    number: int, images: int, tokens: int, labels: int, recompute: bool, expected: float
) -> None:
    spec = stage(number).model_copy(update={"engine": Engine(recompute=recompute)})
    near = 0.03 if recompute else 0.005  # the reference repeats adapter and head too; the model repeats blocks alone
    assert training_flops(FULL, spec, load(images, tokens, labels)).total == pytest.approx(expected * TERA, rel=near)


@pytest.mark.parametrize(
    ("number", "images", "tokens", "labels", "hours"),
    [(1, 1, 512, 512, 15264), (1, 1, 326, 68, 10087), (2, 5, 2048, 2048, 6717), (2, 1, 380, 57, 1212)],
)
def test_gpu_hours_of_a_stage_at_half_the_peak(
    number: int, images: int, tokens: int, labels: int, hours: float
) -> None:
    spec = stage(number)
    sample = training_flops(FULL, spec, load(images, tokens, labels)).total
    assert spec.steps * spec.batch.size * sample / (0.5 * PEAK) / 3600 == pytest.approx(hours, rel=0.002)


def test_trained_parts_are_those_of_freeze() -> None:
    assert {name: frozenset(trained) for name, trained in FREEZE_TRAINED.items()} == TRAINED


@pytest.mark.parametrize("kind", list(TRAINED))
def test_trained_parameters_are_those_that_have_gradients(kind: str) -> None:
    with torch.device("meta"):
        model = QwenVLForConditionalGeneration(preset("small"))
    spec = stage(1).model_copy(update={"stage": kind})
    counts = freeze_for_stage(model, spec.stage)
    assert trained_parameters(shape_of(preset("small")), spec) == sum(part.trained for part in counts)


def test_torch_counts_the_same_operations() -> None:
    """Forward and backward of one sample of each stage; torch counts causal attention in full, so that is added."""
    config = preset("tiny")
    shape = shape_of(config)
    for number, frozen in ((1, 0), (2, 0), (2, 1), (3, 0)):
        spec = stage(number).model_copy(update={"resolution": 224, "frozen_vision_blocks": frozen})
        model = QwenVLForConditionalGeneration(config).train()
        freeze_for_stage(model, spec.stage, frozen)
        ids = torch.tensor([[151857, *[151859] * 256, 151858, *range(100, 142)]])
        labels = torch.full_like(ids, -100)
        labels[:, -42:] = ids[:, -42:]
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            model(input_ids=ids, pixel_values=torch.zeros(1, 3, 224, 224), labels=labels).loss.backward()
        ours = training_flops(shape, spec, Load(1, 300, 2 * 300**2, 42)).total
        assert counter.get_total_flops() == pytest.approx(ours, rel=0.02), (number, frozen)


def test_operations_when_recomputing_or_training_low_rank_updates_change_as_expected() -> None:
    spec, sample = stage(3), load(1, 2048, 300)
    plain = training_flops(FULL, spec, sample)
    again = training_flops(FULL, spec.model_copy(update={"engine": Engine(recompute=True)}), sample)
    assert again.model == plain.model
    assert again.recompute == pytest.approx(plain.language / 3)  # nothing passes through the frozen ViT
    low = training_flops(FULL, spec.model_copy(update={"lora": Lora(rank=64)}), sample)
    assert 2 / 3 < low.language / plain.language < 0.7
    assert low.head == pytest.approx(plain.head * 2 / 3)
    assert trained_parameters(FULL, spec.model_copy(update={"lora": Lora(rank=64)})) == FULL.adapter + 32 * 64 * (
        4 * 8192 + 2 * (4096 + 11008)
    )


def test_low_rank_parameters_equal_those_that_the_trainer_adds() -> None:
    with torch.device("meta"):
        model = QwenVLForConditionalGeneration(preset("tiny"))
    freeze_for_stage(model, "sft")
    add_lora(model, Lora(rank=8))
    spec = stage(3).model_copy(update={"lora": Lora(rank=8)})
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert trained_parameters(shape_of(preset("tiny")), spec) == trained
