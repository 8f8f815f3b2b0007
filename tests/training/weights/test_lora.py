"""Low-rank updates: which parameters train, and that a merged model computes the same."""

from pathlib import Path

import torch

from qvl.model.weights.auto import load_model
from qvl.training.recipe import Lora
from qvl.training.weights.lora import add_lora, merge
from qvl.training.weights.training_model import TrainingModel
from tests.training.data.test_schedule import MODES, make
from tests.training.weights.models import batch_of, loss_of, plain


def test_low_rank_updates_train_the_language_model_alone_and_merge_exactly(
    start: Path, datasets: dict[str, Path], tmp_path: Path, tokenizer: object
) -> None:
    batch = batch_of(make(MODES["unpacked"], datasets, tmp_path, tokenizer))  # type: ignore[arg-type]
    spec = Lora(rank=4, alpha=8, dropout=0.0)
    net = load_model(start)
    before = loss_of(TrainingModel(net), batch)
    names = add_lora(net, spec)
    assert len(names) == 2 * 6
    assert all(name.startswith("model.language_model.layers.") and "down_proj" not in name for name in names)
    model = TrainingModel(net)
    assert torch.equal(loss_of(model, batch), before)
    trained = [name for name, parameter in net.named_parameters() if parameter.requires_grad]
    assert sum("lora_" in name for name in trained) == 2 * len(names)
    assert not any("language_model" in name and "lora_" not in name for name in trained)
    for name, parameter in net.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    changed = loss_of(model, batch)
    assert not torch.allclose(changed, before, atol=1e-3)
    merged = plain(start, merge(dict(net.state_dict()), spec))
    assert torch.allclose(loss_of(merged, batch), changed, atol=1e-4)
