"""Boxes: the referring-expression accuracy of the paper (IoU of at least 0.5)."""

from collections.abc import Sequence

from qvl.pipeline.markup.coordinates import Box, box_iou

THRESHOLD = 0.5


def best_iou(predicted: Box | None, truths: Sequence[Box]) -> float:
    """The IoU of the predicted box with the true box that it fits best; 0 without a predicted box."""
    return 0.0 if predicted is None else max((box_iou(predicted, truth) for truth in truths), default=0.0)
