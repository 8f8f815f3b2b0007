"""Model states against the reference table; activations against what autograd keeps."""

from pathlib import Path
from typing import Any

import pytest
import torch

from qvl.model.network.config import AdapterConfig, QwenVLConfig, VisionConfig, qwen_text_config
from qvl.model.network.presets import preset
from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
from qvl.model.weights.freeze import freeze_for_stage
from qvl.training.plan.cost import Load, shape_of
from qvl.training.plan.memory import activations, model_states, stage_memory, stage_states
from qvl.training.recipe import Engine, Lora, StageSpec, load_train_recipe

FULL = shape_of(preset("qwen-vl"))
GIGA = 1e9


def stage(number: int, **engine: Any) -> StageSpec:
    spec = load_train_recipe(sorted(Path("training/recipes").glob("stage*.yaml"))[number - 1]).stages[0]
    return spec.model_copy(update={"engine": Engine(**engine)})


@pytest.mark.parametrize(
    ("number", "gpus", "zero", "expected"),
    [
        (1, 1, 0, 46.4), (1, 8, 1, 26.1), (1, 8, 2, 22.7), (1, 8, 3, 5.8),
        (1, 64, 1, 23.5), (1, 64, 2, 19.7), (1, 64, 3, 0.7),
        (2, 1, 0, 154.5), (2, 8, 1, 53.1), (2, 8, 2, 36.2), (2, 8, 3, 19.3),
        (2, 64, 1, 40.4), (2, 64, 2, 21.4), (2, 64, 3, 2.4),
        (3, 1, 0, 128.7), (3, 8, 1, 46.7), (3, 8, 2, 33.0), (3, 8, 3, 16.1),
        (3, 64, 1, 36.4), (3, 64, 2, 21.0), (3, 64, 3, 2.0),
    ],
)  # fmt: skip
def test_model_states_of_one_gpu(number: int, gpus: int, zero: int, expected: float) -> None:
    states = stage_states(FULL, stage(number), gpus, zero, "none")
    assert states.total / GIGA == pytest.approx(expected, abs=0.051)


def test_offloading_moves_states_to_the_host_and_drops_none() -> None:
    kept, moved = model_states(1000, 600, 4, 2), model_states(1000, 600, 4, 2, "optimizer")
    assert moved.optimizer == 0 and moved.gradients == 0 and moved.weights == kept.weights
    assert moved.host == kept.optimizer + 4 * 600 / 4
    whole = model_states(1e12, 1e12, 4, 3, "parameters")
    assert whole.weights == 2e9 and whole.host == pytest.approx((2 + 12 + 4) * 1e12 / 4)


def test_low_rank_updates_of_a_four_bit_base_fit_a_small_gpu() -> None:
    low = stage_states(FULL, stage(3).model_copy(update={"lora": Lora()}), 1, 1, "none")
    four = stage_states(FULL, stage(3).model_copy(update={"lora": Lora(quantize=True)}), 1, 1, "none")
    assert low.weights / GIGA == pytest.approx(19.6, abs=0.1)
    assert four.weights / GIGA == pytest.approx(19.6 - 6.476 * 1.44, abs=0.1)
    assert low.optimizer == four.optimizer < 3e9


VOCABULARY = 2000
START, END, IMAGE = 1997, 1998, 1999


def config(width: int, mlp: int, layers: int, vision_width: int, vision_mlp: int, vision_layers: int) -> QwenVLConfig:
    vision = VisionConfig(
        image_size=224,
        hidden_size=vision_width,
        num_hidden_layers=vision_layers,
        num_attention_heads=2,
        intermediate_size=vision_mlp,
    )
    text = qwen_text_config(
        vocab_size=VOCABULARY,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        intermediate_size=mlp,
    )
    ids = {"image_start_token_id": START, "image_end_token_id": END, "image_token_id": IMAGE}
    return QwenVLConfig(vision, AdapterConfig(num_attention_heads=4), text, **ids)


def kept_by_autograd(made: QwenVLConfig, spec: StageSpec, tokens: int, resolution: int) -> int:
    """Bytes of the tensors, other than weights, that a forward pass of one image leaves for the backward pass."""
    made._attn_implementation = spec.engine.attention
    model = QwenVLForConditionalGeneration(made).to(torch.bfloat16).train()
    freeze_for_stage(model, spec.stage, spec.frozen_vision_blocks)
    if spec.engine.recompute:
        model.checkpoint_activations()
    own = {tensor.untyped_storage().data_ptr() for tensor in [*model.parameters(), *model.buffers()]}
    ids = torch.randint(0, 1000, (1, tokens))
    ids[0, :258] = torch.tensor([START, *[IMAGE] * 256, END])
    labels = torch.full_like(ids, -100)
    labels[0, -1] = 5
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        pixels = torch.zeros(1, 3, resolution, resolution, dtype=torch.bfloat16)
        model(input_ids=ids, pixel_values=pixels, labels=labels)
    return sum(tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in own)


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_activations_are_what_autograd_keeps(number: int, attention: str) -> None:
    for shape in ((128, 320, 3, 64, 256, 3), (256, 512, 2, 128, 256, 4)):
        made, spec = config(*shape), stage(number, attention=attention).model_copy(update={"resolution": 448})
        measured = kept_by_autograd(made, spec, 700, 448)
        estimated = activations(shape_of(made), spec, Load(1, 700, 700**2, 1))
        assert estimated == pytest.approx(measured, rel=0.08), shape


def test_recomputation_keeps_one_width_per_block() -> None:
    made, spec = config(128, 320, 6, 64, 256, 6), stage(2, recompute=True)
    shape, load = shape_of(made), Load(1, 700, 700**2, 1)
    block = 700 * (24 * 128 + 8 * 320)  # in full, while it is computed again; not there after the forward pass
    estimated = activations(shape, spec, load) - block
    assert estimated == pytest.approx(kept_by_autograd(made, spec, 700, 448), rel=0.15)
    assert activations(shape, spec, load) < 0.6 * activations(shape, stage(2), load)


def test_memory_of_a_stage_is_the_sum_of_its_terms() -> None:
    load = Load(7, 2048, 2048**2, 300)
    memory = stage_memory(FULL, stage(2, zero=2), load, 64)
    assert memory.states.total / GIGA == pytest.approx(21.4, abs=0.05)
    assert 28e9 < memory.activations < 36e9
    assert memory.total == memory.states.total + memory.activations + memory.buffers
    assert stage_memory(FULL, stage(2, zero=2, recompute=True), load, 64).total < memory.total - 25e9


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_papers_recipes_fit_eighty_gigabytes_on_one_node(number: int) -> None:
    """At full length, with as many images as a sequence may hold."""
    spec = load_train_recipe(sorted(Path("training/recipes").glob("stage*.yaml"))[number - 1]).stages[0]
    micro, images = spec.batch.micro, 1 if number == 1 else spec.images_per_sequence
    largest = Load(micro * images, micro * spec.length, micro * spec.length**2, micro * spec.length)
    assert 60e9 < stage_memory(FULL, spec, largest, 8).total < 80e9
