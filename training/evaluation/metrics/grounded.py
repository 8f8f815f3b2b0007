"""Phrases with boxes (grounded captions, detection): precision and recall of pairs of a phrase and a box at IoU 0.5."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from qvl.pipeline.markup.coordinates import Box, box_iou
from qvl.pipeline.markup.parsing import Phrase
from qvl.training.evaluation.metrics.box import THRESHOLD

Shape = TypeVar("Shape")


@dataclass(frozen=True, slots=True)
class GroundingCounts:
    """Counts of boxes of one sample.

    ``matched`` boxes fit a true box of the same phrase; ``boxes_matched`` boxes fit a true box of any phrase.
    """

    truths: int
    predictions: int
    matched: int
    boxes_matched: int


def count_grounding(predicted: Sequence[Phrase], truths: Sequence[Phrase]) -> GroundingCounts:
    """Match boxes one to one, the best fitting first. Case and outer blanks of a phrase are ignored."""
    predicted_pairs, true_pairs = _pairs(predicted), _pairs(truths)
    boxes = [box for _, box in predicted_pairs], [box for _, box in true_pairs]
    boxes_matched = matches(*boxes, box_iou, THRESHOLD)

    def same_phrase(first: tuple[str, Box], second: tuple[str, Box]) -> float:
        return box_iou(first[1], second[1]) if first[0] == second[0] else 0.0

    matched = matches(predicted_pairs, true_pairs, same_phrase, THRESHOLD)
    return GroundingCounts(len(true_pairs), len(predicted_pairs), len(matched), len(boxes_matched))


def matches(
    predicted: Sequence[Shape], truths: Sequence[Shape], overlap: Callable[[Shape, Shape], float], least: float
) -> list[tuple[int, int, float]]:
    """Pairs (prediction, truth, overlap) with an overlap of at least ``least``, the largest first.

    Each prediction and each truth is in at most one pair.
    """
    pairs = [(overlap(p, t), i, j) for i, p in enumerate(predicted) for j, t in enumerate(truths)]
    taken: tuple[set[int], set[int]] = set(), set()
    chosen = []
    for share, i, j in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2])):
        if share < least:
            break
        if i not in taken[0] and j not in taken[1]:
            taken[0].add(i)
            taken[1].add(j)
            chosen.append((i, j, share))
    return chosen


def f1(matched: int, predictions: int, truths: int) -> tuple[float, float, float]:
    """Precision, recall and their harmonic mean; all are 1 if there are neither predictions nor truths."""
    if not predictions and not truths:
        return 1.0, 1.0, 1.0
    precision = matched / predictions if predictions else 0.0
    recall = matched / truths if truths else 0.0
    return precision, recall, 2 * matched / (predictions + truths)


def _pairs(phrases: Sequence[Phrase]) -> list[tuple[str, Box]]:
    return [(phrase.text.strip().lower(), box) for phrase in phrases for box in phrase.boxes]
