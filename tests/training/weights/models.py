"""A batch of the small datasets, and the losses of models over it."""

from pathlib import Path

import torch

from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
from qvl.model.weights.auto import load_model
from qvl.pipeline.shards.sample_bytes import ShardBytes
from qvl.training.data.encode import Encoder
from qvl.training.data.loader import Assembler, Batch
from qvl.training.data.schedule import Schedule
from qvl.training.data.steps import STREAM_START
from qvl.training.weights.training_model import TrainingModel


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
