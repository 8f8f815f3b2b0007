"""``evaluate``: score a model in memory, for a trainer to call between its steps."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch.distributed as dist

from qvl.model.network.processor import QwenVLProcessor
from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
from qvl.training.evaluation.answering.pieces import plan
from qvl.training.evaluation.answering.predict import Advance, predict
from qvl.training.evaluation.samples.sample import Answer, EvalSample
from qvl.training.evaluation.scores import EvalScores
from qvl.training.evaluation.scoring import score


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Answers and scores; they are the same on every rank."""

    answers: list[Answer]
    scores: EvalScores


def evaluate(
    model: QwenVLForConditionalGeneration,
    processor: QwenVLProcessor,
    samples: Sequence[EvalSample],
    batch_size: int = 8,
    advance: Advance | None = None,
) -> Evaluation:
    """Answer and score ``samples`` with the model as it is. Its mode (training or evaluation) and its gradients stay.

    If a process group is up, every rank must call this with the same samples. Each rank answers every size-th batch, and
    all ranks get the same result, which does not depend on their number. The model must be whole on each rank: with ZeRO-1,
    ZeRO-2 and DDP pass the module inside, with ZeRO-3 gather it first.
    """
    initialized = dist.is_available() and dist.is_initialized()
    rank, size = (dist.get_rank(), dist.get_world_size()) if initialized else (0, 1)
    own: dict[int, Answer] = {}
    for indexes in plan(samples, batch_size, batch_size)[rank::size]:
        batch = predict(model, processor, [samples[index] for index in indexes], batch_size, advance)
        own |= dict(zip(indexes, batch, strict=True))
    parts: list[dict[int, Answer]] = [own] * size
    if size > 1:
        dist.all_gather_object(parts, own)
    by_index = {index: answer for part in parts for index, answer in part.items()}
    answers = [by_index[index] for index in range(len(samples))]
    return Evaluation(answers, score(samples, answers))
