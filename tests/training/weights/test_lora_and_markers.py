"""Low-rank updates and marker rows: which parameters train, and that a merged or folded model computes the same."""

from pathlib import Path

import torch

from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
from qvl.model.text.tokenizer import token_id
from qvl.model.weights.auto import load_model, load_processor
from qvl.pipeline.shards.sample_bytes import ShardBytes
from qvl.training.data.encode import Encoder
from qvl.training.data.loader import Assembler, Batch
from qvl.training.data.schedule import Schedule
from qvl.training.data.steps import STREAM_START
from qvl.training.recipe import Lora, StageSpec
from qvl.training.weights.lora import add_lora, merge
from qvl.training.weights.marker_rows import TOKENS, fold
from qvl.training.weights.training_model import TrainingModel, prepare
from tests.training.data.test_schedule import MODES, make
from tests.training.made import stage


def batch_of(made: tuple[Schedule, Encoder]) -> Batch:
    schedule, encoder = made
    return Assembler(encoder, 56, False, ShardBytes())[schedule.plan(STREAM_START, 0, 1).micro_batches[0]]


def loss_of(model: TrainingModel, batch: Batch) -> torch.Tensor:
    with torch.no_grad():
        losses: torch.Tensor = model.eval()(batch.ids, batch.labels, batch.positions, batch.pixels)[1]
    return losses


def plain(start: Path, weights: dict[str, torch.Tensor]) -> TrainingModel:
    net: QwenVLForConditionalGeneration = load_model(start)
    missing, unexpected = net.load_state_dict(weights, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}
    return TrainingModel(net)


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


def test_marker_rows_train_beside_a_frozen_language_model_and_fold_exactly(
    start: Path, datasets: dict[str, Path], tmp_path: Path, tokenizer: object
) -> None:
    batch = batch_of(make(MODES["unpacked"], datasets, tmp_path, tokenizer))  # type: ignore[arg-type]
    ids = [token_id(load_processor(start).tokenizer, token) for token in TOKENS]
    spec = StageSpec.model_validate(stage(stage="pretrain", trained_markers=True))
    model = prepare(load_model(start), spec, ids)
    assert model.markers is not None
    loss, _ = model(batch.ids, batch.labels, batch.positions, batch.pixels)
    loss.backward()
    assert model.markers.marker_rows_in.grad is not None and model.markers.marker_rows_in.grad.any()
    assert model.net.get_input_embeddings().weight.grad is None
    with torch.no_grad():
        model.markers.marker_rows_in.normal_(std=0.3)
    changed = loss_of(model, batch)
    weights = {name.removeprefix("net."): tensor for name, tensor in model.state_dict().items()}
    folded = plain(start, fold(weights, ids))
    assert torch.allclose(loss_of(folded, batch), changed, atol=1e-5)
    moved = (folded.net.get_input_embeddings().weight != load_model(start).get_input_embeddings().weight).any(dim=1)
    assert set(torch.nonzero(moved).flatten().tolist()) == set(ids)
