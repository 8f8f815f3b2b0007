"""The learning rate of every parameter at every step, against the paper's table 8."""

import itertools
from pathlib import Path

import pytest
import torch

from qvl.model.weights.auto import load_model
from qvl.model.weights.freeze import freeze_for_stage
from qvl.training.loop.optimizer import learning_rate, parameter_groups
from qvl.training.recipe import OptimizerSpec, load_train_recipe

RECIPES = Path(__file__).parents[3] / "training" / "recipes"


def test_the_learning_rate_rises_linearly_and_falls_by_half_a_cosine() -> None:
    spec = load_train_recipe(RECIPES / "stage1_pretrain.yaml").stages[0].optimizer
    rates = [learning_rate(spec, step, 50_000) for step in range(50_000)]
    assert rates[499] == pytest.approx(2e-4) == max(rates)
    assert rates[0] == pytest.approx(2e-4 / 500)
    assert rates[-1] == pytest.approx(1e-6)
    assert rates[500 + (50_000 - 501) // 2] == pytest.approx((2e-4 + 1e-6) / 2, rel=1e-3)
    assert all(a >= b for a, b in itertools.pairwise(rates[500:]))


def test_learning_rates_fall_by_layer_and_vectors_have_no_weight_decay(start: Path) -> None:
    net = load_model(start)
    freeze_for_stage(net, "multitask")
    groups = parameter_groups(net, OptimizerSpec(peak=1.0, minimum=0.0, warmup=0, vision_decay=0.5))
    rate = {name: group["scale"] for group in groups for name in group["names"]}
    decay = {name: group["weight_decay"] for group in groups for name in group["names"]}
    assert len(rate) == len([p for p in net.parameters() if p.requires_grad])
    assert rate["model.vision_tower.blocks.1.attn.qkv.weight"] == 1.0
    assert rate["model.vision_tower.blocks.0.attn.qkv.weight"] == 0.5
    assert rate["model.vision_tower.conv1.weight"] == rate["model.vision_tower.positional_embedding"] == 0.25
    assert rate["model.adapter.query"] == rate["model.language_model.embed_tokens.weight"] == 1.0
    for name, parameter in net.named_parameters():
        undecayed = parameter.ndim < 2 or name.endswith(("positional_embedding", "query"))
        assert decay[name] == (0.0 if undecayed else 0.05), name


def test_frozen_parameters_have_no_group(start: Path) -> None:
    net = load_model(start)
    freeze_for_stage(net, "pretrain")
    names = {n for group in parameter_groups(net, OptimizerSpec(peak=1, minimum=0, warmup=0)) for n in group["names"]}
    assert names and not any("language_model" in name for name in names)
    freeze_for_stage(net, "sft")
    names = {n for group in parameter_groups(net, OptimizerSpec(peak=1, minimum=0, warmup=0)) for n in group["names"]}
    assert names and not any("vision_tower" in name for name in names)
    assert torch.is_tensor(net.model.adapter.pos_embed)
