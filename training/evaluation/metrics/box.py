"""Boxes: intersection over union, and the referring-expression accuracy of the paper (IoU of at least 0.5)."""

from collections.abc import Sequence

from qvl.pipeline.markup.coordinates import Box

THRESHOLD = 0.5


def box_iou(first: Box, second: Box) -> float:
    """Intersection over union, 0 to 1; an empty or inside-out box shares nothing."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (_area(first) + _area(second) - shared)


def best_iou(predicted: Box | None, truths: Sequence[Box]) -> float:
    """IoU of the one predicted box with the truth that it fits best; no box is 0."""
    return 0.0 if predicted is None else max((box_iou(predicted, truth) for truth in truths), default=0.0)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
