"""Losses of a made journey."""

from qvl.training.heldout.loss import OTHER, TaskLoss

MODELS = ("start", "language", "pretrain", "multitask", "sft")


STAGES = {"language": "multitask", "pretrain": "pretrain", "multitask": "multitask", "sft": "sft"}


FALLING = {"start": 8.0, "language": 5.0, "pretrain": 4.0, "multitask": 3.9, "sft": 3.9}


def losses(by_model: dict[str, float], error: float = 0.1) -> dict[str, dict[str, TaskLoss]]:
    """Losses of two captions; ``error`` is that of any change over a stage."""

    def one(value: float, spread: float) -> TaskLoss:
        return TaskLoss(value, error, 200, 2, {"a": (100 * (value + spread), 100), "b": (100 * (value - spread), 100)})

    return {
        model: {"caption": one(value, number * error), "caption" + OTHER: one(value + 0.5, number * error)}
        for number, (model, value) in enumerate(by_model.items())
    }
