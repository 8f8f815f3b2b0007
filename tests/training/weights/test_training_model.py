"""The model as a training step sees it: the losses of supervised tokens, and which of its parameters train."""

from pathlib import Path

import torch

from qvl.model.network.config import IGNORE
from qvl.model.weights.auto import load_model
from qvl.training.recipe import StageSpec
from qvl.training.weights.training_model import TrainingModel, prepare
from tests.training.made import stage


def test_forward_gives_the_losses_of_supervised_tokens_alone_and_their_sum(start: Path) -> None:
    model = TrainingModel(load_model(start)).eval()
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    labels = torch.tensor([[IGNORE, IGNORE, 7, 8, IGNORE]])
    total, losses = model(ids, labels, None, None)
    logits = model.net(input_ids=ids).logits
    expected = torch.nn.functional.cross_entropy(logits[0, 1:3].float(), torch.tensor([7, 8]), reduction="none")
    torch.testing.assert_close(losses, expected.detach(), atol=1e-5, rtol=1e-5)
    assert float(total.detach()) == float(losses.sum()) and total.requires_grad and not losses.requires_grad


def test_forward_without_a_supervised_token_has_a_gradient_of_zero(start: Path) -> None:
    model = TrainingModel(load_model(start)).train()
    ids = torch.tensor([[5, 6, 7]])
    total, losses = model(ids, torch.full_like(ids, IGNORE), None, None)
    total.backward()
    assert (float(total.detach()), len(losses)) == (0.0, 0)
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert gradients and not any(gradient.any() for gradient in gradients)


def test_prepare_freezes_what_the_stage_freezes(start: Path) -> None:
    model = prepare(load_model(start), StageSpec.model_validate(stage(stage="pretrain")), [])
    trained = {name.split(".")[2] for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == {"vision_tower", "adapter"} and model.training and model.markers is None
    sft = prepare(load_model(start), StageSpec.model_validate(stage(stage="sft")), [])
    trained = {name.split(".")[2] for name, parameter in sft.named_parameters() if parameter.requires_grad}
    assert "vision_tower" not in trained and "language_model" in trained
