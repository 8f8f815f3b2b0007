"""What a running stage takes from evaluation and planning: scores of held-out samples, and operations for MFU."""

from collections.abc import Callable
from typing import Any

import torch

from qvl.model.network.config import IGNORE
from qvl.model.network.processor import QwenVLProcessor
from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
from qvl.training.data.loader import Batch
from qvl.training.evaluation.evaluate import evaluate
from qvl.training.evaluation.samples.shards import find_shards, read_shards
from qvl.training.evaluation.samples.subset import limited
from qvl.training.loop.records import ScoreLine
from qvl.training.plan.cost import Load, shape_of, training_flops
from qvl.training.plan.machine import GPUS
from qvl.training.recipe import StageSpec, TrainRecipe


def step_flops(stage: StageSpec, config: Any) -> Callable[[list[Batch]], float]:
    """Counts the operations that the model itself needs for the micro-batches of a rank: the numerator of MFU.

    Padding is not counted, so it lowers MFU. Attention pairs are counted as if each row were one sequence.
    """
    shape = shape_of(config)

    def count(batches: list[Batch]) -> float:
        total = 0.0
        for batch in batches:
            images = 0 if batch.pixels is None else len(batch.pixels)
            rows, width = batch.ids.shape
            labels = int((batch.labels != IGNORE).sum())
            load = Load(images=images, tokens=batch.tokens, pairs=rows * width * width, labels=labels)
            total += training_flops(shape, stage, load).model
        return total

    return count


def peak_flops(precision: str) -> float | None:
    """The peak of this machine's GPU in operations per second, by its name; None without a GPU or for an unknown one."""
    if not torch.cuda.is_available():
        return None
    name = torch.cuda.get_device_name().lower().replace(" ", "-")
    known = sorted((kind for kind in GPUS.values() if kind.name in name), key=lambda kind: len(kind.name))
    return known[-1].peak(precision) if known else None


def evaluator(
    recipe: TrainRecipe, stage: StageSpec, net: QwenVLForConditionalGeneration, processor: QwenVLProcessor
) -> Callable[[int], list[ScoreLine]] | None:
    """Scores the model after a step, on samples of the stage's evaluation dataset.

    They are held-out ones where the recipe holds any out. None where the stage is not evaluated.
    """
    spec, holdout = stage.evaluate, recipe.holdout
    if spec is None:
        return None
    shards = find_shards(recipe.datasets[spec.dataset].path)
    if holdout is None:
        found = read_shards(shards, spec.tasks)
    else:
        found = read_shards(shards, spec.tasks, "heldout", holdout.share, holdout.seed)
    samples = limited(list(found), spec.limit, recipe.seed)

    def run(step: int) -> list[ScoreLine]:
        sets = evaluate(net, processor, samples).scores.sets
        return [ScoreLine(step, name, found.numbers) for name, found in sets.items()]

    return run
