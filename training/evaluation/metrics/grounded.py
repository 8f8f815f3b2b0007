"""Phrases with boxes (grounded captions, detection): precision and recall of pairs of phrase and box at IoU 0.5."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from qvl.pipeline.markup.coordinates import Box, box_iou
from qvl.pipeline.markup.parsing import Phrase
from qvl.training.evaluation.metrics.box import THRESHOLD

Place = TypeVar("Place")


@dataclass(frozen=True)
class Found:
    """Counts of one sample; ``matched`` boxes fit a truth of the same words, ``placed`` ones fit any truth."""

    truths: int
    predictions: int
    matched: int
    placed: int


def grounded(predicted: Sequence[Phrase], truths: Sequence[Phrase]) -> Found:
    """Match boxes one to one, the best fitting first. Case and outer blanks of a phrase do not count."""
    found, wanted = _pairs(predicted), _pairs(truths)
    boxes = [box for _, box in found], [box for _, box in wanted]
    placed = matches(*boxes, box_iou, THRESHOLD)

    def same_words(first: tuple[str, Box], second: tuple[str, Box]) -> float:
        return box_iou(first[1], second[1]) if first[0] == second[0] else 0.0

    return Found(len(wanted), len(found), len(matches(found, wanted, same_words, THRESHOLD)), len(placed))


def matches(
    predicted: Sequence[Place], truths: Sequence[Place], overlap: Callable[[Place, Place], float], least: float
) -> list[tuple[int, int, float]]:
    """Pairs (prediction, truth, overlap) of at least ``least``, each place in one pair at most, the largest first."""
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
    """Precision, recall and their harmonic mean; nothing promised and nothing wanted is perfect."""
    if not predictions and not truths:
        return 1.0, 1.0, 1.0
    precision = matched / predictions if predictions else 0.0
    recall = matched / truths if truths else 0.0
    return precision, recall, 2 * matched / (predictions + truths)


def _pairs(phrases: Sequence[Phrase]) -> list[tuple[str, Box]]:
    return [(phrase.text.strip().lower(), box) for phrase in phrases for box in phrase.boxes]
