"""``evaluate``: scores of a model in memory, for a trainer to call between its steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch.distributed as dist

from qvl.model.network.processor import QwenVLProcessor
from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
from qvl.training.evaluation.answering.pieces import plan
from qvl.training.evaluation.answering.predict import Advance, predict
from qvl.training.evaluation.samples.sample import Answer, EvalSample
from qvl.training.evaluation.scoring import EvalScores, score


@dataclass(frozen=True)
class Evaluation:
    """Answers and scores, equal on every rank."""

    answers: list[Answer]
    scored: EvalScores

    @property
    def lines(self) -> list[dict[str, Any]]:
        """One flat record per set, for a log: its name and everything that is a number or a word."""
        flat = ((name, values) for name, values in self.scored.sets.items())
        return [{"set": name, **{k: v for k, v in values.items() if k != "groups"}} for name, values in flat]


def evaluate(
    model: QwenVLForConditionalGeneration,
    processor: QwenVLProcessor,
    samples: Sequence[EvalSample],
    batch_size: int = 8,
    advance: Advance | None = None,
) -> Evaluation:
    """Answer and score ``samples`` with the model as it is; its mode (training or not) and its gradients stay.

    Where a process group is up, every rank must call this with the same samples; each answers every size-th batch,
    and all get the same result, which does not depend on their number. The model must be whole on each rank (ZeRO-1, ZeRO-2,
    DDP: give the module inside; ZeRO-3: gather it first).
    """
    up = dist.is_available() and dist.is_initialized()
    rank, size = (dist.get_rank(), dist.get_world_size()) if up else (0, 1)
    own: dict[int, Answer] = {}
    for places in plan(samples, batch_size, batch_size)[rank::size]:
        own |= dict(
            zip(places, predict(model, processor, [samples[i] for i in places], batch_size, advance), strict=True)
        )
    parts: list[dict[int, Any]] = [own] * size
    if size > 1:
        dist.all_gather_object(parts, own)
    found = {place: answer for part in parts for place, answer in part.items()}
    answers = [found[place] for place in range(len(samples))]
    return Evaluation(answers, score(samples, answers))
