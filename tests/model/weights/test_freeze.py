"""Freezing by stage, checked on bits: frozen tensors do not change in training, all others do."""

import pytest
import torch

from qvl.model.network.errors import ModelError
from qvl.model.weights.freeze import TRAINED, freeze_for_stage, part_of, tensor_hashes, vision_depth
from tests.model.small_checkpoints import START
from tests.model.small_models import row_of, toy


@pytest.mark.parametrize("stage", list(TRAINED))
@pytest.mark.parametrize("tied", [False, True])
def test_training_a_stage_changes_exactly_the_tensors_that_are_not_frozen(stage: str, tied: bool) -> None:
    model = toy(tie_word_embeddings=tied).train()
    table = freeze_for_stage(model, stage)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2, weight_decay=0.05)
    before = tensor_hashes(model)
    generator = torch.Generator().manual_seed(2)
    for _ in range(2):
        ids = torch.randint(0, START, (3, 40), generator=generator)
        ids[:2, :8] = torch.tensor(row_of(1, 1))
        labels = ids.masked_fill(ids >= START, -100)
        model(ids, torch.randn(2, 3, 28, 28, generator=generator), labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    after = tensor_hashes(model)
    for name in before:
        moves = part_of(name) in TRAINED[stage] and not name.endswith("pos_embed")
        assert (before[name] != after[name]) == moves, name
    assert {row.part for row in table if row.trained} == set(TRAINED[stage])
    assert sum(row.trained for row in table) == sum(parameter.numel() for parameter in trained)


def test_ln_post_and_proj_are_trained_with_the_adapter() -> None:
    model = toy()
    freeze_for_stage(model, "sft")
    assert model.model.adapter.proj.requires_grad
    assert model.model.adapter.ln_post.weight.requires_grad
    assert not model.model.vision_tower.conv1.weight.requires_grad
    assert not isinstance(model.model.adapter.pos_embed, torch.nn.Parameter)


def test_freeze_for_stage_keeps_the_first_vision_blocks_frozen_on_request() -> None:
    model = toy()
    freeze_for_stage(model, "multitask", frozen_vision_blocks=1)
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert all("vision_tower" in name for name in frozen)
    assert {vision_depth(name) for name in frozen} == {0, 1}
    assert model.model.vision_tower.blocks[1].ln_1.weight.requires_grad


def test_vision_depth_counts_from_the_stem() -> None:
    assert vision_depth("model.vision_tower.conv1.weight") == 0
    assert vision_depth("model.vision_tower.positional_embedding") == 0
    assert vision_depth("model.vision_tower.ln_pre.bias") == 0
    assert vision_depth("model.vision_tower.blocks.47.mlp.c_fc.weight") == 48
    assert vision_depth("model.adapter.query") is None
    assert vision_depth("lm_head.weight") is None


def test_freeze_for_stage_lists_the_stages_when_the_name_is_unknown() -> None:
    with pytest.raises(ModelError, match="language, pretrain, multitask, sft"):
        freeze_for_stage(toy(), "dpo")
